"""Sweeper: puts ids of jobs that want a message on a queue. A thread in every worker process, one at work.

Wakes what is due (a retry, a lease that ran out, a deadline), and publishes anew what was lost on the way: a message is
lost once as many later ones of its queue were claimed as all processes have places, or its queue has been empty for a
while. A backlog that merely waits is left alone, and no more is published than there is room for.

Carries out what operators ask for. Shows that its process lives, and frees what the dead held. Has new jobs refused
while a store is nearly full, and the ledger's file written anew after its server was started.
"""

import threading
import time
from collections.abc import Callable

import structlog

from producer.contract.job import QUEUES, RECOVERY
from producer.runtime.errors import ProcessError, StoreUnavailable
from worker import metrics
from worker.open_jobs import Due, OpenJobs, Roll

SWEEP_PERIOD_S = 0.5
ROOM = 1000  # ids on the recovery queue at most

log = structlog.get_logger()


class Sweeper:
    """Looks after the open jobs.

    Args:
        jobs: the open jobs.
        publish: puts ids on their queues.
        depths: how many messages each of :data:`QUEUES` holds.
        process: names this process, and no other.
        places: how many messages it may hold.
        migration_room: ids of migrations that come back at once; about a second's work.
        has_front: whether ``publish`` can put a message before others.
        clock: monotonic seconds.
        alive: called each time the loop goes round.
    """

    def __init__(
        self,
        jobs: OpenJobs,
        publish: Callable[[list[Due]], None],
        depths: Callable[[], list[int]],
        process: str,
        *,
        places: int = 1,
        migration_room: int = ROOM,
        has_front: bool = True,
        clock: Callable[[], float] = time.monotonic,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._jobs, self._publish, self._depths, self._clock = jobs, publish, depths, clock
        self._process, self._places, self._alive = process, places, alive
        self._migration_room, self._has_front = migration_room, has_front
        self._roll = Roll(is_sweeper=False, places=places, given_up=0)
        self._empty_since: dict[str, float] = {}
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Show a first sign of life, then go on in two threads: a store that hangs must not keep signs back."""
        try:
            self.show_life()
        except StoreUnavailable as error:
            log.warning("sweeper waits", problem=str(error))
        for name, work in (("liveness", self.show_life), ("sweeper", self._sweep_and_tell)):
            self._threads.append(threading.Thread(target=self._repeat, args=(name, work), name=name, daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """End after the sweep at work; nothing is held any more."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=5)
        try:
            self._jobs.leave(self._process)
        except StoreUnavailable as error:
            log.info("left without a word", problem=str(error))

    def show_life(self) -> None:
        """A sign of life, and who sweeps until the next one."""
        self._roll = self._jobs.show_life(self._process, self._places)
        if self._roll.given_up:
            metrics.SWEEPS.labels("process_given_up").inc(self._roll.given_up)
            log.warning("processes without a sign of life: what they held is free", count=self._roll.given_up)

    def sweep(self) -> int:
        """One sweep, if this is the process at work; how many ids it published."""
        roll = self._roll
        if not roll.is_sweeper:
            self._empty_since.clear()
            return 0
        try:
            return self._publish_due(roll.places)
        finally:  # whatever became of that; and that does not wait for a vault that is away
            self._keep_house()

    def _publish_due(self, places: int) -> int:
        self._jobs.carry_out_asked()
        depths = dict(zip(QUEUES, self._depths(), strict=True))
        room = max(ROOM - depths[RECOVERY], 0)
        for_migrations = self._migration_room if self._has_front else self._migration_room - depths[RECOVERY]
        empty_s = self._empty_for(depths)
        due = self._jobs.due(room, max(for_migrations, 0), places, empty_s, has_front=self._has_front)
        if due:
            self._publish(due)
            metrics.SWEEPS.labels("published").inc(len(due))
        return len(due)

    def _keep_house(self) -> None:
        if self._jobs.rewrite_after_restart():
            metrics.SWEEPS.labels("file_rewritten").inc()
            log.info("append-only file written anew: the ledger's server was started")
        full, is_new = self._jobs.refuse_jobs_while_full()
        if is_new:
            metrics.SWEEPS.labels("jobs_refused" if full else "jobs_accepted_again").inc()
        if is_new and full:
            log.error("jobs are refused: a store is nearly full", store=full)
        elif is_new:
            log.info("jobs are accepted again: there is room")

    def _empty_for(self, depths: dict[str, int]) -> list[float]:
        now = self._clock()
        for queue, depth in depths.items():
            if depth:
                self._empty_since.pop(queue, None)
            else:
                self._empty_since.setdefault(queue, now)
        return [now - self._empty_since[queue] if queue in self._empty_since else -1.0 for queue in QUEUES]

    def _sweep_and_tell(self) -> None:
        self._alive()
        self.sweep()

    def _repeat(self, name: str, work: Callable[[], object]) -> None:
        problem = ""
        while not self._stopped.wait(SWEEP_PERIOD_S):
            try:
                work()
                problem = ""
            except Exception as error:  # noqa: BLE001 — outlives whatever a store's or broker's client raises
                words = str(error) if isinstance(error, ProcessError) else type(error).__name__
                if problem != words:
                    problem = words
                    log.warning("sweeper waits", thread=name, problem=problem)
