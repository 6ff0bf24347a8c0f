"""Run: the story of a migration, from the first row to the last outcome.

One thread reads and checks rows; this one sends them, hears outcomes and keeps both in the work file. A row is in the
work file before it is sent, and its job id follows from migration, run and ``customer_uid``: whatever stops the
process, going on sends nothing twice, for as long as the ledger remembers jobs (7 days after their outcome).
"""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field

from producer.billing_queue import BillingQueue
from producer.contract.identifiers import job_id_of
from producer.contract.outcome import Outcome, Status
from producer.enqueue import IssueRequest
from producer.errors import BrokerUnavailable, IdempotencyConflict
from producer.migrate import ledger
from producer.migrate.ledger import Control
from producer.migrate.pace import SharedRate, Window
from producer.migrate.rows import Checker, Row, shown
from producer.migrate.source import CutOff, Record, SourceError
from producer.migrate.work_file import NOT_SENT, OPEN, ReportRow, WorkFile

CHUNK = 100
READ_AHEAD = 4  # chunks
TICK_S = 0.5
CHECK_S, CHECKED = 1.0, 200  # open rows that are asked for every so often, in case their outcome was not heard
AGAIN_S = 1.0  # after a store failed
CANCELLED = "the migration was cancelled before this row was sent"


class Stopped(Exception):
    """The run ended before its rows did, and can be resumed."""


@dataclass
class Progress:
    """Where a run is, for whoever looks at it. Rates are rows a second.

    Args:
        expected: rows that the source is said to have.
        held: why nothing is sent just now, or None.
    """

    name: str
    run: int
    expected: int | None = None
    line: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    rate: float = 0.0
    throttle: float | None = None
    window: int = 0
    held: str | None = None
    is_read: bool = False
    eta_s: float | None = None
    elapsed_s: float = 0.0

    @property
    def rows(self) -> int:
        """Rows that were read so far."""
        return sum(self.counts.values())


class Reader(threading.Thread):
    """Reads and checks rows, a few chunks ahead.

    Args:
        rows: of the source.
    """

    def __init__(self, rows: Iterator[Row]) -> None:
        super().__init__(name="source", daemon=True)
        self._rows = rows
        self._ready: queue.Queue[Row | Exception | None] = queue.Queue(READ_AHEAD * CHUNK)
        self._is_ended = False
        self._error: Exception | None = None

    def run(self) -> None:
        """Read to the end; what was read before an error comes before it."""
        end: Exception | None = None
        try:
            for row in self._rows:
                self._ready.put(row)
        except Exception as error:  # noqa: BLE001 — told to the one that asks next
            end = error
        self._ready.put(end)

    def take(self) -> list[Row] | None:
        """The next rows; none if they are not there yet, None at the end.

        Raises:
            SourceError: the source broke, or cannot be used.
        """
        taken: list[Row] = []
        with contextlib.suppress(queue.Empty):
            while not self._is_ended and len(taken) < CHUNK:
                one = self._ready.get_nowait()
                if isinstance(one, Row):
                    taken.append(one)
                else:
                    self._is_ended, self._error = True, one
        if self._is_ended and not taken:
            if self._error is not None:
                raise self._error
            return None
        return taken


def rows_to_send(records: Iterable[Record], checker: Checker, known: Iterator[ReportRow]) -> Iterator[Row]:
    """Rows that have no end yet; what has one is passed over without a look at its card.

    Args:
        records: of the source.
        checker: the rules.
        known: what the run has read before, by line.

    Raises:
        SourceError: it is another source than the one that the run began with, or less of it.
    """
    before = next(known, None)
    for record in records:
        if before is not None and before.line <= record.line:
            uid = record.fields.get("customer_uid", "")
            if before.line < record.line or before.customer_uid not in {uid, shown(uid)}:
                raise SourceError(f"line {before.line}: is not what this run read there; this is another source")
            is_open, before = before.status == OPEN, next(known, None)
            if not is_open:
                continue
        yield checker.check(record)
    if before is not None:
        raise CutOff("the source ends before the last line that this run has read; it was cut off")


