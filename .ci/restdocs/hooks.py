"""What schemathesis has to know of Gigagate that the OpenAPI document cannot say."""

import hashlib
import os
import re

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

ITEM = "6513270e-269e-4d37-b2a7-4de452e6b438"  # the sandbox sells it
CUSTOMER = os.environ["RESTDOCS_CUSTOMER"]  # has bought it
SPACES = "".join(c for c in map(chr, range(0x10000)) if c.isspace()) + "\u200b\ufeff"
ITEM_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Aims some requests at what exists, and keeps valid ones to rules that are told in words alone."""
    body = case.body
    if isinstance(body, dict):
        # By its own content, so that a run can be repeated.
        if sum(map(ord, str(sorted(body)))) % 3 and ITEM_ID.fullmatch(str(body.get("inventoryItemId", ""))):
            body["inventoryItemId"] = ITEM
            if isinstance(body.get("customerUid"), str):
                body["customerUid"] = CUSTOMER
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if isinstance(body, dict) and case.operation.definition.raw["operationId"] in ("register", "topUp"):
        # One of the header and the field has to be there. Each order has an id of its own, or most would
        # be refused for another's.
        (case.headers or {}).pop("Idempotency-Key", None)
        order = hashlib.sha256(repr(sorted(body.items())).encode()).hexdigest()
        body["requestId"] = body.get("requestId", "")[:32] + order[:32]
        # What exceeds the gateway's own limit is refused, and so is a space at the end.
        body["metatag"] = body["metatag"].encode(errors="replace")[:100].decode(errors="ignore").rstrip(SPACES)
        for user in (body, body.get("newProfile")):
            if isinstance(user, dict) and "userCountry" in user:
                # A table has the countries, and some addresses are nobody's.
                user["userCountry"], user["userIp"] = "GR", "203.0.113.24"
    if isinstance(body, dict) and "note" in body:
        body["note"] = body["note"].encode(errors="replace")[:100].decode(errors="ignore")
    (case.query or {}).pop("pageToken", None)  # only a list gives one
    if float((case.query or {}).get("timeout", "0s").rstrip("s")) > 1:
        case.query["timeout"] = "1s"  # at most 60s, and this run has other things to do


def violations(response):
    """The reason of an error, and the fields it names."""
    for detail in response.json().get("details", []):
        if detail["@type"].endswith("gigagate.v1.Outcome"):
            return detail["reason"].removeprefix("ERROR_REASON_"), detail.get("fieldViolations", [])
    raise AssertionError("an error without an Outcome")


@schemathesis.check
def valid_requests_are_understood(ctx, response, case):
    """The builtin check takes every 400 for a refusal of the request; here many are the vendor's."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    reason, fields = violations(response)
    assert reason not in ("INVALID_FIELD", "MALFORMED_REQUEST"), f"the document allows what is refused: {fields}"


@schemathesis.check
def invalid_requests_are_refused(ctx, response, case):
    """The builtin check, but for the spellings that Protobuf's JSON form allows beside the listed ones."""
    if any(isinstance(part, dict) and has_other_spelling(part) for part in (case.body, case.query)):
        return None
    return negative_data_rejection(ctx, response, case)


def has_other_spelling(body):
    """A null for a field that is left out, or an enum's number for its name."""
    return any(
        value is None
        or (key in ("activationMode", "state") and str(value).isdigit())
        or (isinstance(value, dict) and has_other_spelling(value))
        for key, value in body.items()
    )
