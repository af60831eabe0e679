"""What schemathesis is told of this API beside its description: which requests end what they are sent with, which answers
the contract wants where the checks expect others, and one check more.

A failure that is dropped here is dropped for what the answer says, never for the operation alone.
"""

import atexit
import collections
import json
import os
import pathlib
import sys
import threading

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData

sys.path.insert(0, os.path.dirname(__file__))
from people import PASSWORD, Person

API = os.environ["API"]
TOKEN = os.environ.get("TOKEN")

# These end the session or the account that they are sent with, and all that follows would be answered 401.
ENDING = {"GET /disconnect", "DELETE /users/me", "PUT /users/me/password", "DELETE /users/me/sessions/{id}"}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Somebody else asks for what ends a session, and half of the time with the right password."""
    if case.operation.label not in ENDING or TOKEN is None or case.headers.get("X-Token") != TOKEN:
        return
    person = Person(API)
    case.headers["X-Token"] = person.token
    if isinstance(case.body, dict) and isinstance(case.body.get("password"), str) and len(case.body["password"]) % 2:
        case.body["password"] = PASSWORD


@schemathesis.hook
def filter_failure(context, failure, case, response):
    return not (is_how_things_stand(failure, case, response) or is_counted_in_bytes(failure, case, response))


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
    }
    return isinstance(failure, RejectedPositiveData) and response.status_code == 400 and error_of(response) in texts


def is_counted_in_bytes(failure, case, response):
    """JSON Schema limits the characters of a text, the contract its bytes in UTF-8."""
    if not isinstance(failure, RejectedPositiveData) or error_of(response) not in {"Invalid name", "Invalid password"}:
        return False
    values = [*case.query.values(), *(case.body.values() if isinstance(case.body, dict) else [])]
    return any(isinstance(value, str) and len(value.encode()) > 255 > len(value) for value in values)


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
    with LOCK:
        SEEN[case.operation.label][response.status_code] += 1


@atexit.register
def tell():
    pathlib.Path(os.environ["SEEN"]).write_text(json.dumps(SEEN))
