"""I'mport's answers, read leniently: unknown members pass, and a member of another type is as good as absent.

Source: i'mport's V1 schema (CustomerAnnotation, PaymentAnnotation) and its promise that answers may gain members.
"""

import json
import re
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict

from producer.runtime.redaction import in_one_line, mask_card_number, scrub

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, REQUEST_TIMEOUT, TOO_MANY_REQUESTS, SERVER_ERROR = 401, 403, 404, 408, 429, 500
TOKEN_TEXT = re.compile(r"[\x21-\x7e]+")
NAME_LENGTH = 200
UNKNOWN_UID = 1  # i'mport's code
LIFE_MOST_S = 3600  # of a token; documented are 1800
PAUSE_MOST_S = 300  # a 429 may ask for years
Health = Literal["answered", "throttled", "timeout", "failed"]


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _name(text: str | None) -> str | None:
    """The same in one line, and not for ever: it goes to terminals, reports and webhooks."""
    return text and in_one_line(text[:NAME_LENGTH])


def _number(value: object) -> int | None:
    try:
        return int(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None


Text = Annotated[str | None, BeforeValidator(lambda value: scrub(_text(value)))]
Name = Annotated[str | None, BeforeValidator(lambda value: _name(_text(value)))]
Number = Annotated[int | None, BeforeValidator(_number)]
Masked = Annotated[str | None, BeforeValidator(lambda value: mask_card_number(_text(value)))]


class Annotation(BaseModel):
    """A billing key's record or a payment, as far as an outcome shows it.

    Args:
        card_number: masked again: some gateways show eight digits and four.
        inserted, updated: Unix seconds of i'mport's clock; equal for a first issue.
        amount: of a payment, KRW.
        started_at, paid_at, failed_at: of a payment, Unix seconds of i'mport's clock, 0 where it does not apply.
        status: of a payment: ``ready``, ``paid``, ``cancelled`` or ``failed``.
        fail_reason: of a payment that failed, scrubbed.
        customer_uid_usage: of a payment: ``issue`` if its card was stored as a key; None if it was not.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, cache_strings="none")

    customer_uid: Name = None
    merchant_uid: Name = None
    imp_uid: Name = None
    pg_provider: Name = None
    card_name: Text = None
    card_number: Masked = None
    inserted: Number = None
    updated: Number = None
    amount: Number = None
    started_at: Number = None
    paid_at: Number = None
    failed_at: Number = None
    status: Name = None
    fail_reason: Text = None
    customer_uid_usage: Name = None

    @property
    def began_at(self) -> int:
        """When a payment was begun, as far as i'mport says."""
        return self.started_at or self.paid_at or self.failed_at or 0

    @property
    def stored_no_key(self) -> bool:
        """True if i'mport says of a payment that its card was not stored."""
        return "customer_uid_usage" in self.model_fields_set and not self.customer_uid_usage

    @property
    def key_updated(self) -> int | None:
        """Until when the key that came with this was updated; a payment says only when it was paid, just before."""
        return self.updated or (self.paid_at + 1 if self.paid_at else None)


class Token(NamedTuple):
    """An access token.

    Args:
        text: what goes into the Authorization header.
        life_s: seconds that were left of it when i'mport answered: ``expired_at - now``, both i'mport's clock.
    """

    text: str
    life_s: float

    def __repr__(self) -> str:
        return f"Token(text='***', life_s={self.life_s:g})"


class Answer(NamedTuple):
    """One answer, or none.

    Args:
        status: the HTTP status; 0 when there was none.
        code: i'mport's ``code``; None when the body was not i'mport's JSON.
        message: i'mport's text, scrubbed.
        response: i'mport's ``response`` object, read leniently; None when there is none.
        retry_after_s: what a 429 asked for, at most 300.
        records: those of a response that is a list, or has one as ``list``.
        date: the ``Date`` header of an answer of i'mport's, Unix seconds of its clock.
        was_sent: False only when surely no byte of the request left; what came of one that left is otherwise unknown.
    """

    status: int
    code: int | None = None
    message: str | None = None
    response: Annotation | None = None
    token: Token | None = None
    retry_after_s: float | None = None
    records: tuple[Annotation, ...] = ()
    date: float | None = None
    was_sent: bool = True

    @classmethod
    def throttled(cls, retry_after_s: float | None) -> Self:
        """As a 429."""
        return cls(TOO_MANY_REQUESTS, retry_after_s=retry_after_s)

    @property
    def health(self) -> Health:
        """I'mport's health after this answer, for the shared rate."""
        if self.status == 0:
            return "timeout" if self.was_sent else "failed"
        if self.status == TOO_MANY_REQUESTS:
            return "throttled"
        is_trouble = self.code is None or self.status == REQUEST_TIMEOUT or self.status >= SERVER_ERROR
        return "failed" if is_trouble else "answered"

    @property
    def record(self) -> Annotation | None:
        """The record of an envelope that says it went well; None of any other answer."""
        return self.response if self.code == 0 and 200 <= self.status < 300 else None

    @property
    def is_absent(self) -> bool:
        """True if nothing is stored under that name.

        Documented is 404, observed was 200 with code 1; an HTML page of something in between says nothing.
        """
        if self.code is None:
            return False
        return self.status == NOT_FOUND or (self.code == UNKNOWN_UID and self.status < 300)

    @property
    def refuses_token(self) -> bool:
        """True if i'mport wants another token; nothing was done."""
        return self.status == UNAUTHORIZED

    @classmethod
    def read(cls, status: int, body: bytes, retry_after: str | None = None, date: str | None = None) -> Self:
        """Read an answer whatever its status: useful bodies come with 400, too, and HTML with 502."""
        try:
            members = json.loads(body)
        except (ValueError, RecursionError):
            members = None
        if not isinstance(members, dict) or type(members.get("code")) is not int:  # ``false`` and 0.9 are no success
            return cls(status, retry_after_s=_seconds(retry_after))
        response = members.get("response")
        annotation, token, records = None, None, _records(response)
        if isinstance(response, dict):
            annotation, token = Annotation.model_validate(response), _token(response)
            records = _records(response.get("list"))
        message = scrub(_text(members.get("message")))
        return cls(
            *(status, members["code"], message, annotation, token),
            *(_seconds(retry_after), records, _unix(date)),
        )


def _records(members: object) -> tuple[Annotation, ...]:
    listed = members if isinstance(members, list) else []
    return tuple(Annotation.model_validate(one) for one in listed if isinstance(one, dict))


def _unix(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, OverflowError):
        return None


def _token(response: dict[str, Any]) -> Token | None:
    text, expired_at, now = (response.get(name) for name in ("access_token", "expired_at", "now"))
    expiry, clock = _number(expired_at), _number(now)
    if not isinstance(text, str) or not TOKEN_TEXT.fullmatch(text) or expiry is None or clock is None:
        return None
    return Token(text, float(min(max(expiry - clock, 0), LIFE_MOST_S)))


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not worth trusting two clocks for."""
    value = _number(retry_after)
    return None if value is None else float(min(max(value, 0), PAUSE_MOST_S))


NO_ANSWER = Answer(0, was_sent=False)
