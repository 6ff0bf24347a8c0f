"""The shared rate, pause and breaker, as the vault's scripts keep them. Time passes by moving the stored instants."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from producer.contract import redis_keys
from producer.runtime.redis_store import Stores
from tests.servers import RedisServer
from worker.iamport.answer import Answer
from worker.model import Mark, RatePermit
from worker.rate_limit import FAILURES_LIMIT, HORIZON_S, SharedRate

RATE = 10.0
Told = TypeVar("Told")
GO = RatePermit("granted")
FAILED, OK = Answer(0, was_sent=False), Answer(200, 0)


@pytest.fixture
def throttle(store: RedisServer) -> SharedRate:
    store.client().set(redis_keys.SEALED + "job", "signed")
    return SharedRate(Stores(store.url()), RATE)


def ask(throttle: SharedRate, *, is_migration: bool = False) -> RatePermit:
    return throttle.ask("job", is_migration=is_migration)()


def state(store: RedisServer, **fields: float) -> None:
    store.client().hset(redis_keys.PERMIT, mapping={name: str(value) for name, value in fields.items()})


def undisturbed(within_s: float, story: Callable[[], Told]) -> Told:
    """What a story gives when nothing holds it up for longer; it is told until then."""
    while True:
        began = time.monotonic()
        told = story()
        if time.monotonic() - began < within_s:
            return told


def test_a_permit_brings_the_sealed_request(throttle: SharedRate) -> None:
    assert ask(throttle) == RatePermit("granted", 0.0, b"signed")


def test_without_a_sealed_request_no_permit_is_used(throttle: SharedRate, store: RedisServer) -> None:
    assert throttle.ask("gone", is_migration=False)().state == "no_request"
    assert store.client().hget(redis_keys.PERMIT, "tat_open") is None


def test_a_permit_brings_the_vaults_mark_of_a_jobs_posts_whatever_its_state(
    throttle: SharedRate, store: RedisServer
) -> None:
    for job_id, mark in (("job", "2 990.125 0"), ("gone", "1 991.500 1")):
        store.client().set(redis_keys.SENT + job_id, mark)
    granted, gone = ask(throttle), throttle.ask("gone", is_migration=False)()
    looked_up = throttle.ask("gone", is_migration=False, is_look_up=True)()
    state(store, pause_until=time.time() + 100)

    assert granted.mark == ask(throttle).mark == Mark(2, 990.125, is_doubtful=False)
    assert gone.state == "no_request"
    assert gone.mark == looked_up.mark == Mark(1, 991.5, is_doubtful=True)
    assert throttle.ask("another", is_migration=False)().mark is None


def test_a_look_up_needs_no_request(throttle: SharedRate) -> None:
    assert throttle.ask("gone", is_migration=False, is_look_up=True)().state == "granted"


def test_places_are_reserved_ahead_at_the_rate(throttle: SharedRate) -> None:
    began = time.monotonic()

    delays = sorted(ask(throttle).delay_s for _ in range(8))

    taken = time.monotonic() - began
    assert delays[-1] == pytest.approx(6 / RATE, abs=taken + 0.3)
    assert all(delay <= HORIZON_S for delay in delays)


def test_beyond_the_horizon_nothing_is_reserved(throttle: SharedRate, store: RedisServer) -> None:
    slow = SharedRate(Stores(store.url()), 0.01)  # its next place is in minutes

    states = [ask(slow).state for _ in range(5)]

    assert states == ["granted", "granted", "later", "later", "later"]


def test_a_migration_does_not_take_the_places_kept_for_interactive_jobs(
    throttle: SharedRate, store: RedisServer
) -> None:
    def story() -> tuple[RatePermit, RatePermit]:
        store.client().delete(redis_keys.PERMIT)
        for _ in range(60):
            ask(throttle, is_migration=True)
        return ask(throttle, is_migration=True), ask(throttle)

    behind, interactive = undisturbed(1 / RATE, story)

    assert behind.state == "later"
    assert interactive.state == "granted"
    assert interactive.delay_s < 1


def test_after_a_429_everybody_waits_as_long_as_it_asked(throttle: SharedRate) -> None:
    began = time.monotonic()
    throttle.report(GO, Answer(429, retry_after_s=7.0))

    permit = ask(throttle)

    taken = time.monotonic() - began
    assert permit.state == "later"
    assert 7 - taken <= permit.delay_s <= 7


def test_after_a_429_that_asked_for_years_everybody_waits_300_s_and_then_one_probe_goes(
    throttle: SharedRate, store: RedisServer
) -> None:
    throttle.report(GO, Answer(429, retry_after_s=1e9))
    permit = ask(throttle)
    assert (permit.state, 290 < permit.delay_s <= 300) == ("later", True)

    past = time.time() - 0.01
    state(store, pause_until=past, probe_at=past)
    probe, other = ask(throttle), ask(throttle)

    assert (probe.state, probe.wants_report, other.state) == ("granted", True, "later")
    throttle.report(probe, OK)
    assert ask(throttle).state == "granted"


def test_a_shorter_429_does_not_end_a_longer_pause(throttle: SharedRate) -> None:
    for seconds in (200.0, 5.0):
        throttle.report(GO, Answer(429, retry_after_s=seconds))

    assert ask(throttle).delay_s > 190


@pytest.mark.parametrize(
    ("instants", "most_s"),
    [
        ({"tat_open": 7200, "tat_kept": 7200}, HORIZON_S),
        ({"pause_until": 7200, "probe_at": 7200}, 0),
        ({"probe_at": 7200, "failures": 9}, 0),
        ({"factor": 0.5, "factor_at": 7200}, 0),
    ],
)
def test_instants_that_lie_further_ahead_than_they_can_count_as_now(
    throttle: SharedRate, store: RedisServer, instants: dict[str, float], most_s: float
) -> None:
    ahead = {name: value + time.time() if value == 7200 else value for name, value in instants.items()}
    state(store, **ahead)

    permit = ask(throttle)

    assert permit.state == "granted"
    assert permit.delay_s <= most_s


def test_a_pause_that_was_written_before_the_clock_stepped_back_gives_way_to_a_new_one(
    throttle: SharedRate, store: RedisServer
) -> None:
    state(store, pause_until=time.time() + 7200, probe_at=time.time() + 7200)

    throttle.report(GO, Answer(429, retry_after_s=7.0))

    permit = ask(throttle)
    assert (permit.state, 0 < permit.delay_s <= 7) == ("later", True)


def test_the_rate_falls_by_a_tenth_at_most_once_a_second_and_climbs_back(
    throttle: SharedRate, store: RedisServer
) -> None:
    def story() -> None:
        store.client().delete(redis_keys.PERMIT)
        for _ in range(5):
            throttle.report(GO, Answer(429))

    undisturbed(1.0, story)
    assert float(store.client().hget(redis_keys.PERMIT, "factor") or 0) == pytest.approx(0.9)

    began = time.time()
    state(store, factor_at=began - 5)
    throttle.report(GO, Answer(0))  # a time-out counts, too
    climbed = 0.01 * (time.time() - began)
    assert 0.8549 < float(store.client().hget(redis_keys.PERMIT, "factor") or 0) < 0.8551 + climbed


def test_a_run_of_failures_opens_the_breaker_and_one_probe_goes_first(throttle: SharedRate, store: RedisServer) -> None:
    for _ in range(FAILURES_LIMIT):
        throttle.report(GO, FAILED)
    assert ask(throttle).state == "later"

    state(store, probe_at=time.time() - 0.01)
    probe, other = ask(throttle), ask(throttle)

    assert (probe.state, probe.wants_report) == ("granted", True)
    assert other.state == "later"


def test_a_probe_that_fails_keeps_it_open_and_one_that_succeeds_closes_it(
    throttle: SharedRate, store: RedisServer
) -> None:
    for _ in range(FAILURES_LIMIT):
        throttle.report(GO, FAILED)
    state(store, probe_at=time.time() - 0.01)
    throttle.report(ask(throttle), FAILED)
    assert ask(throttle).state == "later"

    state(store, probe_at=time.time() - 0.01)
    throttle.report(ask(throttle), OK)
    assert ask(throttle).state == "granted"


def test_a_success_between_failures_starts_the_run_anew(throttle: SharedRate) -> None:
    for _ in range(3):
        for _ in range(FAILURES_LIMIT - 1):
            throttle.report(GO, FAILED)
        throttle.report(ask(throttle), OK)

    assert ask(throttle).state == "granted"


def test_ordinary_answers_are_not_reported(throttle: SharedRate, store: RedisServer) -> None:
    before = store.client().info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)

    throttle.report(GO, OK)

    assert store.client().info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0) == before


def test_something_else_in_the_place_of_a_request_is_nothing_that_a_producer_signed(
    throttle: SharedRate, store: RedisServer
) -> None:
    store.client().delete(redis_keys.SEALED + "job")
    store.client().lpush(redis_keys.SEALED + "job", "a list")

    assert ask(throttle) == RatePermit("granted", 0.0, b"")


def test_a_vault_that_is_gone_is_silent(tmp_path_factory: pytest.TempPathFactory) -> None:
    with RedisServer(tmp_path_factory.mktemp("vault")) as vault:
        throttle = SharedRate(Stores(vault.url()), RATE)
        ask(throttle)

    assert ask(throttle).state == "store_down"


def test_a_vault_that_refuses_to_write_is_silent_and_ends_no_job(throttle: SharedRate, store: RedisServer) -> None:
    store.client().config_set("min-replicas-to-write", "1")
    try:
        assert ask(throttle) == RatePermit("store_down")
    finally:
        store.client().config_set("min-replicas-to-write", "0")


def test_a_vault_at_its_limit_still_gives_permits(throttle: SharedRate, store: RedisServer) -> None:
    store.client().config_set("maxmemory", "1")
    try:
        assert ask(throttle).state == "granted"
        throttle.report(RatePermit("granted", wants_report=True), Answer(500))
        assert store.client().hget(redis_keys.PERMIT, "failures") == b"1"
    finally:
        store.client().config_set("maxmemory", "512mb")
