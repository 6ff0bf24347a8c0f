"""Work file: each row's fate so far, beside the report-to-be, so that a run can stop at any moment.

A SQLite database: lines, ``customer_uid``, job ids and outcomes; of a card no more than an outcome has.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

from ..contract.outcome import Outcome

AWAITED, NOT_SENT = "open", "not_sent"


class WorkFileError(Exception):
    """The work file cannot be used."""


class ReportRow(NamedTuple):
    """A row as the report has it; texts are None where there is nothing to say.

    Work file and report follow from this list alone. All but the line are the outcome's, under its names.
    """

    line: int
    customer_uid: str
    status: str
    code: str | None = None
    pg_code: str | None = None
    message: str | None = None
    card_name: str | None = None
    card_number: str | None = None
    job_id: str | None = None
    finished_at: float | None = None

    @classmethod
    def of(cls, line: int, outcome: Outcome) -> Self:
        """A row that has its outcome."""
        found = cls(line, *(getattr(outcome, name) for name in COLUMNS[1:]))
        return found._replace(status=str(outcome.status), code=None if outcome.code is None else str(outcome.code))


COLUMNS = ReportRow._fields
_FIXED = {"line", "customer_uid", "job_id"}  # an outcome leaves them as they are
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS migration (name TEXT, run INTEGER);
CREATE TABLE IF NOT EXISTS rows (line INTEGER PRIMARY KEY, {", ".join(COLUMNS[1:])});
CREATE UNIQUE INDEX IF NOT EXISTS sent_customer_uid ON rows (customer_uid) WHERE job_id IS NOT NULL;
"""
# ruff: noqa: S608 — the names of ReportRow, and nothing from outside
_INSERT = f"INSERT INTO rows VALUES ({', '.join('?' for _ in COLUMNS)})"
_SETTLE = (
    f"UPDATE rows SET {', '.join(f'{name} = :{name}' for name in COLUMNS if name not in _FIXED)} "
    "WHERE line = :line AND status = 'open'"
)
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM rows"


class WorkFile:
    """Rows of one run.

    Args:
        path: of the file; made, readable for its owner only, if it is not there.
        name, run: whose it is.

    Raises:
        WorkFileError: it is another's, or cannot be written.
    """

    def __init__(self, path: Path, name: str, run: int) -> None:
        self.path = path
        try:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # SQLite's own locks are of another kind
            self._db = sqlite3.connect(path)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            claim = "INSERT INTO migration SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM migration)"
            self._db.execute(claim, (name, run))
            self._db.commit()
            owner = self._db.execute("SELECT name, run FROM migration").fetchone()
        except BlockingIOError:
            raise WorkFileError(f"{path}: is in use by another process") from None
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or "is no work file of a migration"
            raise WorkFileError(f"{path}: {reason}") from None
        if owner != (name, run):
            raise WorkFileError(f"{path}: belongs to run {owner[1]} of {owner[0]}; move it away")
        found = self._db.execute("SELECT status, count(*) FROM rows GROUP BY status")
        self.counts: Counter[str] = Counter(dict(found.fetchall()))
        self.last_line: int = self._db.execute("SELECT coalesce(max(line), 0) FROM rows").fetchone()[0]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.counts.total()

    def find(self, line: int) -> ReportRow | None:
        """The row of a line, if it has one."""
        found = self._db.execute(f"{_SELECT} WHERE line = ?", (line,)).fetchone()
        return None if found is None else ReportRow(*found)

    def keep(self, row: ReportRow) -> ReportRow:
        """Keep a row, if its line has none yet; gives the line's row."""
        before = self.find(row.line)
        if before is None:
            self.add([row])
        return before or row

    def line_of(self, customer_uid: str) -> int | None:
        """The line that was sent, or is about to be, for a customer_uid."""
        query = "SELECT line FROM rows WHERE customer_uid = ? AND job_id IS NOT NULL"
        found = self._db.execute(query, (customer_uid,)).fetchone()
        return None if found is None else int(found[0])

    def add(self, rows: Iterable[ReportRow]) -> None:
        """Keep rows that were not there."""
        for row in rows:
            self._db.execute(_INSERT, row)
            self.counts[row.status] += 1
            self.last_line = max(self.last_line, row.line)

    def settle(self, rows: Iterable[ReportRow]) -> None:
        """Keep the end of open rows; one that has its end already keeps it."""
        for row in rows:
            if self._db.execute(_SETTLE, row._asdict()).rowcount:
                self.counts[AWAITED] -= 1
                self.counts[row.status] += 1

    def open_rows(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Lines and job ids of rows that are open, from a line on."""
        query = "SELECT line, job_id FROM rows WHERE status = 'open' AND line > ? ORDER BY line LIMIT ?"
        return self._db.execute(query, (after, limit)).fetchall()

    def __iter__(self) -> Iterator[ReportRow]:
        """All rows by line, as they were last committed; in whatever thread asks for the first one."""
        with contextlib.closing(sqlite3.connect(self.path, check_same_thread=False)) as reading:
            yield from map(ReportRow._make, reading.execute(f"{_SELECT} ORDER BY line"))

    def tally(self, *columns: str, limit: int = 30) -> list[tuple[tuple[str, ...], int]]:
        """Counts by columns, the largest first."""
        names = ", ".join(f"coalesce({name}, '')" for name in columns)
        query = f"SELECT {names}, count(*) AS n FROM rows GROUP BY {names} ORDER BY n DESC LIMIT ?"
        return [(tuple(found), count) for *found, count in self._db.execute(query, (limit,))]

    def commit(self) -> None:
        """Commit."""
        self._db.commit()

    def close(self) -> None:
        """Commit and close."""
        self._db.commit()
        self._db.close()
        os.close(self._lock)

    def remove(self) -> None:
        """Close and delete."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
