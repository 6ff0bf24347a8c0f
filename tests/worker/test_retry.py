import pytest

from producer.contract.names import Operation
from producer.contract.outcome import Status
from tests.worker.leases import lease
from worker.iamport.meaning import Kind, Meaning
from worker.retry import (
    CLAIMS_LIMIT,
    TRANSIENT_SENDS,
    End,
    Wait,
    after_answer,
    backoff_s,
    before_opening,
)


@pytest.mark.parametrize(
    ("kind", "attempt", "status", "code"),
    [
        (Kind.APPLIED, 1, Status.ISSUED, None),
        (Kind.DECLINED, 1, Status.DECLINED, None),
        (Kind.INVALID, 1, Status.INVALID, None),
        (Kind.MISCONFIGURED, 1, Status.MISCONFIGURED, None),
        (Kind.UNKNOWN, 1, Status.IN_DOUBT, "no_answer"),
        (Kind.DUPLICATE, 1, Status.IN_DOUBT, "duplicate"),
        (Kind.TRANSIENT, TRANSIENT_SENDS, Status.DECLINED, None),
    ],
)
def test_an_answer_that_settles_a_job_ends_it(kind: Kind, attempt: int, status: Status, code: str | None) -> None:
    meaning = Meaning(kind)

    step = after_answer(meaning, Operation.ISSUE, attempt)

    assert step == End(status, code, meaning, attempt)


@pytest.mark.parametrize("kind", [Kind.UNSENT, Kind.THROTTLED, Kind.TOKEN_REFUSED, Kind.TRANSIENT])
def test_what_was_surely_not_applied_waits(kind: Kind) -> None:
    step = after_answer(Meaning(kind), Operation.ISSUE, 1, lambda: 0.5)

    assert step == Wait(1.5, kind.name.lower())


def test_a_paid_onetime_is_paid_and_not_issued() -> None:
    step = after_answer(Meaning(Kind.APPLIED), Operation.ONETIME, 1)

    assert isinstance(step, End)
    assert step.status is Status.PAID


def test_retry_after_is_obeyed_when_it_is_longer_than_the_backoff() -> None:
    step = after_answer(Meaning(Kind.THROTTLED, retry_after_s=120.0), Operation.ISSUE, 1)

    assert step == Wait(120.0, "throttled")


def test_every_kind_of_answer_has_a_next_step() -> None:
    for kind in Kind:
        assert after_answer(Meaning(kind), Operation.ISSUE, 1)


@pytest.mark.parametrize(
    ("attempt", "least", "most"), [(1, 1, 2), (2, 1, 4), (3, 1, 8), (4, 1, 16), (5, 1, 30), (60, 1, 30)]
)
def test_backoff_grows_with_full_jitter_between_1_and_30_seconds(attempt: int, least: float, most: float) -> None:
    assert backoff_s(attempt, lambda: 0.0) == least
    assert backoff_s(attempt, lambda: 1.0) == most


def test_a_fresh_claim_goes_on() -> None:
    assert before_opening(lease()) is None


def test_a_job_that_may_have_been_sent_is_never_sent_blindly() -> None:
    assert before_opening(lease(sent_at=99.0)) == End(Status.IN_DOUBT, "no_answer")


def test_a_job_that_may_have_been_sent_ends_in_doubt_even_when_overdue_and_claimed_too_often() -> None:
    step = before_opening(lease(sent_at=99.0, claimed_at=5000.0, claims=50))

    assert step == End(Status.IN_DOUBT, "no_answer")


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
    assert before_opening(lease(claimed_at=1900.0, reason=reason)) == expected


def test_a_job_that_crashes_every_worker_is_quarantined() -> None:
    assert before_opening(lease(claims=CLAIMS_LIMIT)) is None
    assert before_opening(lease(claims=CLAIMS_LIMIT + 1)) == End(Status.FAILED, "quarantined")
