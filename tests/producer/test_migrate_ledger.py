"""The checkpoint in a real ledger. Leases run out by being written in the past: nothing waits."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from producer.contract import redis_keys
from producer.contract.outcome import Status
from producer.errors import BrokerUnavailable
from producer.migrate.ledger import (
    CANCEL,
    DONE,
    HELD_FOR_S,
    MIGRATION_NAME,
    PAUSE,
    RUN,
    RUNNING,
    STOPPED,
    Checkpoint,
    Control,
)
from tests.ports import dead_port
from tests.producer.migrate_stage import job_of, narrow_user, outcome_of
from tests.producer.stage import Stage

KEY = redis_keys.MIGRATION_RECORD + "m"


def opened(stage: Stage, name: str = "m") -> Control:
    return Control(stage.url(1), stage.vault_url(), name)


@pytest.fixture
def control(stage: Stage) -> Iterator[Control]:
    with closing(opened(stage)) as found:
        yield found


@pytest.fixture
def other(stage: Stage) -> Iterator[Control]:
    with closing(opened(stage)) as found:
        yield found


def known(control: Control) -> Checkpoint:
    found = control.checkpoint()
    assert found is not None
    return found


def tell(stage: Stage, uid: str, at: str = "*", status: Status = Status.ISSUED) -> None:
    stage.ledger.xadd(redis_keys.OUTCOMES, {"outcome": outcome_of(uid, status).model_dump_json()}, id=at)


# The lease


@pytest.mark.parametrize("lease_s", [HELD_FOR_S, 0])
def test_one_process_at_a_time_holds_a_migration(stage: Stage, control: Control, other: Control, lease_s: int) -> None:
    mine = control.tick({"run": 1, "state": RUNNING})
    before = stage.ledger.hgetall(KEY)

    refused = other.tick({"run": 2, "state": DONE}, lease_s=lease_s)

    assert (mine.is_ours, refused.is_ours) == (True, False)
    assert stage.ledger.hgetall(KEY) == before
    assert control.tick({}).is_ours


def test_a_migration_that_was_given_back_is_taken_at_once(control: Control, other: Control) -> None:
    control.tick({"run": 1, "state": RUNNING})

    control.tick({"state": STOPPED}, lease_s=0)

    assert not known(other).is_held
    assert other.tick({}).is_ours
    assert not control.tick({}).is_ours


def test_a_holder_that_does_not_come_back_loses_it(stage: Stage, control: Control, other: Control) -> None:
    control.tick({"run": 1, "state": RUNNING})
    stage.ledger.hset(KEY, "held_until", control.now() - 0.001)

    assert (known(other).is_held, known(other).state) == (False, STOPPED)
    assert other.tick({}).is_ours
    assert not control.tick({}).is_ours


def test_a_holder_that_is_late_keeps_it_if_nobody_took_it(stage: Stage, control: Control) -> None:
    control.tick({"run": 1, "state": RUNNING})
    stage.ledger.hset(KEY, "held_until", control.now() - 100)

    assert control.tick({}).is_ours
    assert known(control).state == RUNNING


def test_each_tick_renews_the_lease(stage: Stage, control: Control) -> None:
    control.tick({"run": 1, "state": RUNNING})
    stage.ledger.hset(KEY, "held_until", control.now() + 0.5)

    told = control.tick({})

    assert float(stage.ledger.hget(KEY, "held_until")) == pytest.approx(told.now + HELD_FOR_S, abs=0.01)


# Instructions


def test_what_is_asked_is_heard_at_the_next_tick(control: Control, other: Control) -> None:
    first = control.tick({"run": 1, "state": RUNNING})

    other.ask(asked=PAUSE, throttle="2.5")
    second = control.tick({})
    other.ask(asked=CANCEL, throttle="")
    third = control.tick({})

    assert [(told.asked, told.throttle) for told in (first, second, third)] == [
        (RUN, None),
        (PAUSE, 2.5),
        (CANCEL, None),
    ]


def test_asking_does_not_take_a_migration_over(control: Control, other: Control) -> None:
    control.tick({"run": 1, "state": RUNNING})

    other.ask(asked=PAUSE)

    assert control.tick({}).is_ours
    assert known(other).is_held


def test_what_a_run_begins_with_is_heard_from_its_next_tick_on(control: Control) -> None:
    control.tick({"run": 1, "asked": RUN, "throttle": "10.0"})

    assert control.tick({}).throttle == 10


# The checkpoint


def test_a_migration_that_never_was_is_not_known(control: Control) -> None:
    assert control.checkpoint() is None


def test_the_checkpoint_tells_what_was_last_written(stage: Stage, control: Control) -> None:
    told = control.tick({"run": 3, "state": RUNNING, "progress": '{"line": 7}'})
    control.ask(asked=PAUSE, throttle="5.0")

    found = known(control)

    assert found == Checkpoint(3, RUNNING, True, PAUSE, 5.0, {"line": 7}, found.updated_at)
    assert found.updated_at == pytest.approx(told.now, abs=1e-5)
    assert 7 * 86400 - 5 < stage.ledger.ttl(KEY) <= 7 * 86400 + 1


def test_a_run_whose_process_died_counts_as_stopped_and_one_that_ended_does_not(control: Control) -> None:
    control.tick({"run": 1, "state": RUNNING}, lease_s=0)
    died = known(control).state

    control.tick({"state": DONE}, lease_s=0)

    assert (died, known(control).state) == (STOPPED, DONE)


def test_migrations_do_not_meet(stage: Stage, control: Control) -> None:
    control.tick({"run": 1, "state": RUNNING})

    with closing(opened(stage, "n")) as another:
        assert another.checkpoint() is None
        assert another.tick({"run": 1, "state": RUNNING}).is_ours


@pytest.mark.parametrize(
    ("names", "are_names"),
    [(["a", "A-z_0.9", "a" * 60], True), (["a" * 61, "", "a b", "a/b", "a:b", "홍", "a\n"], False)],
)
def test_names_are_short_and_plain(names: list[str], are_names: bool) -> None:
    assert {MIGRATION_NAME.fullmatch(name) is not None for name in names} == {are_names}


# Outcomes


def test_outcomes_are_heard_from_then_on_and_once(stage: Stage, control: Control) -> None:
    tell(stage, "before", at="1000-0")
    control.listen_from(2.0)
    tell(stage, "a")
    tell(stage, "b", status=Status.DECLINED)

    heard = control.heard(wait_ms=1)
    tell(stage, "c")

    assert [(one.job_id, one.status) for one in heard] == [(job_of("a"), "issued"), (job_of("b"), "declined")]
    assert [one.job_id for one in control.heard(wait_ms=1)] == [job_of("c")]
    assert control.heard(wait_ms=1) == []


def test_a_stream_that_is_not_there_yet_tells_nothing(control: Control) -> None:
    control.listen_from(control.now())

    assert control.heard(wait_ms=1) == []


def test_outcomes_of_jobs_are_told_apart_from_open_and_unknown_ones(stage: Stage, control: Control) -> None:
    ended = outcome_of("a")
    stage.ledger.set(redis_keys.OUTCOME + job_of("a"), ended.model_dump_json())
    stage.ledger.hset(redis_keys.JOB + job_of("a"), "digest", "d")
    stage.ledger.hset(redis_keys.JOB + job_of("b"), "digest", "d")

    found = control.outcomes([job_of("a"), job_of("b"), job_of("c")])

    assert found == {job_of("a"): ended, job_of("b"): None}


def test_of_no_jobs_there_are_no_outcomes(control: Control) -> None:
    assert control.outcomes([]) == {}


# Stores


def test_how_full_the_stores_are_is_told_where_they_have_a_limit(stage: Stage, control: Control) -> None:
    stage.vault.config_set("maxmemory", "1gb")

    used = control.memory_used()

    assert used["ledger"] is None
    assert used["vault"] is not None
    assert 0 < used["vault"] < 0.1


@pytest.mark.parametrize(
    "rules",
    [("+@all", "~billing:job:*"), ("+@all", "-evalsha", "-eval", "-hmget", "-hset", "~*"), ("+select", "+ping", "~*")],
)
def test_a_redis_user_without_the_right_is_told_so_plainly(stage: Stage, rules: tuple[str, ...]) -> None:
    with narrow_user(stage, *rules) as url, closing(Control(url, stage.vault_url(), "m")) as narrow:
        for call in (lambda: narrow.tick({"run": 1}), narrow.checkpoint, lambda: narrow.ask(asked=PAUSE)):
            with pytest.raises(BrokerUnavailable, match=r", user narrow: no right to ") as caught:
                call()

            assert caught.value.is_lasting
    assert stage.ledger.exists(KEY) == 0


def test_a_ledger_that_is_away_is_told_so_without_its_password() -> None:
    gone = Control(f"redis://u:secret@127.0.0.1:{dead_port()}/1", f"redis://127.0.0.1:{dead_port()}/0", "m")

    for call in (lambda: gone.tick({"run": 1}), gone.checkpoint, lambda: gone.ask(asked=PAUSE)):
        with pytest.raises(BrokerUnavailable, match=r"^LEDGER_URL: ledger at .*, user u: refuses ") as caught:
            call()
        assert "secret" not in str(caught.value)
    for listen in (lambda: gone.heard(wait_ms=1), lambda: gone.outcomes(["j"]), gone.memory_used):
        with pytest.raises(BrokerUnavailable):
            listen()
    gone.close()


def test_a_ledger_that_lost_its_scripts_is_given_them_again(stage: Stage, control: Control) -> None:
    control.tick({"run": 1, "state": RUNNING})
    stage.ledger.script_flush()

    assert control.tick({}).is_ours
