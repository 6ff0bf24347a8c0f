"""Sweeper: puts ids of jobs that want a message on the ``recovery`` queue. A thread in every worker, one at work.

Wakes what is due (a retry, a lease that ran out, a deadline), and re-publishes what was lost on the way: a never
claimed job is missing only if jobs accepted well after it in the same queue have been claimed, or the queue has been
empty for a while. A backlog that merely waits is left alone, and no more is published than ``recovery`` has room for.
Has new jobs refused while a store is nearly full, and the ledger's file written anew after its server was started.

Keys: ``billing:sweeper``, the lock of the one at work; ``billing:full``, ``billing:rewritten``.
"""

import secrets
import threading
import time
from collections.abc import Callable

import structlog

from producer.contract.job import QUEUES, RECOVERY
from producer.runtime.errors import ProcessError
from worker import metrics
from worker.ledger import Ledger

SWEEP_PERIOD_S = 0.5
LOCK_LIFE_S = 10
ROOM = 1000  # ids on the recovery queue at most
GUARD_S = 60.0  # an id that was published is looked at again after this, should its message be lost
OVERTAKEN_S = 30.0

log = structlog.get_logger()


class Sweeper:
    """Looks after the open jobs.

    Args:
        ledger: the ledger.
        publish: puts ids on the recovery queue, each with the queue that it was accepted for.
        depths: how many messages each of :data:`QUEUES` holds.
        migration_room: ids of migrations on the recovery queue at most; customers wait behind them.
        clock: monotonic seconds.
        alive: called each time the loop goes round.
    """

    def __init__(
        self,
        ledger: Ledger,
        publish: Callable[[list[tuple[str, str]]], None],
        depths: Callable[[], list[int]],
        *,
        migration_room: int = ROOM,
        clock: Callable[[], float] = time.monotonic,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger, self._publish, self._depths, self._clock = ledger, publish, depths, clock
        self._migration_room, self._alive = migration_room, alive
        self._owner = secrets.token_hex(8)
        self._empty_since: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the sweep at work."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def sweep(self) -> int:
        """One sweep, if this is the one at work; how many ids it published."""
        if not self._ledger.hold_sweeper(self._owner, LOCK_LIFE_S):
            self._empty_since.clear()
            return 0
        try:
            return self._publish_due()
        finally:  # whatever became of that; and that does not wait for a vault that is away
            self._keep_house()

    def _publish_due(self) -> int:
        depths = dict(zip(QUEUES, self._depths(), strict=True))
        room = ROOM - depths[RECOVERY]
        if room <= 0:
            return 0
        due = self._ledger.due(
            room,
            max(self._migration_room - depths[RECOVERY], 0),
            guard_s=GUARD_S,
            overtaken_s=OVERTAKEN_S,
            empty_s=self._empty_for(depths),
        )
        if due:
            self._publish(due)
            metrics.SWEPT.inc(len(due))
        return len(due)

    def _keep_house(self) -> None:
        if self._ledger.rewrite_after_restart():
            log.info("append-only file written anew: the ledger's server was started")
        full, is_new = self._ledger.refuse_jobs_while_full()
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

    def _run(self) -> None:
        problem = ""
        while not self._stopped.wait(SWEEP_PERIOD_S):
            self._alive()
            try:
                self.sweep()
                problem = ""
            except Exception as error:  # noqa: BLE001 — the sweeper outlives whatever a store's or broker's client raises
                words = str(error) if isinstance(error, ProcessError) else type(error).__name__
                if problem != words:
                    problem = words
                    log.warning("sweeper waits", problem=problem)
