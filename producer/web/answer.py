"""Answers: what the endpoint says, in JSON: a settled job, an open one, or an error by its code."""

from typing import Any, NamedTuple

from starlette.responses import JSONResponse

from producer.contract.errors import ContractError, Refused
from producer.contract.outcome import Outcome

SHOWN = ("status", "next_step", "card_name", "card_number", "pg_code")  # what a customer may see of an outcome
STATUS_OF = {
    "ticket_invalid": 401,
    "api_key_invalid": 401,
    "not_allowed": 403,
    "ticket_of_another_session": 403,
    "other_site": 403,
    "unknown_job": 404,
    "ticket_used": 409,
    "ticket_expired": 410,
    "too_large": 413,
    "not_json": 415,
    "refused": 422,
    "too_many": 429,
    "unavailable": 503,
}
WORDS = {
    "ticket_invalid": "the ticket does not hold",
    "ticket_expired": "the ticket has expired; ask the shop for a new one",
    "ticket_of_another_session": "the ticket belongs to another session",
    "ticket_used": "the ticket was used for another request",
    "api_key_invalid": "the API key is not known",
    "not_allowed": "this API key may not ask for that",
    "other_site": "the request comes from another site",
    "unknown_job": "no such job, or not yours",
    "too_large": "the body is too large",
    "not_json": "the body must be JSON",
    "too_many": "too many cards; try again later",
    "unavailable": "not accepted for sure; try again with the same ticket",
}


class Problem(Exception):
    """A request that is answered with an error.

    Args:
        code: one of :data:`STATUS_OF`.
        message: in words, safe to show; the code's own by default.
        retry_after_s: when it is worth trying again.
    """

    def __init__(self, code: str, message: str | None = None, *, retry_after_s: int | None = None) -> None:
        self.code, self.message, self.retry_after_s = code, message or WORDS[code], retry_after_s
        super().__init__(code)

    def response(self) -> JSONResponse:
        """The answer."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        if self.code == "api_key_invalid":
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse({"error": self.code, "message": self.message}, STATUS_OF[self.code], headers)


class Accepted(NamedTuple):
    """A job that is accepted, and what it came to so far.

    Args:
        ticket: the text that asks for its outcome.
        renewed: a new ticket, where the customer may try another card.
    """

    job_id: str
    outcome: Outcome | None
    ticket: str
    renewed: str | None

    def response(self, base: str) -> JSONResponse:
        """200 with the outcome, or 202 with where to ask for it."""
        body: dict[str, Any]
        if self.outcome is None:
            where = f"{base}/jobs/{self.job_id}"
            body = {"job_id": self.job_id, "status_url": where, "status_ticket": self.ticket}
            return JSONResponse(body, 202, {"Location": where})
        shown = {name: member for name, member in self.outcome.to_dict().items() if name in SHOWN}
        body = {"job_id": self.job_id, "status": shown["status"], "outcome": shown}
        return JSONResponse(body if self.renewed is None else {**body, "ticket": self.renewed})


def problem_of(error: ContractError) -> Problem:
    """A broken rule, in words; an envelope's refusal by its code."""
    if isinstance(error, Refused) and error.code in STATUS_OF:
        return Problem(error.code)
    return Problem("refused", str(error))
