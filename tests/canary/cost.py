"""What the lock-down costs: CPU of the same workers with it and without it, in turns on the same machine."""

import os
import signal
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from producer.contract import redis_keys
from tests.bench.stage import cpu_s_of
from tests.canary.control import enqueue
from tests.canary.stage import Scene
from tests.canary.tracer import Tracer
from tests.servers import wait_until
from worker.supervisor import queues_of

THREADS, ROUNDS, JOBS = 16, 30, 200
WITHOUT = ["--without-gossip", "--without-mingle", "--without-heartbeat"]


class _Side:
    """Two worker processes on a stack of their own."""

    def __init__(self, scene: Scene, *, locked: bool) -> None:
        self.scene = scene
        run = ["-m", "worker", "run", "--processes", "2", "--concurrency", str(THREADS)]
        plain = ["-m", "celery", "-A", "worker", "worker", "-P", "threads", "-c", str(THREADS), "-l", "INFO", *WITHOUT]
        if locked:
            self.pids = scene.worker(run, processes=2).pids()[1:]
        else:
            options = [[*plain, "-n", f"open{number}@%h", "-Q", queues_of(number)] for number in range(2)]
            self.pids = [scene.worker(one, processes=1).process.pid for one in options]

    def cpu_ms(self, indexes: range) -> float:
        """CPU of the workers for each of some jobs, from the first to the last."""
        enqueue_while_stopped(self, indexes)
        before = sum(cpu_s_of(pid) for pid in self.pids)
        self.signal(signal.SIGCONT)
        wait_until(lambda: not self.scene.ledger.zcard(redis_keys.OPEN), 120, "the end of a round")
        return 1000 * (sum(cpu_s_of(pid) for pid in self.pids) - before) / len(indexes)

    def signal(self, number: int) -> None:
        for pid in self.pids:
            os.kill(pid, number)


def enqueue_while_stopped(side: _Side, indexes: range) -> None:
    """Enqueueing must not take turns with the work."""
    side.signal(signal.SIGSTOP)
    enqueue(side.scene, 0, indexes)


def measure(folder: Path) -> dict[str, Any]:
    """Medians of rounds in turns, after one that warms up.

    Returns:
        CPU milliseconds a job with and without lock-down, each the median of its rounds, and the cost in percent of
        the one without; the quartiles are those of the single rounds, which the machine's noise moves about.
    """
    with Scene(Tracer(folder / "locked", wanted=False)) as one, Scene(Tracer(folder / "open", wanted=False)) as other:
        locked, plain = _Side(one, locked=True), _Side(other, locked=False)
        rounds = []
        for number in range(ROUNDS + 1):
            indexes = range(number * JOBS, (number + 1) * JOBS)
            first, second = (locked, plain) if number % 2 else (plain, locked)
            costs = {first: first.cpu_ms(indexes), second: second.cpu_ms(indexes)}
            rounds.append((costs[locked], costs[plain]))
    with_it, without = (median(side) for side in zip(*rounds[1:], strict=True))
    percents = [100 * (a / b - 1) for a, b in rounds[1:]]
    return {
        "cpu_ms_with_lock_down": round(with_it, 2),
        "cpu_ms_without": round(without, 2),
        "lock_down_cpu_percent": round(100 * (with_it / without - 1), 1),
        "lock_down_cpu_quartiles": [round(percent, 1) for percent in quantiles(percents)[::2]],
    }
