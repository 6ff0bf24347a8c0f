"""What each part counts, and what a scrape reads off the stores. Counters are the process's: tests look at growth."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from producer.contract import redis_keys
from producer.contract.job import INTERACTIVE, MIGRATION
from producer.contract.outcome import Status
from producer.runtime.redis_store import Stores
from tests.ports import dead_port
from tests.servers import RedisServer, environment, run_python
from tests.worker.jobs import IMP_NOW, accept, change, claimed, end_lease, ended, sent
from worker import metrics
from worker.iamport.answer import Answer
from worker.ledger import Ledger
from worker.metrics_server import Backlog, metrics_served
from worker.model import RatePermit
from worker.rate_limit import FAILURES_LIMIT, RateState, SharedRate
from worker.settings import WorkerSettings


@contextmanager
def growth(name: str, **labels: str) -> Iterator[list[float]]:
    """By how much a sample grew within the block."""
    grown: list[float] = []
    before = REGISTRY.get_sample_value(name, labels) or 0.0
    yield grown
    grown.append((REGISTRY.get_sample_value(name, labels) or 0.0) - before)


@pytest.fixture
def rate(store: RedisServer) -> SharedRate:
    store.client(2).set(redis_keys.SEALED + "job", "signed")
    return SharedRate(Stores(store.url(2)), 10.0)


def scraped(store: RedisServer, rate: SharedRate) -> dict[tuple[str, ...], float]:
    backlog = Backlog(Stores(store.url(1), "ledger"), Stores(store.url(2), "vault"), rate)
    return values(list(backlog.collect()))


def values(families: list[Metric]) -> dict[tuple[str, ...], float]:
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_open_jobs_and_the_age_of_the_oldest_are_told_by_the_queue_they_were_accepted_for(
    store: RedisServer, ledger: Ledger, rate: SharedRate
) -> None:
    first, _ = accept(store, "a", uid="a"), accept(store, "b", uid="b")
    accept(store, "c", uid="c", queue=MIGRATION)
    store.client(1).zincrby(redis_keys.ACCEPTED + INTERACTIVE, -100, first)
    before = scraped(store, rate)

    lease = claimed(ledger, first)
    ledger.finish(lease, ended(lease))
    after = scraped(store, rate)

    assert before["billing_open_jobs", INTERACTIVE] == 2
    assert 100 <= before["billing_oldest_open_seconds", INTERACTIVE] < 200
    assert before["billing_oldest_open_seconds", MIGRATION] < 100
    assert (after["billing_open_jobs", INTERACTIVE], after["billing_open_jobs", MIGRATION]) == (1, 1)
    assert after["billing_oldest_open_seconds", INTERACTIVE] < 100


def test_a_claimed_job_is_open_until_its_outcome(store: RedisServer, ledger: Ledger, rate: SharedRate) -> None:
    claimed(ledger, accept(store))

    assert scraped(store, rate)["billing_open_jobs", INTERACTIVE] == 1
    assert scraped(store, rate)["billing_oldest_unclaimed_seconds", INTERACTIVE] == 0


def test_jobs_in_doubt_are_a_backlog_of_their_own(store: RedisServer, ledger: Ledger, rate: SharedRate) -> None:
    lease = sent(ledger, accept(store))

    ledger.finish(lease, ended(lease, Status.IN_DOUBT, "no_answer", attempts=1))

    found = scraped(store, rate)
    assert (found["billing_in_doubt_jobs",], found["billing_open_jobs", INTERACTIVE]) == (1, 0)


def test_a_store_that_is_away_takes_only_its_own_gauges_with_it(store: RedisServer, rate: SharedRate) -> None:
    dead = Stores(f"redis://127.0.0.1:{dead_port()}/0", "ledger")

    found = values(list(Backlog(dead, Stores(store.url(2), "vault"), rate).collect()))

    assert found["billing_rate_per_second",] == 10
    assert ("billing_store_memory_bytes", "vault") in found
    assert ("billing_store_memory_bytes", "ledger") not in found
    assert ("billing_in_doubt_jobs",) not in found


def test_posts_are_counted_as_first_or_again_and_the_first_tells_how_long_it_took(
    store: RedisServer, ledger: Ledger
) -> None:
    job_id = accept(store)
    change(store, job_id, accepted_at=time.time() - 50)

    with (
        growth("billing_attempts_total", operation="issue", attempt="first") as first,
        growth("billing_attempts_total", operation="issue", attempt="again") as again,
        growth("billing_start_seconds_sum", operation="issue") as took,
        growth("billing_start_seconds_count", operation="issue") as started,
    ):
        sent(ledger, job_id, "d1")
        end_lease(store, job_id)
        assert ledger.mark_sent(claimed(ledger, job_id, "d2"), IMP_NOW) == 2

    assert (first, again, started) == ([1], [1], [1])
    assert 45 < took[0] < 300


def test_permits_are_counted_by_what_they_are_for(rate: SharedRate) -> None:
    with (
        growth("billing_permits_total", use="interactive") as interactive,
        growth("billing_permits_total", use="migration") as migration,
        growth("billing_permits_total", use="look_up") as look_up,
    ):
        rate.ask("job", is_migration=False)()
        rate.ask("job", is_migration=True)()
        rate.ask("gone", is_migration=True, is_look_up=True)()
        assert rate.ask("gone", is_migration=False)().state == "no_request"

    assert (interactive, migration, look_up) == ([1], [1], [1])


def test_a_breaker_that_opens_is_counted_once_and_is_open_until_a_probe_is_answered(rate: SharedRate) -> None:
    with growth("billing_breaker_opened_total") as opened:
        for _ in range(FAILURES_LIMIT + 2):
            rate.report(RatePermit("granted"), Answer(0, was_sent=False))
        during = rate.state()
        rate.report(RatePermit("granted", wants_report=True), Answer(200, 0))

    assert opened == [1]
    assert (during, rate.state()) == (RateState(10.0, 0.0, is_open=True), RateState(10.0, 0.0, is_open=False))


def test_a_pause_is_no_breaker_and_the_rate_falls_and_climbs(rate: SharedRate, store: RedisServer) -> None:
    rate.report(RatePermit("granted"), Answer(429, retry_after_s=100.0))

    paused = rate.state()
    store.client(2).hincrbyfloat(redis_keys.PERMIT, "factor_at", -5)
    climbed = rate.state()
    store.client(2).hincrbyfloat(redis_keys.PERMIT, "factor_at", -100)

    assert 0 < paused.pause_s <= 100
    assert not paused.is_open
    assert 9.0 <= paused.per_s < climbed.per_s < 10.0
    assert rate.state().per_s == 10.0


def test_commands_of_both_stores_are_timed(store: RedisServer) -> None:
    took: list[float] = []
    link = Stores(store.url(1), "ledger", took.append).local

    link.call("PING")
    link.call("ECHO", "x")

    assert len(took) == 2
    assert all(0 < seconds < 60 for seconds in took)


def test_no_metric_is_named_after_a_customer_or_a_job() -> None:
    names = {name for one in vars(metrics).values() for name in getattr(one, "_labelnames", ())}

    assert names == {
        *("operation", "status", "code", "attempt", "reason", "call", "result", "use", "kid", "action", "found"),
        *("problem", "store"),
    }


def test_without_a_port_workers_count_nothing(store: RedisServer) -> None:
    with environment({"IMP_KEY": "k", "IMP_SECRET": "s"}):
        settings = WorkerSettings.from_env()
    program = (
        "from worker import metrics; from prometheus_client import REGISTRY\n"
        "metrics.OUTCOMES_TOTAL.labels('issue', 'issued', 'none').inc()\n"
        "metrics.JOB_SECONDS.labels('issue').observe(1)\n"
        "metrics.TOKEN_FETCHED_AT.set_to_current_time()\n"
        "print([one.name for one in REGISTRY.collect() if one.name.startswith('billing')])"
    )

    with metrics_served(settings, processes=2) as environ:
        off, on = run_python("-c", program, environ=environ), run_python("-c", program)

    assert (off.stdout, off.stderr) == ("[]\n", "")
    assert "billing_outcomes" in on.stdout
