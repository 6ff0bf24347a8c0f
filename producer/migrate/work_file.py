"""Work file: what became of each row so far, beside the report-to-be, so that a run can stop at any moment.

A SQLite database: lines, ``customer_uid``, job ids and outcomes; of a card no more than an outcome has.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from producer.contract.outcome import Outcome

OPEN, NOT_SENT = "open", "not_sent"
COLUMNS = (
    "line",
    "customer_uid",
    "status",
    "code",
    "pg_code",
    "message",
    "card_name",
    "card_number",
    "job_id",
    "finished_at",
)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS migration (name TEXT, run INTEGER);
CREATE TABLE IF NOT EXISTS rows (
    line INTEGER PRIMARY KEY, customer_uid TEXT, status TEXT, code TEXT, pg_code TEXT, message TEXT, card_name TEXT,
    card_number TEXT, job_id TEXT, finished_at REAL);
CREATE UNIQUE INDEX IF NOT EXISTS sent_customer_uid ON rows (customer_uid) WHERE job_id IS NOT NULL;
"""


class WorkFileError(Exception):
    """The work file cannot be used."""


class ReportRow(NamedTuple):
    """A row as the report has it; texts are None where there is nothing to say."""

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
    def of(cls, line: int, outcome: Outcome) -> "ReportRow":
        """A row that has its outcome."""
        code = None if outcome.code is None else str(outcome.code)
        return cls(
            line,
            outcome.customer_uid or "",
            str(outcome.status),
            code,
            outcome.pg_code,
            outcome.message,
            outcome.card_name,
            outcome.card_number,
            outcome.job_id,
            outcome.finished_at,
        )


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
            owner = self._db.execute("SELECT name, run FROM migration").fetchone()
            if owner is None:
                self._db.execute("INSERT INTO migration VALUES (?, ?)", (name, run))
                self._db.commit()
        except BlockingIOError:
            raise WorkFileError(f"{path}: is in use by another process") from None
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or "is no work file of a migration"
            raise WorkFileError(f"{path}: {reason}") from None
        if owner not in (None, (name, run)):
            raise WorkFileError(f"{path}: belongs to run {owner[1]} of {owner[0]}; move it away")
        found = self._db.execute("SELECT status, count(*) FROM rows GROUP BY status")
        self.counts: Counter[str] = Counter(dict(found.fetchall()))
        self.last_line: int = self._db.execute("SELECT coalesce(max(line), 0) FROM rows").fetchone()[0]

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.counts.total()

    def find(self, line: int) -> ReportRow | None:
        """The row of a line, if it has one."""
        found = self._db.execute(f"SELECT {','.join(COLUMNS)} FROM rows WHERE line = ?", (line,)).fetchone()  # noqa: S608 — constants
        return None if found is None else ReportRow(*found)

    def line_of(self, customer_uid: str) -> int | None:
        """The line that was sent, or is about to be, for a customer_uid."""
        query = "SELECT line FROM rows WHERE customer_uid = ? AND job_id IS NOT NULL"
        found = self._db.execute(query, (customer_uid,)).fetchone()
        return None if found is None else int(found[0])

    def add(self, rows: Iterable[ReportRow]) -> None:
        """Keep rows that were not there."""
        for row in rows:
            self._db.execute("INSERT INTO rows VALUES (?,?,?,?,?,?,?,?,?,?)", row)
            self.counts[row.status] += 1
            self.last_line = max(self.last_line, row.line)

    def settle(self, rows: Iterable[ReportRow]) -> None:
        """Keep what became of open rows; one that has its end already keeps it."""
        for row in rows:
            changed = self._db.execute(
                "UPDATE rows SET status = ?, code = ?, pg_code = ?, message = ?, card_name = ?, card_number = ?, "
                "finished_at = ? WHERE line = ? AND status = 'open'",
                (*row[2:6], row.card_name, row.card_number, row.finished_at, row.line),
            )
            if changed.rowcount:
                self.counts[OPEN] -= 1
                self.counts[row.status] += 1

    def open_rows(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Lines and job ids of rows that are open, from a line on."""
        query = "SELECT line, job_id FROM rows WHERE status = 'open' AND line > ? ORDER BY line LIMIT ?"
        return self._db.execute(query, (after, limit)).fetchall()

    def __iter__(self) -> Iterator[ReportRow]:
        """All rows by line, as they were last committed; in whatever thread asks for the first one."""
        with contextlib.closing(sqlite3.connect(self.path, check_same_thread=False)) as reading:
            for row in reading.execute(f"SELECT {','.join(COLUMNS)} FROM rows ORDER BY line"):  # noqa: S608 — constants
                yield ReportRow(*row)

    def tally(self, columns: Sequence[str], limit: int = 30) -> list[tuple[tuple[str, ...], int]]:
        """Counts by columns, the largest first."""
        names = ", ".join(f"coalesce({one}, '')" for one in columns if one in COLUMNS)
        query = f"SELECT {names}, count(*) AS n FROM rows GROUP BY {names} ORDER BY n DESC LIMIT ?"  # noqa: S608 — constants
        return [(tuple(found), count) for *found, count in self._db.execute(query, (limit,))]

    def commit(self) -> None:
        """Make it last."""
        self._db.commit()

    def close(self) -> None:
        """Close it, all kept."""
        self._db.commit()
        self._db.close()
        os.close(self._lock)

    def remove(self) -> None:
        """It has served."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
