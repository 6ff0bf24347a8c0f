"""The next step of a job. Pure functions that choose between the steps of :mod:`worker.model`."""

import random
from collections.abc import Callable

from producer.contract.identifiers import Operation
from producer.contract.outcome import Status
from producer.contract.redis_keys import SEALED_GRACE_S
from worker.iamport.codes import Verdict
from worker.iamport.login import LOGIN_REFUSED
from worker.iamport.verdict import Judged, LookUpResult
from worker.model import End, Lease, NotNow, Snooze, Step
from worker.result import NEWER_CARD

BACKOFF_FIRST_S, BACKOFF_MOST_S = 1.0, 30.0
LOOK_UP_FIRST_S, LOOK_UP_MOST_S = 1.0, 60.0
STORE_BACKOFF_ATTEMPT = 3
CLAIMS_LIMIT = 10
WAITS_FOR_OTHERS_S = 30.0
REQUEST_GRACE_S = 60.0  # so long may a producer take from acceptance to the vault

TOKEN_AWAITED, TOKEN_REFUSED, VAULT_SILENT, LOOK_UP = "token_awaited", "token_refused", "vault_silent", "look_up"
OPERATOR, VAULT_LOST, EDGE_PAGE, GATEWAY_TROUBLE = "operator", "vault_lost", "edge_page", "gateway_trouble"

FINAL = {
    Verdict.DECLINED: Status.DECLINED,
    Verdict.INVALID: Status.INVALID,
    Verdict.MISCONFIGURED: Status.MISCONFIGURED,
}
NOT_DONE = {Verdict.UNSENT, Verdict.THROTTLED, Verdict.TOKEN_REFUSED}
SENT_AGAIN = {
    Verdict.EDGE_PAGE: (EDGE_PAGE, 4),
    Verdict.NOT_REACHED: (GATEWAY_TROUBLE, 3),
    Verdict.GATEWAY_ERROR: (GATEWAY_TROUBLE, 3),
}
"""Sent again once a look-up finds nothing: why, and how many POSTs at most."""


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
    """The step that the stores alone decide for a claimed job; None to go on, to a look-up or to the card.

    A payment is never superseded: it is made beside the newer card.
    """
    if lease.operation not in tuple(Operation):
        return End(Status.INVALID, "unknown_operation")
    if lease.newer_applied and not lease.is_payment:
        return End(Status.SUPERSEDED, NEWER_CARD)
    if lease.surely_unsent:
        return _before_first_post(lease)
    if lease.is_given_up:
        return End(Status.IN_DOUBT, OPERATOR)
    return End(Status.IN_DOUBT, "quarantined") if lease.claims > CLAIMS_LIMIT else None


def _before_first_post(lease: Lease) -> Step | None:
    if lease.is_payment and lease.is_vault_silent:  # it may know of a POST that the ledger forgot
        return Snooze(backoff_s(STORE_BACKOFF_ATTEMPT), VAULT_SILENT)
    if lease.claims > CLAIMS_LIMIT:
        return End(Status.FAILED, "quarantined")
    if lease.order_ended:
        is_paid = lease.order_ended == Status.PAID
        return End(Status.INVALID, "duplicate_merchant_uid") if is_paid else End(Status.IN_DOUBT, "order_in_doubt")
    if lease.is_given_up:  # one whose request is gone may be in doubt, see Lease.is_look_up
        return End(Status.IN_DOUBT if lease.is_look_up else Status.EXPIRED, OPERATOR)
    return _overdue(lease) if lease.is_overdue else _without_request(lease)


def _overdue(lease: Lease) -> Step | None:
    if lease.is_look_up and lease.claimed_at < lease.expires_at + SEALED_GRACE_S:
        return None  # a vault that lost the request may have lost its mark, too
    is_refused = lease.reason == LOGIN_REFUSED
    return End(Status.MISCONFIGURED if is_refused else Status.EXPIRED, lease.reason or "deadline")


