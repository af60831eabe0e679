"""Adapts schemathesis to this API beyond its description: the requests that end their own session, the answers of the
contract where the checks expect others, and one more check.

A failure is ignored only because of what was sent (before, too) or of the text of its answer, never because of the
operation that failed alone.
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
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData, UndefinedContentType, UndefinedStatusCode

sys.path.insert(0, os.path.dirname(__file__))
from client import PASSWORD, User

API = os.environ["API"]
TOKEN = os.environ.get("TOKEN")

# A random generator of its own, so that the generated data depends only on its seed.
CHANCE = random.SystemRandom()

# These end the session or the account of the request, and all later requests would get a 401. So each is sent by a new
# user.
ENDING = {
    "GET /disconnect",
    "DELETE /users/me",
    "PUT /users/me/password",
    "DELETE /users/me/sessions/{id}",
    "DELETE /web/session",
}

# These take the cookie of the web app, and no token. Each request has a new cookie, which ends the one before.
WITH_COOKIE = {"POST /web/session/refresh", "DELETE /web/session"}


@schemathesis.auth(refresh_interval=None, retry_on=[])
class Credentials:
    """The user of a request. Without a token only `GET /connect` has one."""

    def get(self, case, context):
        if case.operation.label == "GET /connect":
            return User(API)
        if TOKEN is None:
            return None
        return User(API) if case.operation.label in ENDING else User(API, TOKEN)

    def set(self, case, user, context):
        if case.operation.label == "GET /connect":
            case.headers["Authorization"] = user.basic()
        elif case.operation.label in WITH_COOKIE:
            case.headers["Cookie"] = f"__Host-session={user.cookie()}"
        else:
            case.headers.update(CHANCE.choice([{"X-Token": user.token}, {"Authorization": f"Bearer {user.token}"}]))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Half of the valid requests use an existing object, or a new one. Stateful tests find existing objects themselves."""
    if TOKEN is None or case.meta is None or not case.meta.generation.mode.is_positive or CHANCE.random() < 0.5:
        return
    if case.meta.phase.name == TestPhase.STATEFUL and case.operation.label not in ENDING:
        return
    token = case.headers.get("X-Token") or case.headers.get("Authorization", "").removeprefix("Bearer ")
    path, body, user = case.path_parameters, case.body, User(API, token)
    match case.operation.label:
        case "GET /app/{file}":
            path["file"] = user.file_of_the_app()
        case "POST /users":
            body["email"] = f"{uuid.uuid4()}@example.org"
        case "DELETE /users/me/sessions/{id}":
            path["id"] = user.session()
        case "DELETE /users/me/keys/{id}":
            path["id"] = user.key()
        case "DELETE /users/me" | "PUT /users/me/password":
            body["password"] = PASSWORD
        case "GET /files/{id}/parts":
            path["id"] = user.upload(200 << 20)["id"]
        case "POST /files/{id}/complete":
            path["id"] = user.sent(user.upload(2))["id"]
        case "POST /files" | "POST /uploads/tickets" | "POST /users/me/keys" if isinstance(body, dict) and body.get("parentId"):
            body["parentId"] = user.folder()["id"]
        case "POST /uploads/sign" if isinstance(body, dict) and "uploadId" in body:
            body["key"] = user.signed("POST")["key"]
        case "POST /files/batch":
            body["ids"] = [user.file()["id"]]
        case "POST /zips":
            body["ids"] = [user.file()["id"]]
        case label if label.startswith("GET /zips/{id}"):
            path["id"] = user.zip()["id"]
        case "POST /links":
            body["fileId"] = user.folder()["id"]
        case label if label.endswith("/links/{id}"):
            path["id"] = user.link()["id"]
        case "GET /shared/{token}/files/{id}/data":
            path["id"] = user.file()["id"]
            path["token"] = user.link(path["id"])["token"]
        case "POST /shared/{token}/ticket":
            path["token"] = user.link(kind="upload")["token"]
        case label if "{token}" in label:
            path["token"] = user.link()["token"]
        case label if "{version}" in label:
            path["id"], path["version"] = user.version()
        case label if "{id}" in label:
            path["id"] = user.file()["id"]
        case label if "{upload}" in label:
            path["ticket"] = user.ticket()["ticket"]
            upload, part = user.part(path["ticket"])
            path["upload"], case.query["key"] = upload["uploadId"], upload["key"]
            if label.endswith("/complete"):
                case.body = {"parts": [part]}
        case label if "{ticket}" in label:
            path["ticket"] = user.ticket()["ticket"]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    reasons = [is_how_things_stand, is_counted_in_bytes, is_of_another_path, is_space_around_a_header, is_after_a_password]
    return not any(reason(failure, case, response) for reason in reasons)


