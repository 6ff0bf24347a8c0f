import threading
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
        self.rooms: list[int] = []
        self.signs: list[str] = []

    def show_life(self, process: str, places: int) -> Roll:
        if self.is_away:
            raise StoreUnavailable
        self.signs.append(process)
        return Roll(self.is_ours, places, 0)

    def leave(self, process: str) -> None:
        self.signs.remove(process)

    def carry_out_asked(self) -> None: ...

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
        self.rooms.append(most_migration)
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
            migration_room=5,
            has_front=depths.pop("has_front", 1) == 1,
            clock=lambda: self.now,
        )

    def sweep(self) -> int:
        """As both threads do, one after the other."""
        self.sweeper.show_life()
        return self.sweeper.sweep()


def test_what_is_due_is_published() -> None:
    scene = Scene(["a", "b"])

    assert scene.sweep() == 2
    assert scene.published == ["a", "b"]


def test_a_vault_that_is_away_holds_up_no_job() -> None:
    scene = Scene(["a"])
    scene.jobs.is_vault_away = True

    with pytest.raises(StoreUnavailable):
        scene.sweep()

    assert scene.published == ["a"]


def test_room_is_watched_while_the_queue_is_full() -> None:
    scene = Scene(["a"], **{RECOVERY: ROOM})

    scene.sweep()

    assert scene.jobs.kept_house == 1


def test_only_the_one_at_work_sweeps() -> None:
    scene = Scene(["a"])
    scene.jobs.is_ours = False

    assert scene.sweep() == 0
    assert scene.published == []


def test_no_more_is_published_than_the_recovery_queue_has_room_for() -> None:
    scene = Scene(["a", "b", "c"], **{RECOVERY: ROOM - 2})

    scene.sweep()

    assert scene.published == ["a", "b"]


def test_a_full_recovery_queue_is_left_alone() -> None:
    scene = Scene(["a"], **{RECOVERY: ROOM + 5})

    scene.sweep()

    assert [(most, places) for most, places, _ in scene.jobs.asked] == [(0, 7)]
    assert scene.published == []


@pytest.mark.parametrize(("has_front", "room"), [(1, 5), (0, 2)])
def test_without_a_front_migrations_take_no_more_of_recovery_than_they_may(has_front: int, room: int) -> None:
    scene = Scene([], has_front=has_front, **{RECOVERY: 3})

    scene.sweep()

    assert scene.jobs.rooms == [room]


def test_a_queue_that_hangs_keeps_no_sign_of_life_back() -> None:
    hangs, signs = threading.Event(), threading.Semaphore(0)
    jobs = JobsOnPaper([])
    show = jobs.show_life

    def seen(process: str, places: int) -> Roll:
        signs.release()
        return show(process, places)

    jobs.show_life = seen  # type: ignore[method-assign]
    sweeper = Sweeper(jobs, lambda _: None, lambda: [int(hangs.wait(60))] * 3, "process")  # type: ignore[arg-type]

    sweeper.start()
    try:
        assert all(signs.acquire(timeout=60) for _ in range(4))
    finally:
        hangs.set()
        sweeper.stop()


def test_every_process_shows_life_whoever_sweeps() -> None:
    scene = Scene(["a"])
    scene.jobs.is_ours = False

    scene.sweep()

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
    scene.sweep()
    scene.now = 40.0
    scene.depths = {MIGRATION: 0}
    scene.sweep()
    scene.now = 45.0
    scene.sweep()

    assert [empty for _, _, empty in scene.jobs.asked] == [[0.0, 0.0, -1.0], [40.0, 40.0, 0.0], [45.0, 45.0, 5.0]]


def test_another_sweepers_turn_forgets_how_long_queues_were_empty() -> None:
    scene = Scene([])
    scene.sweep()
    scene.jobs.is_ours = False
    scene.now = 100.0
    scene.sweep()
    scene.jobs.is_ours = True
    scene.sweep()

    assert scene.jobs.asked[-1][2] == [0.0, 0.0, 0.0]
