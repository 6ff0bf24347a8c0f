"""Rows: those of a source that are to be sent, read and checked ahead of the sending. Nothing is sent here."""

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator

from .checker import Checker, Row, shown
from .lines import CutOff, SourceError
from .source import Record
from .work_file import AWAITED, ReportRow

ROWS_AT_ONCE = 100
READ_AHEAD = 4 * ROWS_AT_ONCE


def key_prefix(name: str, run: int) -> str:
    """The beginning of a run's idempotency keys; the ``customer_uid`` follows."""
    return f"migration:{name}:{run}:"


def rows_to_send(records: Iterable[Record], checker: Checker, known: Iterator[ReportRow]) -> Iterator[Row]:
    """Rows that have no end yet; one that has its end is passed over without a look at its card.

    Args:
        records: of the source.
        checker: the rules.
        known: the rows that the run has read before, by line.

    Raises:
        SourceError: it is another source than the one that the run began with, or less of it.
    """
    before = next(known, None)
    for record in records:
        if before is None or record.line < before.line:
            yield checker.check(record)
        else:
            _refuse_another_source(record, before)
            if before.status == AWAITED:
                yield checker.check(record)
            before = next(known, None)
        del record  # or its card would wait here for the next one
    if before is not None:
        raise CutOff("the source ends before the last line that this run has read; it was cut off")


def _refuse_another_source(record: Record, before: ReportRow) -> None:
    uid = record.fields.get("customer_uid", "")
    if before.line < record.line or before.customer_uid not in {uid, shown(uid)}:
        raise SourceError(f"line {before.line}: is not what this run read there; this is another source")


class Reader(threading.Thread):
    """Reads and checks rows, a few hundred ahead.

    Args:
        rows: of the source.
    """

    def __init__(self, rows: Iterator[Row]) -> None:
        super().__init__(name="source", daemon=True)
        self._rows = rows
        self._ready: queue.Queue[Row] = queue.Queue(READ_AHEAD)
        self._is_read = False
        self._error: Exception | None = None

    def run(self) -> None:
        """Read to the end; the rows before an error come before it."""
        try:
            for row in self._rows:
                self._ready.put(row)
                del row  # as above
        except Exception as error:  # noqa: BLE001 — told to the one that asks next
            self._error = error
        self._is_read = True

    def take(self) -> list[Row] | None:
        """The next rows; none if they are not there yet, None at the end.

        Raises:
            SourceError: the source broke, or cannot be used.
        """
        is_read = self._is_read  # asked first: by then all rows are there
        taken: list[Row] = []
        with contextlib.suppress(queue.Empty):
            while len(taken) < ROWS_AT_ONCE:
                taken.append(self._ready.get_nowait())
        if taken or not is_read:
            return taken
        if self._error is not None:
            raise self._error
        return None
