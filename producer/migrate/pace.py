"""Pace: jobs that may be open, rows that may be sent a second, and when to send none. Pure; clocks are arguments."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..contract.outcome import Outcome, Status

WINDOW_FIRST = 200
WINDOW_PART = 30  # of the deadline: what is open is worked off in a thirtieth of it
MEASURED_S = 10.0
BRAKE_OUTCOMES = 200  # the brake looks at so many, the newest
MISCONFIGURED_LIMIT, INVALID_LIMIT = 5, 20


@dataclass
class Window:
    """The number of jobs that may be open: as many as the workers lately finished in a thirtieth of the deadline.

    So a job waits far shorter than its deadline, the vault stays small, and a pause soon shows. It
    widens once the brake has had its outcomes to look at.

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
    _count: int = 0

    def finished(self, now: float, count: int) -> None:
        """Count jobs that had their outcome."""
        if count:
            self._ends.append((now, count))
            self._sum += count
            self._count += count

    def rate(self, now: float) -> float:
        """Jobs a second that had their outcome, over the last ten seconds."""
        while self._ends and self._ends[0][0] < now - MEASURED_S:
            self._sum -= self._ends.popleft()[1]
        return self._sum / min(max(now - self.began_at, 1.0), MEASURED_S)

    def size(self, now: float) -> int:
        """The number of jobs that may be open."""
        wanted = int(self.rate(now) * self.deadline_s / WINDOW_PART) if self._count >= BRAKE_OUTCOMES else 0
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


@dataclass
class Brake:
    """Ends the sending once the last outcomes say that the source or the account is not what it is taken for.

    Args:
        stop_at: per cent of the last 200 outcomes that may be declined.
        why: words, once it has come to that.
        is_declined: True if it was for refusals of the card.
    """

    stop_at: float = 30.0
    why: str | None = None
    is_declined: bool = False
    _last: deque[tuple[str, str]] = field(default_factory=deque)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def heard(self, outcomes: Iterable[Outcome]) -> None:
        """Look at outcomes as they come."""
        for one in outcomes:
            self._look(one)

    def _look(self, one: Outcome) -> None:
        kind = _kind(one)
        self._last.append(kind)
        self._counts[kind] += 1
        if len(self._last) > BRAKE_OUTCOMES:
            self._counts[self._last.popleft()] -= 1
        if self.why is None and (found := self._reason(*kind)):
            self.why, self.is_declined = found, one.status is Status.DECLINED

    def _reason(self, status: str, code: str) -> str | None:
        count, of_last = self._counts[status, code], f"of the last {len(self._last)} outcomes are"
        match status:
            case Status.DECLINED if count > self.stop_at * BRAKE_OUTCOMES / 100:
                return f"{count} {of_last} declined: a wrong column? Each counts at the card company"
            case Status.MISCONFIGURED if (count := self._of(status)) >= MISCONFIGURED_LIMIT:
                return f"{count} {of_last} misconfigured ({code})"
            case Status.INVALID if count >= INVALID_LIMIT:
                return f"{count} {of_last} invalid ({code})"
        return None

    def _of(self, status: str) -> int:
        return sum(count for (kind, _), count in self._counts.items() if kind == status)


def _kind(one: Outcome) -> tuple[str, str]:
    """Refusals of the card count together, all others by their codes."""
    return one.status, "" if one.status is Status.DECLINED else f"{one.code or ''} {one.pg_code or ''}".strip()
