import itertools

import pytest

from producer.contract.outcome import Status
from producer.migrate.pace import WINDOW_FIRST, Brake, Throttle, Window
from tests.producer.migrate_stage import outcome_of


def window(*, deadline_s: float = 900, limit: int = 100_000) -> Window:
    return Window(deadline_s, limit, 1000.0)


def test_the_first_window_is_modest() -> None:
    assert window().size(1000.0) == WINDOW_FIRST


@pytest.mark.parametrize(
    ("rate", "deadline_s", "size"), [(100, 900, 3000), (100, 1800, 6000), (500, 900, 15_000), (1, 900, 200)]
)
def test_the_window_follows_from_rate_and_deadline(rate: int, deadline_s: float, size: int) -> None:
    pace = window(deadline_s=deadline_s)

    for second in range(1, 31):
        pace.finished(1000.0 + second, rate)

    assert pace.rate(1030.0) == pytest.approx(rate, rel=0.11)
    assert pace.size(1030.0) == pytest.approx(size, rel=0.11)


def test_the_window_is_never_wider_than_its_limit() -> None:
    pace, narrow = window(limit=500), window(limit=7)

    pace.finished(1001.0, 10_000)

    assert (pace.size(1001.0), narrow.size(1001.0)) == (500, 7)


def test_the_rate_counts_from_the_beginning_in_the_first_seconds() -> None:
    pace = window()

    pace.finished(1002.0, 100)

    assert pace.rate(1002.0) == 50


def test_the_first_moment_is_not_taken_for_a_high_rate() -> None:
    pace = window()

    pace.finished(1000.001, 100)

    assert pace.rate(1000.001) == 100


def test_what_ended_more_than_ten_seconds_ago_counts_no_more() -> None:
    pace = window()
    pace.finished(1005.0, 5000)
    wide = pace.size(1010.0)

    assert wide > WINDOW_FIRST
    assert (pace.rate(1015.1), pace.size(1015.1)) == (0, WINDOW_FIRST)


def test_nothing_finished_changes_nothing() -> None:
    pace = window()

    for second in range(100_000):
        pace.finished(1000.0 + second, 0)

    assert pace == window()


def test_without_a_throttle_there_is_room_for_what_is_wanted() -> None:
    throttle = Throttle()

    throttle.sent(10_000)

    assert throttle.room(1000.0, 100) == 100


@pytest.mark.parametrize("wanted", [0, -5])
def test_a_throttle_gives_no_room_where_none_is_wanted(wanted: int) -> None:
    assert Throttle(5.0).room(1000.0, wanted) == 0


def sent_in(rate: float, seconds: int, *, step_s: float) -> int:
    throttle, count = Throttle(rate), 0
    for now in itertools.takewhile(
        lambda now: now < 1000.123 + seconds, (1000.123 + n * step_s for n in itertools.count())
    ):
        room = throttle.room(now, 100)
        throttle.sent(room)
        count += room
    return count


@pytest.mark.parametrize("step_s", [0.001, 0.013, 0.05])
@pytest.mark.parametrize("rate", [1, 3, 7.5, 50, 299.9])
def test_a_throttle_lets_its_rate_through_and_no_more(rate: float, step_s: float) -> None:
    assert sent_in(rate, 30, step_s=step_s) == pytest.approx(rate * 30, rel=0.06, abs=rate + 1)


@pytest.mark.parametrize("rate", [0.3, 0.7])
def test_a_throttle_below_one_row_a_second_lets_its_rate_through(rate: float) -> None:
    assert sent_in(rate, 300, step_s=0.05) == pytest.approx(rate * 300, abs=3)


def test_what_a_throttle_was_not_asked_for_is_lost_after_a_second() -> None:
    throttle = Throttle(10.0)
    throttle.sent(throttle.room(1000.0, 100))

    assert throttle.room(2000.0, 100) == 10


def test_a_throttle_that_is_changed_counts_from_then_on() -> None:
    throttle = Throttle(10.0)
    throttle.sent(throttle.room(1000.0, 100))

    throttle.rate = 100.0

    assert throttle.room(1000.5, 100) == 50
    throttle.rate = None
    assert throttle.room(1000.5, 100) == 100


def test_the_window_does_not_widen_before_there_are_outcomes_to_look_at() -> None:
    pace = window()

    pace.finished(1001.0, 199)
    before = pace.size(1001.0)
    pace.finished(1001.0, 1)

    assert (before, pace.size(1001.0)) == (WINDOW_FIRST, 200 * 30)


def heard(brake: Brake, *ends: tuple[int, Status, int]) -> Brake:
    """So many outcomes of a status with a code, one after another."""
    brake.heard(outcome_of("a", status, code=code) for count, status, code in ends for _ in range(count))
    return brake


GOOD = (1000, Status.ISSUED, 0)


@pytest.mark.parametrize(
    ("stop_at", "ends", "words"),
    [
        (30, [(60, Status.DECLINED, -1)], None),
        (30, [(61, Status.DECLINED, -1)], "61 of the last 61 outcomes are declined"),
        (30, [GOOD, (60, Status.DECLINED, -1)], None),
        (30, [GOOD, (61, Status.DECLINED, -1)], "61 of the last 200 outcomes are declined"),
        (30, [(60, Status.DECLINED, -1), GOOD, (60, Status.DECLINED, -2)], None),
        (30, [(31, Status.DECLINED, -1), (30, Status.DECLINED, -2)], "61 of the last 61 outcomes are declined"),
        (0, [(1, Status.DECLINED, -1)], "1 of the last 1 outcomes are declined"),
        (100, [(1000, Status.DECLINED, -1)], None),
        (100, [(4, Status.MISCONFIGURED, 1)], None),
        (
            100,
            [GOOD, (2, Status.MISCONFIGURED, 1), (3, Status.MISCONFIGURED, 2)],
            "5 of the last 200 outcomes are misc",
        ),
        (30, [(19, Status.INVALID, 1), (19, Status.INVALID, 2)], None),
        (30, [GOOD, (20, Status.INVALID, 7)], "20 of the last 200 outcomes are invalid (7)"),
        (30, [(1000, Status.EXPIRED, 1), (1000, Status.SUPERSEDED, 1)], None),
    ],
)
def test_a_run_brakes_by_its_last_outcomes(
    stop_at: float, ends: list[tuple[int, Status, int]], words: str | None
) -> None:
    why = heard(Brake(stop_at), *ends).why

    assert (why or "").startswith(words or "nothing") if words else why is None


def test_a_brake_stays_on_with_its_first_reason() -> None:
    brake = heard(Brake(), (61, Status.DECLINED, -1), GOOD, (5, Status.MISCONFIGURED, 1))

    assert (brake.is_declined, "61 of" in str(brake.why)) == (True, True)
