"""The next step as a table: what each answer and each look-up leads to."""

import pytest

from producer.contract.identifiers import Operation
from producer.contract.outcome import Status
from tests.worker.leases import lease
from worker.iamport.codes import Verdict
from worker.iamport.verdict import Judged, LookUpResult
from worker.model import End, Lease, Snooze, Step
from worker.retry import (
    CLAIMS_LIMIT,
    after_answer,
    after_look_up,
    backoff_s,
    before_sending,
    look_up_again_s,
)

ENOUGH = 12  # look-ups: four that come sooner, and eight an interval apart
PAYMENT = lease(operation=Operation.ONETIME, merchant_uid="order-1")
SENT = lease(sent_at=990.0, first_sent_at=990.0, attempts=1)
PAYMENT_SENT = PAYMENT._replace(sent_at=990.0, first_sent_at=990.0, attempts=1)
DOUBTFUL = SENT._replace(is_doubtful=True, attempts=2)
PAYMENT_DOUBTFUL = PAYMENT_SENT._replace(is_doubtful=True, attempts=2)
LOST_REQUEST = PAYMENT._replace(is_request_lost=True, claimed_at=1100.0)
LATE = 1900.0
FINAL = {
    Verdict.DECLINED: Status.DECLINED,
    Verdict.INVALID: Status.INVALID,
    Verdict.MISCONFIGURED: Status.MISCONFIGURED,
}
NOT_DONE = [Verdict.UNSENT, Verdict.THROTTLED, Verdict.TOKEN_REFUSED]
ONLY_A_LOOK_UP_TELLS = [
    *(Verdict.NOT_REACHED, Verdict.GATEWAY_ERROR, Verdict.UNDECIDED, Verdict.THERE_IS_ONE, Verdict.EDGE_PAGE),
    Verdict.UNANSWERED,
]


def answered(job: Lease, verdict: Verdict) -> Lease:
    return job._replace(answer=Judged(verdict, -1, "text"))


def absent(job: Lease, *, has_card: bool = True) -> Step:
    return after_look_up(LookUpResult.ABSENT, Judged(Verdict.APPLIED), job, has_card=has_card)


@pytest.mark.parametrize(("job", "status"), [(lease(), Status.ISSUED), (PAYMENT, Status.PAID)])
def test_what_was_done_ends_the_job_whatever_was_before(job: Lease, status: Status) -> None:
    meaning = Judged(Verdict.APPLIED)

    for one in (job, job._replace(is_doubtful=True)):
        assert after_answer(meaning, one, 2) == End(status, None, meaning, 2)


@pytest.mark.parametrize(("verdict", "status"), FINAL.items())
@pytest.mark.parametrize("job", [lease(), PAYMENT])
def test_a_refusal_ends_a_job_that_has_no_unanswered_post_behind_it(
    job: Lease, verdict: Verdict, status: Status
) -> None:
    meaning = Judged(verdict, word="birth_required" if verdict is Verdict.INVALID else None)

    assert after_answer(meaning, job, 1) == End(status, meaning.word, meaning, 1)


@pytest.mark.parametrize("verdict", [one for one in Verdict if one not in {Verdict.APPLIED, Verdict.UNSENT}])
@pytest.mark.parametrize("job", [DOUBTFUL, PAYMENT_DOUBTFUL])
def test_after_an_unanswered_post_every_answer_is_looked_up_at_once(job: Lease, verdict: Verdict) -> None:
    meaning = Judged(verdict)
    remembered = None if verdict is Verdict.UNANSWERED else meaning

    assert after_answer(meaning, job, 2) == Snooze(0.0, "look_up", "doubt", answer=remembered)


@pytest.mark.parametrize("verdict", NOT_DONE)
def test_what_was_surely_not_handled_waits(verdict: Verdict) -> None:
    for job in (lease(), PAYMENT):
        assert after_answer(Judged(verdict), job, 1, lambda: 0.5) == Snooze(1.5, verdict.name.lower(), "unsent")


def test_a_second_post_that_did_not_leave_waits_without_proof_of_the_first() -> None:
    step = after_answer(Judged(Verdict.UNSENT), DOUBTFUL, 2, lambda: 0.0)

    assert step == Snooze(1.0, "unsent", "unsent")


