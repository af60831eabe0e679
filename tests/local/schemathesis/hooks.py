"""What schemathesis is told of this API beside its description: which requests end what they are sent with, which answers
the contract wants where the checks expect others, and one check more.

A failure that is dropped here is dropped for what the answer says, never for the operation alone.
"""

import atexit
import collections
import json
import os
import pathlib
import random
import sys
import threading
import urllib.parse
import uuid

import schemathesis
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import RejectedPositiveData, UndefinedStatusCode

sys.path.insert(0, os.path.dirname(__file__))
from client import PASSWORD, Person

API = os.environ["API"]
TOKEN = os.environ.get("TOKEN")

# Chance of its own: what is generated stays what its seed says.
CHANCE = random.SystemRandom()

# These end the session or the account that they are sent with, and all that follows would be answered 401: each is sent
# by somebody of its own.
ENDING = {"GET /disconnect", "DELETE /users/me", "PUT /users/me/password", "DELETE /users/me/sessions/{id}"}


@schemathesis.auth(refresh_interval=None, retry_on=[])
class Credentials:
    """Who sends a request; without a token nobody but who opens a session."""

    def get(self, case, context):
        if case.operation.label == "GET /connect":
            return Person(API)
        if TOKEN is None:
            return None
        return Person(API) if case.operation.label in ENDING else Person(API, TOKEN)

    def set(self, case, person, context):
        if case.operation.label == "GET /connect":
            case.headers["Authorization"] = person.basic()
        else:
            case.headers.update(CHANCE.choice([{"X-Token": person.token}, {"Authorization": f"Bearer {person.token}"}]))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Half of the good requests are for something that there is, or for something new. Stateful tests find that themselves."""
    if TOKEN is None or case.meta is None or not case.meta.generation.mode.is_positive or CHANCE.random() < 0.5:
        return
    if case.meta.phase.name == TestPhase.STATEFUL and case.operation.label not in ENDING:
        return
    token = case.headers.get("X-Token") or case.headers.get("Authorization", "").removeprefix("Bearer ")
    path, body, person = case.path_parameters, case.body, Person(API, token)
    match case.operation.label:
        case "POST /users":
            body["email"] = f"{uuid.uuid4()}@example.org"
        case "DELETE /users/me/sessions/{id}":
            path["id"] = person.session()
        case "DELETE /users/me" | "PUT /users/me/password":
            body["password"] = PASSWORD
        case "GET /files/{id}/parts":
            path["id"] = person.upload(200 << 20)["id"]
        case "POST /files/{id}/complete":
            path["id"] = person.sent(person.upload(2))["id"]
        case "POST /files" | "POST /uploads/tickets" if isinstance(body, dict) and body.get("parentId"):
            body["parentId"] = person.folder()["id"]
        case "POST /uploads/sign" if isinstance(body, dict) and "uploadId" in body:
            body["key"] = person.signed("POST")["key"]
        case label if "{id}" in label:
            path["id"] = person.file()["id"]
        case label if "{upload}" in label:
            path["ticket"] = person.ticket()["ticket"]
            upload, part = person.part(path["ticket"])
            path["upload"], case.query["key"] = upload["uploadId"], upload["key"]
            if label.endswith("/complete"):
                case.body = {"parts": [part]}
        case label if "{ticket}" in label:
            path["ticket"] = person.ticket()["ticket"]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    reasons = [is_how_things_stand, is_counted_in_bytes, is_of_another_path]
    return not any(reason(failure, case, response) for reason in reasons)


def is_how_things_stand(failure, case, response):
    """A good request that cannot be done now. Where the checks expect a 404 or 409 the contract wants a 400."""
    texts = {
        # A folder that is not there, or is none.
        "Parent not found",
        "Parent is not a folder",
        "A folder doesn't have content",
        # Two people with one e-mail.
        "Already exist",
        # A ticket may allow less than the API.
        "Files of this type are not allowed here",
        # S3 has other parts than those.
        "Invalid parts",
        # A condition may be of another version of the file.
        "Precondition failed",
        # The API makes nothing below a hundred levels of folders.
        "Too deep: 100 levels at most",
        # What is generated may have been sent before.
        "This Idempotency-Key was used for another request",
    }
    return isinstance(failure, RejectedPositiveData) and error_of(response) in texts


def is_counted_in_bytes(failure, case, response):
    """JSON Schema limits the characters of a text, the contract its bytes in UTF-8."""
    texts = {"Invalid name", "Invalid email", "Invalid password"}
    if not isinstance(failure, RejectedPositiveData) or error_of(response) not in texts:
        return False
    values = [*case.query.values(), *(case.body.values() if isinstance(case.body, dict) else [])]
    texts = [value for value in values if isinstance(value, str)]
    return any(len(text.encode()) > 255 and len(text.encode()) > len(text) for text in texts)


def is_of_another_path(failure, case, response):
    """The gateway decodes a path: with a slash or an end of it in place of an id it is another one, which may not be there."""
    ids = [urllib.parse.unquote(str(value)) for value in case.path_parameters.values()]
    other = any(set(id) & set("/\\#?") or id in {".", ".."} for id in ids)
    return isinstance(failure, UndefinedStatusCode) and response.status_code in {404, 405} and other


def error_of(response):
    try:
        return response.json().get("error")
    except ValueError:
        return None


@schemathesis.check
def error_is_described(ctx, response, case):
    """The text of an error stands in backticks with its answer."""
    answer = case.operation.definition.raw["responses"].get(str(response.status_code))
    if response.status_code < 400 or answer is None:
        return
    error = error_of(response)
    assert f"`{error}`" in answer["description"], f"{response.status_code} does not describe {error!r}"


# What was answered how often, for whoever runs this.
SEEN = collections.defaultdict(collections.Counter)
LOCK = threading.Lock()


@schemathesis.hook
def after_call(context, case, response):
    # Some requests only try a method that there is not.
    if response.request.method != case.operation.method.upper():
        return
    with LOCK:
        SEEN[case.operation.label][response.status_code] += 1


@atexit.register
def tell():
    pathlib.Path(os.environ["SEEN"]).write_text(json.dumps(SEEN))
