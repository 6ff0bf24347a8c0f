"""Which ids want a message, who lives and who sweeps."""

import pytest

from producer.contract import redis_keys
from producer.contract.job import INTERACTIVE, MIGRATION, QUEUES, RECOVERY
from tests.servers import RedisServer
from tests.worker.jobs import accept, change, claimed, due, ended, field, now, open_jobs, sent
from worker.ledger import Ledger
from worker.liveness import GIVEN_UP_S
from worker.model import NotClaimed, Snooze
from worker.open_jobs import EMPTY_S, SETTLE_S, SWEEPER_LIFE_S, Due, Roll

NOBODY = -1.0


def empty(*queues: str, seconds: float = EMPTY_S + 0.1) -> list[float]:
    return [seconds if queue in queues else NOBODY for queue in QUEUES]


def recovered(*job_ids: str, accepted_for: str = INTERACTIVE) -> list[Due]:
    return [Due(job_id, accepted_for, RECOVERY) for job_id in job_ids]


def to_the_front(*job_ids: str) -> list[Due]:
    return [Due(job_id, MIGRATION, MIGRATION) for job_id in job_ids]


def backlog(store: RedisServer, count: int, queue: str = INTERACTIVE) -> list[str]:
    """Jobs of as many customers, in one queue."""
    return [accept(store, f"{queue}{number}", uid=f"{queue}{number}", queue=queue) for number in range(count)]


def settle(store: RedisServer, queue: str = INTERACTIVE) -> None:
    """Let the time pass that a claim may take."""
    store.client(1).hincrbyfloat(redis_keys.OVERTAKEN, queue + ":since", -SETTLE_S)


def age(store: RedisServer, *job_ids: str, queue: str = INTERACTIVE, by: float = 60.0) -> None:
    """Let messages have been published so long ago."""
    for job_id in job_ids:
        store.client(1).zincrby(redis_keys.FRESH + queue, -by, job_id)


def silent(store: RedisServer, process: str, *, heard_for: float = 100.0) -> None:
    """A process whose last sign of life is too old, in a ledger that has heard signs for so long."""
    old = now(store) - 100
    store.client(1).hset(redis_keys.ALIVE, process, f"{old:.6f} 4")
    store.client(1).hset(redis_keys.LISTENED, mapping={"from": now(store) - heard_for, "at": now(store)})


