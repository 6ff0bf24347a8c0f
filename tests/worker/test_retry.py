import pytest

from producer.contract.identifiers import Operation
from producer.contract.outcome import Status
from tests.worker.leases import lease
from worker.iamport.codes import Verdict
from worker.iamport.verdict import Judged, LookUpResult
from worker.model import End, Lease, Snooze
from worker.retry import (
    CLAIMS_LIMIT,
    TRANSIENT_SENDS,
    after_answer,
    after_look_up,
    backoff_s,
    before_sending,
    look_up_again_s,
)

PAYMENT = lease(operation=Operation.ONETIME, merchant_uid="order-1")
SENT = lease(sent_at=990.0, first_sent_at=990.0, attempts=1, doubt_until=1110.0)
LOOKED_UP_LONG_ENOUGH = SENT._replace(claimed_at=1110.0)
OVERDUE = SENT._replace(claimed_at=1900.0)


@pytest.mark.parametrize(
    ("verdict", "attempt", "status", "code"),
    [
        (Verdict.APPLIED, 1, Status.ISSUED, None),
        (Verdict.DECLINED, 1, Status.DECLINED, None),
        (Verdict.INVALID, 1, Status.INVALID, None),
        (Verdict.MISCONFIGURED, 1, Status.MISCONFIGURED, None),
        (Verdict.DUPLICATE, 1, Status.INVALID, "duplicate_merchant_uid"),
    ],
)
def test_an_answer_that_settles_a_job_ends_it(verdict: Verdict, attempt: int, status: Status, code: str | None) -> None:
    meaning = Judged(verdict)

    step = after_answer(meaning, lease(), attempt)

    assert step == End(status, code, meaning, attempt)


def test_a_busy_gateway_is_tried_so_often_whatever_else_came_between() -> None:
    meaning = Judged(Verdict.TRANSIENT)

    assert isinstance(after_answer(meaning, lease(transients=TRANSIENT_SENDS - 2), 7), Snooze)
    step = after_answer(meaning, lease(transients=TRANSIENT_SENDS - 1), 7)
    assert step == End(Status.DECLINED, None, meaning, 7)


def test_an_order_that_exists_is_looked_up_if_it_may_be_ours() -> None:
    assert after_answer(Judged(Verdict.DUPLICATE), SENT, 2) == Snooze(1.0, "look_up", "doubt")
    again = after_answer(Judged(Verdict.DUPLICATE), lease(attempts=2), 3)  # earlier ones did not leave
    assert isinstance(again, End)
    assert again.code == "duplicate_merchant_uid"


@pytest.mark.parametrize("verdict", [Verdict.UNSENT, Verdict.THROTTLED, Verdict.TOKEN_REFUSED, Verdict.TRANSIENT])
def test_what_was_surely_not_applied_waits(verdict: Verdict) -> None:
    step = after_answer(Judged(verdict), lease(), 1, lambda: 0.5)

    assert step == Snooze(1.5, verdict.name.lower(), "unsent")


@pytest.mark.parametrize(("verdict", "attempt"), [(Verdict.UNKNOWN, 1), (Verdict.UNKNOWN, 5)])
def test_a_post_without_a_clear_answer_is_looked_up(verdict: Verdict, attempt: int) -> None:
    step = after_answer(Judged(verdict), lease(), attempt)

    assert step == Snooze(1.0, "look_up", "doubt")


def test_a_paid_onetime_is_paid_and_not_issued() -> None:
    step = after_answer(Judged(Verdict.APPLIED), PAYMENT, 1)

    assert isinstance(step, End)
    assert step.status is Status.PAID


def test_retry_after_is_obeyed_when_it_is_longer_than_the_backoff() -> None:
    step = after_answer(Judged(Verdict.THROTTLED, retry_after_s=120.0), lease(), 1)

    assert step == Snooze(120.0, "throttled")


def test_every_kind_of_answer_has_a_next_step() -> None:
    for verdict in Verdict:
        assert after_answer(Judged(verdict), lease(), 1)


@pytest.mark.parametrize(
    ("attempt", "least", "most"), [(1, 1, 2), (2, 1, 4), (3, 1, 8), (4, 1, 16), (5, 1, 30), (60, 1, 30)]
)
def test_backoff_grows_with_full_jitter_between_1_and_30_seconds(attempt: int, least: float, most: float) -> None:
    assert backoff_s(attempt, lambda: 0.0) == least
    assert backoff_s(attempt, lambda: 1.0) == most