@pytest.mark.parametrize("verdict", ONLY_A_LOOK_UP_TELLS)
@pytest.mark.parametrize("job", [lease(), PAYMENT])
def test_an_answer_that_does_not_settle_it_is_looked_up_at_once(job: Lease, verdict: Verdict) -> None:
    step = after_answer(Judged(verdict), job, 1)

    assert isinstance(step, Snooze)
    assert (step.delay_s, step.reason, step.last_post) == (0.0, "look_up", "doubt")
    assert (step.answer is None) == (verdict is Verdict.UNANSWERED)


def test_retry_after_is_obeyed_when_it_is_longer_than_the_backoff() -> None:
    step = after_answer(Judged(Verdict.THROTTLED, retry_after_s=120.0), lease(), 1)

    assert step == Snooze(120.0, "throttled")


@pytest.mark.parametrize(
    ("attempt", "least", "most"), [(1, 1, 2), (2, 1, 4), (3, 1, 8), (4, 1, 16), (5, 1, 30), (60, 1, 30)]
)
def test_backoff_grows_with_full_jitter_between_1_and_30_seconds(attempt: int, least: float, most: float) -> None:
    assert backoff_s(attempt, lambda: 0.0) == least
    assert backoff_s(attempt, lambda: 1.0) == most


def test_a_fresh_claim_goes_on() -> None:
    assert before_sending(lease()) is None
    assert before_sending(PAYMENT) is None


@pytest.mark.parametrize("job", [SENT, DOUBTFUL, PAYMENT_SENT, PAYMENT_DOUBTFUL, DOUBTFUL._replace(sent_at=None)])
def test_a_job_that_may_have_been_sent_goes_to_its_look_up_even_when_overdue_and_its_card_gone(job: Lease) -> None:
    for one in (job, job._replace(order_ended="paid"), job._replace(is_request_lost=True)):
        overdue = one._replace(claimed_at=LATE)

        assert before_sending(overdue) is None
        assert overdue.is_look_up


def test_an_operation_that_this_version_does_not_know_ends_invalid() -> None:
    assert before_sending(lease(operation="refund")) == End(Status.INVALID, "unknown_operation")


def test_an_older_card_is_superseded_once_a_newer_one_is_in_force() -> None:
    for job in (lease(), SENT, DOUBTFUL):
        assert before_sending(job._replace(newer_applied=True)) == End(Status.SUPERSEDED, "newer_card")


def test_a_payment_is_never_superseded() -> None:
    assert before_sending(PAYMENT._replace(newer_applied=True)) is None


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ("paid", End(Status.INVALID, "duplicate_merchant_uid")),
        ("in_doubt", End(Status.IN_DOUBT, "order_in_doubt")),
        ("", None),
    ],
)
def test_a_payment_whose_order_ended_paid_or_in_doubt_ends_unsent(ended: str, expected: End | None) -> None:
    assert before_sending(PAYMENT._replace(order_ended=ended)) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("", End(Status.EXPIRED, "deadline")),
        ("unsent", End(Status.EXPIRED, "unsent")),
        ("unknown_kid", End(Status.EXPIRED, "unknown_kid")),
        ("login_refused", End(Status.MISCONFIGURED, "login_refused")),
    ],
)
@pytest.mark.parametrize("job", [lease(), PAYMENT])
def test_an_overdue_job_ends_by_what_it_waited_for(job: Lease, reason: str, expected: End) -> None:
    assert before_sending(job._replace(claimed_at=LATE, reason=reason)) == expected


def test_an_overdue_payment_is_not_called_expired_before_the_vault_said_that_it_was_not_sent() -> None:
    silent = PAYMENT._replace(claimed_at=LATE, is_vault_silent=True)

    step = before_sending(silent)

    assert isinstance(step, Snooze)
    assert step.reason == "vault_silent"


def test_an_overdue_payment_whose_request_the_vault_lost_is_looked_up_until_it_would_have_gone_anyway() -> None:
    lost = LOST_REQUEST._replace(claimed_at=LATE)

    assert before_sending(lost) is None
    assert before_sending(lost._replace(claimed_at=LATE + 61)) == End(Status.EXPIRED, "deadline")


@pytest.mark.parametrize("job", [lease(is_request_lost=True), PAYMENT._replace(is_request_lost=True)])
def test_a_request_that_is_missing_is_waited_for_while_its_producer_may_store_it(job: Lease) -> None:
    assert before_sending(job) == Snooze(30.0, "vault_lost")
    assert before_sending(job._replace(claimed_at=1050.0)) == Snooze(10.0, "vault_lost")


