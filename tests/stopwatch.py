"""A stopwatch that knows how long the machine kept everybody waiting: for promises about time, on busy machines too."""

import contextlib
import threading
import time
from pathlib import Path
from typing import Self

NAP_S, WORK_S = 0.01, 0.001


class Stopwatch:
    """Times a ``with`` block. Beside it a thread naps and works a little, over and over.

    What nap and work take longer than they should, others had the processors, and the block waited for them as well.
    Of processes that the block waits for, one after the other, the kernel says how long each was kept waiting.

    Args:
        pids: those processes.
    """

    def __init__(self, *pids: int) -> None:
        self._here_s = self._began = 0.0
        self._there_s = dict.fromkeys(pids, 0.0)
        self._before_s = {pid: _kept_waiting_s(pid) for pid in pids}
        self._end: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._nap_and_work, name="stopwatch", daemon=True)

    @property
    def took_s(self) -> float:
        """What the block took by the clock, until now if it has not ended."""
        return (time.monotonic() if self._end is None else self._end) - self._began

    @property
    def delay_s(self) -> float:
        """What others kept the block waiting, in all."""
        return max(self._here_s, sum(self._there_s.values()))

    @property
    def own_s(self) -> float:
        """What the block took without the delay; on an idle machine that is the clock's time."""
        return self.took_s - self.delay_s

    @property
    def share(self) -> float:
        """The part of the block's time in which the processors were to be had; on an idle machine 1."""
        return self.own_s / self.took_s

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end = time.monotonic()
        self._ended.set()
        self._thread.join()

    def _nap_and_work(self) -> None:
        while not self._ended.is_set():
            began, worked = time.monotonic(), time.thread_time()
            time.sleep(NAP_S)
            while time.thread_time() - worked < WORK_S:
                pass
            self._here_s += time.monotonic() - began - NAP_S - (time.thread_time() - worked)
            for pid, before in self._before_s.items():
                self._there_s[pid] = max(self._there_s[pid], _kept_waiting_s(pid) - before)


def _kept_waiting_s(pid: int) -> float:
    """What the main thread of a process was ready to run and did not; 0 if it has ended, or where no kernel tells."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0