def _without_request(lease: Lease) -> Step | None:
    if not lease.is_request_lost:
        return None
    missing_s = lease.accepted_at + REQUEST_GRACE_S - lease.claimed_at
    if 0 < missing_s <= REQUEST_GRACE_S:  # its producer may still be storing it
        return Snooze(min(missing_s, WAITS_FOR_OTHERS_S), VAULT_LOST)
    return None if lease.is_payment else End(Status.LOST, VAULT_LOST)


def after_answer(judged: Judged, lease: Lease, attempt: int, jitter: Callable[[], float] = random.random) -> Step:
    """The step after an answer of i'mport; with an unanswered POST behind it only a look-up can tell what it means.

    Args:
        judged: the answer.
        lease: the job.
        attempt: how often it has been sent, this time included.
        jitter: uniform in [0, 1).
    """
    verdict = judged.verdict
    if verdict is Verdict.APPLIED:
        return End(_success(lease), None, judged, attempt)
    is_first = not lease.is_doubtful
    if verdict is Verdict.UNSENT or (is_first and verdict in NOT_DONE):
        return Snooze(max(judged.retry_after_s or 0.0, backoff_s(attempt, jitter)), verdict.name.lower())
    if is_first and verdict in FINAL:
        return End(FINAL[verdict], judged.word, judged, attempt)
    is_heard = verdict is not Verdict.UNANSWERED
    return Snooze(0.0, LOOK_UP, "doubt", answer=judged if is_heard else None)


def after_look_up(result: LookUpResult, judged: Judged, lease: Lease, *, has_card: bool) -> Step:
    """The step after a look-up.

    Args:
        result: what was seen.
        judged: the record that was seen, as if it had been the answer.
        lease: the job.
        has_card: True if it could be sent again.
    """
    step = _settled(result, judged, lease, has_card=has_card)
    if step is not None:
        return step
    if lease.surely_unsent:
        return _of_lost_request(result, lease)
    if lease.is_overdue:
        return _in_doubt(lease, "no_answer")
    if lease.is_looked_up_enough and result in {LookUpResult.FOREIGN, LookUpResult.ABSENT}:
        return _looked_up_enough(result, lease, has_card=has_card)
    return _look_again(result, lease)


def after_first_look(result: LookUpResult, judged: Judged, lease: Lease, imports_now: float | None) -> Step | None:
    """The step after a look before anything is sent: for i'mport's clock, or for a newer card than an export's.

    Args:
        result, judged: as for :func:`after_look_up`.
        lease: the job.
        imports_now: i'mport's clock, if it is known now.

    Returns:
        None to go on.
    """
    if imports_now is None:
        return Snooze(backoff_s(lease.attempts + 1), "no_clock")
    if not lease.is_unsure or result is LookUpResult.ABSENT:
        return None
    if result is LookUpResult.UNCLEAR:
        return Snooze(backoff_s(lease.attempts + 1), "newer_unknown")
    return End(Status.SUPERSEDED, NEWER_CARD, judged)


def _looked_up_enough(result: LookUpResult, lease: Lease, *, has_card: bool) -> Step:
    if result is LookUpResult.FOREIGN and not lease.is_payment:
        return _in_doubt(lease, "replaced_elsewhere")
    if result is LookUpResult.ABSENT and has_card and _may_be_sent_again(lease):
        return Snooze(0.0, "send_again", "presumed")
    return _look_again(result, lease)


def _look_again(result: LookUpResult, lease: Lease) -> Snooze:
    return Snooze(look_up_again_s(lease), LOOK_UP, "doubt", found_nothing=result is not LookUpResult.UNCLEAR)


def _settled(result: LookUpResult, judged: Judged, lease: Lease, *, has_card: bool) -> Step | None:
    """The step where the look-up settles the job."""
    has_order = lease.answer is not None and lease.answer.verdict is Verdict.THERE_IS_ONE and not lease.is_doubtful
    match result:
        case LookUpResult.OURS:
            return _as_ours(judged, lease, has_card=has_card)
        case LookUpResult.CANCELLED:
            return End(Status.IN_DOUBT, "cancelled", judged, lease.attempts)
        case LookUpResult.REFUSED:
            return End(Status.DECLINED, None, judged, lease.attempts)
        case LookUpResult.ANOTHERS if has_order:
            return End(Status.INVALID, "duplicate_merchant_uid", lease.answer, lease.attempts)
        case LookUpResult.ABSENT if lease.answer is not None:
            return _nothing_done(lease.answer, lease)
    return None