def test_a_request_that_is_lost_ends_an_issue_and_has_a_payment_looked_up() -> None:
    assert before_sending(lease(is_request_lost=True, claimed_at=1060.0)) == End(Status.LOST, "vault_lost")
    assert before_sending(LOST_REQUEST) is None
    assert LOST_REQUEST.is_look_up


@pytest.mark.parametrize(
    ("job", "status"), [(lease(), Status.FAILED), (SENT, Status.IN_DOUBT), (PAYMENT_DOUBTFUL, Status.IN_DOUBT)]
)
def test_a_job_that_crashes_every_worker_is_quarantined(job: Lease, status: Status) -> None:
    assert before_sending(job._replace(claims=CLAIMS_LIMIT)) is None
    assert before_sending(job._replace(claims=CLAIMS_LIMIT + 1)) == End(status, "quarantined")


FOUND = Judged(Verdict.APPLIED, 0)
REFUSED = Judged(Verdict.DECLINED, 0, pg_code="2116")


@pytest.mark.parametrize(
    ("sight", "expected"),
    [
        (LookUpResult.OURS, End(Status.PAID, None, FOUND, 2)),
        (LookUpResult.CANCELLED, End(Status.IN_DOUBT, "cancelled", FOUND, 2)),
        (LookUpResult.REFUSED, End(Status.DECLINED, None, FOUND, 2)),
    ],
)
def test_a_look_up_that_settles_a_payment_ends_it(sight: LookUpResult, expected: End) -> None:
    for job in (
        PAYMENT_DOUBTFUL,
        PAYMENT_DOUBTFUL._replace(claimed_at=LATE),
        answered(PAYMENT_DOUBTFUL, Verdict.INVALID),
    ):
        assert after_look_up(sight, FOUND, job, has_card=False) == expected


def test_a_key_that_is_found_is_issued_if_the_card_is_there_to_compare() -> None:
    assert after_look_up(LookUpResult.OURS, FOUND, DOUBTFUL, has_card=True) == End(Status.ISSUED, None, FOUND, 2)
    assert after_look_up(LookUpResult.OURS, FOUND, DOUBTFUL, has_card=False) == End(
        Status.IN_DOUBT, "vault_lost", FOUND, 2
    )


SEND_AGAIN = Snooze(0.0, "send_again", "presumed")


@pytest.mark.parametrize(
    ("job", "has_card", "is_sent_again"),
    [
        (SENT, True, True),
        (PAYMENT_SENT, True, True),
        (answered(SENT, Verdict.UNDECIDED), True, True),
        (SENT, False, False),
        (SENT._replace(look_ups=ENOUGH - 1), True, False),
        (DOUBTFUL, True, False),
        (PAYMENT_DOUBTFUL, True, False),
        (answered(DOUBTFUL, Verdict.UNDECIDED), True, False),
        (answered(PAYMENT_SENT, Verdict.UNDECIDED), True, False),
        (answered(PAYMENT_SENT, Verdict.GATEWAY_ERROR), True, False),
        (answered(PAYMENT_SENT, Verdict.THERE_IS_ONE), True, False),
        (answered(SENT, Verdict.THERE_IS_ONE), True, False),
    ],
)
def test_at_most_one_post_follows_an_unanswered_one_and_only_after_enough_look_ups(
    job: Lease, has_card: bool, is_sent_again: bool
) -> None:
    job = job if job.look_ups else job._replace(look_ups=ENOUGH)

    assert (absent(job, has_card=has_card) == SEND_AGAIN) == is_sent_again


@pytest.mark.parametrize("verdict", [one for one in Verdict if one is not Verdict.UNSENT])
@pytest.mark.parametrize("job", [DOUBTFUL, PAYMENT_DOUBTFUL])
def test_no_third_post_follows_whatever_was_answered_to_the_second(job: Lease, verdict: Verdict) -> None:
    for look_ups in (0, ENOUGH, 99):
        step = absent(answered(job, verdict)._replace(look_ups=look_ups))

        assert isinstance(step, End) or step.last_post == "doubt"  # type: ignore[union-attr]


