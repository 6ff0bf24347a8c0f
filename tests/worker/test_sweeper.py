from collections.abc import Sequence

import pytest

from producer.contract.job import MIGRATION, QUEUES, RECOVERY
from producer.runtime.errors import StoreUnavailable
from worker.sweeper import ROOM, Sweeper


class LedgerOnPaper:
    def __init__(self, due: list[str]) -> None:
        self.ids, self.is_ours = due, True
        self.kept_house, self.is_vault_away = 0, False
        self.asked: list[tuple[int, list[float]]] = []

    def hold_sweeper(self, owner: str, life_s: int) -> bool:
        return self.is_ours

    def rewrite_after_restart(self) -> bool:
        return False

    def refuse_jobs_while_full(self) -> tuple[str, bool]:
        self.kept_house += 1
        if self.is_vault_away:
            raise StoreUnavailable
        return "", False

    def due(
        self, most: int, most_migration: int, *, guard_s: float, overtaken_s: float, empty_s: Sequence[float]
    ) -> list[tuple[str, str]]:
        self.asked.append((most, list(empty_s)))
        return [(one, "interactive") for one in self.ids[:most]]


class Scene:
    def __init__(self, due: list[str], **depths: int) -> None:
        self.ledger, self.depths, self.now = LedgerOnPaper(due), depths, 0.0
        self.published: list[str] = []
        self.sweeper = Sweeper(
            self.ledger,  # type: ignore[arg-type]
            lambda due: self.published.extend(one for one, _ in due),
            lambda: [self.depths.get(queue, 0) for queue in QUEUES],
            clock=lambda: self.now,
        )


def test_what_is_due_is_published() -> None:
    scene = Scene(["a", "b"])

    assert scene.sweeper.sweep() == 2
    assert scene.published == ["a", "b"]


def test_a_vault_that_is_away_holds_up_no_job() -> None:
    scene = Scene(["a"])
    scene.ledger.is_vault_away = True

    with pytest.raises(StoreUnavailable):
        scene.sweeper.sweep()

    assert scene.published == ["a"]


def test_room_is_watched_while_the_queue_is_full() -> None:
    scene = Scene(["a"], **{RECOVERY: ROOM})

    scene.sweeper.sweep()

    assert scene.ledger.kept_house == 1


def test_only_the_one_at_work_sweeps() -> None:
    scene = Scene(["a"])
    scene.ledger.is_ours = False

    assert scene.sweeper.sweep() == 0
    assert scene.published == []


def test_no_more_is_published_than_the_recovery_queue_has_room_for() -> None:
    scene = Scene(["a", "b", "c"], **{RECOVERY: ROOM - 2})

    scene.sweeper.sweep()

    assert scene.published == ["a", "b"]


def test_a_full_recovery_queue_is_left_alone() -> None:
    scene = Scene(["a"], **{RECOVERY: ROOM})

    scene.sweeper.sweep()

    assert scene.ledger.asked == []


def test_it_tells_how_long_each_queue_has_been_empty_without_a_break() -> None:
    scene = Scene([], **{MIGRATION: 1})
    scene.sweeper.sweep()
    scene.now = 40.0
    scene.depths = {MIGRATION: 0}
    scene.sweeper.sweep()
    scene.now = 45.0
    scene.sweeper.sweep()

    assert [empty for _, empty in scene.ledger.asked] == [[0.0, 0.0, -1.0], [40.0, 40.0, 0.0], [45.0, 45.0, 5.0]]


def test_another_sweepers_turn_forgets_how_long_queues_were_empty() -> None:
    scene = Scene([])
    scene.sweeper.sweep()
    scene.ledger.is_ours = False
    scene.now = 100.0
    scene.sweeper.sweep()
    scene.ledger.is_ours = True
    scene.sweeper.sweep()

    assert scene.ledger.asked[-1][1] == [0.0, 0.0, 0.0]
