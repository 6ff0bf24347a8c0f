"""Run: the story of a migration, from the first row to the last outcome.

One thread reads and checks rows; this one sends them, hears outcomes and keeps both in the work file. A row is in the
work file before it is sent, and its job id follows from migration, run and ``customer_uid``: whatever stops the
process, going on sends nothing twice, for as long as the ledger remembers jobs (7 days after their outcome).
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from ..billing_queue import BillingQueue
from ..contract.identifiers import job_id_of
from ..contract.outcome import Outcome, Status
from ..enqueue import IssueRequest
from ..errors import BrokerUnavailable, IdempotencyConflict
from . import ledger
from .checker import Row
from .ledger import Control
from .pace import Brake, Throttle, Window
from .progress import Progress
from .rows import ROWS_AT_ONCE, Reader
from .work_file import AWAITED, NOT_SENT, ReportRow, WorkFile

TICK_S = 0.5
CHECK_S, CHECKED = 1.0, 200  # open rows that are asked for every so often, in case their outcome was not heard
STORE_RETRY_S = 1.0
NEVER_SENT = (NOT_SENT, "cancelled", "the migration was cancelled before this row was sent")
CONFLICT = (Status.INVALID, "conflict", "was sent before with other content (pg, channel_key or customer_id)")
FORGOTTEN = (Status.IN_DOUBT, "forgotten", "the ledger does not know this job any more; look it up at i'mport")


class Stopped(Exception):
    """The run ended before its rows did, and can be resumed.

    Args:
        more: options for that.
    """

    def __init__(self, words: str, more: str = "") -> None:
        self.more = more
        super().__init__(words)


@dataclass(repr=False, eq=False)
class Run:
    """One run of a migration.

    A row goes from ``_next`` (in hand) to ``_unsent`` (in the work file, not known to be accepted) to ``_open``.

    Args:
        queue: where jobs go.
        control: the migration in the ledger.
        work: its work file.
        window: how many jobs may be open.
        brake: whether their outcomes are as they should be.
        progress: is kept up to date.
        memory_mark: how full a store may be, 0 to 1, before nothing more is sent.
        show: called with the progress now and then.
        is_stopping: True once somebody wants it to stop.
        clock: seconds that only go forward.
    """

    queue: BillingQueue
    control: Control
    work: WorkFile
    window: Window
    brake: Brake
    progress: Progress
    memory_mark: float
    show: Callable[[Progress], None]
    is_stopping: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    _next: list[Row] = field(default_factory=list)
    _unsent: dict[str, tuple[int, IssueRequest]] = field(default_factory=dict)  # by job id, with the line
    _open: dict[str, int] = field(default_factory=dict)  # job id to line
    _to_ask: list[str] = field(default_factory=list)
    _asked: str = ledger.RUN
    _trouble: str | None = None
    _full: str | None = None
    _tick_at: float = 0.0
    _check_at: float = 0.0
    _again_at: float = 0.0
    _checked_line: int = 0

    def __post_init__(self) -> None:
        self._throttle, self._began_at, self._is_resumed = Throttle(), self.clock(), self.work.rows > 0

    def go(self, reader: Reader) -> None:
        """Send everything and hear everything.

        Raises:
            Stopped: it was asked to stop, another process took the migration over, or the brake is on.
            SourceError: the source broke; what was sent is kept.
            BrokerUnavailable: the ledger is away before anything began.
        """
        try:
            self.control.listen_from(self.control.now())
            while self._next or self._unsent or self._open or not self.progress.is_read:
                self._go_round(reader, self.clock())
        finally:
            self._describe(self.clock())

    def _go_round(self, reader: Reader, now: float) -> None:
        if self.is_stopping():
            raise Stopped("asked to stop")
        if self.brake.why and not self._open:
            raise Stopped(self.brake.why, " --stop-at 100" if self.brake.is_declined else "")
        if now < self._again_at:
            time.sleep(0.05)
            return
        try:
            if now >= self._tick_at:
                self._tick(now)
            self._read(reader)
            has_moved = self._keep_next(now) + self._send()
            self._hear(now, wait_ms=1 if has_moved else 50)
        except BrokerUnavailable as error:
            self._hold(error, now)

    def _hold(self, error: BrokerUnavailable, now: float) -> None:
        """A store failed: wait for it, unless only a person can mend it."""
        words = str(error).split(";")[0]
        if error.is_lasting:
            raise Stopped(words)
        self._trouble, self._again_at = words, now + STORE_RETRY_S

    # Sending

    def _read(self, reader: Reader) -> None:
        if not (self._next or self._unsent or self.progress.is_read):
            rows = reader.take()
            self._next, self.progress.is_read = rows or [], rows is None

    def _keep_next(self, now: float) -> int:
        """Put rows into the work file: those that can be sent now, and those that never will.

        Returns:
            The number of rows that were dealt with.
        """
        before, room = len(self._next), self._room(now)
        while self._next:
            found = self._sendable(self._next[0])
            if isinstance(found, ReportRow):
                self._keep_unsendable(found)
            elif room > 0:
                self._keep(self._next[0].line, found)
                room -= 1
            else:
                break
            del self._next[0]
        return before - len(self._next)

    def _sendable(self, row: Row) -> IssueRequest | ReportRow:
        """The request of a row that may be sent, or the row as the report has it."""
        refused = partial(ReportRow, row.line, row.customer_uid)
        if row.request is None:
            return refused(Status.INVALID, "row", message=row.problem)
        if self._asked == ledger.CANCEL:
            status, code, words = NEVER_SENT
            return refused(status, code, message=words)
        first = self.work.line_of(row.customer_uid)
        if first not in {None, row.line}:
            return refused(Status.INVALID, "row", message=f"customer_uid: stands on line {first}, too")
        return row.request

    def _keep(self, line: int, request: IssueRequest) -> None:
        job_id = job_id_of(request.idempotency_key or "")
        self.work.keep(ReportRow(line, request.customer_uid, AWAITED, job_id=job_id))
        self._unsent[job_id] = line, request

    def _keep_unsendable(self, row: ReportRow) -> None:
        """Keep a row that is not sent; one that an earlier process sent is awaited all the same."""
        job_id = self.work.keep(row).job_id
        if job_id is not None:
            self._open[job_id] = row.line

    def _room(self, now: float) -> int:
        self.progress.held = self._why_held()
        if self.progress.held or self._unsent:
            return 0
        return self._throttle.room(now, min(self.window.size(now) - len(self._open), ROWS_AT_ONCE))

    def _why_held(self) -> str | None:
        return self.brake.why or ("paused" if self._asked == ledger.PAUSE else self._trouble or self._full)

    def _send(self) -> int:
        """Send the rows that were kept.

        Returns:
            The number of rows that were dealt with.
        """
        if self._asked == ledger.CANCEL:
            self._drop_unsent()
        count = len(self._unsent)
        if not count or self._why_held():
            return 0
        try:
            list(self.queue.issue_many(request for _, request in self._unsent.values()))
        except IdempotencyConflict as conflict:  # the others of the chunk go once more, which changes nothing
            self._leave_out(job_id_of(conflict.idempotency_key))
            return 1
        self._throttle.sent(count)
        self._await(*self._unsent)
        return count

    def _await(self, *job_ids: str) -> None:
        """Await jobs that were sent. In a run that goes on, an outcome may have come while nobody listened."""
        self._open |= {job_id: self._unsent.pop(job_id)[0] for job_id in job_ids}
        if self._is_resumed:
            self._to_ask += job_ids

    def _leave_out(self, job_id: str) -> None:
        """One row conflicts. In a run that goes on, it is its own job, sent with other options: awaited as it is."""
        self._await(job_id)
        if not self._is_resumed:
            self._give_up([job_id], *CONFLICT)

    def _drop_unsent(self) -> None:
        """Cancelled while a store failed: a job that was accepted all the same is awaited, the rest is not sent."""
        job_ids = list(self._unsent)
        known = self.control.outcomes(job_ids)
        self._await(*job_ids)
        self._give_up(set(job_ids) - known.keys(), *NEVER_SENT)

    # Hearing

    def _hear(self, now: float, *, wait_ms: int) -> None:
        """Outcomes as they come; and in turn, open jobs are asked for, should one have been missed."""
        self._settle(self.control.heard(wait_ms=wait_ms), now)
        if now >= self._check_at:
            self._check_at = now + CHECK_S
            self._settle(self._ask_for_open(), now)
        if self._to_ask:
            self._settle(self.control.outcomes(self._to_ask).values(), now)
            self._to_ask = []

    def _settle(self, outcomes: Iterable[Outcome | None], now: float) -> None:
        settled = {one.job_id: one for one in outcomes if one and one.job_id in self._open}
        self.work.settle(ReportRow.of(self._open.pop(job_id), one) for job_id, one in settled.items())
        self.window.finished(now, len(settled))
        self.brake.heard(settled.values())

    def _give_up(self, job_ids: Iterable[str], status: str, code: str, words: str) -> None:
        """End open rows with a word of our own."""
        self.work.settle(ReportRow(self._open.pop(job_id), "", status, code, message=words) for job_id in job_ids)

    def _ask_for_open(self) -> Iterable[Outcome | None]:
        rows = self.work.open_rows(self._checked_line, CHECKED)
        self._checked_line = rows[-1][0] if len(rows) == CHECKED else 0
        ours = [job_id for _, job_id in rows if job_id in self._open]
        known = self.control.outcomes(ours)
        self._give_up(set(ours) - known.keys(), *FORGOTTEN)
        return known.values()

    # Keeping others informed

    def _tick(self, now: float) -> None:
        self._tick_at = now + TICK_S
        self.work.commit()
        self._describe(now)
        told = self.control.tick({"progress": self.progress.json(), "state": ledger.RUNNING})
        if not told.is_ours:
            raise Stopped("another process runs this migration now")
        self._asked, self._throttle.rate = told.asked, told.throttle
        part, store = max((part or 0.0, store) for store, part in self.control.memory_used().items())
        self._full = f"the {store} is {part:.0%} full" if part > self.memory_mark else None
        self._trouble = None
        self.show(self.progress)

    def _describe(self, now: float) -> None:
        progress, work = self.progress, self.work
        progress.line, progress.counts = work.last_line, {name: n for name, n in work.counts.items() if n}
        progress.rate, progress.window = self.window.rate(now), self.window.size(now)
        progress.throttle, progress.held = self._throttle.rate, self._why_held()
        progress.elapsed_s = now - self._began_at
        progress.estimate()


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[Callable[[], bool]]:
    """A function that is True once SIGINT or SIGTERM came; the second signal ends the process at once."""
    came: list[int] = []

    def on_signal(number: int, _frame: object) -> None:
        came.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