def _as_ours(judged: Judged, lease: Lease, *, has_card: bool) -> End:
    """With the card gone nothing tells our key from another's that came since; an order is paid, whoever paid it."""
    if lease.is_payment or has_card:
        return End(_success(lease), None, judged, lease.attempts)
    return End(Status.IN_DOUBT, VAULT_LOST, judged, lease.attempts)


def _nothing_done(answer: Judged, lease: Lease) -> Step | None:
    """The step where the last answer said that nothing was done, and nothing is found either."""
    if lease.is_doubtful:
        is_refused = answer.verdict is Verdict.DECLINED and not lease.is_payment
        return End(Status.DECLINED, None, answer, lease.attempts) if is_refused else None
    if not is_repeatable(answer, lease):
        return None
    why, most = SENT_AGAIN[answer.verdict]
    if lease.transients + 1 >= most or lease.is_overdue:
        return End(Status.EXPIRED, why, answer, lease.attempts)
    return Snooze(backoff_s(lease.transients + 1), why)


def is_repeatable(answer: Judged | None, lease: Lease) -> bool:
    """True if an answer says that nothing was done, so that it is sent again once a look-up agrees.

    A payment behind a gateway's error is a failed order at i'mport, whose guard covers paid ones only: never again.
    """
    if answer is None or lease.is_doubtful:
        return False
    is_failed_order = lease.is_payment and answer.verdict is Verdict.GATEWAY_ERROR
    return answer.verdict in SENT_AGAIN and not is_failed_order


def _may_be_sent_again(lease: Lease) -> bool:
    """True for one POST after an unanswered one, and none after that."""
    verdict = lease.answer.verdict if lease.answer else Verdict.UNANSWERED
    is_unknown = verdict is Verdict.UNANSWERED or (verdict is Verdict.UNDECIDED and not lease.is_payment)
    return is_unknown and not lease.is_doubtful


def _of_lost_request(result: LookUpResult, lease: Lease) -> Step:
    """A payment whose request is gone, and that neither store knows to have been sent."""
    is_there = result not in {LookUpResult.ABSENT, LookUpResult.UNCLEAR}
    if is_there or lease.is_overdue:
        return _in_doubt(lease, VAULT_LOST)
    if lease.is_looked_up_enough and result is LookUpResult.ABSENT:
        return End(Status.LOST, VAULT_LOST)
    return Snooze(look_up_again_s(lease), VAULT_LOST, found_nothing=result is LookUpResult.ABSENT)


def look_up_again_s(lease: Lease) -> float:
    """Seconds to the next look-up: 1, 2, 4, … to the interval that counts, and less often once there were enough."""
    if lease.is_looked_up_enough:
        return min(lease.look_up_every_s * 4, max(LOOK_UP_MOST_S, lease.look_up_every_s))
    return min(LOOK_UP_FIRST_S * 2.0 ** min(lease.look_ups, 10), lease.look_up_every_s)


def _in_doubt(lease: Lease, code: str) -> End:
    return End(Status.IN_DOUBT, code, lease.answer, lease.attempts)


def _success(lease: Lease) -> Status:
    return Status.PAID if lease.is_payment else Status.ISSUED


def not_now(lease: Lease, delay_s: float, reason: str) -> NotNow:
    """The job waits; one that is looked up stays in doubt, and ends so at its deadline."""
    if not lease.is_look_up or lease.surely_unsent:
        return NotNow(Snooze(delay_s, reason))
    return NotNow(End(Status.IN_DOUBT, "no_answer") if lease.is_overdue else Snooze(delay_s, LOOK_UP, "doubt"))
