"""The next step of a job. Pure functions that choose between the steps of :mod:`worker.model`."""

import random
from collections.abc import Callable

from producer.contract.identifiers import Operation
from producer.contract.outcome import Status
from worker.iamport.codes import Verdict
from worker.iamport.login import LOGIN_REFUSED
from worker.iamport.verdict import Judged, LookUpResult
from worker.model import End, Lease, Snooze, Step

BACKOFF_FIRST_S, BACKOFF_MOST_S = 1.0, 30.0
LOOK_UP_FIRST_S, LOOK_UP_MOST_S = 1.0, 15.0
TRANSIENT_SENDS = 3
CLAIMS_LIMIT = 10
WAITS_FOR_OTHERS_S = 30.0

TOKEN_AWAITED, TOKEN_REFUSED, VAULT_SILENT, LOOK_UP = "token_awaited", "token_refused", "vault_silent", "look_up"

FINAL = {
    Verdict.DECLINED: Status.DECLINED,
    Verdict.INVALID: Status.INVALID,
    Verdict.MISCONFIGURED: Status.MISCONFIGURED,
}


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
    """The step that the ledger alone decides for a claimed job; None to go on, to a look-up or to the card.

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


def after_answer(judged: Judged, lease: Lease, attempt: int, jitter: Callable[[], float] = random.random) -> Step:
    """The step after an answer of i'mport.

    Args:
        judged: the answer.
        lease: the job.
        attempt: how often it has been sent, this time included.
        jitter: uniform in [0, 1).
    """
    verdict = judged.verdict
    if verdict is Verdict.APPLIED:
        return End(_success(lease), None, judged, attempt)
    if verdict in FINAL:
        return End(FINAL[verdict], None, judged, attempt)
    if verdict is Verdict.TRANSIENT and lease.transients + 1 >= TRANSIENT_SENDS:
        return End(Status.DECLINED, None, judged, attempt)
    if verdict is Verdict.DUPLICATE and lease.first_sent_at is None:  # nothing of ours can have been there before
        return End(Status.INVALID, "duplicate_merchant_uid", judged, attempt)
    if verdict in {Verdict.UNKNOWN, Verdict.DUPLICATE}:
        return Snooze(LOOK_UP_FIRST_S, LOOK_UP, "doubt")
    return Snooze(max(judged.retry_after_s or 0.0, backoff_s(attempt, jitter)), verdict.name.lower())


def after_look_up(result: LookUpResult, judged: Judged, lease: Lease, *, has_card: bool) -> Step:
    """The step after a look-up of an unanswered POST.

    Args:
        result: what was seen.
        judged: the record that was seen, as if it had been the answer.
        lease: the job; its ``sent_at`` is set.
        has_card: True if it could be sent again.
    """
    if result is LookUpResult.OURS:
        is_declined = judged.verdict is Verdict.DECLINED
        return End(Status.DECLINED if is_declined else _success(lease), None, judged, lease.attempts)
    if lease.is_overdue:
        return End(Status.IN_DOUBT, "no_answer", None, lease.attempts)
    if not lease.is_looked_up_enough or result is LookUpResult.UNCLEAR:
        return Snooze(look_up_again_s(lease), LOOK_UP, "doubt")
    if result is LookUpResult.FOREIGN:
        return End(Status.IN_DOUBT, "replaced_elsewhere", None, lease.attempts)
    return (
        Snooze(0.0, "send_again", "presumed") if has_card else End(Status.IN_DOUBT, "no_answer", None, lease.attempts)
    )


def look_up_again_s(lease: Lease) -> float:
    """Seconds to the next look-up: half of the time since it was sent, 1 to 15."""
    since = lease.claimed_at - (lease.sent_at or lease.claimed_at)
    return min(max(since / 2, LOOK_UP_FIRST_S), LOOK_UP_MOST_S)


def _success(lease: Lease) -> Status:
    return Status.PAID if lease.operation is Operation.ONETIME else Status.ISSUED
