"""Finding jobs: by customer, order, status, what they wait for and since when, on a real Redis."""

import pytest

from producer.contract import redis_keys
from producer.contract.outcome import Status
from producer.runtime.redis_store import Link
from tests.servers import RedisServer
from tests.worker.jobs import accept, change, claimed, ended, now, sent
from worker.ledger import Ledger
from worker.model import Snooze
from worker.operator.queries import OPEN, Asked, Found, Jobs


def find(store: RedisServer, **asked: object) -> Found:
    return Jobs(Link(store.url(1))).find(Asked(**asked))  # type: ignore[arg-type]


def ids(found: Found) -> list[str]:
    return [job.job_id for job in found.jobs]


def finish(store: RedisServer, ledger: Ledger, key: str, status: Status = Status.ISSUED, **about: str) -> str:
    job_id = accept(store, key, **about)  # type: ignore[arg-type]
    lease = claimed(ledger, job_id)
    ledger.finish(lease, ended(lease, status))
    return job_id


def test_a_customers_jobs_are_found_open_or_finished(store: RedisServer, ledger: Ledger) -> None:
    done = finish(store, ledger, "done", uid="a")
    still_open = accept(store, "open", uid="a")
    accept(store, "other", uid="b")

    assert ids(find(store, customer_uid="a")) == [still_open, done]
    assert ids(find(store, customer_uid="a", status=Status.ISSUED)) == [done]
    assert ids(find(store, customer_uid="a", status=OPEN)) == [still_open]
    assert ids(find(store, customer_uid="nobody")) == []


def test_an_orders_jobs_are_found_open_or_finished(store: RedisServer, ledger: Ledger) -> None:
    done = finish(store, ledger, "done", Status.DECLINED, uid="a", order="o-1")
    still_open = accept(store, "open", uid="b", order="o-1")

    assert ids(find(store, merchant_uid="o-1")) == [still_open, done]
    assert ids(find(store, merchant_uid="o-1", customer_uid="b")) == [still_open]


def test_the_last_twenty_of_a_customer_are_kept_to_be_found_and_the_list_goes_with_them(
    store: RedisServer, ledger: Ledger
) -> None:
    done = [finish(store, ledger, f"k{n}", uid="a") for n in range(22)]

    assert ids(find(store, customer_uid="a")) == done[:1:-1]
    assert 0 < store.client(1).ttl(redis_keys.CUSTOMER_ENDED + "a") <= redis_keys.KEPT_S


def test_jobs_are_found_by_how_they_ended_and_when(store: RedisServer, ledger: Ledger) -> None:
    declined = [finish(store, ledger, f"d{n}", Status.DECLINED, uid=f"d{n}") for n in range(3)]
    issued = finish(store, ledger, "i", uid="i")
    waiting = accept(store, "w", uid="w")

    assert ids(find(store, status=Status.DECLINED)) == declined[::-1]
    assert ids(find(store, status=Status.ISSUED)) == [issued]
    assert ids(find(store)) == [waiting, issued, *declined[::-1]]
    assert ids(find(store, since=now(store) + 60)) == []
    assert ids(find(store, since=-60.0)) == [waiting, issued, *declined[::-1]]


def test_more_than_asked_for_is_said(store: RedisServer, ledger: Ledger) -> None:
    for n in range(3):
        finish(store, ledger, f"k{n}", uid=f"{n}")
    accept(store, "open", uid="x")

    assert (len(find(store, limit=2).jobs), find(store, limit=2).is_all) == (2, False)
    assert (len(find(store, limit=4).jobs), find(store, limit=4).is_all) == (4, True)
    assert find(store, status=Status.ISSUED, limit=2).is_all is False


def test_what_waits_says_why_and_until_when_and_what_is_due_next_comes_first(
    store: RedisServer, ledger: Ledger
) -> None:
    late, soon = accept(store, "late", uid="a"), accept(store, "soon", uid="b")
    accept(store, "queued", uid="c")
    ledger.wait(claimed(ledger, late), Snooze(300.0, "throttled"))
    ledger.wait(claimed(ledger, soon), Snooze(100.0, "turn"))

    found = find(store, waiting=True)

    assert ids(found) == [soon, late]
    assert [job.until(found.now) - found.now for job in found.jobs] == pytest.approx([100, 300], abs=20)
    assert found.jobs[1].why(found.now) == "i'mport asks for a pause (429)"


def test_a_job_tells_where_it_is(store: RedisServer, ledger: Ledger) -> None:
    accept(store, "queued", uid="a")
    in_hand, calling, due = (accept(store, key, uid=key) for key in ("hand", "call", "due"))
    claimed(ledger, in_hand, "1-ab:1.1")
    sent(ledger, calling, "2-cd:1.1")
    ledger.wait(claimed(ledger, due), Snooze(100.0, "turn"))
    change(store, due, next_at=1)

    found = find(store)
    told = {job.record["customer_uid"]: (job.state(found.now), job.why(found.now)) for job in found.jobs}

    assert told == {
        "a": ("queued", "in the queue interactive, no worker has taken it yet"),
        "hand": ("in_hand", "waits for its turn and a token, in process 1-ab"),
        "call": ("in_hand", "its call is under way, in process 2-cd"),
        "due": ("due", "is on its way back to a worker"),
    }


def test_no_query_goes_through_all_jobs(store: RedisServer, ledger: Ledger) -> None:
    for n in range(10):
        finish(store, ledger, f"k{n}", uid="a")
    admin = store.client(1)
    with admin.pipeline() as pipe:
        for n in range(10_000):
            pipe.zadd(redis_keys.OPEN, {f"open-{n}": n + 4e9})
        pipe.execute()
    admin.config_resetstat()

    for asked in ({}, {"customer_uid": "a"}, {"status": "issued"}, {"status": "open"}, {"waiting": True}):
        find(store, **asked)

    calls = {name.removeprefix("cmdstat_"): how["calls"] for name, how in admin.info("commandstats").items()}
    assert not {"scan", "keys", "sort", "hgetall", "zscan"} & set(calls)
    assert calls["hmget"] <= 11_000  # the two that look for open ones look at 5,000 each
