"""What schemathesis must know about Gigagate and the OpenAPI document cannot say."""

import hashlib
import os
import re

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

ITEM = "6513270e-269e-4d37-b2a7-4de452e6b438"  # the sandbox sells it
CUSTOMER = os.environ["RESTDOCS_CUSTOMER"]  # has bought it
ICCID = os.environ["RESTDOCS_ICCID"]  # has this eSIM
SPACES = "".join(c for c in map(chr, range(0x10000)) if c.isspace()) + "\u200b\ufeff"
ITEM_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Aims some requests at existing objects, and makes valid requests obey rules that the document has only in words."""
    body = case.body
    if isinstance(body, dict):
        if re.fullmatch(r"[0-9]{18,22}", str(body.get("iccid", ""))):
            body["iccid"] = ICCID
        # Decide by the body's content, so that a run can be repeated.
        if sum(map(ord, str(sorted(body)))) % 3 and ITEM_ID.fullmatch(str(body.get("inventoryItemId", ""))):
            body["inventoryItemId"] = ITEM
            if isinstance(body.get("customerUid"), str):
                body["customerUid"] = CUSTOMER
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if isinstance(body, dict) and case.operation.definition.raw["operationId"] in ("register", "topUp"):
        # Either the header or the field is needed. Each order gets its own id, because otherwise most
        # orders would be refused for a reused id.
        (case.headers or {}).pop("Idempotency-Key", None)
        order = hashlib.sha256(repr(sorted(body.items())).encode()).hexdigest()
        body["requestId"] = body.get("requestId", "")[:32] + order[:32]
        # The gateway refuses a text above its own limit, and a space at the end.
        body["metatag"] = body["metatag"].encode(errors="replace")[:100].decode(errors="ignore").rstrip(SPACES)
        for user in (body, body.get("newProfile")):
            if isinstance(user, dict) and "userCountry" in user:
                # Only real countries are accepted, and not every address.
                user["userCountry"], user["userIp"] = "GR", "203.0.113.24"
    for text in ("note", "reason"):
        if isinstance(body, dict) and text in body:
            body[text] = body[text].encode(errors="replace")[:100].decode(errors="ignore")
    if case.operation.definition.raw["operationId"] in ("freeze", "thaw"):
        body["target"] = {"caller": "nobody"}  # a freeze of everything would stop the orders of this run
    (case.query or {}).pop("pageToken", None)  # only a list can give one
    if float((case.query or {}).get("timeout", "0s").rstrip("s")) > 1:
        case.query["timeout"] = "1s"  # 60s are allowed, but would take too long here


def violations(response):
    """The reason of an error, and the fields it names."""
    for detail in response.json().get("details", []):
        if detail["@type"].endswith("gigagate.v1.Outcome"):
            return detail["reason"].removeprefix("ERROR_REASON_"), detail.get("fieldViolations", [])
    raise AssertionError("an error without an Outcome")


@schemathesis.check
def valid_requests_are_understood(ctx, response, case):
    """The builtin check takes every 400 as an invalid request. Here many of them are refusals by the vendor."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    reason, fields = violations(response)
    assert reason not in ("INVALID_FIELD", "MALFORMED_REQUEST"), f"the document allows a request that is refused: {fields}"


@schemathesis.check
def invalid_requests_are_refused(ctx, response, case):
    """The builtin check, except for other spellings that Protobuf's JSON form also allows."""
    if any(isinstance(part, dict) and has_other_spelling(part) for part in (case.body, case.query)):
        return None
    return negative_data_rejection(ctx, response, case)


def has_other_spelling(body):
    """Whether a field is null instead of missing, or an enum is a number instead of a name."""
    return any(
        value is None
        or (key in ("activationMode", "kind", "state") and str(value).isdigit())
        or (isinstance(value, dict) and has_other_spelling(value))
        for key, value in body.items()
    )
