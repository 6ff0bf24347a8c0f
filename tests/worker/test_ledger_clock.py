"""A ledger whose clock stepped back: what was written before lies ahead. Simulated by writing such instants."""

import pytest

from producer.contract import redis_keys
from producer.contract.job import INTERACTIVE, RECOVERY
from producer.contract.outcome import Status
from tests.servers import RedisServer
from tests.worker.jobs import accept, change, claimed, due, ended, now, sent, waits
from worker.ledger import Ledger
from worker.model import NotClaimed, Snooze
from worker.open_jobs import Due

STEP_S = 7200


def ahead(store: RedisServer, seconds: float = 0.0) -> float:
    """An instant as it was written before the clock stepped back."""
    return now(store) + STEP_S + seconds


def step_back(store: RedisServer, job_id: str) -> None:
    """Let what a job's record says of its lease or wait lie ahead, in the set of open jobs, too."""
    fields = store.client(1).hgetall(redis_keys.JOB + job_id)
    spans = (b"leased_from", b"leased_until", b"waits_from", b"next_at")
    change(store, job_id, **{name.decode(): float(fields[name]) + STEP_S for name in spans if name in fields})
    store.client(1).zincrby(redis_keys.OPEN, STEP_S, job_id)


def test_a_lease_that_began_ahead_of_now_is_over(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    claimed(ledger, job_id)
    step_back(store, job_id)

    assert claimed(ledger, job_id, "d2").claims == 2


def test_a_wait_that_began_ahead_of_now_is_over(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    ledger.wait(claimed(ledger, job_id), Snooze(20, "throttled"))
    step_back(store, job_id)

    claimed(ledger, job_id, "d2")


def test_a_lease_and_a_wait_that_began_in_time_are_not_over_however_long_they_last(
    store: RedisServer, ledger: Ledger
) -> None:
    held, waiting = accept(store, "held"), accept(store, "waiting", uid="another")
    claimed(ledger, held)
    ledger.wait(claimed(ledger, waiting), Snooze(20, "throttled"))
    change(store, held, leased_until=ahead(store))
    change(store, waiting, next_at=ahead(store))

    assert [ledger.claim(job_id, "d2") for job_id in (held, waiting)] == [NotClaimed("waiting")] * 2


@pytest.mark.parametrize("is_marked", [False, True])
def test_a_lease_that_began_ahead_of_now_holds_up_nobody_and_a_mark_does(
    store: RedisServer, ledger: Ledger, is_marked: bool
) -> None:
    older = accept(store, "older")
    (sent if is_marked else claimed)(ledger, older)
    newer = accept(store, "newer")
    step_back(store, older)

    assert waits(ledger.claim(newer, "d2")) == is_marked


def test_who_had_a_job_before_the_step_may_not_send_it_as_others_go_on(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id)
    step_back(store, job_id)

    assert ledger.mark_sent(lease, 990.0) is None
    assert not ledger.hold(lease)
    claimed(ledger, job_id, "d2")


def test_a_counted_wait_that_began_ahead_of_now_costs_one_of_them(store: RedisServer, ledger: Ledger) -> None:
    lease = sent(ledger, accept(store, "older"))
    ledger.finish(lease, ended(lease, Status.IN_DOUBT, attempts=1))
    db, customer = store.client(1), redis_keys.CUSTOMER + "gildong_0001"
    db.hset(customer, mapping={"doubt_from": ahead(store), "doubt_next": ahead(store, 15)})

    assert waits(ledger.claim(accept(store, "newer"), "d2"))
    assert db.hget(customer, "doubt_left") == b"11"
    assert float(db.hget(customer, "doubt_next") or 0) < now(store) + 16


@pytest.mark.parametrize("is_held", [True, False])
def test_a_sweep_that_was_ahead_of_now_shows_the_step_and_what_began_after_now_is_due(
    store: RedisServer, ledger: Ledger, is_held: bool
) -> None:
    stepped, other = accept(store, "stepped"), accept(store, "other", uid="another")
    for job_id in (stepped, other):
        lease = claimed(ledger, job_id)
        if not is_held:
            ledger.wait(lease, Snooze(60, "throttled"))
    step_back(store, stepped)
    assert due(store) == []
    store.client(1).set(redis_keys.SWEPT, ahead(store))

    assert due(store) == [Due(stepped, INTERACTIVE, RECOVERY)]
    assert due(store) == []
    assert float(store.client(1).get(redis_keys.SWEPT) or 0) <= now(store)