def test_an_issue_is_declined_after_an_unanswered_post_only_when_a_look_up_finds_nothing() -> None:
    refused = answered(DOUBTFUL, Verdict.DECLINED)

    assert absent(refused) == End(Status.DECLINED, None, refused.answer, 2)
    for sight in (LookUpResult.UNCLEAR, LookUpResult.FOREIGN):
        step = after_look_up(sight, FOUND, refused, has_card=True)
        assert isinstance(step, Snooze)
        assert step.last_post == "doubt"


@pytest.mark.parametrize("sight", [one for one in LookUpResult if one is not LookUpResult.REFUSED])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_payment_is_never_declined_after_an_unanswered_post_without_proofs(
    verdict: Verdict, sight: LookUpResult
) -> None:
    for changes in ({}, {"look_ups": ENOUGH}, {"claimed_at": LATE}):
        step = after_look_up(sight, FOUND, answered(PAYMENT_DOUBTFUL, verdict)._replace(**changes), has_card=True)

        assert not isinstance(step, End) or step.status in {Status.PAID, Status.IN_DOUBT}


@pytest.mark.parametrize(
    ("job", "verdict", "why", "most"),
    [
        (SENT, Verdict.EDGE_PAGE, "edge_page", 4),
        (SENT, Verdict.NOT_REACHED, "gateway_trouble", 3),
        (SENT, Verdict.GATEWAY_ERROR, "gateway_trouble", 3),
        (PAYMENT_SENT, Verdict.NOT_REACHED, "gateway_trouble", 3),
    ],
)
def test_trouble_that_says_nothing_was_done_is_sent_again_so_often_and_then_expires(
    job: Lease, verdict: Verdict, why: str, most: int
) -> None:
    told = answered(job, verdict)

    for again in range(most - 1):
        step = absent(told._replace(transients=again))
        assert isinstance(step, Snooze)
        assert (step.reason, step.last_post) == (why, "unsent")
    assert absent(told._replace(transients=most - 1)) == End(Status.EXPIRED, why, told.answer, 1)
    assert absent(told._replace(claimed_at=LATE)) == End(Status.EXPIRED, why, told.answer, 1)


def test_trouble_is_not_sent_again_before_a_look_up_that_shows_nothing() -> None:
    for sight in (LookUpResult.UNCLEAR, LookUpResult.FOREIGN):
        step = after_look_up(sight, FOUND, answered(SENT, Verdict.GATEWAY_ERROR), has_card=True)

        assert isinstance(step, Snooze)
        assert step.last_post == "doubt"


@pytest.mark.parametrize("verdict", [Verdict.GATEWAY_ERROR, Verdict.UNDECIDED, Verdict.THERE_IS_ONE])
def test_a_payment_behind_trouble_or_an_order_that_is_there_is_never_sent_again(verdict: Verdict) -> None:
    told = answered(PAYMENT_SENT, verdict)

    for look_ups in (0, ENOUGH, 99):
        step = absent(told._replace(look_ups=look_ups))
        assert isinstance(step, Snooze)
        assert (step.last_post, step.found_nothing) == ("doubt", True)
    assert absent(told._replace(claimed_at=LATE)) == End(Status.IN_DOUBT, "no_answer", told.answer, 1)


def test_an_order_that_was_paid_before_with_another_card_ends_invalid() -> None:
    told = answered(PAYMENT_SENT, Verdict.THERE_IS_ONE)

    end = after_look_up(LookUpResult.ANOTHERS, FOUND, told, has_card=True)

    assert end == End(Status.INVALID, "duplicate_merchant_uid", told.answer, 1)


@pytest.mark.parametrize("job", [PAYMENT_SENT, answered(PAYMENT_DOUBTFUL, Verdict.THERE_IS_ONE)])
def test_anothers_payment_says_nothing_of_a_post_that_nobody_answered(job: Lease) -> None:
    step = after_look_up(LookUpResult.ANOTHERS, FOUND, job._replace(look_ups=ENOUGH), has_card=True)

    assert step == Snooze(60.0, "look_up", "doubt", found_nothing=True)
    overdue = after_look_up(LookUpResult.ANOTHERS, FOUND, job._replace(claimed_at=LATE), has_card=True)
    assert isinstance(overdue, End)
    assert overdue.status is Status.IN_DOUBT


def test_a_key_that_somebody_else_replaced_ends_in_doubt_after_enough_look_ups() -> None:
    often = SENT._replace(look_ups=ENOUGH)

    assert after_look_up(LookUpResult.FOREIGN, FOUND, often, has_card=True) == End(
        Status.IN_DOUBT, "replaced_elsewhere", None, 1
    )
    payment = after_look_up(LookUpResult.FOREIGN, FOUND, PAYMENT_SENT._replace(look_ups=ENOUGH), has_card=True)
    assert isinstance(payment, Snooze)


