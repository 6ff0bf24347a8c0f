"""Dry run: all rows of a source looked at and compared with each other; nothing is sent, no store and no i'mport asked.

What is compared, digests by a key of this process and masked numbers, lies in SQLite's temporary database, which spills
into a file without a name: a source of any length takes the same memory.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, Self, TextIO

from ..contract.dry_report import COLUMNS, OTHER_CARD, REFUSED, REPEAT, SEND
from .checker import EXPIRES_SOON, ROUNDED, SOON_MONTHS, Row, shown, soon
from .report import REASONS, Bar, lines_of, reason, rows_to

OTHER_DATA = (
    "customer_uid: stands on {}, too, with another card or other data "
    "(--default COLUMN=VALUE marks the one in use, --uid tells them apart)"
)
LISTED = 10  # lines that a row names at most
MANY = 3  # customers with one card
ROUNDED_FROM, ROUNDED_PART = 20, 0.3  # a tenth of all numbers ends in 0
OFTEN_ROUND = "card_number: ends in 0, as do too many here (a spreadsheet may have rounded them to 15 digits)"
SHARED = f"card_number: stands at {MANY} customers or more"
SHOWN = 3  # rows of the preview
AT_ONCE = 500

_SCHEMA = """
CREATE TABLE rows (line INTEGER PRIMARY KEY, customer_uid, problem, warning, card_number, verdict,
  uid, content, number, is_card, is_default, may_be_rounded, brand, expires_soon);
