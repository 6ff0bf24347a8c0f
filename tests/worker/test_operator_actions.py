"""What an operator asks for, carried out by the sweeper's scripts on a real Redis."""

import pytest

from producer.contract import redis_keys
from producer.contract.job import MIGRATION
from producer.contract.outcome import Status
from producer.runtime.redis_store import Link
from tests.servers import RedisServer
from tests.worker.jobs import IMP_NOW, accept, change, claimed, due, end_wait, ended, field, open_jobs, sent
from worker.errors import NotPossible
from worker.ledger import Ledger
from worker.model import PAUSED, Lease, NotClaimed, Snooze
from worker.operator.actions import Operator, Pausing
from worker.retry import before_sending

LONG_S = 300.0


@pytest.fixture
def operator(store: RedisServer) -> Operator:
    """Between two looks of an operator the sweeper is at work."""
    return Operator(Link(store.url(1)), "kim", lambda _: open_jobs(store).carry_out_asked())


def audit(store: RedisServer) -> list[tuple[str, str, str, str]]:
    names = (b"who", b"what", b"job", b"count")
    entries = store.client(1).xrange(redis_keys.AUDIT)
    return [tuple(fields[name].decode() for name in names) for _, fields in entries]


def waiting(store: RedisServer, ledger: Ledger, key: str = "k", uid: str = "gildong_0001") -> str:
    job_id = accept(store, key, uid=uid)
    ledger.wait(claimed(ledger, job_id), Snooze(LONG_S, "throttled"))
    return job_id


def in_doubt(store: RedisServer, ledger: Ledger) -> str:
    job_id = accept(store)
    ledger.wait(sent(ledger, job_id), Snooze(LONG_S, "look_up", "doubt"))
    return job_id


def test_a_job_that_waits_is_due_at_once(store: RedisServer, ledger: Ledger, operator: Operator) -> None:
    job_id = waiting(store, ledger)
    assert due(store) == []

    assert operator.ask("retry", job_id) is True

    assert [one.job_id for one in due(store)] == [job_id]
    assert isinstance(ledger.claim(job_id, "d2"), Lease)
    assert audit(store) == [("kim", "retry", job_id, "1")]


def test_a_queued_job_goes_before_the_backlog(store: RedisServer, operator: Operator) -> None:
    accept(store, "first", uid="a")
    job_id = accept(store, "second", uid="b")

    operator.ask("retry", job_id)

    assert [one.job_id for one in due(store)] == [job_id]


def test_a_look_up_that_an_operator_brings_forward_does_not_count(
    store: RedisServer, ledger: Ledger, operator: Operator
) -> None:
    job_id = in_doubt(store, ledger)
    for _ in range(30):
        operator.ask("retry", job_id)
        ledger.wait(claimed(ledger, job_id, "d2"), Snooze(LONG_S, "look_up", "doubt", found_nothing=True))

    assert field(store, job_id, "look_ups") == 0
    end_wait(store, job_id)
    assert claimed(ledger, job_id, "d3").is_looked_up_enough is False


@pytest.mark.parametrize("what", ["retry", "expire"])
def test_what_is_finished_unknown_or_in_hand_is_refused(
    store: RedisServer, ledger: Ledger, operator: Operator, what: str
) -> None:
    done, in_hand = accept(store, "done", uid="a"), accept(store, "hand", uid="b")
    lease = claimed(ledger, done)
    ledger.finish(lease, ended(lease, Status.DECLINED))
    sent(ledger, in_hand, "1-ab:1.1")

    for job_id, says in ((done, r"finished \(declined\)"), (in_hand, "in hand: its call is under way"), ("x", "known")):
        with pytest.raises(NotPossible, match=says):
            operator.ask(what, job_id)

    assert audit(store) == []