@pytest.mark.parametrize("sight", [LookUpResult.ABSENT, LookUpResult.FOREIGN, LookUpResult.UNCLEAR])
@pytest.mark.parametrize("job", [SENT, DOUBTFUL, PAYMENT_SENT, PAYMENT_DOUBTFUL])
def test_what_stays_unsettled_until_the_deadline_ends_in_doubt(job: Lease, sight: LookUpResult) -> None:
    end = after_look_up(sight, FOUND, job._replace(claimed_at=LATE, look_ups=ENOUGH), has_card=True)

    assert end == End(Status.IN_DOUBT, "no_answer", None, job.attempts)


@pytest.mark.parametrize(
    ("sight", "counts"),
    [
        (LookUpResult.ABSENT, True),
        (LookUpResult.FOREIGN, True),
        (LookUpResult.FAILED_OTHERWISE, True),
        (LookUpResult.UNCLEAR, False),
    ],
)
def test_only_look_ups_that_said_something_are_counted(sight: LookUpResult, counts: bool) -> None:
    step = after_look_up(sight, FOUND, PAYMENT_SENT, has_card=True)

    assert step == Snooze(1.0, "look_up", "doubt", found_nothing=counts)


def test_a_payment_that_no_store_knows_to_be_sent_is_lost_only_after_enough_look_ups_that_find_nothing() -> None:
    assert absent(LOST_REQUEST) == Snooze(1.0, "vault_lost", "unsent", found_nothing=True)
    assert absent(LOST_REQUEST._replace(look_ups=ENOUGH - 1)) == Snooze(
        15.0, "vault_lost", "unsent", found_nothing=True
    )
    assert absent(LOST_REQUEST._replace(look_ups=ENOUGH)) == End(Status.LOST, "vault_lost")


def test_a_lost_payment_that_cannot_be_looked_up_is_not_lost() -> None:
    often = LOST_REQUEST._replace(look_ups=ENOUGH)

    step = after_look_up(LookUpResult.UNCLEAR, FOUND, often, has_card=False)

    assert step == Snooze(60.0, "vault_lost", "unsent", found_nothing=False)


@pytest.mark.parametrize("sight", [LookUpResult.FOREIGN, LookUpResult.ANOTHERS, LookUpResult.FAILED_OTHERWISE])
def test_a_lost_payment_whose_order_shows_something_ends_in_doubt(sight: LookUpResult) -> None:
    end = after_look_up(sight, FOUND, LOST_REQUEST, has_card=False)

    assert end == End(Status.IN_DOUBT, "vault_lost", None, 0)


def test_a_failed_record_that_is_no_proof_leaves_a_payment_in_doubt_and_no_post_follows() -> None:
    often = PAYMENT_SENT._replace(look_ups=ENOUGH)

    step = after_look_up(LookUpResult.FAILED_OTHERWISE, FOUND, often, has_card=True)

    assert step == Snooze(60.0, "look_up", "doubt", found_nothing=True)


def test_a_lost_payment_that_is_overdue_ends_in_doubt() -> None:
    assert absent(LOST_REQUEST._replace(claimed_at=LATE)) == End(Status.IN_DOUBT, "vault_lost", None, 0)


@pytest.mark.parametrize(
    ("look_ups", "expected"), [(0, 1), (1, 2), (3, 8), (4, 15), (ENOUGH - 1, 15), (ENOUGH, 60), (600, 60)]
)
def test_look_ups_grow_apart_to_the_interval_that_counts_and_are_rare_once_there_were_enough(
    look_ups: int, expected: float
) -> None:
    assert look_up_again_s(SENT._replace(look_ups=look_ups)) == expected


@pytest.mark.parametrize("every_s", [0.5, 1.0, 1.5, 15.0, 75.0])
def test_at_least_eight_look_ups_an_interval_apart_find_nothing_before_a_post_counts_as_not_applied(
    every_s: float,
) -> None:
    job, waits = SENT._replace(look_up_every_s=every_s), list[float]()
    while not job.is_looked_up_enough:
        waits.append(look_up_again_s(job))
        job = job._replace(look_ups=job.look_ups + 1)

    assert waits[-8:] == [every_s] * 8
