"""Retry: what happens next to a job. Three possible steps, and pure functions that choose between them.

::

    Step
    ├── End    an outcome is written
    ├── Wait   given back to the ledger for a while; waiting is not a failure
    └── Leave  another delivery has the job; say nothing
"""

import random
from collections.abc import Callable
from typing import Literal, NamedTuple

from producer.contract.identifiers import Operation
from producer.contract.outcome import Status
from worker.iamport.verdict import Judged, LookUpResult, Verdict
from worker.lease import Lease

BACKOFF_FIRST_S, BACKOFF_MOST_S = 1.0, 30.0
LOOK_UP_FIRST_S, LOOK_UP_MOST_S = 1.0, 15.0
TRANSIENT_SENDS = 3
CLAIMS_LIMIT = 10
WAITS_FOR_OTHERS_S = 30.0

LOGIN_REFUSED, LOGIN_FAILED, LOGIN_THROTTLED = "login_refused", "login_failed", "login_throttled"
TOKEN_AWAITED, TOKEN_REFUSED, VAULT_SILENT, LOOK_UP = "token_awaited", "token_refused", "vault_silent", "look_up"

FINAL = {
    Verdict.DECLINED: Status.DECLINED,
    Verdict.INVALID: Status.INVALID,
    Verdict.MISCONFIGURED: Status.MISCONFIGURED,
}


LastPost = Literal["unsent", "doubt", "presumed"]


class End(NamedTuple):
    """The job ends so; ``code`` is our own word where i'mport has none."""

    status: Status
    code: str | None = None
    meaning: Judged | None = None
    attempts: int = 0


class Snooze(NamedTuple):
    """The job waits.

    Args:
        delay_s: seconds.
        reason: one word.
        last_post: what became of its last POST: ``unsent`` (surely not applied, or there was none), ``doubt`` (no
            answer yet), ``presumed`` (looked up for long enough: it counts as not applied, without proof).
    """

    delay_s: float
    reason: str
    last_post: LastPost = "unsent"


class NotOurs(NamedTuple):
    """Somebody else has the job."""


Step = End | Snooze | NotOurs


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


def before_sending(lease: Lease) -> Step | None:
    """What the ledger alone decides about a claimed job; None to go on, to a look-up or to the card.

    A payment is never superseded: it is made beside the newer card.
    """
    if lease.newer_applied and lease.operation is Operation.ISSUE:
        return End(Status.SUPERSEDED, "newer_card")
    if lease.sent_at is not None:
        return None
    if lease.is_overdue:
        is_refused = lease.reason == LOGIN_REFUSED
        return End(Status.MISCONFIGURED if is_refused else Status.EXPIRED, lease.reason or "deadline")
    if lease.claims > CLAIMS_LIMIT:
        return End(Status.FAILED, "quarantined")
    return None


def after_answer(meaning: Judged, lease: Lease, attempt: int, jitter: Callable[[], float] = random.random) -> Step:
    """What an answer of i'mport leads to.

    Args:
        meaning: the answer, understood.
        lease: the job.
        attempt: how often it has been sent, this time included.
        jitter: uniform in [0, 1).
    """
    verdict = meaning.verdict
    if verdict is Verdict.APPLIED:
        return End(_success(lease), None, meaning, attempt)
    if verdict in FINAL:
        return End(FINAL[verdict], None, meaning, attempt)
    if verdict is Verdict.TRANSIENT and lease.transients + 1 >= TRANSIENT_SENDS:
        return End(Status.DECLINED, None, meaning, attempt)
    if verdict is Verdict.DUPLICATE and lease.first_sent_at is None:  # nothing of ours can have been there before
        return End(Status.INVALID, "duplicate_merchant_uid", meaning, attempt)
    if verdict in {Verdict.UNKNOWN, Verdict.DUPLICATE}:
        return Snooze(LOOK_UP_FIRST_S, LOOK_UP, "doubt")
    return Snooze(max(meaning.retry_after_s or 0.0, backoff_s(attempt, jitter)), verdict.name.lower())


def after_look_up(sight: LookUpResult, meaning: Judged, lease: Lease, *, has_card: bool) -> Step:
    """What a look-up of an unanswered POST leads to.

    Args:
        sight: what was seen.
        meaning: the record that was seen, as if it had been the answer.
        lease: the job; its ``sent_at`` is set.
        has_card: whether it could be sent again.
    """
    if sight is LookUpResult.OURS:
        is_declined = meaning.verdict is Verdict.DECLINED
        return End(Status.DECLINED if is_declined else _success(lease), None, meaning, lease.attempts)
    if lease.is_overdue:
        return End(Status.IN_DOUBT, "no_answer", None, lease.attempts)
    is_settled = lease.doubt_until is not None and lease.claimed_at >= lease.doubt_until
    if is_settled and sight is LookUpResult.ABSENT and has_card:
        return Snooze(0.0, "send_again", "presumed")
    if is_settled and sight in {LookUpResult.ABSENT, LookUpResult.FOREIGN}:
        return End(
            Status.IN_DOUBT, "no_answer" if sight is LookUpResult.ABSENT else "replaced_elsewhere", None, lease.attempts
        )
    return Snooze(look_up_again_s(lease), LOOK_UP, "doubt")


def look_up_again_s(lease: Lease) -> float:
    """Seconds to the next look-up: half of the time since it was sent, 1 to 15."""
    since = lease.claimed_at - (lease.sent_at or lease.claimed_at)
    return min(max(since / 2, LOOK_UP_FIRST_S), LOOK_UP_MOST_S)


def _success(lease: Lease) -> Status:
    return Status.PAID if lease.operation is Operation.ONETIME else Status.ISSUED
