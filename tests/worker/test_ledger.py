"""The ledger's scripts on a real Redis: a job's life. Jobs get in through the producer's own acceptance."""

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from producer.contract import redis_keys
from producer.contract.identifiers import job_id_of
from producer.contract.job import INTERACTIVE, QUEUES, RECOVERY
from producer.contract.outcome import Outcome, Status
from producer.errors import BrokerUnavailable
from producer.runtime.redis_store import Stores
from producer.runtime.span import Span, at_hand
from tests.ports import dead_port
from tests.servers import RedisServer, wait_until
from tests.worker.jobs import (
    IMP_NOW,
    accept,
    change,
    claimed,
    end_lease,
    end_wait,
    ended,
    field,
    now,
    open_jobs,
    sent,
    waits,
)
from worker.errors import MarkNotKept
from worker.iamport.codes import Verdict
from worker.iamport.verdict import Judged
from worker.ledger import Ledger
from worker.model import OVERDUE, Lease, Mark, NotClaimed, RatePermit, Snooze

ROUNDED = 1e-5  # what an instant may lose as a text


def test_a_claim_tells_what_was_accepted(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)

    claim = ledger.claim(job_id, "d1")

    assert isinstance(claim, Lease)
    names = (claim.job_id, claim.operation, claim.customer_uid, claim.merchant_uid)
    assert names == (job_id, "issue", "gildong_0001", None)
    assert (claim.sequence, claim.attempts, claim.claims, claim.sent_at, claim.reason) == (1, 0, 1, None, "")
    assert claim.expires_at - claim.accepted_at == pytest.approx(900, abs=0.001)


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class HeardSpan(Span):
    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []

    def begin(self, traceparent: str, operation: str) -> None:
        self.begun.append((traceparent, operation))


@pytest.fixture
def span() -> Iterator[HeardSpan]:
    before = at_hand.set(HeardSpan())
    yield cast("HeardSpan", at_hand.get())
    at_hand.reset(before)


def test_each_delivery_that_gets_a_job_or_lets_it_wait_for_its_order_goes_on_in_its_trace(
    store: RedisServer, ledger: Ledger, span: HeardSpan
) -> None:
    older, newer = (accept(store, key, traceparent=TRACEPARENT) for key in ("older", "newer"))

    assert waits(ledger.claim(older, "d1"))
    claimed(ledger, newer, "d2")
    assert waits(ledger.claim(newer, "d3"))

    assert span.begun == [(TRACEPARENT, "issue")] * 2
    assert store.client(1).hget(redis_keys.JOB + newer, "traceparent") == TRACEPARENT.encode()


def test_a_job_that_nobody_traced_has_no_trace_to_go_on_in(store: RedisServer, ledger: Ledger, span: HeardSpan) -> None:
    job_id = accept(store)

    claimed(ledger, job_id)

    assert span.begun == [("", "issue")]
    assert not store.client(1).hexists(redis_keys.JOB + job_id, "traceparent")


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        TRACEPARENT.upper(),
        TRACEPARENT[:-1],
        TRACEPARENT + "0",
        "01" + TRACEPARENT[2:],
        "4242424242424242",
        1,
        None,
        [],
    ],
)
def test_a_request_with_a_trace_of_another_form_is_none_of_ours(
    store: RedisServer, ledger: Ledger, traceparent: object
) -> None:
    job_id = accept(store, traceparent=TRACEPARENT)
    db, key = store.client(1), redis_keys.REQUEST + job_id
    db.set(key, json.dumps({**json.loads(db.get(key)), "traceparent": traceparent}))

    assert ledger.claim(job_id, "d1") == NotClaimed("unknown")


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

    assert ledger.mark_sent(lease._replace(delivery="d2"), IMP_NOW) is None
    assert ledger.mark_sent(lease, IMP_NOW) == 1
    assert ledger.mark_sent(lease, IMP_NOW) == 2


def test_a_lease_that_ran_out_may_not_be_sent(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id)
    end_lease(store, job_id)

    assert ledger.mark_sent(lease, IMP_NOW) is None


def test_the_lease_of_a_sent_job_outlives_its_call(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id)

    ledger.mark_sent(lease, IMP_NOW)

    until = field(store, job_id, "leased_until")
    assert lease.claimed_at + 80 <= until + ROUNDED <= now(store) + 80 + 2 * ROUNDED
    assert store.client(1).zscore(redis_keys.OPEN, job_id) == pytest.approx(until, abs=0.001)


