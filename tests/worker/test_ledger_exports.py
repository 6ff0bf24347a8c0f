"""Rows of an export in the ledger: each has the place that the export's date gives it."""

import json

import pytest

from producer.contract import redis_keys
from producer.contract.errors import Refused
from producer.contract.job import MIGRATION
from producer.contract.outcome import Status
from producer.runtime.redis_store import Stores
from tests.servers import RedisServer
from tests.worker.jobs import accept, claimed, due, end_wait, ended, now, open_jobs, sent, waits
from worker.ledger import Ledger
from worker.model import Lease, Snooze
from worker.open_jobs import OpenJobs

DAY_S = 86400
CUSTOMER = redis_keys.CUSTOMER + "gildong_0001"


def row(store: RedisServer, age_s: float = 3600, key: str = "row") -> str:
    """A row of an export that was made so long ago."""
    return accept(store, key, queue=MIGRATION, as_of=int(now(store) - age_s))


def apply(ledger: Ledger, lease: Lease) -> None:
    """The card comes into force."""
    ledger.finish(lease, ended(lease), 5)


def remember_since(store: RedisServer, age_s: float, kept_s: int = 30 * DAY_S) -> None:
    """The ledger has noted for so long when cards were applied."""
    store.client(1).hset(redis_keys.REMEMBERED, mapping={"since": f"{now(store) - age_s:.6f}", "kept": str(kept_s)})


def test_a_row_that_is_older_than_the_card_in_force_is_not_sent(store: RedisServer, ledger: Ledger) -> None:
    apply(ledger, claimed(ledger, accept(store, "page")))

    assert claimed(ledger, row(store)).newer_applied


def test_a_row_that_is_newer_than_the_card_in_force_is_sent(store: RedisServer, ledger: Ledger) -> None:
    apply(ledger, claimed(ledger, accept(store, "page")))
    store.client(1).hset(CUSTOMER, "applied_at", f"{now(store) - 7200:.6f}")

    lease = claimed(ledger, row(store))

    assert (lease.newer_applied, lease.is_unsure) == (False, False)


def test_a_page_that_waits_goes_before_a_row_that_came_later(store: RedisServer, ledger: Ledger) -> None:
    page = accept(store, "page")
    old = row(store)

    assert waits(ledger.claim(old, "d1"))
    apply(ledger, claimed(ledger, page, "d2"))

    assert [found.job_id for found in due(store)] == [old]
    assert claimed(ledger, old, "d3").newer_applied


def test_a_row_that_was_applied_leaves_older_jobs_of_the_page_newer_than_itself(
    store: RedisServer, ledger: Ledger
) -> None:
    page = accept(store, "page")
    ledger.wait(claimed(ledger, page), Snooze(20, "throttled"))
    store.client(1).zrem(redis_keys.CUSTOMER_OPEN + "gildong_0001", page)  # so that the row does not see it
    apply(ledger, claimed(ledger, row(store), "d2"))

    end_wait(store, page)

    assert not claimed(ledger, page, "d3").newer_applied


def test_a_page_waits_out_a_row_in_flight_and_goes_over_it(store: RedisServer, ledger: Ledger) -> None:
    lease = sent(ledger, row(store))
    page = accept(store, "page")

    assert waits(ledger.claim(page, "d2"))
    apply(ledger, lease)

    assert not claimed(ledger, page, "d3").newer_applied


def test_a_row_in_doubt_that_goes_once_more_does_not_overtake_a_page_in_doubt(
    store: RedisServer, ledger: Ledger
) -> None:
    page = accept(store, "page")
    ledger.wait(sent(ledger, page), Snooze(0, "look_up", "doubt"))

    assert waits(ledger.claim(row(store), "d2"))


def test_of_two_exports_the_newer_one_wins_whichever_is_sent_first(store: RedisServer, ledger: Ledger) -> None:
    older = row(store, 3600, "older")
    apply(ledger, claimed(ledger, row(store, 60, "newer"), "d1"))
    lease = claimed(ledger, older, "d2")
    assert lease.newer_applied
    ledger.finish(lease, ended(lease, Status.SUPERSEDED))

    again = row(store, 30, "newest")

    assert not claimed(ledger, again, "d3").newer_applied


