"""The watch: what a producer holds in memory, and where its migration is, sampled while it runs."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple, Self

import redis

from producer.errors import BrokerUnavailable
from tests.migration.stage import THREADS, Producer

MEMORY_EACH_S, STATUS_EACH_S = 0.1, 1.0


class Sample(NamedTuple):
    """Where a migration was, as ``migrate status --json`` says, and the producer's resident megabytes."""

    at_s: float
    rows: int
    open: int
    window: int
    is_read: bool
    resident_mb: float


class Watch:
    """Samples of a producer, for ``with``.

    Args:
        producer: a process of a migration.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer, self._ended = producer, threading.Event()
        self.samples: list[Sample] = []
        self.memory: list[tuple[int, float]] = []  # rows, megabytes
        self.peak_mb = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def rows(self) -> int:
        """Rows that had been read at the last look."""
        return self.samples[-1].rows if self.samples else 0

    def median_mb(self, rows: int, part: float, around: float = 0.03) -> float:
        """The median of the resident megabytes around a part of the rows."""
        near = [mb for at, mb in self.memory if abs(at / rows - part) <= around]
        return round(median(near), 1) if near else 0.0

    def full_share(self) -> float:
        """The share of looks, while rows were left to send, at which nine tenths of the window or more were open."""
        return self._share(lambda one: one.open >= one.window * 0.9)

    def starved_share(self, threads: int = THREADS) -> float:
        """The share of looks, while rows were left to send, at which workers had less to do than they have threads.

        Args:
            threads: of the worker processes that take migrations.
        """
        return self._share(lambda one: one.open < threads)

    def _share(self, holds: Callable[[Sample], bool]) -> float:
        sending = [one for one in self.samples[2:] if not one.is_read]
        return round(sum(map(holds, sending)) / len(sending), 4) if sending else 0.0

    def _run(self) -> None:
        look_at = 0.0
        with self._producer.stage.control(self._producer.name) as control:
            while not self._ended.wait(MEMORY_EACH_S):
                resident = self._weigh()
                if time.monotonic() < look_at or not resident:
                    continue
                look_at = time.monotonic() + STATUS_EACH_S
                with contextlib.suppress(BrokerUnavailable, redis.RedisError):
                    if (known := control.checkpoint()) is not None and known.progress:
                        self._keep(known.progress["counts"], known.progress, resident)

    def _keep(self, counts: dict[str, int], progress: dict[str, object], resident_mb: float) -> None:
        window, is_read = int(str(progress["window"])), bool(progress["is_read"])
        at_s = time.monotonic() - self._producer.started_at
        self.samples.append(Sample(at_s, sum(counts.values()), counts.get("open", 0), window, is_read, resident_mb))

    def _weigh(self) -> float:
        """The producer's resident megabytes now; 0 when it has ended."""
        try:
            text = Path(f"/proc/{self._producer.process.pid}/status").read_text()
        except OSError:
            return 0.0
        kilobytes = {
            name: int(rest.split()[0])
            for name, _, rest in (line.partition(":") for line in text.splitlines())
            if name in {"VmRSS", "VmHWM"}
        }
        resident = kilobytes.get("VmRSS", 0) / 1024
        if resident:
            self.peak_mb = max(self.peak_mb, kilobytes["VmHWM"] / 1024)
            self.memory.append((self.rows, resident))
        return resident
