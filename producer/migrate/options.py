"""Options: those of the command, and the source and the checks that follow from them."""

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .checker import Checker
from .columns import Columns
from .fields import Reading
from .lines import CutOff
from .source import Source, records


@dataclass(frozen=True)
class Options:
    """The command's options; see its help.

    Args:
        failed: the report of an earlier run.
        form: ``csv``, ``jsonl`` or None.
        columns: what is said of the export's columns.
        required: card fields that each row must have.
        strict: nothing is sent while there are warnings.
        checked: the report of a dry run of the same source.
        expected: rows.
        as_of: when the export was made, in words.
        sample: so many rows, and no more.
        stop_at: per cent of the last outcomes that may be declined.
    """

    resume: bool
    failed: Path | None
    report: Path | None
    form: str | None
    columns: Columns
    encoding: str | None
    reading: Reading
    required: frozenset[str]
    strict: bool
    checked: Path | None
    pg: str | None
    channel_key: str | None
    expected: int | None
    deadline_s: float | None
    window: int
    throttle: float | None
    memory_mark: float
    accept_unterminated: bool
    as_of: str | None
    sample: int | None
    stop_at: float

    @property
    def defaults(self) -> dict[str, str]:
        """Request fields for rows that do not say."""
        given = {"pg": self.pg, "channel_key": self.channel_key}
        return {name: value for name, value in given.items() if value is not None}

    def checker(
        self,
        key_prefix: str = "",
        deadline_s: float | None = None,
        as_of: int | None = None,
        *,
        is_dry: bool = False,
    ) -> Checker:
        """The rules for rows."""
        rules = (self.reading, self.defaults, self.required)
        return Checker(time.time, *rules, key_prefix, deadline_s, as_of, is_dry=is_dry)

    def check_count(self, rows: int) -> None:
        """Compare with ``--rows``.

        Raises:
            CutOff: the row count differs.
        """
        if self.expected not in (None, rows):
            raise CutOff(f"{self.expected:,} rows were expected, {rows:,} came")


def read(file: BinaryIO, options: Options) -> Source:
    """The source, in which there is one record at least.

    Raises:
        SourceError: an option or the header does not hold, or there are no rows.
    """
    found = records(
        file,
        is_json=None if options.form is None else options.form == "jsonl",
        encoding=options.encoding,
        columns=options.columns,
        must_end=not (options.accept_unterminated or lies_on_a_disk(file)),
    )
    return found.refuse_nothing()


def lies_on_a_disk(file: BinaryIO) -> bool:
    """True for a regular file, False for a pipe."""
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
