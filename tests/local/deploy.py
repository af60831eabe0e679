"""Deploys the functions beside a template, as `sam deploy` does: packs each, uploads it, and executes a change set.

Usage: deploy.py STACK TEMPLATE BUCKET [NAME=VALUE …]

`sam deploy` deploys what ships, and this what `cargo local` built quickly: SAM and cargo-lambda take a gigabyte and half
a minute to install.
"""

import hashlib
import io
import pathlib
import sys
import time
import zipfile

import boto3
from botocore.exceptions import ClientError, WaiterError

stack, template, bucket, *parameters = sys.argv[1:]
template = pathlib.Path(template)
s3 = boto3.client("s3")
cloudformation = boto3.client("cloudformation")


def packed(bootstrap):
    """A ZIP archive with the same bytes for the same program."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o100755 << 16
        file.writestr(entry, bootstrap)
    return archive.getvalue()


def uploaded(function):
    """The URL of a packed function in the bucket. Its name is its content's, so that only what changed is deployed."""
    bootstrap = (template.parent / function / "bootstrap").read_bytes()
    key = f"{function}-{hashlib.sha256(bootstrap).hexdigest()}"
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError:
        s3.put_object(Bucket=bucket, Key=key, Body=packed(bootstrap))
    return f"s3://{bucket}/{key}"


def exists():
    try:
        status = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except ClientError:
        return False
    return status != "REVIEW_IN_PROGRESS"


text = template.read_text()
for function in sorted(folder.name for folder in template.parent.iterdir() if folder.is_dir()):
    text = text.replace(f"CodeUri: {function}\n", f"CodeUri: {uploaded(function)}\n")

kind = "update" if exists() else "create"
names = {"StackName": stack, "ChangeSetName": f"at-{time.time_ns()}"}
cloudformation.create_change_set(
    **names,
    ChangeSetType=kind.upper(),
    Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    TemplateBody=text,
    Parameters=[dict(zip(("ParameterKey", "ParameterValue"), parameter.split("=", 1))) for parameter in parameters],
)
quickly = {"Delay": 0.1, "MaxAttempts": 600}
try:
    cloudformation.get_waiter("change_set_create_complete").wait(**names, WaiterConfig=quickly)
except WaiterError:
    described = cloudformation.describe_change_set(**names)
    if "didn't contain changes" in described.get("StatusReason", ""):
        sys.exit()
    sys.exit(f"error: the change set failed: {described.get('StatusReason')}")
cloudformation.execute_change_set(**names)
try:
    cloudformation.get_waiter(f"stack_{kind}_complete").wait(StackName=stack, WaiterConfig=quickly)
except WaiterError:
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
    for event in failed:
        print(event["LogicalResourceId"], event["ResourceStatus"], event.get("ResourceStatusReason"))
    sys.exit(f"error: the stack failed: {failed[-1].get('ResourceStatusReason') if failed else 'no reason given'}")
