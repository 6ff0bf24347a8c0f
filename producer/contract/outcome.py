"""Outcome: everything a worker may answer, and what the merchant does next."""

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, computed_field

from .identifiers import Operation


class Status(StrEnum):
    """The final word on a job."""

    ISSUED = "issued"
    PAID = "paid"
    DECLINED = "declined"
    INVALID = "invalid"
    MISCONFIGURED = "misconfigured"
    SUPERSEDED = "superseded"
    IN_DOUBT = "in_doubt"
    EXPIRED = "expired"
    LOST = "lost"
    FAILED = "failed"


class NextStep(StrEnum):
    """The merchant's next step."""

    NONE = "none"
    ASK_CUSTOMER = "ask_customer"
    FIX_REQUEST = "fix_request"
    FIX_CONFIGURATION = "fix_configuration"
    LOOK_UP = "look_up"
    RESUBMIT = "resubmit"
    CONTACT_OPERATOR = "contact_operator"


NEXT_STEPS = {
    Status.ISSUED: NextStep.NONE,
    Status.PAID: NextStep.NONE,
    Status.DECLINED: NextStep.ASK_CUSTOMER,
    Status.INVALID: NextStep.FIX_REQUEST,
    Status.MISCONFIGURED: NextStep.FIX_CONFIGURATION,
    Status.SUPERSEDED: NextStep.NONE,
    Status.IN_DOUBT: NextStep.LOOK_UP,
    Status.EXPIRED: NextStep.RESUBMIT,
    Status.LOST: NextStep.RESUBMIT,
    Status.FAILED: NextStep.CONTACT_OPERATOR,
}

AFTER_SENDING = frozenset({Status.ISSUED, Status.PAID, Status.DECLINED, Status.SUPERSEDED, Status.IN_DOUBT})
"""The only ends of a job that may have been sent."""


class Outcome(BaseModel):
    """The final word on a job, written once; unused fields are None.

    Args:
        status: see :class:`Status`.
        operation: what was asked; None if that is a word which this version does not know.
        code: i'mport's number, or our own word in snake_case.
        message: i'mport's text, its digit runs scrubbed.
        pg_code: the gateway's code, taken out of the message.
        card_name: the card company.
        card_number: at most the first six and the last four digits.
        pg_provider: the gateway that i'mport really used.
        inserted, updated: Unix seconds of i'mport's clock; equal for a first issue.
        attempts: how often it was sent.
        accepted_at, finished_at: Unix seconds of the ledger's clock.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    job_id: str
    status: Status
    operation: Operation | None
    customer_uid: str | None = None
    merchant_uid: str | None = None
    imp_uid: str | None = None
    code: int | str | None = None
    message: str | None = None
    pg_code: str | None = None
    card_name: str | None = None
    card_number: str | None = None
    pg_provider: str | None = None
    inserted: int | None = None
    updated: int | None = None
    attempts: int = Field(default=0, ge=0)
    accepted_at: float
    finished_at: float

    @computed_field  # type: ignore[prop-decorator]
    @property
    def next_step(self) -> NextStep:
        """The merchant's next step; it follows from the status."""
        return NEXT_STEPS[self.status]

    @property
    def succeeded(self) -> bool:
        """True if the key is issued or the payment paid."""
        return self.status in {Status.ISSUED, Status.PAID}

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it, all fields present."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read an outcome as the ledger keeps it."""
        return cls.model_validate_json(text)
