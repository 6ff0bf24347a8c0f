"""The judge: a report, held against the export that it is of and against what the fake i'mport stored."""

import csv
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.fake_iamport import FakeIamport
from tests.migration.export import Export, line_of

SENT_MAYBE = {"in_doubt"}


class Verdict(NamedTuple):
    """What came of a migration; all but the first and the last should be 0.

    Args:
        missing, repeated: rows of the export that the report lists not at all, or more than once.
        strange: rows of the report that are none of the export.
        applied_twice: customers for whom i'mport stored more than one card.
        wrong: rows whose status i'mport's own log contradicts.
    """

    rows: int
    missing: int
    repeated: int
    strange: int
    applied_twice: int
    wrong: int
    statuses: dict[str, int]

    @property
    def broken(self) -> list[str]:
        """The promises that do not hold."""
        names = ("missing", "repeated", "strange", "applied_twice", "wrong")
        return [f"{getattr(self, name)} rows {name}" for name in names if getattr(self, name)]


def judge(export: Export, report: Path, fake: FakeIamport) -> Verdict:
    """Judge the report of an export whose customers nobody else sends."""
    rows = read(report)
    expected = {(str(line_of(index)), export.uid(index)) for index in range(export.rows)}
    found = Counter((row["line"], row["customer_uid"]) for row in rows)
    applied = keys_stored(fake)
    return Verdict(
        rows=len(rows),
        missing=len(expected - found.keys()),
        repeated=sum(count > 1 for count in found.values()),
        strange=len(found.keys() - expected),
        applied_twice=sum(count > 1 for count in applied.values()),
        wrong=sum(_is_wrong(row["status"], applied[row["customer_uid"]]) for row in rows),
        statuses=dict(Counter(row["status"] for row in rows)),
    )


def read(report: Path) -> list[dict[str, str]]:
    """The rows of a report."""
    with report.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def keys_stored(fake: FakeIamport) -> Counter[str]:
    """How many keys i'mport stored for each customer."""
    return Counter(entry.customer_uid or "" for entry in fake.applied)


def _is_wrong(status: str, stored: int) -> bool:
    return status not in SENT_MAYBE and (status == "issued") != bool(stored)
