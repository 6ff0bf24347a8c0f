"""The endpoint described, for OpenAPI: what it takes and every answer it gives."""

from typing import Any

from fastapi import Security
from fastapi.security import HTTPBearer

from producer.contract.identifiers import Operation
from producer.contract.job import Request

TEXT = {"type": "string"}
ENVELOPE = {"type": "string", "maxLength": 4096, "description": "The sealed card: a compact JWE."}
OUTCOME = {
    "type": "object",
    "properties": {
        "status": TEXT,
        "next_step": TEXT,
        **{name: {"type": ["string", "null"]} for name in ("card_name", "card_number", "pg_code")},
    },
    "required": ["status", "next_step"],
}
ERROR = {"type": "object", "properties": {"error": TEXT, "message": TEXT}, "required": ["error", "message"]}
SETTLED = {
    "type": "object",
    "properties": {"job_id": TEXT, "status": TEXT, "outcome": OUTCOME, "ticket": TEXT},
    "required": ["job_id", "status", "outcome"],
}
OPEN = {
    "type": "object",
    "properties": {"job_id": TEXT, "status_url": TEXT, "status_ticket": TEXT},
    "required": ["job_id", "status_url", "status_ticket"],
}
OF_A_PAGE = {
    "type": "object",
    "properties": {"ticket": TEXT, "envelope": ENVELOPE},
    "required": ["ticket", "envelope"],
    "additionalProperties": False,
}


def _answers(*codes: int) -> dict[int | str, dict[str, Any]]:
    errors: dict[int | str, dict[str, Any]]
    errors = {code: {"description": "An error, by its code.", "content": _json(ERROR)} for code in codes}
    return {
        200: {"description": "Settled.", "content": _json(SETTLED)},
        202: {"description": "Accepted, still open.", "content": _json(OPEN)},
        **errors,
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _of_a_backend(operation: Operation) -> dict[str, Any]:
    """What another backend sends: the request's own fields, and an envelope."""
    fields = Request.model_json_schema()["properties"]
    needed = ["customer_uid"] if operation is Operation.ISSUE else ["merchant_uid", "amount", "name"]
    own = {"envelope": ENVELOPE, "idempotency_key": {**TEXT, "minLength": 1, "maxLength": 100}}
    return {
        "type": "object",
        "properties": {name: fields[name] for name in fields if name != "operation"} | own,
        "required": ["envelope", *needed],
        "additionalProperties": False,
    }


def post(operation: Operation) -> dict[str, Any]:
    """A card that is handed in: by a page with a ticket, or by another backend with its API key."""
    body = {"oneOf": [OF_A_PAGE, _of_a_backend(operation)]}
    return {
        "responses": _answers(401, 403, 409, 410, 413, 415, 422, 429, 503),
        "dependencies": [Security(HTTPBearer(auto_error=False, scheme_name="apiKey"))],
        "openapi_extra": {"requestBody": {"required": True, "content": _json(body)}, "security": [{}, {"apiKey": []}]},
    }


PAGE: dict[int | str, dict[str, Any]] = {
    422: {"description": "An error, by its code.", "content": _json(ERROR)},
}
JWKS = {
    "type": "object",
    "properties": {"keys": {"type": "array", "items": {"type": "object"}}, "now": {"type": "number"}},
    "required": ["keys", "now"],
}
KEYS: dict[int | str, dict[str, Any]] = {200: {"description": "The key set.", "content": _json(JWKS)}}
GET: dict[str, Any] = {
    "responses": _answers(401, 403, 404, 422, 503),
    "openapi_extra": {"parameters": [{"name": "X-Ticket", "in": "header", "required": True, "schema": TEXT}]},
}