"""
_INSERT = f"INSERT INTO rows VALUES ({', '.join('?' * 14)})"  # noqa: S608 — question marks
_SEVERAL = """
SELECT uid, line, content, is_default, problem FROM rows
WHERE uid IN (SELECT uid FROM rows WHERE is_card GROUP BY uid HAVING count(*) > 1) AND is_card ORDER BY uid, line
"""
_WARN = "UPDATE rows SET warning = iif(warning IS NULL, ?, warning || '; ' || ?) WHERE verdict = 'send' AND "
_SHARED = f"number IN (SELECT number FROM rows WHERE verdict = 'send' GROUP BY number HAVING count(*) >= {MANY})"  # noqa: S608


class _Several(NamedTuple):
    """One of the rows of a customer who has several."""

    uid: int
    line: int
    content: int
    is_default: int | None
    problem: str | None


class DryRun:
    """The rows of a source, counted.

    Args:
        now: Unix seconds.
        expiry_format: in which the source is read.

    Attributes:
        soon: the last month, ``YYYY-MM``, of cards that expire within three months.
        rows, good: all, and those that would be sent.
        problems, warnings: counts by reason.
        brands: of those that would be sent.
        first: the first rows that hold, as they were understood.
    """

    def __init__(self, now: float, expiry_format: str = "YYYY-MM") -> None:
        self.soon, self._expiry_format = soon(now), expiry_format
        self.rows = self.good = self.expiring_soon = self.warned = self.repeats = self.other_cards = 0
        self.problems, self.warnings, self.brands = Counter[str](), Counter[str](), Counter[str]()
        self.first: list[str] = []
        self._formats: frozenset[str] | None = None
        self._is_expiry_read = False
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")  # or each row would be a transaction

    @property
    def bad(self) -> int:
        """Rows that would not be accepted."""
        return self.problems.total()

    @classmethod
    def of(cls, rows: Iterable[Row], now: float, report: TextIO | None, expiry_format: str = "YYYY-MM") -> Self:
        """Look at all rows.

        Args:
            rows: of the source.
            now, expiry_format: see the class.
            report: gets a line for each row, as CSV; or None.
        """
        found = cls(now, expiry_format)
        found._keep(rows)
        found._compare_customers()
        found._compare_numbers()
        found._count(report)
        found._db.close()
        return found

    def _keep(self, rows: Iterable[Row]) -> None:
        values: list[tuple[Any, ...]] = []
        for row in rows:
            values.append(self._values(row))
            if len(values) == AT_ONCE:
                self._db.executemany(_INSERT, values)
                values.clear()
            del row  # or its card would wait here for the next one
        self._db.executemany(_INSERT, values)

    def _values(self, row: Row) -> tuple[Any, ...]:
        look = row.look
        self._note_expiry(row)
        if row.problem is None and len(self.first) < SHOWN:
            self.first.append(f"line {row.line}: {shown(row.customer_uid)}, {look.masked}, {look.shape}")
        own = (row.line, row.customer_uid, row.problem, "; ".join(look.warnings) or None, look.masked)
        verdict = REFUSED if row.problem else SEND
        compared = (look.uid, look.content, look.number, look.is_card, look.is_default)
        return (*own, verdict, *compared, look.may_be_rounded, look.brand, look.expires_soon)

    def _note_expiry(self, row: Row) -> None:
        formats = row.look.formats
        if formats is not None:
            self._formats = formats if self._formats is None else self._formats & formats
        self._is_expiry_read |= row.problem is None

    def _compare_customers(self) -> None:
        """Of several rows of one customer the same ones count once, and the others not, but for one that is marked."""
        several = map(_Several._make, self._db.execute(_SEVERAL))
        for _, customer in groupby(several, key=itemgetter(0)):
            rows = self._without_others(list(customer))
            if len({row.content for row in rows}) == 1:
                self._settle([row for row in rows[1:] if row.problem is None], REPEAT)
            else:
                self._refuse(rows)

    def _without_others(self, rows: list[_Several]) -> list[_Several]:
        """The row that is marked, and those that are the same; all of them if one is not what is marked."""
        marked = {row.content for row in rows if row.is_default}
        if len(marked) != 1:
            return rows
        parts: dict[bool, list[_Several]] = {True: [], False: []}
        for row in rows:
            parts[row.content in marked].append(row)
        self._settle(parts[False], OTHER_CARD)
        return parts[True]

    def _settle(self, rows: list[_Several], verdict: str) -> None:
        update = "UPDATE rows SET verdict = ?, problem = NULL, warning = NULL WHERE line = ?"
        self._db.executemany(update, [(verdict, row.line) for row in rows])

    def _refuse(self, rows: list[_Several]) -> None:
        first = [row.line for row in rows[: LISTED + 1]]
        values = [(OTHER_DATA.format(_named(first, len(rows), row.line)), row.line) for row in rows]
        update = "UPDATE rows SET verdict = 'refused', problem = ? WHERE line = ? AND problem IS NULL"
        self._db.executemany(update, values)

    def _compare_numbers(self) -> None:
        counts = "SELECT count(*), total(may_be_rounded) FROM rows WHERE may_be_rounded IS NOT NULL"
        count, ending_in_0 = self._db.execute(counts).fetchone()
        if count >= ROUNDED_FROM and ending_in_0 > ROUNDED_PART * count:
            also = f"{_WARN} may_be_rounded AND (warning IS NULL OR instr(warning, ?) = 0)"
            self._db.execute(also, (OFTEN_ROUND, OFTEN_ROUND, ROUNDED))
        self._db.execute(_WARN + _SHARED, (SHARED, SHARED))

    def _count(self, report: TextIO | None) -> None:
        """Count, and write the report."""
        self.rows = self._db.execute("SELECT count(*) FROM rows").fetchone()[0]
        rows = self._reported("" if report else "WHERE verdict <> 'send' OR warning IS NOT NULL")
        for row in rows if report is None else self._written(rows, report):
            *_, problem, warning, _, verdict = row
            if verdict == REFUSED:
                self.problems[reason(problem)] += 1
            elif verdict == SEND and warning:
                self.warned += 1
                self.warnings.update(warning.split("; "))
            self.repeats += verdict == REPEAT
            self.other_cards += verdict == OTHER_CARD
        sent = "SELECT brand, count(*), total(expires_soon) FROM rows WHERE verdict = 'send' GROUP BY brand"
        for brand, count, expiring in self._db.execute(sent):
            self.brands[brand] = count
            self.expiring_soon += int(expiring)
        self.good = self.brands.total()

    def _written(self, rows: Iterable[tuple[Any, ...]], report: TextIO) -> Iterator[tuple[Any, ...]]:
        write = rows_to(report, "\n")
        write(COLUMNS)
        for row in rows:
            write(row)
            yield row

    def _reported(self, which: str) -> Iterator[tuple[Any, ...]]:
        query = f"SELECT {', '.join(COLUMNS)} FROM rows {which} ORDER BY line"  # noqa: S608 — words of ours
        for *first, warning, number, verdict in self._db.execute(query):
            yield *first, (warning if verdict == SEND else None), number, verdict

    @property
    def hint(self) -> str | None:
        """The expiry formats that read the whole column, if the one that was asked for reads nothing of it."""
        if self._is_expiry_read or not self._formats or self._expiry_format in self._formats:
            return None
        options = " or ".join(f"--expiry-format {form}" for form in sorted(self._formats))
        which = "reads all of it" if len(self._formats) == 1 else "read all of it: only you know which is right"
        return f"No expiry is {self._expiry_format}; {options} {which}"

    def text(self, *, is_strict: bool = False) -> str:
        """For a terminal; with ``is_strict`` nothing is sent while there are warnings."""
        held = self.good if is_strict and self.warned else 0
        warnings = Counter(self.warnings)
        del warnings[EXPIRES_SOON]  # they are counted apart
        bars = [
            *(Bar(self.rows, "rows"), Bar(self.good - held, "would be sent"), Bar(self.bad + held, "would not")),
            *(Bar(count, f"  {problem}") for problem, count in self.problems.most_common(REASONS)),
            *_if_any(held, "  --strict: nothing is sent while there are warnings"),
            *_if_any(self.repeats, "the same as an earlier row, passed over"),
            *_if_any(self.other_cards, "other cards of customers whose card in use is marked, passed over"),
            Bar(self.expiring_soon, f"of those to be sent expire within {SOON_MONTHS} months (by {self.soon})"),
            *(Bar(count, f"warning: {text}") for text, count in warnings.most_common()),
            *(Bar(count, brand) for brand, count in self.brands.most_common()),
        ]
        return "\n".join([*lines_of(bars), *filter(None, [self.hint])])


def _if_any(count: int, words: str) -> list[Bar]:
    return [Bar(count, words)] if count else []


def _named(first: list[int], count: int, own: int) -> str:
    """The other ones of so many lines, the first of which are these."""
    others = [f"line {line}" for line in first if line != own][:LISTED]
    more = count - 1 - len(others)
    return ", ".join(others) + (f" and {more} more" if more else "")
