"""When ``webhooks run`` says that it delivers nothing; the clock is the test's."""

import pytest

from producer.errors import BrokerUnavailable
from producer.webhooks.delivery_queue import Waiting
from producer.webhooks.stillness import SAID_AFTER_S, SAID_EACH_S, Stillness


class Scene:
    def __init__(self) -> None:
        self.now, self.found, self.said = 0.0, Waiting(0, 0, 0, None), list[str]()
        self.stillness = Stillness(self.said.append, self.count, lambda: self.now)
        self.away: BrokerUnavailable | None = None

    def count(self) -> Waiting:
        if self.away:
            raise self.away
        return self.found

    def pass_(self, seconds: float, *, takes_in: bool = True) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 1
            self.stillness.look(takes_in=takes_in)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_a_receiver_answers_is_said_after_a_minute_and_then_every_ten(scene: Scene) -> None:
    scene.found = Waiting(3, 1, 0, 540.0)
    scene.stillness.refused("500")

    scene.pass_(SAID_AFTER_S + 2 * SAID_EACH_S)

    assert scene.said[0] == (
        "nothing was delivered for 60 s: 3 customers and 1 late deliveries wait; the last answer was 500, "
        "the next try is in 540 s"
    )
    assert [line.split(":")[0] for line in scene.said[1:]] == [
        "nothing was delivered for 660 s",
        "nothing was delivered for 1260 s",
    ]


def test_a_receiver_that_never_answered_is_said_so(scene: Scene) -> None:
    scene.found = Waiting(1, 0, 0, -3.0)

    scene.pass_(SAID_AFTER_S)

    assert scene.said[0].endswith("there is no answer yet, the next try is now")


def test_nothing_is_said_while_deliveries_are_taken(scene: Scene) -> None:
    scene.found = Waiting(1, 0, 0, -3.0)
    for _ in range(100):
        scene.pass_(SAID_AFTER_S - 1)
        scene.stillness.delivered()

    assert scene.said == []


@pytest.mark.parametrize(
    ("takes_in", "why"),
    [(True, "no outcome came; LEDGER_URL must be the workers'"), (False, "another process takes them in")],
)
def test_a_start_after_which_nothing_comes_is_said_once(scene: Scene, takes_in: bool, why: str) -> None:
    scene.pass_(10 * SAID_EACH_S, takes_in=takes_in)

    assert scene.said == [f"nothing to deliver: {why}"]


def test_a_quiet_night_is_nothing_to_tell_and_none_of_it_counts(scene: Scene) -> None:
    scene.stillness.delivered()
    scene.pass_(36_000)
    scene.found = Waiting(1, 0, 0, -1.0)
    scene.stillness.refused("timeout")
    scene.pass_(2)
    assert scene.said == []

    scene.pass_(2 * SAID_AFTER_S)
    assert len(scene.said) == 1


def test_a_ledger_that_is_away_is_the_reason(scene: Scene) -> None:
    scene.away = BrokerUnavailable("read", accepted=None, trouble="the ledger at 10.0.0.1:6379 refuses connections")

    scene.pass_(SAID_AFTER_S)

    assert len(scene.said) == 1
    assert "the ledger at 10.0.0.1:6379 refuses connections" in scene.said[0]