def test_a_crash_after_the_mark_is_seen_by_the_next_claim(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    sent(ledger, job_id)
    end_lease(store, job_id)

    again = claimed(ledger, job_id, "d2")

    assert again.sent_at is not None
    assert again.attempts == 1


def test_a_job_given_back_is_not_taken_before_its_time(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    lease = claimed(ledger, job_id)
    ledger.mark_sent(lease, IMP_NOW)

    assert ledger.wait(lease, Snooze(20, "unsent"))

    assert ledger.claim(job_id, "d2") == NotClaimed("waiting")
    end_wait(store, job_id)
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
    assert Outcome.from_json(db.get(redis_keys.OUTCOME + job_id) or b"") == first
    stream: Any = db.xrange(redis_keys.OUTCOMES)
    ((_, entry),) = stream
    assert Outcome.from_json(entry[b"outcome"]) == first
    result = json.loads(db.get(redis_keys.RESULT + job_id) or b"")
    assert (result["status"], result["task_id"]) == ("SUCCESS", job_id)
    assert Outcome.model_validate(result["result"]) == first


def test_a_job_runs_to_its_outcome_in_stores_at_their_limit(store: RedisServer, ledger: Ledger) -> None:
    job_id, waiting = accept(store), accept(store, "k2", uid="another")
    store.client().config_set("maxmemory", "1")
    try:
        lease = claimed(ledger, job_id)
        assert ledger.mark_sent(lease, IMP_NOW) == 1
        assert ledger.finish(lease, ended(lease)) is not None
        assert ledger.wait(claimed(ledger, waiting), Snooze(1.0, "turn"))
        assert open_jobs(store).show_life("me", 1).is_sweeper
        assert open_jobs(store).refuse_jobs_while_full() == ("ledger", True)
    finally:
        store.client().config_set("maxmemory", "1gb")
    assert store.client(1).get(redis_keys.FULL) == b"ledger"
    assert open_jobs(store).refuse_jobs_while_full() == ("", True)


def test_no_job_is_accepted_while_a_store_is_nearly_full_and_known_ones_are_answered(
    store: RedisServer, ledger: Ledger
) -> None:
    accept(store, "known")
    store.client(1).set(redis_keys.FULL, "vault")

    assert accept(store, "known")
    with pytest.raises(BrokerUnavailable, match=r"^LEDGER_URL: vault at 127\.0\.0\.1:.* nearly full") as caught:
        accept(store, "new")

    assert caught.value.accepted is False
    assert open_jobs(store).refuse_jobs_while_full() == ("", True)
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
    assert db.exists(redis_keys.CUSTOMER_OPEN + "gildong_0001") == 0
    for key in (redis_keys.JOB + job_id, redis_keys.RESULT + job_id):
        assert 7 * 86400 - 60 < db.ttl(key) <= 7 * 86400
    for key in (redis_keys.CUSTOMER + "gildong_0001", redis_keys.CUSTOMER_SEQUENCE + "gildong_0001"):
        assert 30 * 86400 - 60 < db.ttl(key) <= 30 * 86400
    assert store.client(2).exists(redis_keys.SEALED + job_id) == 0


def test_what_is_known_of_a_customer_stays_while_a_job_of_it_is_open(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store, "1"))
    ledger.finish(lease, ended(lease))
    assert store.client(1).ttl(redis_keys.CUSTOMER + "gildong_0001") > 0

    claimed(ledger, accept(store, "2"), "d2")

    assert store.client(1).ttl(redis_keys.CUSTOMER + "gildong_0001") == -1


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
    assert claim.outcome is not None
    assert claim.outcome.status is Status.ISSUED
    assert claim.name == lease.name


@pytest.mark.parametrize(
    ("status", "attempts", "posts_since", "counts"),
    [
        (Status.ISSUED, 1, 0, True),  # what i'mport did, it did
        (Status.ISSUED, 1, 1, True),
        (Status.DECLINED, 1, 0, True),
        (Status.INVALID, 1, 0, True),
        (Status.MISCONFIGURED, 1, 0, True),
        (Status.DECLINED, 1, 1, False),  # it says nothing of the other POST
        (Status.INVALID, 0, 0, False),  # a guess
        (Status.IN_DOUBT, 1, 0, False),
        (Status.EXPIRED, 1, 0, False),
        (Status.LOST, 0, 0, False),
        (Status.SUPERSEDED, 0, 0, False),
    ],
)
def test_what_imp_did_counts_from_whoever_brings_it_a_refusal_unless_it_was_sent_since_and_a_guess_only_from_its_holder(
    store: RedisServer, ledger: Ledger, status: Status, attempts: int, posts_since: int, counts: bool
) -> None:
    job_id = accept(store)
    late = claimed(ledger, job_id, "d1")
    if attempts:
        ledger.mark_sent(late, IMP_NOW)
    end_lease(store, job_id)
    holder = claimed(ledger, job_id, "d2")
    for _ in range(posts_since):
        ledger.mark_sent(holder, IMP_NOW)
    outcome = ended(late, status, attempts=attempts)

    assert ledger.finish(late, outcome) == (outcome if counts else None)
    assert ledger.finish(holder, ended(holder, Status.IN_DOUBT)) is not None


def test_the_recovery_queue_comes_first() -> None:
    assert QUEUES[0] == RECOVERY


def test_a_job_is_not_sent_after_its_deadline(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store))
    change(store, lease.job_id, expires_at=1)

    assert ledger.mark_sent(lease, IMP_NOW) == OVERDUE
    assert store.client(1).hget(redis_keys.JOB + lease.job_id, "attempts") == b"0"
    assert not store.client(2).exists(redis_keys.SENT + lease.job_id)