class Run:
    """One run of a migration.

    Args:
        queue: where jobs go.
        control: the migration in the ledger.
        work: its work file.
        window: how many jobs may be open.
        progress: is kept up to date.
        memory_mark: how full a store may be, 0 to 1, before nothing more is sent.
        show: called with the progress now and then.
        is_stopping: whether somebody wants it to stop.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        queue: BillingQueue,
        control: Control,
        work: WorkFile,
        window: Window,
        progress: Progress,
        memory_mark: float,
        show: Callable[[Progress], None],
        is_stopping: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._control, self._work, self._window = queue, control, work, window
        self.progress, self._show, self._is_stopping, self._clock = progress, show, is_stopping, clock
        self._memory_mark, self._throttle = memory_mark, SharedRate()
        self._began_at = clock()
        self._open: dict[str, int] = {}  # job id to line
        self._next: list[Row] = []  # rows in hand, not kept yet
        self._unsent: list[tuple[int, IssueRequest]] = []  # kept, and not known to be accepted
        self._asked = ledger.RUN
        self._trouble: str | None = None
        self._full: str | None = None
        self._tick_at = self._check_at = self._again_at = 0.0
        self._checked_line = 0
        self._is_resumed = work.rows > 0
        self._to_ask: list[str] = []

    def go(self, reader: Reader) -> None:
        """Send everything and hear everything.

        Raises:
            Stopped: it was asked to stop, or another process took the migration over.
            SourceError: the source broke; what was sent is kept.
        """
        try:
            self._go(reader)
        finally:
            self._describe(self._clock())

    def _go(self, reader: Reader) -> None:
        self._control.listen_from(self._control.now())
        self._tick(self._clock())
        is_read = False
        while True:
            now = self._clock()
            if self._is_stopping():
                raise Stopped("asked to stop")
            if now >= self._tick_at:
                self._tick(now)
            if not is_read and not self._next and not self._unsent:
                chunk = reader.take()
                is_read, self._next = chunk is None, chunk or []
                self.progress.is_read = is_read
            has_sent = self._send(now)
            self._hear(now, wait_ms=1 if has_sent else 50)
            if is_read and not self._next and not self._unsent and not self._open:
                return

    # Sending

    def _send(self, now: float) -> bool:
        """Send what may be sent now; whether any row was dealt with."""
        has_kept = not self._unsent and self._keep_next(now)
        if not self._unsent or now < self._again_at:
            return has_kept
        if self._asked == ledger.CANCEL:
            self._drop_unsent(now)
        if self._asked != ledger.RUN or self._full:
            return False
        chunk = self._unsent
        try:
            for _ in self._queue.issue_many(request for _, request in chunk):
                pass
        except IdempotencyConflict as conflict:  # the others of the chunk go once more, which changes nothing
            self._leave_out(conflict.idempotency_key)
            return True
        except BrokerUnavailable as error:
            self._hold(error, now)
            return False
        self._trouble, self._unsent = None, []
        self._throttle.sent(len(chunk))
        sent = {job_id_of(request.idempotency_key or ""): line for line, request in chunk}
        self._open.update(sent)
        self._to_ask += sent if self._is_resumed else ()  # it may have had its outcome while nobody listened
        return True

    def _hold(self, error: BrokerUnavailable, now: float) -> None:
        """A store failed: wait for it, unless only a person can mend it."""
        words = str(error).split(";")[0]
        if error.is_lasting:
            raise Stopped(words)
        self._trouble, self._again_at = words, now + AGAIN_S

    def _leave_out(self, key: str) -> None:
        """One row conflicts. In a run that goes on, it is its own job, sent with other options: awaited as it is."""
        (line,) = (line for line, request in self._unsent if request.idempotency_key == key)
        self._unsent = [one for one in self._unsent if one[0] != line]
        if self._is_resumed:
            self._open[job_id_of(key)] = line
            self._to_ask.append(job_id_of(key))
            return
        words = "was sent before with other content (pg, channel_key or customer_id)"
        self._work.settle([ReportRow(line, "", Status.INVALID, "conflict", message=words)])

    def _drop_unsent(self, now: float) -> None:
        """Cancelled while a store failed: what was accepted all the same is awaited, the rest is not sent."""
        jobs = {job_id_of(request.idempotency_key or ""): line for line, request in self._unsent}
        try:
            known = self._control.outcomes(list(jobs))
        except BrokerUnavailable as error:
            self._hold(error, now)
            return
        self._open.update((job_id, jobs[job_id]) for job_id in known)
        self._work.settle(
            ReportRow(line, "", NOT_SENT, "cancelled", message=CANCELLED)
            for job_id, line in jobs.items()
            if job_id not in known
        )
        self._unsent = []

    def _keep_next(self, now: float) -> bool:
        """Put rows into the work file: those that can be sent now, and those that never will; whether any was."""
        before = len(self._next)
        room = self._room(now)
        is_cancelled = self._asked == ledger.CANCEL
        while self._next and (is_cancelled or room > 0 or self._next[0].request is None):
            row = self._next.pop(0)
            if row.request is None:
                self._keep_unsendable(row, Status.INVALID, "row", row.problem)
            elif is_cancelled:
                self._keep_unsendable(row, NOT_SENT, "cancelled", CANCELLED)
            elif self._keep(row, row.request):
                room -= 1
        return len(self._next) < before

    def _keep(self, row: Row, request: IssueRequest) -> bool:
        """Keep a row that is about to be sent; whether it is."""
        first = self._work.line_of(request.customer_uid)
        if first is not None and first != row.line:
            self._keep_unsendable(row, Status.INVALID, "row", f"customer_uid: stands on line {first}, too")
            return False
        if first is None:
            job_id = job_id_of(request.idempotency_key or "")
            self._work.add([ReportRow(row.line, row.customer_uid, OPEN, job_id=job_id)])
        self._unsent.append((row.line, request))
        return True

    def _keep_unsendable(self, row: Row, status: str, code: str, words: str | None) -> None:
        """Keep a row that is not sent; one that an earlier process sent is awaited all the same."""
        before = self._work.find(row.line)
        if before is None:
            self._work.add([ReportRow(row.line, row.customer_uid, str(status), code, message=words)])
        elif before.status == OPEN and before.job_id:
            self._open[before.job_id] = row.line

    def _room(self, now: float) -> int:
        self.progress.held = self._why_held()
        if self.progress.held:
            return 0
        return self._throttle.room(now, min(self._window.size(now) - len(self._open), CHUNK))

    def _why_held(self) -> str | None:
        if self._asked == ledger.PAUSE:
            return "paused"
        return self._trouble or self._full

    # Hearing

    def _hear(self, now: float, *, wait_ms: int) -> None:
        """Outcomes as they come; and in turn what is open is asked for, should one have been missed."""
        if now < self._again_at and self._trouble:
            time.sleep(0.05)
            return
        try:
            outcomes = self._control.heard(wait_ms=wait_ms)
            if now >= self._check_at:
                self._check_at = now + CHECK_S
                outcomes += self._ask_for_open()
            if self._to_ask:
                outcomes += [one for one in self._control.outcomes(self._to_ask).values() if one is not None]
                self._to_ask = []
        except BrokerUnavailable as error:
            self._hold(error, now)
            return
        settled = {one.job_id: one for one in outcomes if one.job_id in self._open}
        self._work.settle(ReportRow.of(self._open.pop(job_id), one) for job_id, one in settled.items())
        self._window.finished(now, len(settled))

    def _ask_for_open(self) -> list[Outcome]:
        rows = self._work.open_rows(self._checked_line, CHECKED)
        self._checked_line = rows[-1][0] if len(rows) == CHECKED else 0
        mine = {job_id: line for line, job_id in rows if job_id in self._open}
        known = self._control.outcomes(list(mine)) if mine else {}
        for job_id in mine.keys() - known.keys():
            words = "the ledger does not know this job any more; look it up at i'mport"
            self._work.settle([ReportRow(self._open.pop(job_id), "", Status.IN_DOUBT, "forgotten", message=words)])
        return [outcome for outcome in known.values() if outcome is not None]

    # Keeping others informed

    def _tick(self, now: float) -> None:
        self._tick_at = now + TICK_S
        self._work.commit()
        self._describe(now)
        try:
            order = self._control.tick({"progress": json.dumps(asdict(self.progress)), "state": ledger.RUNNING})
            fullest = max((part or 0.0, store) for store, part in self._control.memory_used().items())
        except BrokerUnavailable as error:
            self._hold(error, now)
            return
        if not order.is_ours:
            raise Stopped("another process runs this migration now")
        self._asked, self._throttle.rate = order.asked, order.throttle
        self._full = f"the {fullest[1]} is {fullest[0]:.0%} full" if fullest[0] > self._memory_mark else None
        self._trouble = None
        self._show(self.progress)

    def _describe(self, now: float) -> None:
        progress, work = self.progress, self._work
        progress.line, progress.counts = work.last_line, {name: n for name, n in work.counts.items() if n}
        progress.rate, progress.window = self._window.rate(now), self._window.size(now)
        progress.throttle, progress.held = self._throttle.rate, self._why_held()
        progress.elapsed_s = now - self._began_at
        left = None if progress.expected is None else progress.expected - progress.rows + work.counts[OPEN]
        if progress.is_read:
            left = work.counts[OPEN]
        progress.eta_s = left / progress.rate if left is not None and progress.rate > 0 else None
