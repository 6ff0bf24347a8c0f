"""Work that the fake does after it has hung up."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Later:
    """Runs functions after a delay, on one thread that exists only once it is needed."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._ids = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def after(self, delay_s: float, work: Callable[[], object]) -> None:
        """Run the work in ``delay_s`` seconds, unless it is cleared before."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._ids), work))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fake-later", daemon=True)
                self._thread.start()
            self._changed.notify()

    def run_now(self) -> None:
        """Run all that waits, on the caller's thread, so that a test need not sleep."""
        with self._changed:
            due, self._due = sorted(self._due), []
        for _, _, work in due:
            work()

    def clear(self) -> None:
        """Forget all that waits."""
        with self._changed:
            self._due.clear()

    def stop(self) -> None:
        """Forget all that waits and end the thread."""
        with self._changed:
            self._stopped = True
            self._due.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work()

    def _next(self) -> Callable[[], object] | None:
        with self._changed:
            while not self._stopped:
                wait_s = self._due[0][0] - time.monotonic() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait_s)
        return None