def test_a_mark_is_left_in_both_stores_and_the_vaults_outlives_the_deadline_by_an_hour(
    store: RedisServer, ledger: Ledger
) -> None:
    lease = sent(ledger, accept(store))
    vault, name = store.client(2), redis_keys.SENT + lease.job_id

    assert vault.get(name) == b"1 990.125 0"
    assert field(store, lease.job_id, "first_sent_at") == IMP_NOW
    assert 900 + 3600 - 60 < vault.ttl(name) <= 900 + 3600

    assert ledger.mark_sent(lease._replace(is_doubtful=True), IMP_NOW + 50) == 2
    assert vault.get(name) == b"2 990.125 1"  # as of the first one


def test_a_vault_that_does_not_take_the_mark_says_so_and_the_job_counts_as_unsent(store: RedisServer) -> None:
    silent = Ledger(Stores(store.url(1)), Stores(f"redis://127.0.0.1:{dead_port()}/0"), call_deadline_s=70)
    lease = claimed(silent, accept(store))

    with pytest.raises(MarkNotKept):
        silent.mark_sent(lease, IMP_NOW)

    silent.wait(lease, Snooze(0.0, "vault_silent"))
    again = claimed(silent, lease.job_id, "d2")
    assert (again.sent_at, again.first_sent_at, again.surely_unsent) == (None, None, True)


@pytest.mark.parametrize("is_doubtful", [False, True])
def test_a_ledger_that_forgot_posts_learns_of_them_when_they_are_looked_up(
    store: RedisServer, ledger: Ledger, is_doubtful: bool
) -> None:
    known = RatePermit("granted", mark=Mark(3, 980.5, is_doubtful))
    lease = claimed(ledger, accept(store)).with_vault(known)

    assert ledger.hold(lease)

    end_lease(store, lease.job_id)
    again = claimed(ledger, lease.job_id, "d2")
    assert (again.attempts, again.first_sent_at, again.is_doubtful) == (3, 980.5, is_doubtful)
    assert again.sent_at is not None


def test_a_post_is_counted_from_the_store_that_knows_of_more(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store))._replace(attempts=3)

    assert ledger.mark_sent(lease, IMP_NOW) == 4


def test_a_post_that_counts_as_not_applied_leaves_a_mark_for_good(store: RedisServer, ledger: Ledger) -> None:
    lease = sent(ledger, accept(store))
    ledger.wait(lease, Snooze(0, "send_again", "presumed"))

    again = claimed(ledger, lease.job_id, "d2")

    assert (again.sent_at, again.is_doubtful, again.first_sent_at) == (None, True, IMP_NOW)
    ledger.mark_sent(again, IMP_NOW + 50)
    ledger.wait(again, Snooze(0, "unsent", "unsent"))
    assert claimed(ledger, lease.job_id, "d3").first_sent_at == IMP_NOW


