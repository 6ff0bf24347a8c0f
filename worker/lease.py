"""Lease: a claimed job as the story sees it, in plain types."""

from typing import NamedTuple

from producer.contract.identifiers import Operation


class Lease(NamedTuple):
    """One delivery's hold on a job.

    Args:
        delivery: who holds it; another delivery's hold is another lease.
        sequence: the job's place among those of its customer_uid.
        accepted_at, expires_at, claimed_at: Unix seconds of the ledger's clock.
        attempts: POSTs that were about to leave.
        claims: claims since the last one that gave the job back, this one included.
        sent_at: set while an earlier POST may have been applied without our knowing.
        reason: why it waited last, empty if it never did.
        kid: the key that its card was to be sealed to.
        first_sent_at: when the first of the POSTs left that may have been applied without our knowing.
        doubt_until: until when a POST without an answer is looked up before it counts as not applied.
        is_doubtful: whether a POST ever counted as not applied without proof.
        newer_applied: whether a newer card of the same customer_uid is in force.
        key_updated: until when the key was updated that we last saw come into force for the customer_uid; Unix seconds
            of i'mport's clock.
        transients: answers that asked for another try soon.
        digest: of what was asked, all but the card: :meth:`producer.contract.job.Request.digest`.
        held_since: monotonic seconds of this process at ``claimed_at``.
    """

    job_id: str
    delivery: str
    claimed_at: float
    operation: Operation
    customer_uid: str | None
    merchant_uid: str | None
    sequence: int
    accepted_at: float
    expires_at: float
    attempts: int
    claims: int
    sent_at: float | None
    reason: str
    kid: str
    first_sent_at: float | None
    doubt_until: float | None
    is_doubtful: bool
    newer_applied: bool
    key_updated: int | None
    transients: int
    digest: str
    held_since: float

    def ledger_time(self, monotonic: float) -> float:
        """The ledger's clock at an instant of this process's monotonic clock."""
        return self.claimed_at + monotonic - self.held_since

    @property
    def is_overdue(self) -> bool:
        """Whether its deadline had passed when it was claimed."""
        return self.claimed_at >= self.expires_at


class NotClaimed(NamedTuple):
    """Why there is nothing to do: ``unknown``, ``finished`` or ``waiting``."""

    word: str
    outcome: bytes | None = None
