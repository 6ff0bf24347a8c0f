"""Names that travel: which characters and lengths each may have, and the operations."""

import re
from enum import StrEnum
from hashlib import sha256
from typing import Annotated
from uuid import UUID, uuid4

from pydantic import AfterValidator, StringConstraints

UID_CHARACTERS = r"[A-Za-z0-9_.@:+=~-]"


class Operation(StrEnum):
    """The call that a job asks of i'mport."""

    ISSUE = "issue"
    """POST /subscribe/customers/{customer_uid}: store the card, give a billing key."""
    ONETIME = "onetime"
    """POST /subscribe/payments/onetime: pay with the card, and store it if a customer_uid is given."""


def _not_a_path(value: str) -> str:
    if value in {".", ".."}:
        raise ValueError("must not be . or ..")
    return value


def _uid(length: int) -> StringConstraints:
    return StringConstraints(pattern=f"^{UID_CHARACTERS}{{1,{length}}}$")


CustomerUid = Annotated[str, _uid(80), AfterValidator(_not_a_path)]
MerchantUid = Annotated[str, _uid(40), AfterValidator(_not_a_path)]
KID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Kid = Annotated[str, StringConstraints(pattern=f"^{KID.pattern}$")]
JobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


def printable(value: str) -> str:
    """Refuse control characters and lone surrogates: they cannot travel as JSON, or would break a line of a log."""
    if not value.isprintable():
        raise ValueError("must be printable text in one line")
    return value


def new_idempotency_key() -> str:
    """A key that no other request has."""
    return str(uuid4())


def job_id_of(idempotency_key: str) -> str:
    """The job id that belongs to an idempotency key: the same key is the same job, without any table.

    Returns:
        A UUID (version 8, RFC 9562) made of the key's SHA-256.
    """
    raw = sha256(b"billing job\0" + idempotency_key.encode()).digest()[:16]
    number = int.from_bytes(raw) & ~(0xF000 << 64) & ~(0xC000 << 48)
    return str(UUID(int=number | 8 << 76 | 2 << 62))  # version 8, variant 2
