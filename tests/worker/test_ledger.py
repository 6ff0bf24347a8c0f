"""The ledger's scripts on a real Redis. Jobs get in through the producer's own acceptance."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from producer.contract import redis_keys
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.job import INTERACTIVE, QUEUES, RECOVERY, Request
from producer.contract.outcome import Outcome, Status
from producer.errors import BrokerUnavailable
from producer.runtime.redis_store import Stores
from producer.stores import Acceptance, NewJob
from tests.servers import RedisServer, wait_until
from worker.ledger import Ledger
from worker.model import OVERDUE, End, Lease, NotClaimed, Snooze
from worker.result import outcome_of

ROUNDED = 1e-5  # what an instant may lose as a text
NOBODY_EMPTY = [-1.0] * len(QUEUES)


def accept(
    store: RedisServer, key: str = "k", *, uid: str = "gildong_0001", deadline_s: float = 900, queue: str = INTERACTIVE
) -> str:
    request = Request(operation=Operation.ISSUE, customer_uid=uid)
    asked = NewJob(job_id_of(key), key, request, queue, deadline_s, "kid-1", None)
    (accepted,) = Acceptance(store.url(1), store.url(2)).accept([asked])
    if isinstance(accepted, Exception):
        raise accepted
    return asked.job_id


@pytest.fixture
def ledger(store: RedisServer) -> Ledger:
    return Ledger(Stores(store.url(1)), Stores(store.url(2)), call_deadline_s=70)


def now(store: RedisServer) -> float:
    seconds, microseconds = store.client(1).time()
    return float(seconds + microseconds / 1e6)


def claimed(ledger: Ledger, job_id: str, delivery: str = "d1") -> Lease:
    claim = ledger.claim(job_id, delivery)
    assert isinstance(claim, Lease)
    return claim


def due(
    ledger: Ledger, most: int = 10, most_migration: int = 100, empty_s: Sequence[float] = NOBODY_EMPTY
) -> list[tuple[str, str]]:
    return ledger.due(most, most_migration, guard_s=60, overtaken_s=30, empty_s=empty_s)


def end_lease(store: RedisServer, job_id: str) -> None:
    store.client(1).hset(redis_keys.JOB + job_id, "leased_until", 1)


def ended(lease: Lease, status: Status = Status.ISSUED) -> Outcome:
    return outcome_of(lease, End(status), lease.claimed_at + 1)


def test_a_claim_tells_what_was_accepted(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)

    claim = ledger.claim(job_id, "d1")

    assert isinstance(claim, Lease)
    names = (claim.job_id, claim.operation, claim.customer_uid, claim.merchant_uid)
    assert names == (job_id, "issue", "gildong_0001", None)
    assert (claim.sequence, claim.attempts, claim.claims, claim.sent_at, claim.reason) == (1, 0, 1, None, "")
    assert claim.expires_at - claim.accepted_at == pytest.approx(900, abs=0.001)


def test_an_unknown_job_is_unknown(ledger: Ledger) -> None:
    assert ledger.claim(job_id_of("never"), "d1") == NotClaimed("unknown")


def test_a_job_in_one_hand_is_not_given_to_another(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    claimed(ledger, job_id, "d1")

    claim = ledger.claim(job_id, "d2")

    assert claim == NotClaimed("waiting")


def test_a_repeated_claim_of_the_same_delivery_is_the_same_claim(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)

    claimed(ledger, job_id, "d1")
    again = claimed(ledger, job_id, "d1")

    assert again.claims == 1


def test_a_lease_that_ran_out_is_claimed_anew_and_counted(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    claimed(ledger, job_id, "d1")
    end_lease(store, job_id)

    again = claimed(ledger, job_id, "d2")

    assert again.claims == 2


def test_only_who_has_it_may_send_it(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id, "d1")

    assert ledger.mark_sent(lease._replace(delivery="d2")) is None
    assert ledger.mark_sent(lease) == 1
    assert ledger.mark_sent(lease) == 2


def test_a_lease_that_ran_out_may_not_be_sent(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id)
    end_lease(store, job_id)

    assert ledger.mark_sent(lease) is None


def test_the_lease_of_a_sent_job_outlives_its_call(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id)

    ledger.mark_sent(lease)

    until = float(store.client(1).hget(redis_keys.JOB + job_id, "leased_until") or 0)
    assert lease.claimed_at + 80 <= until + ROUNDED <= now(store) + 80 + 2 * ROUNDED
    assert store.client(1).zscore(redis_keys.OPEN, job_id) == pytest.approx(until, abs=0.001)


def test_a_crash_after_the_mark_is_seen_by_the_next_claim(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    ledger.mark_sent(claimed(ledger, job_id))
    end_lease(store, job_id)

    again = claimed(ledger, job_id, "d2")

    assert again.sent_at is not None
    assert again.attempts == 1


def test_a_job_given_back_is_not_taken_before_its_time(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id)
    ledger.mark_sent(lease)

    assert ledger.wait(lease, Snooze(20, "unsent"))

    assert ledger.claim(job_id, "d2") == NotClaimed("waiting")
    store.client(1).hset(redis_keys.JOB + job_id, "next_at", 1)
    again = claimed(ledger, job_id, "d2")
    assert (again.sent_at, again.claims, again.attempts, again.reason) == (None, 1, 1, "unsent")


def test_a_wait_ends_at_the_deadline(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store, deadline_s=10)
    lease = claimed(ledger, job_id)

    ledger.wait(lease, Snooze(1000, "unsent"))

    assert store.client(1).zscore(redis_keys.OPEN, job_id) == pytest.approx(lease.expires_at, abs=0.001)


def test_only_who_has_it_may_give_it_back(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store))

    assert not ledger.wait(lease._replace(delivery="d2"), Snooze(1, "unsent"))


def test_an_outcome_is_written_once_to_record_stream_and_celerys_result(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    store.client(2).set(redis_keys.SEALED + job_id, "signed")
    lease = claimed(ledger, job_id)

    first = ledger.finish(lease, ended(lease))
    second = ledger.finish(lease, ended(lease, Status.DECLINED))

    db = store.client(1)
    assert first is not None
    assert second == first
    assert Outcome.from_json(db.hget(redis_keys.JOB + job_id, "outcome") or b"") == first
    stream: Any = db.xrange(redis_keys.OUTCOMES)
    ((_, entry),) = stream
    assert Outcome.from_json(entry[b"outcome"]) == first
    result = json.loads(db.get(redis_keys.RESULT + job_id) or b"")
    assert (result["status"], result["task_id"]) == ("SUCCESS", job_id)
    assert Outcome.model_validate(result["result"]) == first


def test_a_job_runs_to_its_outcome_in_a_ledger_at_its_limit(store: RedisServer, ledger: Ledger) -> None:
    job_id, waiting = accept(store), accept(store, "k2", uid="another")
    store.client().config_set("maxmemory", "1")
    try:
        lease = claimed(ledger, job_id)
        assert ledger.mark_sent(lease) == 1
        assert ledger.finish(lease, ended(lease)) is not None
        assert ledger.wait(claimed(ledger, waiting), Snooze(1.0, "turn"))
        assert ledger.hold_sweeper("me", 10)
        assert ledger.refuse_jobs_while_full() == ("ledger", True)
    finally:
        store.client().config_set("maxmemory", "1gb")
    assert store.client(1).get(redis_keys.FULL) == b"ledger"
    assert ledger.refuse_jobs_while_full() == ("", True)


def test_no_job_is_accepted_while_a_store_is_nearly_full_and_known_ones_are_answered(
    store: RedisServer, ledger: Ledger
) -> None:
    accept(store, "known")
    store.client(1).set(redis_keys.FULL, "vault")

    assert accept(store, "known")
    with pytest.raises(BrokerUnavailable, match=r"^LEDGER_URL: vault at 127\.0\.0\.1:.* nearly full") as caught:
        accept(store, "new")

    assert caught.value.accepted is False
    assert ledger.refuse_jobs_while_full() == ("", True)
    assert accept(store, "new")


def test_a_finished_job_leaves_nothing_open_and_is_forgotten_after_7_days(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    store.client(2).set(redis_keys.SEALED + job_id, "signed")
    lease = claimed(ledger, job_id)

    ledger.finish(lease, ended(lease))
    Stores(store.url(2))  # the deletion is not waited for
    wait_until(lambda: not store.client(2).exists(redis_keys.SEALED + job_id), what="the deletion")

    db = store.client(1)
    assert db.zcard(redis_keys.OPEN) == 0
    assert db.zcard(redis_keys.FRESH + INTERACTIVE) == 0
    assert db.exists(redis_keys.CUSTOMER + "gildong_0001:open") == 0
    for key in (redis_keys.JOB + job_id, redis_keys.CUSTOMER + "gildong_0001", redis_keys.RESULT + job_id):
        assert 7 * 86400 - 60 < db.ttl(key) <= 7 * 86400
    assert store.client(2).exists(redis_keys.SEALED + job_id) == 0


def test_open_jobs_never_expire(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    claimed(ledger, job_id)

    assert store.client(1).ttl(redis_keys.JOB + job_id) == -1


def test_a_finished_job_is_answered_and_not_claimed(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id)
    ledger.finish(lease, ended(lease))

    claim = ledger.claim(job_id, "d2")

    assert isinstance(claim, NotClaimed)
    assert claim.reason == "finished"
    assert Outcome.from_json(claim.outcome or b"").status is Status.ISSUED


def test_what_imp_did_counts_from_whoever_brings_it_and_a_guess_does_not(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    late = claimed(ledger, job_id, "d1")
    end_lease(store, job_id)
    claimed(ledger, job_id, "d2")

    assert ledger.finish(late, ended(late, Status.EXPIRED)) is None
    assert ledger.finish(late, ended(late, Status.ISSUED)) is not None


def test_due_gives_each_id_once_and_again_after_the_guard(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id)
    ledger.wait(lease, Snooze(0, "unsent"))

    first = due(ledger)
    second = due(ledger)

    assert (first, second) == ([(job_id, INTERACTIVE)], [])


def test_an_overdue_job_that_nobody_claimed_is_due(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    store.client(1).zadd(redis_keys.OPEN, {job_id: 1})

    assert due(ledger) == [(job_id, INTERACTIVE)]


def test_a_backlog_that_merely_waits_is_left_alone(store: RedisServer, ledger: Ledger) -> None:
    for number in range(5):
        accept(store, f"k{number}", uid=f"uid{number}")
    claimed(ledger, job_id_of("k0"))

    assert due(ledger) == []


def test_a_job_that_others_overtook_by_far_is_due(store: RedisServer, ledger: Ledger) -> None:
    lost, later = accept(store, "lost"), accept(store, "later", uid="another")
    store.client(1).zincrby(redis_keys.FRESH + INTERACTIVE, -100, lost)
    claimed(ledger, later)

    assert due(ledger) == [(lost, INTERACTIVE)]


def test_a_job_whose_queue_has_been_empty_for_long_is_due(store: RedisServer, ledger: Ledger) -> None:
    lost = accept(store, "lost")
    store.client(1).zincrby(redis_keys.FRESH + INTERACTIVE, -100, lost)
    interactive_empty = [31.0 if queue == INTERACTIVE else -1.0 for queue in QUEUES]

    assert due(ledger, empty_s=interactive_empty) == [(lost, INTERACTIVE)]


def test_due_takes_no_more_than_there_is_room_for(store: RedisServer, ledger: Ledger) -> None:
    for number in range(7):
        ledger.wait(claimed(ledger, accept(store, f"k{number}", uid=f"uid{number}")), Snooze(0, "unsent"))

    assert len(due(ledger, 5)) == 5


def test_one_sweeper_is_at_work(ledger: Ledger) -> None:
    assert ledger.hold_sweeper("one", 10)
    assert ledger.hold_sweeper("one", 10)
    assert not ledger.hold_sweeper("other", 10)


def test_the_recovery_queue_comes_first() -> None:
    assert QUEUES[0] == RECOVERY


def test_a_newer_card_goes_first_and_the_older_one_waits_for_it(store: RedisServer, ledger: Ledger) -> None:
    older, newer = accept(store, "older"), accept(store, "newer")

    assert ledger.claim(older, "d1") == NotClaimed("waiting")
    lease = claimed(ledger, newer, "d2")
    assert store.client(1).hget(redis_keys.JOB + older, "reason") == b"order"

    ledger.finish(lease, ended(lease))

    assert due(ledger) == [(older, INTERACTIVE)]
    assert claimed(ledger, older, "d3").newer_applied


def test_the_older_card_runs_when_the_newer_one_is_declined(store: RedisServer, ledger: Ledger) -> None:
    older, newer = accept(store, "older"), accept(store, "newer")
    ledger.claim(older, "d1")
    lease = claimed(ledger, newer, "d2")

    ledger.finish(lease, ended(lease, Status.DECLINED))

    assert not claimed(ledger, older, "d3").newer_applied


def test_a_newer_card_waits_out_an_older_one_that_is_in_flight(store: RedisServer, ledger: Ledger) -> None:
    older = accept(store, "older")
    lease = claimed(ledger, older, "d1")
    newer = accept(store, "newer")

    assert ledger.claim(newer, "d2") == NotClaimed("waiting")
    ledger.finish(lease, ended(lease))

    assert not claimed(ledger, newer, "d3").newer_applied


def test_a_newer_card_waits_120_s_after_an_older_one_that_stayed_unanswered(store: RedisServer, ledger: Ledger) -> None:
    older = accept(store, "older")
    lease = claimed(ledger, older, "d1")
    ledger.mark_sent(lease)
    ledger.wait(lease, Snooze(1, "look_up", "doubt"))
    newer = accept(store, "newer")

    assert ledger.claim(newer, "d2") == NotClaimed("waiting")
    db = store.client(1)
    doubt_until = float(db.hget(redis_keys.JOB + older, "doubt_until") or 0)
    assert lease.claimed_at + 120 <= doubt_until + ROUNDED <= now(store) + 120 + 2 * ROUNDED
    assert db.zscore(redis_keys.OPEN, newer) == pytest.approx(doubt_until, abs=0.001)

    db.hset(redis_keys.JOB + older, "doubt_until", 1)
    db.hset(redis_keys.JOB + newer, "next_at", 1)
    assert isinstance(ledger.claim(newer, "d3"), Lease)


def test_a_look_up_needs_no_order(store: RedisServer, ledger: Ledger) -> None:
    older = accept(store, "older")
    lease = claimed(ledger, older, "d1")
    ledger.mark_sent(lease)
    ledger.wait(lease, Snooze(0, "look_up", "doubt"))
    accept(store, "newer")

    assert claimed(ledger, older, "d2").sent_at is not None


def test_a_waiting_job_ends_at_its_deadline_whatever_its_order(store: RedisServer, ledger: Ledger) -> None:
    older = accept(store, "older")
    accept(store, "newer")
    store.client(1).hset(redis_keys.JOB + older, "expires_at", 1)

    assert claimed(ledger, older, "d1").is_overdue


def test_jobs_of_other_customers_do_not_wait(store: RedisServer, ledger: Ledger) -> None:
    claimed(ledger, accept(store, "one", uid="one"), "d1")

    claimed(ledger, accept(store, "two", uid="two"), "d2")


def test_a_post_that_counts_as_not_applied_leaves_a_mark_for_good(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id)
    ledger.mark_sent(lease)
    ledger.wait(lease, Snooze(0, "send_again", "presumed"))

    again = claimed(ledger, job_id, "d2")

    assert (again.sent_at, again.is_doubtful) == (None, True)
    assert again.first_sent_at is not None
    ledger.mark_sent(again)
    ledger.wait(again, Snooze(0, "unsent", "unsent"))
    assert claimed(ledger, job_id, "d3").first_sent_at == again.first_sent_at


def test_a_lease_that_died_after_sending_is_looked_up_for_120_s(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    ledger.mark_sent(claimed(ledger, job_id))
    end_lease(store, job_id)

    again = claimed(ledger, job_id, "d2")

    assert again.doubt_until == pytest.approx(again.claimed_at + 120, abs=0.001)


def test_a_newer_job_waits_out_an_older_one_that_ended_in_doubt(store: RedisServer, ledger: Ledger) -> None:
    older = accept(store, "older")
    lease = claimed(ledger, older)
    ledger.mark_sent(lease)
    ledger.wait(lease, Snooze(0, "look_up", "doubt"))
    again = claimed(ledger, older, "d2")
    ledger.finish(again, ended(again, Status.IN_DOUBT))
    newer = accept(store, "newer")

    assert ledger.claim(newer, "d3") == NotClaimed("waiting")
    db = store.client(1)
    assert db.zscore(redis_keys.OPEN, newer) == pytest.approx(again.doubt_until, abs=0.001)
    db.hset(redis_keys.CUSTOMER + "gildong_0001", "doubt_until", 1)
    db.hdel(redis_keys.JOB + newer, "next_at")
    claimed(ledger, newer, "d4")


def test_an_older_card_does_not_go_over_a_newer_one_that_may_be_there(store: RedisServer, ledger: Ledger) -> None:
    older, newer = accept(store, "older"), accept(store, "newer")
    lease = claimed(ledger, newer)
    ledger.mark_sent(lease)
    ledger.finish(lease, ended(lease, Status.IN_DOUBT))
    store.client(1).hdel(redis_keys.JOB + older, "next_at")

    assert claimed(ledger, older, "d2").newer_applied


def test_a_job_is_not_sent_after_its_deadline(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store))
    store.client(1).hset(redis_keys.JOB + lease.job_id, "expires_at", 1)

    assert ledger.mark_sent(lease) == OVERDUE
    assert store.client(1).hget(redis_keys.JOB + lease.job_id, "attempts") == b"0"


def test_a_look_up_holds_its_job_beyond_its_end(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store))

    assert ledger.hold(lease)

    until = float(store.client(1).hget(redis_keys.JOB + lease.job_id, "leased_until") or 0)
    assert lease.claimed_at + 80 <= until + ROUNDED <= now(store) + 80 + 2 * ROUNDED
    assert not ledger.hold(lease._replace(delivery="another"))


def test_an_overdue_look_up_waits_as_it_asks(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store))
    store.client(1).hset(redis_keys.JOB + lease.job_id, "expires_at", 1)

    ledger.wait(lease, Snooze(20, "look_up", "doubt"))

    assert float(store.client(1).zscore(redis_keys.OPEN, lease.job_id) or 0) - lease.claimed_at > 19


def test_a_job_that_was_only_woken_at_its_deadline_does_not_make_others_look_lost(
    store: RedisServer, ledger: Ledger
) -> None:
    older, ended_early = accept(store, "older"), accept(store, "early", uid="another")
    db = store.client(1)
    db.zincrby(redis_keys.FRESH + INTERACTIVE, -100, older)
    db.hset(redis_keys.JOB + ended_early, "expires_at", 1)
    claimed(ledger, ended_early)

    assert due(ledger) == []


def test_customers_do_not_wait_behind_a_migration_that_comes_back(store: RedisServer, ledger: Ledger) -> None:
    moved = [accept(store, f"m{i}", uid=f"m{i}", queue="migration") for i in range(6)]
    customer = accept(store, "customer", uid="customer")
    for job_id in (*moved, customer):
        ledger.wait(claimed(ledger, job_id), Snooze(0, "unsent"))

    first = due(ledger, 10, 2)

    assert first == [(moved[0], "migration"), (moved[1], "migration"), (customer, INTERACTIVE)]
    assert due(ledger, 10, 2) == []  # the others in a moment
