"""The endpoint described, for OpenAPI: what it takes and every answer it gives."""

from typing import Any

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


POST: dict[str, Any] = {
    "responses": _answers(401, 403, 409, 410, 413, 415, 422, 429, 503),
    "openapi_extra": {"requestBody": {"required": True, "content": _json(OF_A_PAGE)}},
}
GET: dict[str, Any] = {
    "responses": _answers(401, 403, 404, 422, 503),
    "openapi_extra": {"parameters": [{"name": "X-Ticket", "in": "header", "required": True, "schema": TEXT}]},
}