def test_a_post_that_surely_came_to_nothing_leaves_no_instant(store: RedisServer, ledger: Ledger) -> None:
    lease = sent(ledger, accept(store))
    ledger.wait(lease, Snooze(0, "throttled"))

    again = claimed(ledger, lease.job_id, "d2")

    assert (again.sent_at, again.first_sent_at, again.surely_unsent) == (None, None, True)


def test_look_ups_that_found_nothing_are_counted_until_the_next_post(store: RedisServer, ledger: Ledger) -> None:
    lease = sent(ledger, accept(store))
    counts = []
    for found_nothing in (True, False, True):
        ledger.wait(lease, Snooze(0, "look_up", "doubt", found_nothing))
        lease = claimed(ledger, lease.job_id)
        counts.append(lease.look_ups)

    assert counts == [1, 1, 2]
    ledger.mark_sent(lease, IMP_NOW)
    end_lease(store, lease.job_id)
    assert claimed(ledger, lease.job_id, "d2").look_ups == 0


def test_what_was_answered_to_the_last_post_is_kept_for_its_look_ups(store: RedisServer, ledger: Ledger) -> None:
    answer = Judged(Verdict.DECLINED, -1, "[F113] 거래거절", "F113")
    lease = sent(ledger, accept(store))

    ledger.wait(lease, Snooze(0, "look_up", "doubt", answer=answer))
    lease = claimed(ledger, lease.job_id, "d2")
    ledger.wait(lease, Snooze(0, "look_up", "doubt", found_nothing=True))
    lease = claimed(ledger, lease.job_id, "d3")

    assert lease.answer == answer
    ledger.mark_sent(lease, IMP_NOW)
    end_lease(store, lease.job_id)
    assert claimed(ledger, lease.job_id, "d4").answer is None


def test_answers_that_asked_for_another_try_soon_are_counted_over_all_posts(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store))
    for reason in ("gateway_trouble", "throttled", "edge_page", "turn"):
        ledger.wait(lease, Snooze(0, reason))
        lease = claimed(ledger, lease.job_id)

    assert lease.transients == 2


def test_a_look_up_holds_its_job_beyond_its_end(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store))

    assert ledger.hold(lease)

    until = field(store, lease.job_id, "leased_until")
    assert lease.claimed_at + 80 <= until + ROUNDED <= now(store) + 80 + 2 * ROUNDED
    assert not ledger.hold(lease._replace(delivery="another"))


def test_an_overdue_look_up_waits_as_it_asks(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store))
    store.client(1).hset(redis_keys.JOB + lease.job_id, "expires_at", 1)

    ledger.wait(lease, Snooze(20, "look_up", "doubt"))

    assert float(store.client(1).zscore(redis_keys.OPEN, lease.job_id) or 0) - lease.claimed_at > 19


def test_a_look_up_that_found_nothing_counts_only_once_the_call_is_surely_over(
    store: RedisServer, ledger: Ledger
) -> None:
    nothing_yet = Snooze(0, "look_up", "doubt", found_nothing=True)
    lease = sent(ledger, accept(store), "gone:1")
    end_lease(store, lease.job_id)

    ledger.wait(claimed(ledger, lease.job_id, "two:1"), nothing_yet)
    assert field(store, lease.job_id, "look_ups") == 0  # its own process may be waiting for an answer

    change(store, lease.job_id, sender=f"gone:1 {now(store) - 1}")
    ledger.wait(claimed(ledger, lease.job_id, "two:2"), nothing_yet)
    assert field(store, lease.job_id, "look_ups") == 1


def test_a_look_up_counts_at_once_after_the_process_that_sent_has_heard_no_answer(
    store: RedisServer, ledger: Ledger
) -> None:
    lease = sent(ledger, accept(store), "one:1")
    ledger.wait(lease, Snooze(0, "look_up", "doubt"))

    ledger.wait(claimed(ledger, lease.job_id, "two:1"), Snooze(0, "look_up", "doubt", found_nothing=True))

    assert field(store, lease.job_id, "look_ups") == 1