def is_how_things_stand(failure, case, response):
    """A valid request that conflicts with the state. The checks expect a 404 or 409, the contract has a 400."""
    texts = {
        # A folder that is not there, or is none.
        "Parent not found",
        "Parent is not a folder",
        "A folder doesn't have content",
        "A folder has no preview",
        # A cursor comes from an answer, and is valid for the other parameters of that request.
        "Invalid cursor",
        # `page` is valid, and so are the parameters of a sorted listing.
        "Use cursor or page",
        # A file takes no uploads.
        "Only a folder takes uploads",
        # Fields that mean nothing are ignored, so that nothing may be left.
        "Nothing to change",
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
    # A page has no text of an error. Its only parameter that an answer gives is the cursor.
    is_page = response.headers.get("content-type", [""])[0].startswith("text/html")
    is_known = "cursor" in case.query if is_page else error_of(response) in texts
    return isinstance(failure, RejectedPositiveData) and is_known


def is_counted_in_bytes(failure, case, response):
    """JSON Schema limits the characters of a text, the contract limits its bytes in UTF-8."""
    texts = {"Invalid name", "Invalid email", "Invalid password", "Invalid q"}
    if not isinstance(failure, RejectedPositiveData) or error_of(response) not in texts:
        return False
    values = [*case.query.values(), *(case.body.values() if isinstance(case.body, dict) else [])]
    texts = [value for value in values if isinstance(value, str)]
    return any(len(text.encode()) > 255 and len(text.encode()) > len(text) for text in texts)


def is_of_another_path(failure, case, response):
    """The gateway decodes a path. An id with a slash or another delimiter makes another path, which may not exist."""
    undefined = isinstance(failure, (UndefinedStatusCode, UndefinedContentType))
    return undefined and response.status_code in {404, 405} and is_another_path(case)


def is_another_path(case):
    ids = [urllib.parse.unquote(str(value)) for value in case.path_parameters.values()]
    return any(set(id) & set("/\\#?") or id in {".", ".."} for id in ids)


def is_space_around_a_header(failure, case, response):
    """HTTP drops the white space around the value of a header, so the server gets a valid value."""
    values = [str(value) for value in case.headers.values()]
    return isinstance(failure, AcceptedNegativeData) and any(value != value.strip() for value in values)


def is_after_a_password(failure, case, response):
    """The form of a password creates nothing, though it is a POST. The kind of its link decides which paths below are there."""
    return isinstance(failure, EnsureResourceAvailability) and failure.created_with == "POST /s/{token}"


def error_of(response):
    try:
        return response.json().get("error")
    except ValueError:
        return None


@schemathesis.check
def error_is_described(ctx, response, case):
    """The description of an answer has the text of the error in backticks."""
    answer = case.operation.definition.raw["responses"].get(str(response.status_code))
    # A page says in HTML what went wrong.
    is_page = response.headers.get("content-type", [""])[0].startswith("text/html")
    if response.status_code < 400 or answer is None or is_page or is_another_path(case):
        return
    error = error_of(response)
    assert f"`{error}`" in answer["description"], f"{response.status_code} does not describe {error!r}"


# The number of answers by operation and status, which `cargo local schemathesis` prints.
SEEN = collections.defaultdict(collections.Counter)
LOCK = threading.Lock()


@schemathesis.hook
def after_call(context, case, response):
    # Some requests only try a method that does not exist.
    if response.request.method != case.operation.method.upper():
        return
    with LOCK:
        SEEN[case.operation.label][response.status_code] += 1


@atexit.register
def tell():
    pathlib.Path(os.environ["SEEN"]).write_text(json.dumps(SEEN))
