"""Checked: what a dry run found, for the run that follows it.

A pipe can be read once only, and which rows are refused shows at its end. So a run takes over from the dry run's report
which rows are not to be sent; the source must be the same one.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

from ..contract.dry_report import COLUMNS, REFUSED, SEND, NoReport, rows_of
from .checker import shown
from .lines import CutOff, SourceError
from .source import Record


class Checked:
    """The report of a dry run.

    Args:
        path: of it.

    Attributes:
        warned: rows that would be sent and have a warning.
        passed_over: rows so far that are not to be sent, and no fault.

    Raises:
        SourceError: it is no such report.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.passed_over = path, 0
        self.warned = sum(row["verdict"] == SEND and bool(row["warning"]) for row in self.rows())

    def rows(self) -> Iterator[dict[str, str]]:
        """Its rows by column."""
        try:
            yield from rows_of(self._path)
        except NoReport as error:
            raise SourceError(str(error)) from None

    def judged(self, records: Iterator[Record]) -> Iterator[Record]:
        """The records that are left: one that was refused has its reason as a problem.

        Raises:
            SourceError: they are not those that the dry run read.
        """
        for row, record in itertools.zip_longest(self.rows(), records):
            if record is None:
                raise CutOff("the source ends before the last line that the dry run read; it was cut off")
            uid = record.fields.get("customer_uid", "")
            known = row or dict.fromkeys(COLUMNS, "")
            is_same = known["customer_uid"] in {uid, shown(uid)}
            if known["line"] != str(record.line) or not is_same:
                raise SourceError(f"line {record.line}: is not what the dry run read there; this is another source")
            if known["verdict"] == SEND:
                yield record
            elif known["verdict"] == REFUSED:
                yield Record(record.line, {"customer_uid": uid}, known["problem"])
            else:
                self.passed_over += 1
            del record  # or its card would wait here for the next one