def test_what_a_worker_took_meanwhile_is_left_alone_until_it_is_given_back(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    leases: list[Lease] = []

    def take(_: float) -> None:
        if not leases:
            leases.append(claimed(ledger, job_id))
        open_jobs(store).carry_out_asked()

    assert Operator(Link(store.url(1)), "kim", take).ask("expire", job_id) is False
    assert field(store, job_id, "given_up") == 0
    ledger.wait(leases[0], Snooze(LONG_S, "turn"))
    open_jobs(store).carry_out_asked()

    assert claimed(ledger, job_id, "d2").is_given_up is True


@pytest.mark.parametrize("queue", ["interactive", MIGRATION])
def test_what_was_surely_not_sent_ends_expired(
    store: RedisServer, ledger: Ledger, operator: Operator, queue: str
) -> None:
    newer_goes_first = accept(store, "older", queue=queue)
    accept(store, "newer")

    operator.ask("expire", newer_goes_first)

    assert [(one.job_id, one.queue) for one in due(store)] == [(newer_goes_first, "recovery")]
    step = before_sending(claimed(ledger, newer_goes_first))
    assert (step.status, step.code) == (Status.EXPIRED, "operator")  # type: ignore[union-attr]


def test_what_may_have_been_sent_ends_in_doubt(store: RedisServer, ledger: Ledger, operator: Operator) -> None:
    job_id = in_doubt(store, ledger)

    operator.ask("expire", job_id)

    lease = claimed(ledger, job_id, "d2")
    for one in (lease, lease._replace(sent_at=None, is_doubtful=True)):
        step = before_sending(one)
        assert (step.status, step.code) == (Status.IN_DOUBT, "operator")  # type: ignore[union-attr]


def test_a_payment_whose_request_is_gone_is_no_surely_unsent_one(
    store: RedisServer, ledger: Ledger, operator: Operator
) -> None:
    job_id = accept(store, order="o-1")
    operator.ask("expire", job_id)

    step = before_sending(claimed(ledger, job_id)._replace(is_request_lost=True))

    assert (step.status, step.code) == (Status.IN_DOUBT, "operator")  # type: ignore[union-attr]


def test_during_a_pause_what_would_be_sent_waits_and_look_ups_go_on(
    store: RedisServer, ledger: Ledger, operator: Operator
) -> None:
    doubt, job_id, in_hand = in_doubt(store, ledger), accept(store, "a", uid="a"), accept(store, "b", uid="b")
    lease = claimed(ledger, in_hand)
    operator.pause(100, 3)

    claim = ledger.claim(job_id, "d2")
    end_wait(store, doubt)

    assert isinstance(claim, NotClaimed)
    assert claim.reason == "paused"
    assert claim.delay_s == pytest.approx(100, abs=20)
    assert isinstance(claim.step, Snooze)
    assert ledger.mark_sent(lease, IMP_NOW) == PAUSED
    assert isinstance(ledger.claim(doubt, "d2"), Lease)
    assert audit(store) == [("kim", "pause", "", "3")]


def test_a_pause_says_how_many_jobs_will_expire_by_it(store: RedisServer, ledger: Ledger, operator: Operator) -> None:
    for number in range(3):
        accept(store, f"short-{number}", uid=f"s{number}", deadline_s=60)
    accept(store, "long", uid="l")
    doubt = accept(store, "doubt", uid="d", deadline_s=60)
    ledger.wait(sent(ledger, doubt), Snooze(LONG_S, "look_up", "doubt"))
    ledger.wait(claimed(ledger, accept(store, "w", uid="w", deadline_s=60)), Snooze(5.0, "turn"))

    assert operator.examine_pause(100) == Pausing(open_jobs=6, will_expire=4)


def test_the_end_of_a_pause_wakes_what_waits_for_it_and_nothing_else(
    store: RedisServer, ledger: Ledger, operator: Operator
) -> None:
    waits = waiting(store, ledger, "w", uid="w")
    jobs = [accept(store, f"{number}", uid=f"{number}") for number in range(3)]
    operator.pause(500, 4)
    for job_id in jobs:
        ledger.claim(job_id, "d2")
    open_jobs(store).carry_out_asked()
    assert (due(store), operator.jobs.paused_until() is not None) == ([], True)

    operator.resume(4)
    open_jobs(store).carry_out_asked()

    assert {one.job_id for one in due(store)} == set(jobs)
    assert (waits in jobs, operator.jobs.paused_until()) == (False, None)
    assert all(isinstance(ledger.claim(job_id, "d3"), Lease) for job_id in jobs)


def test_a_pause_that_began_ahead_of_now_is_over(store: RedisServer, ledger: Ledger, operator: Operator) -> None:
    job_id = accept(store)
    operator.pause(100, 1)
    store.client(1).hset(redis_keys.PAUSE, mapping={"from": 9e9, "until": 9.1e9})

    assert isinstance(ledger.claim(job_id, "d1"), Lease)


def test_a_superseded_job_ends_during_a_pause(store: RedisServer, ledger: Ledger, operator: Operator) -> None:
    older, newer = accept(store, "older"), accept(store, "newer")
    lease = claimed(ledger, newer)
    ledger.finish(lease, ended(lease, attempts=1))
    operator.pause(100, 1)

    assert claimed(ledger, older).newer_applied is True
    change(store, older, next_at=1)
