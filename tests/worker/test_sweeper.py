from collections.abc import Sequence

import pytest

from producer.contract.job import INTERACTIVE, MIGRATION, QUEUES, RECOVERY
from producer.runtime.errors import StoreUnavailable
from worker.open_jobs import Due, Roll
from worker.sweeper import ROOM, Sweeper


class JobsOnPaper:
    def __init__(self, due: list[str]) -> None:
        self.ids, self.is_ours, self.is_away = due, True, False
        self.kept_house, self.is_vault_away = 0, False
        self.asked: list[tuple[int, int, list[float]]] = []
        self.signs: list[str] = []

    def show_life(self, process: str, places: int) -> Roll:
        if self.is_away:
            raise StoreUnavailable
        self.signs.append(process)
        return Roll(self.is_ours, places, 0)

    def leave(self, process: str) -> None:
        self.signs.remove(process)

    def rewrite_after_restart(self) -> bool:
        return False

    def refuse_jobs_while_full(self) -> tuple[str, bool]:
        self.kept_house += 1
        if self.is_vault_away:
            raise StoreUnavailable
        return "", False

    def due(
        self, most: int, most_migration: int, places: int, empty_s: Sequence[float], *, has_front: bool
    ) -> list[Due]:
        self.asked.append((most, places, list(empty_s)))
        return [Due(one, INTERACTIVE, RECOVERY) for one in self.ids[:most]]


class Scene:
    def __init__(self, due: list[str], **depths: int) -> None:
        self.jobs, self.depths, self.now = JobsOnPaper(due), depths, 0.0
        self.published: list[str] = []
        self.sweeper = Sweeper(
            self.jobs,  # type: ignore[arg-type]
            lambda due: self.published.extend(one.job_id for one in due),
            lambda: [self.depths.get(queue, 0) for queue in QUEUES],
            "process",
            places=7,
            clock=lambda: self.now,
        )


def test_what_is_due_is_published() -> None:
    scene = Scene(["a", "b"])

    assert scene.sweeper.sweep() == 2
    assert scene.published == ["a", "b"]


def test_a_vault_that_is_away_holds_up_no_job() -> None:
    scene = Scene(["a"])
    scene.jobs.is_vault_away = True

    with pytest.raises(StoreUnavailable):
        scene.sweeper.sweep()

    assert scene.published == ["a"]


def test_room_is_watched_while_the_queue_is_full() -> None:
    scene = Scene(["a"], **{RECOVERY: ROOM})

    scene.sweeper.sweep()

    assert scene.jobs.kept_house == 1


def test_only_the_one_at_work_sweeps() -> None:
    scene = Scene(["a"])
    scene.jobs.is_ours = False

    assert scene.sweeper.sweep() == 0
    assert scene.published == []


def test_no_more_is_published_than_the_recovery_queue_has_room_for() -> None:
    scene = Scene(["a", "b", "c"], **{RECOVERY: ROOM - 2})

    scene.sweeper.sweep()

    assert scene.published == ["a", "b"]


def test_a_full_recovery_queue_is_left_alone() -> None:
    scene = Scene(["a"], **{RECOVERY: ROOM + 5})

    scene.sweeper.sweep()

    assert [(most, places) for most, places, _ in scene.jobs.asked] == [(0, 7)]
    assert scene.published == []


def test_every_process_shows_life_whoever_sweeps() -> None:
    scene = Scene(["a"])
    scene.jobs.is_ours = False

    scene.sweeper.sweep()

    assert scene.jobs.signs == ["process"]


def test_the_first_sign_comes_at_the_start_and_none_is_left_at_the_end() -> None:
    scene = Scene([])
    scene.jobs.is_ours = False
    scene.sweeper.start()
    assert "process" in scene.jobs.signs
    scene.jobs.signs[:] = ["process"]
    scene.sweeper.stop()

    assert scene.jobs.signs == []


def test_a_ledger_that_is_away_stops_neither_start_nor_end() -> None:
    scene = Scene([])
    scene.jobs.is_away = True

    scene.sweeper.start()
    scene.jobs.signs[:] = ["process"]
    scene.sweeper.stop()


def test_it_tells_how_long_each_queue_has_been_empty_without_a_break() -> None:
    scene = Scene([], **{MIGRATION: 1})
    scene.sweeper.sweep()
    scene.now = 40.0
    scene.depths = {MIGRATION: 0}
    scene.sweeper.sweep()
    scene.now = 45.0
    scene.sweeper.sweep()

    assert [empty for _, _, empty in scene.jobs.asked] == [[0.0, 0.0, -1.0], [40.0, 40.0, 0.0], [45.0, 45.0, 5.0]]


def test_another_sweepers_turn_forgets_how_long_queues_were_empty() -> None:
    scene = Scene([])
    scene.sweeper.sweep()
    scene.jobs.is_ours = False
    scene.now = 100.0
    scene.sweeper.sweep()
    scene.jobs.is_ours = True
    scene.sweeper.sweep()

    assert scene.jobs.asked[-1][2] == [0.0, 0.0, 0.0]