def test_what_is_due_is_given_once(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    ledger.wait(claimed(ledger, job_id), Snooze(0, "unsent"))

    assert [due(store), due(store)] == [recovered(job_id), []]


def test_a_job_past_its_deadline_that_nobody_claimed_is_due(store: RedisServer) -> None:
    job_id = accept(store)
    store.client(1).zadd(redis_keys.OPEN, {job_id: 1})

    assert due(store) == recovered(job_id)


def test_a_backlog_that_merely_waits_is_left_alone(store: RedisServer, ledger: Ledger) -> None:
    for job_id in backlog(store, 5)[:2]:
        claimed(ledger, job_id)

    assert due(store) == []
    settle(store)
    assert due(store) == []


@pytest.mark.parametrize(("places", "is_lost"), [(3, True), (4, False)])
def test_a_job_that_as_many_overtook_as_there_are_places_is_lost_a_little_later(
    store: RedisServer, ledger: Ledger, places: int, is_lost: bool
) -> None:
    lost, *later = backlog(store, 4)
    for job_id in later:
        claimed(ledger, job_id)

    assert due(store, places=places) == []
    settle(store)
    assert due(store, places=places) == recovered(lost) * is_lost


def test_a_claim_that_comes_after_all_leaves_nothing_to_publish(store: RedisServer, ledger: Ledger) -> None:
    late, *later = backlog(store, 4)
    for job_id in later:
        claimed(ledger, job_id)
    due(store)
    claimed(ledger, late)
    settle(store)

    assert due(store) == []


def test_a_job_whose_queue_has_been_empty_for_a_while_is_lost(store: RedisServer) -> None:
    (lost,) = backlog(store, 1)
    assert due(store, empty_s=empty(INTERACTIVE)) == []  # it came a moment ago

    age(store, lost, by=EMPTY_S)
    assert due(store, empty_s=empty(INTERACTIVE)) == recovered(lost)


def test_a_job_whose_queue_is_empty_for_a_moment_is_not_lost(store: RedisServer) -> None:
    age(store, *backlog(store, 1))

    assert due(store, empty_s=empty(INTERACTIVE, seconds=EMPTY_S - 1)) == []


def test_a_message_that_was_published_anew_and_not_claimed_is_lost_by_the_same_rules(
    store: RedisServer, ledger: Ledger
) -> None:
    lost, *later = backlog(store, 3)
    for job_id in (lost, *later):
        ledger.wait(claimed(ledger, job_id), Snooze(0, "unsent"))
    assert len(due(store)) == 3
    age(store, lost, queue=RECOVERY, by=1)
    for job_id in later:
        claimed(ledger, job_id)
    due(store)
    settle(store, RECOVERY)

    assert due(store) == recovered(lost)
    age(store, lost, queue=RECOVERY)
    assert due(store, empty_s=empty(RECOVERY)) == recovered(lost)


def test_an_id_that_the_ledger_does_not_know_or_that_is_finished_is_let_go(store: RedisServer, ledger: Ledger) -> None:
    db = store.client(1)
    lease = claimed(ledger, accept(store))
    ledger.finish(lease, ended(lease))
    for key in (redis_keys.FRESH + RECOVERY, redis_keys.FRESH + MIGRATION, redis_keys.COMEBACKS, redis_keys.FRONT):
        db.zadd(key, {"unknown": 1, lease.job_id: 1})

    db.zadd(redis_keys.OPEN, {"unknown": 1})

    assert due(store, empty_s=empty(*QUEUES)) == []
    assert db.zcard(redis_keys.OPEN) == db.zcard(redis_keys.COMEBACKS) == db.zcard(redis_keys.FRONT) == 0


def test_no_more_is_due_than_there_is_room_for(store: RedisServer, ledger: Ledger) -> None:
    for job_id in backlog(store, 7):
        ledger.wait(claimed(ledger, job_id), Snooze(0, "unsent"))

    assert [len(due(store, 5)), len(due(store, 5))] == [5, 2]


def test_a_job_that_was_woken_at_its_deadline_makes_no_other_look_lost(store: RedisServer, ledger: Ledger) -> None:
    _, early = backlog(store, 2)
    change(store, early, expires_at=1)
    store.client(1).zadd(redis_keys.OPEN, {early: 1})
    assert due(store) == recovered(early)
    claimed(ledger, early)

    due(store, places=1)
    settle(store)
    assert due(store, places=1) == []


def comebacks(store: RedisServer, ledger: Ledger, count: int) -> list[str]:
    """Jobs of a migration whose time to be tried again has come."""
    moved = backlog(store, count, MIGRATION)
    for job_id in moved:
        ledger.wait(claimed(ledger, job_id), Snooze(0, "unsent"))
    return moved


def test_a_migration_comes_back_to_the_front_of_its_queue_a_few_at_a_time(store: RedisServer, ledger: Ledger) -> None:
    moved = comebacks(store, ledger, 5)
    (customer,) = backlog(store, 1)
    ledger.wait(claimed(ledger, customer), Snooze(0, "unsent"))

    assert due(store, 10, 2) == [*recovered(customer), *to_the_front(moved[1], moved[0])]  # the last is the first
    assert due(store, 10, 2) == []
    claimed(ledger, moved[0])
    assert due(store, 10, 2) == []  # one still lies there
    claimed(ledger, moved[1])
    assert due(store, 10, 2) == to_the_front(moved[3], moved[2])


def test_many_migrations_that_are_due_keep_no_customer_waiting(store: RedisServer, ledger: Ledger) -> None:
    comebacks(store, ledger, 20)
    (customer,) = backlog(store, 1)
    ledger.wait(claimed(ledger, customer), Snooze(0, "unsent"))

    assert due(store, 1, 0) == recovered(customer)


def test_what_is_due_waits_for_room_and_migrations_need_none_of_it(store: RedisServer, ledger: Ledger) -> None:
    (moved,) = comebacks(store, ledger, 1)
    (customer,) = backlog(store, 1)
    ledger.wait(claimed(ledger, customer), Snooze(0, "unsent"))

    assert due(store, 0, 5) == to_the_front(moved)
    assert due(store, 1, 5) == recovered(customer)


def test_where_there_is_no_front_a_migration_comes_back_to_recovery(store: RedisServer, ledger: Ledger) -> None:
    moved = comebacks(store, ledger, 3)

    first = due(store, 10, 2, has_front=False)

    assert first == recovered(*moved[:2], accepted_for=MIGRATION)
    assert due(store, 10, 2, has_front=False) == recovered(moved[2], accepted_for=MIGRATION)


def test_a_migration_in_doubt_or_past_its_deadline_does_not_wait(store: RedisServer, ledger: Ledger) -> None:
    doubtful, over = backlog(store, 2, MIGRATION)
    ledger.wait(sent(ledger, doubtful), Snooze(0, "look_up", "doubt"))
    change(store, over, expires_at=1)
    store.client(1).zadd(redis_keys.OPEN, {over: 1})

    assert due(store, 10, 0) == recovered(over, doubtful, accepted_for=MIGRATION)


def test_what_lay_at_the_front_and_was_lost_comes_back_once_many_others_were_claimed(
    store: RedisServer, ledger: Ledger
) -> None:
    lost, *later = backlog(store, 4, MIGRATION)
    ledger.wait(claimed(ledger, lost), Snooze(0, "unsent"))
    assert due(store) == to_the_front(lost)
    for job_id in later:
        claimed(ledger, job_id)
    due(store)
    settle(store, MIGRATION)

    assert due(store) == to_the_front(lost)


def test_of_a_migration_whose_queue_was_lost_the_retries_come_first_and_customers_do_not_wait(
    store: RedisServer, ledger: Ledger
) -> None:
    retry, *lost = backlog(store, 6, MIGRATION)
    age(store, *lost, queue=MIGRATION)
    ledger.wait(claimed(ledger, retry), Snooze(0, "gateway_trouble"))
    (customer,) = backlog(store, 1)
    age(store, customer)

    first = due(store, 10, 3, empty_s=empty(*QUEUES))

    assert first == [*recovered(customer), *to_the_front(lost[1], lost[0], retry)]
    for job_id in (retry, *lost[:2]):
        claimed(ledger, job_id)
    assert due(store, 10, 3) == to_the_front(lost[4], lost[3], lost[2])  # although the queue is not empty any more


def test_one_process_sweeps_until_it_shows_no_life(store: RedisServer) -> None:
    jobs = open_jobs(store)

    assert [jobs.show_life(process, 3).is_sweeper for process in ("one", "one", "other")] == [True, True, False]
    assert store.client(1).ttl(redis_keys.SWEEPER) <= SWEEPER_LIFE_S


def test_the_places_of_all_living_processes_are_counted(store: RedisServer) -> None:
    jobs = open_jobs(store)
    for process, places in (("one", 3), ("two", 4), ("three", 5)):
        roll = jobs.show_life(process, places)
    assert roll == Roll(is_sweeper=False, places=12, given_up=0)
    jobs.leave("two")
    silent(store, "three")

    assert jobs.show_life("one", 3) == Roll(is_sweeper=True, places=3, given_up=1)


@pytest.mark.parametrize("is_sent", [False, True])
def test_what_a_silent_process_held_is_due_at_once(store: RedisServer, ledger: Ledger, is_sent: bool) -> None:
    held, elsewhere = backlog(store, 2)
    (sent if is_sent else claimed)(ledger, held, "gone:1")
    claimed(ledger, elsewhere, "one:1")
    silent(store, "gone")
    jobs = open_jobs(store)

    assert jobs.show_life("one", 1).given_up == 1
    assert due(store) == recovered(held)
    assert ledger.claim(elsewhere, "one:2") == NotClaimed("waiting")
    again = claimed(ledger, held, "one:3")
    assert (again.claims, again.is_look_up) == (2, is_sent)


def test_what_a_process_claimed_that_never_showed_life_is_freed_with_the_next_dead_one(
    store: RedisServer, ledger: Ledger
) -> None:
    held = accept(store)
    claimed(ledger, held, "unseen:1")
    silent(store, "gone")

    open_jobs(store).show_life("one", 1)

    assert due(store) == recovered(held)


def test_a_process_that_was_given_up_and_comes_back_may_not_send(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store), "stopped:1")
    silent(store, "stopped")
    open_jobs(store).show_life("one", 1)

    assert ledger.mark_sent(lease, 990.0) is None
    assert not ledger.hold(lease)
    assert open_jobs(store).show_life("stopped", 4).places == 5


