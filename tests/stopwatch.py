"""A stopwatch that knows how long the machine kept everybody waiting: for promises about time, on busy machines too."""

import threading
import time
from typing import Self

NAP_S, WORK_S = 0.01, 0.001


class Stopwatch:
    """Times a ``with`` block. Beside it a thread naps and works a little, over and over.

    What nap and work take longer than they should, others had the processors, and the block waited for them as well.

    Attributes:
        delay_s: what others kept the thread waiting, in all.
    """

    def __init__(self) -> None:
        self.delay_s = self._began = 0.0
        self._end: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._nap_and_work, name="stopwatch", daemon=True)

    @property
    def took_s(self) -> float:
        """What the block took by the clock, until now if it has not ended."""
        return (time.monotonic() if self._end is None else self._end) - self._began

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
            self.delay_s += time.monotonic() - began - NAP_S - (time.thread_time() - worked)