def test_a_fresh_claim_goes_on() -> None:
    assert before_sending(lease()) is None


def test_a_job_that_may_have_been_sent_goes_to_its_look_up_even_when_overdue_and_claimed_too_often() -> None:
    assert before_sending(OVERDUE._replace(claims=50)) is None


def test_an_older_card_is_superseded_once_a_newer_one_is_in_force() -> None:
    assert before_sending(lease(newer_applied=True)) == End(Status.SUPERSEDED, "newer_card")
    assert before_sending(SENT._replace(newer_applied=True)) == End(Status.SUPERSEDED, "newer_card")


def test_a_payment_is_never_superseded() -> None:
    assert before_sending(PAYMENT._replace(newer_applied=True)) is None


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("", End(Status.EXPIRED, "deadline")),
        ("unsent", End(Status.EXPIRED, "unsent")),
        ("unknown_kid", End(Status.EXPIRED, "unknown_kid")),
        ("login_refused", End(Status.MISCONFIGURED, "login_refused")),
    ],
)
def test_an_overdue_job_ends_by_what_it_waited_for(reason: str, expected: End) -> None:
    assert before_sending(lease(claimed_at=1900.0, reason=reason)) == expected


def test_a_job_that_crashes_every_worker_is_quarantined() -> None:
    assert before_sending(lease(claims=CLAIMS_LIMIT)) is None
    assert before_sending(lease(claims=CLAIMS_LIMIT + 1)) == End(Status.FAILED, "quarantined")


APPLIED, DECLINED = Judged(Verdict.APPLIED, 0), Judged(Verdict.DECLINED, 0, pg_code="2116")


@pytest.mark.parametrize(
    ("sight", "meaning", "job", "has_card", "expected"),
    [
        (LookUpResult.OURS, APPLIED, SENT, True, End(Status.ISSUED, None, APPLIED, 1)),
        (LookUpResult.OURS, APPLIED, OVERDUE, False, End(Status.ISSUED, None, APPLIED, 1)),
        (LookUpResult.ABSENT, APPLIED, SENT, True, Snooze(5.5, "look_up", "doubt")),
        (LookUpResult.FOREIGN, APPLIED, SENT, True, Snooze(5.5, "look_up", "doubt")),
        (LookUpResult.UNCLEAR, APPLIED, SENT, True, Snooze(5.5, "look_up", "doubt")),
        (LookUpResult.ABSENT, APPLIED, LOOKED_UP_LONG_ENOUGH, True, Snooze(0.0, "send_again", "presumed")),
        (LookUpResult.ABSENT, APPLIED, LOOKED_UP_LONG_ENOUGH, False, End(Status.IN_DOUBT, "no_answer", None, 1)),
        (
            LookUpResult.FOREIGN,
            APPLIED,
            LOOKED_UP_LONG_ENOUGH,
            True,
            End(Status.IN_DOUBT, "replaced_elsewhere", None, 1),
        ),
        (LookUpResult.UNCLEAR, APPLIED, LOOKED_UP_LONG_ENOUGH, True, Snooze(15.0, "look_up", "doubt")),
        (LookUpResult.ABSENT, APPLIED, OVERDUE, True, End(Status.IN_DOUBT, "no_answer", None, 1)),
        (LookUpResult.UNCLEAR, APPLIED, OVERDUE, True, End(Status.IN_DOUBT, "no_answer", None, 1)),
    ],
)
def test_each_look_up_has_its_next_step(
    sight: LookUpResult, meaning: Judged, job: Lease, has_card: bool, expected: End | Snooze
) -> None:
    assert after_look_up(sight, meaning, job, has_card=has_card) == expected


def test_a_payment_that_failed_unheard_is_declined_and_one_that_was_paid_is_paid() -> None:
    sent = PAYMENT._replace(sent_at=990.0, attempts=1)

    assert after_look_up(LookUpResult.OURS, DECLINED, sent, has_card=True) == End(Status.DECLINED, None, DECLINED, 1)
    assert after_look_up(LookUpResult.OURS, APPLIED, sent, has_card=True) == End(Status.PAID, None, APPLIED, 1)


@pytest.mark.parametrize(("since", "expected"), [(0, 1), (1, 1), (8, 4), (30, 15), (600, 15)])
def test_look_ups_grow_apart_from_1_to_15_seconds(since: float, expected: float) -> None:
    assert look_up_again_s(lease(sent_at=1001.0 - since)) == expected
