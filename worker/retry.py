"""Retry: what happens next to a job. Three possible steps, and pure functions that choose between them.

::

    Step
    ├── End    an outcome is written
    ├── Wait   surely not applied: given back to the ledger for a while; waiting is not a failure
    └── Leave  another delivery has the job; say nothing
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from producer.contract.names import Operation
from producer.contract.outcome import Status
from worker.iamport.meaning import Kind, Meaning
from worker.lease import Lease

BACKOFF_FIRST_S, BACKOFF_MOST_S = 1.0, 30.0
TRANSIENT_SENDS = 3
CLAIMS_LIMIT = 10
WAITS_FOR_OTHERS_S = 30.0

LOGIN_REFUSED, VAULT_SILENT = "login_refused", "vault_silent"


FINAL: dict[Kind, tuple[Status, str | None]] = {
    Kind.DECLINED: (Status.DECLINED, None),
    Kind.INVALID: (Status.INVALID, None),
    Kind.MISCONFIGURED: (Status.MISCONFIGURED, None),
    # The look-up at i'mport comes here (the next issue); until then nobody sends it a second time blindly.
    Kind.UNKNOWN: (Status.IN_DOUBT, "no_answer"),
    Kind.DUPLICATE: (Status.IN_DOUBT, "duplicate"),
}


class End(NamedTuple):
    """The job ends so; ``code`` is our own word where i'mport has none."""

    status: Status
    code: str | None = None
    meaning: Meaning | None = None
    attempts: int = 0


class Wait(NamedTuple):
    """The job waits; it was surely not applied."""

    delay_s: float
    reason: str


class Leave(NamedTuple):
    """Somebody else has the job."""


Step = End | Wait | Leave


def backoff_s(attempt: int, jitter: Callable[[], float] = random.random) -> float:
    """Exponential backoff with full jitter.

    Args:
        attempt: 1 for the first failure.
        jitter: uniform in [0, 1).

    Returns:
        Seconds: between 1 and 2, 4, 8, … at most 30.
    """
    most = min(BACKOFF_FIRST_S * 2.0 ** min(attempt, 10), BACKOFF_MOST_S)
    return BACKOFF_FIRST_S + (most - BACKOFF_FIRST_S) * jitter()


def before_opening(lease: Lease) -> Step | None:
    """What the ledger alone decides about a claimed job; None to go on.

    A job that may have been sent never ends as though it had not been.
    """
    may_have_been_sent = lease.sent_at is not None
    if may_have_been_sent:
        return End(*FINAL[Kind.UNKNOWN])
    if lease.is_overdue:
        return overdue(lease)
    if lease.claims > CLAIMS_LIMIT:
        return End(Status.FAILED, "quarantined")
    return None


def overdue(lease: Lease) -> End:
    """How a job ends whose deadline passed while it waited, surely unsent."""
    if lease.reason == LOGIN_REFUSED:
        return End(Status.MISCONFIGURED, LOGIN_REFUSED)
    return End(Status.EXPIRED, lease.reason or "deadline")


def after_answer(
    meaning: Meaning, operation: Operation, attempt: int, jitter: Callable[[], float] = random.random
) -> Step:
    """What an answer of i'mport leads to.

    Args:
        meaning: the answer, understood.
        operation: what was asked.
        attempt: how often it has been sent, this time included.
        jitter: uniform in [0, 1).
    """
    if meaning.kind is Kind.APPLIED:
        return End(Status.PAID if operation is Operation.ONETIME else Status.ISSUED, None, meaning, attempt)
    if meaning.kind in FINAL:
        return End(*FINAL[meaning.kind], meaning, attempt)
    if meaning.kind is Kind.TRANSIENT and attempt >= TRANSIENT_SENDS:
        return End(Status.DECLINED, None, meaning, attempt)
    return Wait(max(meaning.retry_after_s or 0.0, backoff_s(attempt, jitter)), meaning.kind.name.lower())