def test_a_row_of_the_same_export_is_not_older_than_another(store: RedisServer, ledger: Ledger) -> None:
    as_of = int(now(store)) - 60
    apply(ledger, claimed(ledger, accept(store, "run 1", as_of=as_of)))

    assert not claimed(ledger, accept(store, "run 2", as_of=as_of), "d2").newer_applied


def test_a_late_word_about_a_row_does_not_make_a_newer_card_older(store: RedisServer, ledger: Ledger) -> None:
    late = sent(ledger, row(store))
    before = now(store)
    store.client(1).hset(CUSTOMER, "applied_at", f"{before:.6f}")

    apply(ledger, late)

    assert float(store.client(1).hget(CUSTOMER, "applied_at") or 0) == pytest.approx(before, abs=0.001)


@pytest.mark.parametrize(
    ("since_days", "kept_days", "age_days", "is_unsure"),
    [(60, 30, 29, False), (60, 30, 31, True), (60, 7, 10, True), (3, 30, 10, True), (3, 30, 2, False)],
)
def test_a_row_from_before_the_ledgers_memory_is_unsure(
    store: RedisServer, ledger: Ledger, since_days: int, kept_days: int, age_days: int, is_unsure: bool
) -> None:
    remember_since(store, since_days * DAY_S, kept_days * DAY_S)

    lease = claimed(ledger, row(store, age_days * DAY_S))

    assert (lease.newer_applied, lease.is_unsure) == (False, is_unsure)


def test_a_ledger_that_never_noted_anything_remembers_nothing(store: RedisServer, ledger: Ledger) -> None:
    assert claimed(ledger, row(store, 1)).is_unsure


def test_a_row_that_may_have_been_sent_is_not_compared_with_what_may_be_its_own(
    store: RedisServer, ledger: Ledger
) -> None:
    job_id = row(store)
    ledger.wait(sent(ledger, job_id), Snooze(0, "look_up", "doubt"))
    assert not claimed(ledger, job_id, "d2").is_unsure
    ledger.wait(claimed(ledger, job_id, "d2"), Snooze(0, "send_again", "presumed"))

    assert not claimed(ledger, job_id, "d3").is_unsure


def test_a_job_of_the_page_is_never_unsure(store: RedisServer, ledger: Ledger) -> None:
    assert not claimed(ledger, accept(store)).is_unsure


def test_a_ledger_remembers_from_the_first_sign_of_life_on(store: RedisServer) -> None:
    before = now(store)

    open_jobs(store).show_life("p", 1)
    first = store.client(1).hget(redis_keys.REMEMBERED, "since")
    open_jobs(store).show_life("p", 1)

    assert before <= float(first or 0) <= now(store)
    assert store.client(1).hget(redis_keys.REMEMBERED, "since") == first


def test_what_a_ledger_forgot_does_not_come_back_when_more_is_kept(store: RedisServer) -> None:
    remember_since(store, 60 * DAY_S, 7 * DAY_S)

    OpenJobs(Stores(store.url(1)), Stores(store.url(2)), applied_kept_s=30 * DAY_S).show_life("p", 1)

    since = float(store.client(1).hget(redis_keys.REMEMBERED, "since") or 0)
    assert now(store) - since == pytest.approx(7 * DAY_S, abs=60)


def test_an_export_from_the_future_is_not_accepted(store: RedisServer) -> None:
    with pytest.raises(Refused, match="as_of_ahead"):
        row(store, -60)

    assert store.client(1).zcard(redis_keys.OPEN) == 0


def test_a_request_of_an_older_producer_is_read_as_before(store: RedisServer, ledger: Ledger) -> None:
    job_id = accept(store)
    key, db = redis_keys.REQUEST + job_id, store.client(1)
    asked = json.loads(db.getdel(key) or "")
    del asked["as_of"]
    db.set(key, json.dumps(asked))

    assert claimed(ledger, job_id).as_of is None


def test_a_row_that_ended_in_doubt_counts_as_in_force(store: RedisServer, ledger: Ledger) -> None:
    older = row(store, 3600, "older")
    lease = sent(ledger, row(store, 60, "newer"), "d1")
    ledger.finish(lease, ended(lease, Status.IN_DOUBT, "no_answer", 1))

    assert claimed(ledger, older, "d2").newer_applied
