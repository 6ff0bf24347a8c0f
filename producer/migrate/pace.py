"""Pace: the number of jobs that may be open, and of rows that may be sent a second. Pure; clocks are arguments."""

from collections import deque
from dataclasses import dataclass, field

WINDOW_FIRST = 200
WINDOW_PART = 30  # of the deadline: what is open is worked off in a thirtieth of it
MEASURED_S = 10.0


@dataclass
class Window:
    """The number of jobs that may be open: as many as the workers lately finished in a thirtieth of the deadline.

    So a job waits far shorter than its deadline, the vault stays small, and a pause soon shows.

    Args:
        deadline_s: of a job.
        limit: never more than that.
        began_at: when the run began, in the seconds of the clock that is passed to the other calls.
    """

    deadline_s: float
    limit: int
    began_at: float
    _ends: deque[tuple[float, int]] = field(default_factory=deque)
    _sum: int = 0

    def finished(self, now: float, count: int) -> None:
        """Count jobs that had their outcome."""
        if count:
            self._ends.append((now, count))
            self._sum += count

    def rate(self, now: float) -> float:
        """Jobs a second that had their outcome, over the last ten seconds."""
        while self._ends and self._ends[0][0] < now - MEASURED_S:
            self._sum -= self._ends.popleft()[1]
        return self._sum / min(max(now - self.began_at, 1.0), MEASURED_S)

    def size(self, now: float) -> int:
        """The number of jobs that may be open."""
        wanted = int(self.rate(now) * self.deadline_s / WINDOW_PART)
        return min(max(wanted, WINDOW_FIRST), self.limit)


@dataclass
class Throttle:
    """At most so many rows a second, evenly.

    Args:
        rate: rows a second; None is as many as the window lets through.
    """

    rate: float | None = None
    _free_at: float = 0.0

    def room(self, now: float, wanted: int) -> int:
        """The number of rows that may be sent now, of those wanted."""
        if self.rate is None:
            return wanted
        self._free_at = max(self._free_at, now - max(1.0, 2 / self.rate))  # what was not used is lost
        return max(min(wanted, int((now - self._free_at) * self.rate)), 0)

    def sent(self, count: int) -> None:
        """Count rows that were sent."""
        if self.rate:
            self._free_at += count / self.rate
