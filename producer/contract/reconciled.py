"""Reconciled: what i'mport says later of a job that ended in doubt. The job's outcome stays as it was written."""

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Found(StrEnum):
    """I'mport's record of the job, in a word."""

    DONE = "done"
    """The key or the payment, as new as the POST."""
    CANCELLED = "cancelled"
    """A payment that was made, and cancelled since."""
    FAILED = "failed"
    """A payment that failed."""
    ANOTHER = "another"
    """A key or payment that is surely not this job's."""
    NOTHING = "nothing"
    """Nothing as new as the POST; of test channels i'mport may hide what there is."""


class Reconciled(BaseModel):
    """One answer; unused fields are None.

    Args:
        message: i'mport's reason, its digit runs scrubbed.
        card_number: at most the first six and the last four digits.
        amount: KRW.
        updated, paid_at: Unix seconds of i'mport's clock.
        asked_at: Unix seconds of the ledger's clock.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    job_id: str
    operation: str
    customer_uid: str | None = None
    merchant_uid: str | None = None
    found: Found
    imp_uid: str | None = None
    message: str | None = None
    card_number: str | None = None
    amount: int | None = None
    updated: int | None = None
    paid_at: int | None = None
    asked_at: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it, all fields present."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read it as the ledger keeps it."""
        return cls.model_validate_json(text)
