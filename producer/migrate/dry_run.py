"""Dry run: every row is looked at and counted, nothing is sent; neither Redis nor i'mport is asked."""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TextIO

from producer.contract.card import KOREA
from producer.migrate.report import cell
from producer.migrate.rows import Checker, Row, reason
from producer.migrate.source import Record

SOON_MONTHS = 3
COLUMNS = ("line", "customer_uid", "problem")
TWICE = "customer_uid: stands on an earlier line, too"


@dataclass
class Tally:
    """What was found. Counts only.

    Args:
        soon: cards that expire within three months, ``YYYY-MM`` of the last one of them.
    """

    soon: str
    rows: int = 0
    good: int = 0
    duplicates: int = 0
    expiring_soon: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    brands: Counter[str] = field(default_factory=Counter)
    seen: set[int] = field(default_factory=set, repr=False)  # hashes of 64 bits, about 70 bytes a row

    @property
    def bad(self) -> int:
        """Rows that would not be accepted."""
        return self.rows - self.good

    def text(self) -> str:
        """For a terminal."""
        lines = [(self.rows, "rows"), (self.good, "would be sent"), (self.bad, "would not")]
        lines += [(count, f"  {problem}") for problem, count in self.problems.most_common(30)]
        lines += [(self.expiring_soon, f"of those to be sent expire within {SOON_MONTHS} months (by {self.soon})")]
        lines += [(count, brand) for brand, count in self.brands.most_common()]
        return "\n".join(f"{count:>12,}  {words}" for count, words in lines)

    def add(self, row: Row) -> Row:
        """Count a row; the second one of a customer_uid becomes one with a problem."""
        self.rows += 1
        card = None if row.request is None else row.request.card
        if card is not None:
            mark = hash(row.customer_uid)
            if mark in self.seen:
                self.duplicates += 1
                row = row._replace(request=None, problem=TWICE)
            else:
                self.seen.add(mark)
                self.good += 1
                self.brands[card.brand] += 1
                self.expiring_soon += card.expiry.get_secret_value() <= self.soon
        if row.problem:
            self.problems[reason(row.problem)] += 1
        return row


def dry_run(records: Iterable[Record], checker: Checker, report: TextIO | None = None) -> Tally:
    """Look at all records.

    Args:
        records: of the source.
        checker: the rules.
        report: gets a line for each row that would not be accepted, as CSV.
    """
    tally = Tally(soon=_month_after(checker.now(), SOON_MONTHS))
    writer = None if report is None else csv.writer(report, lineterminator="\n")
    if writer is not None:
        writer.writerow(COLUMNS)
    check, add = checker.check, tally.add
    for record in records:
        row = add(check(record))
        if row.problem and writer is not None:
            writer.writerow([row.line, cell(row.customer_uid), row.problem])
    return tally


def _month_after(now: float, months: int) -> str:
    today = datetime.fromtimestamp(now, UTC).astimezone(KOREA)
    year, month = divmod(today.year * 12 + today.month - 1 + months, 12)
    return f"{year}-{month + 1:02}"
