"""A job's life, as the scripts note it, on a real Redis."""

import pytest

from producer.contract import redis_keys
from producer.runtime.redis_store import Link
from tests.servers import RedisServer
from tests.worker.jobs import accept, claimed, due, end_wait, ended, open_jobs, sent
from worker.ledger import Ledger
from worker.model import Snooze
from worker.operator.actions import Operator
from worker.operator.queries import Jobs
from worker.operator.seen import STEPS, STEPS_KEPT, Step


def steps(store: RedisServer, job_id: str) -> list[Step]:
    return Jobs(Link(store.url(1))).steps(job_id)


def words(store: RedisServer, job_id: str) -> list[tuple[str, str, str]]:
    return [(one.process, one.what, one.detail) for one in steps(store, job_id)]


def test_a_life_is_told_with_its_processes_and_goes_with_the_record(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    ledger.wait(sent(ledger, job_id, "1-ab:1.1"), Snooze(5.0, "look_up", "doubt"))
    end_wait(store, job_id)
    lease = claimed(ledger, job_id, "2-cd:1.1")
    ledger.hold(lease)
    ledger.finish(lease, ended(lease, attempts=1))

    assert words(store, job_id) == [
        ("1-ab", "claimed", ""),
        ("1-ab", "sent", "1"),
        ("1-ab", "waits", "look_up 5.0"),
        ("2-cd", "claimed", ""),
        ("2-cd", "asks", ""),
        ("2-cd", "ends", "issued"),
    ]
    assert [one.at for one in steps(store, job_id)] == sorted(one.at for one in steps(store, job_id))
    client = store.client(1)
    assert client.ttl(redis_keys.TRACE + job_id) == pytest.approx(client.ttl(redis_keys.JOB + job_id), abs=2)


def test_a_repeated_claim_is_one_step_and_a_queued_job_has_none(store: RedisServer, ledger: Ledger) -> None:
    job_id, queued = accept(store), accept(store, "queued", uid="b")
    claimed(ledger, job_id)
    claimed(ledger, job_id)

    assert words(store, job_id) == [("d1", "claimed", "")]
    assert not store.client(1).exists(redis_keys.TRACE + queued)


def test_waiting_for_others_a_lost_message_and_an_operator_are_steps(store: RedisServer, ledger: Ledger) -> None:
    older, newer = accept(store, "older"), accept(store, "newer")
    ledger.claim(older, "1-ab:1.1")
    Operator(Link(store.url(1)), "kim", lambda _: open_jobs(store).carry_out_asked()).ask("retry", older)
    due(store, empty_s=[10.0, 10.0, 10.0])
    store.client(1).zadd(redis_keys.FRESH + "interactive", {newer: 1})
    due(store, empty_s=[10.0, 10.0, 10.0])

    assert [(one.what, one.detail.partition(" ")[0]) for one in steps(store, older)] == [
        ("waits", "order"),
        ("retry", ""),
    ]
    assert [one.what for one in steps(store, newer)] == ["published"]


def test_a_dead_process_is_named(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    jobs = open_jobs(store)
    jobs.show_life("1-ab", 1)
    claimed(ledger, job_id, "1-ab:1.1")
    store.client(1).hset(redis_keys.ALIVE, "1-ab", "1 1")
    store.client(1).hset(redis_keys.LISTENED, mapping={"from": 1})

    assert jobs.show_life("2-cd", 1).given_up == 1

    assert words(store, job_id)[-1] == ("1-ab", "dead", "")


def test_a_trace_is_bounded_and_keeps_the_newest(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    for number in range(STEPS_KEPT):
        ledger.wait(claimed(ledger, job_id, f"{number}-a:1.1"), Snooze(5.0, "turn"))
        end_wait(store, job_id)

    told = steps(store, job_id)
    assert (len(told), told[-1].process, told[-1].what) == (STEPS_KEPT, f"{STEPS_KEPT - 1}-a", "waits")
    assert store.client(1).memory_usage(redis_keys.TRACE + job_id) < 2000


def test_every_step_has_words_for_people(store: RedisServer) -> None:
    told = [Step.read(f"1.000 1-ab {what} turn 5.0").words for what in STEPS]

    assert all(told)
    assert "waits for 5.0 s at most: the shared rate has no place for it yet" in told