def test_what_a_silent_process_had_popped_is_due_as_soon_as_it_was_overtaken(
    store: RedisServer, ledger: Ledger
) -> None:
    lost, later, waiting = backlog(store, 3)
    claimed(ledger, later, "one:1")
    silent(store, "gone")
    open_jobs(store).show_life("one", 50)

    assert due(store, places=50) == recovered(lost)
    assert store.client(1).zscore(redis_keys.FRESH + INTERACTIVE, waiting) is not None


@pytest.mark.parametrize("gap", ["just started", "away", "stepped ahead", "stepped back"])
def test_silence_counts_only_after_the_ledger_has_heard_signs_for_a_whole_time_out(
    store: RedisServer, ledger: Ledger, gap: str
) -> None:
    held = accept(store)
    claimed(ledger, held, "gone:1")
    silent(store, "gone", heard_for=GIVEN_UP_S - 1 if gap == "just started" else 100)
    shift = {"away": -30, "stepped ahead": -7200, "stepped back": 7200}.get(gap, 0)
    store.client(1).hincrbyfloat(redis_keys.LISTENED, "at", shift)
    if gap == "stepped back":
        store.client(1).hset(redis_keys.ALIVE, "gone", f"{now(store) + 7190:.6f} 4")

    assert open_jobs(store).show_life("one", 1).given_up == 0
    assert field(store, held, "leased_until") > now(store)

    heard_since = now(store) - GIVEN_UP_S
    store.client(1).hset(redis_keys.LISTENED, mapping={"from": heard_since, "at": now(store)})
    assert open_jobs(store).show_life("one", 1).given_up == 1


