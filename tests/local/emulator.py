"""The AWS emulator: ministack, with three gaps of its AUTH=true closed, without two waits of each invocation, and with
policies that are parsed once.

- ministack 1.5 checks ssm:GetParameters against the resource "*" and so refuses a function whose policy names its
  parameters, as AWS wants it. Here every parameter that is asked for must be allowed, as in AWS.
- AWS is spoken to over HTTPS, the emulator over HTTP: a bucket policy that demands HTTPS would refuse everything. Here
  HTTP counts as HTTPS.
- ministack asks for a right of its own for each batch operation of SQS, such as sqs:SendMessageBatch, which IAM does not
  know. Here, as in AWS, who may send one message may send many.
- ministack's Runtime API writes the headers and the body of an event in two packets, and the second waits 40 ms for the
  acknowledgement of the first. Here both are one packet.
- ministack collects the log of an invocation until there was no line for 5 ms. Here the line "request", which is the last
  of each request, ends the log, so that a test finds it and no request waits for it. Where there is no such line, the log
  ends when there was no line for 50 ms, because the thread that reads lines waits longer than 5 ms on a busy machine.
- ministack parses the policies of the role and of the bucket for each check, and checks each key of a batch of S3. Here the
  last 512 policies are kept, and a check takes 49 µs in place of 90 (2026-11-30, a role with eleven statements).

This file can go, and `python -m ministack` be started instead, when `extract_resource_arn` there knows the field
`Names`, `extract_iam_action` the batches of SQS, aws:SecureTransport can be set, those waits are not there, and a parsed
policy is kept.
"""

import json
import queue
import socketserver
import time
from functools import lru_cache
from types import SimpleNamespace

from ministack.app import main
from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.core.router import extract_access_key_id

extract_iam_action = iam_actions.extract_iam_action
extract_resource_arn = iam_actions.extract_resource_arn
resolve_condition_key = iam_evaluator._resolve_condition_key
parse_policy_document = iam_evaluator.parse_policy_document
parse_policy_text = lru_cache(512)(parse_policy_document)


def resource_arn_with_parameters(service, method, path, headers, body, query, region, account):
    if service != "ssm" or not headers.get("x-amz-target", "").endswith(".GetParameters"):
        return extract_resource_arn(service, method, path, headers, body, query, region, account)
    arns = [f"arn:aws:ssm:{region}:{account}:parameter/{name.lstrip('/')}" for name in json.loads(body)["Names"]]
    key = extract_access_key_id(headers, query)

    def refused(arn):
        return iam_evaluator.enforce(key, "ssm:GetParameters", service, region, resource_arn=arn)

    return next(filter(refused, arns), arns[0])


def iam_action_without_batches(service, *request):
    action = extract_iam_action(service, *request)
    return action.removesuffix("Batch") if service == "sqs" and action else action


def condition_key_with_https(key, context):
    return "true" if key.lower() == "aws:securetransport" else resolve_condition_key(key, context)


def policy_statements(document):
    return parse_policy_text(document) if isinstance(document, str) else parse_policy_document(document)


def log_of_invocation(worker, first_line_wait=0.3, next_line_wait=0.05, longest=0.5):
    """The lines that the function has written, with waits in seconds. A line that comes later is lost until the next
    invocation, and on a busy machine the first line takes longer than 50 ms."""
    lines = []
    end = time.monotonic() + longest
    wait = first_line_wait
    while not (lines and '"message":"request"' in lines[-1]):
        try:
            lines.append(worker._stderr_queue.get(timeout=max(0, min(wait, end - time.monotonic()))))
        except queue.Empty:
            break
        wait = next_line_wait
    return "\n".join(lines)


iam_actions.extract_iam_action = iam_action_without_batches
iam_actions.extract_resource_arn = resource_arn_with_parameters
iam_evaluator._resolve_condition_key = condition_key_with_https
iam_evaluator.parse_policy_document = policy_statements
# The rules only read what they load, which is policies.
iam_evaluator.json = SimpleNamespace(loads=lru_cache(512)(json.loads), JSONDecodeError=json.JSONDecodeError)
lambda_runtime.ProvidedWorker._drain_stderr_bounded = log_of_invocation
socketserver.StreamRequestHandler.wbufsize = -1
socketserver.StreamRequestHandler.disable_nagle_algorithm = True

main()