def test_a_lock_of_the_sweeper_that_lasts_longer_than_it_may_is_taken_over(store: RedisServer) -> None:
    jobs = open_jobs(store)
    assert jobs.show_life("one", 1).is_sweeper
    store.client(1).expire(redis_keys.SWEEPER, 7200)

    assert [jobs.show_life(process, 1).is_sweeper for process in ("other", "one")] == [True, False]


def test_after_a_step_back_what_was_published_ahead_of_now_is_lost_as_soon_as_anything(
    store: RedisServer, ledger: Ledger
) -> None:
    job_id, later = backlog(store, 2)
    db = store.client(1)
    age(store, job_id, by=-7200)
    db.zadd(redis_keys.PASSED + INTERACTIVE, {"another": now(store) + 7200})
    db.hset(redis_keys.OVERTAKEN, INTERACTIVE, now(store) + 7200)
    db.set(redis_keys.SWEPT, now(store) + 7200)

    assert due(store) == []
    assert float(db.zscore(redis_keys.FRESH + INTERACTIVE, job_id) or 0) <= now(store)
    assert db.exists(redis_keys.PASSED + INTERACTIVE) == 0
    age(store, job_id, later)
    assert {one.job_id for one in due(store, empty_s=empty(INTERACTIVE))} == {job_id, later}
