"""Report: one row for each row of the source, and a summary in text and as a page.

No card number is in either. Each file is written under a temporary name and renamed, so that it is whole or not
there.
"""

import contextlib
import csv
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from html import escape
from importlib.resources import files
from operator import attrgetter
from pathlib import Path
from string import Template
from typing import NamedTuple, TextIO

from ..contract.identifiers import UID_CHARACTERS, job_id_of
from ..contract.outcome import Status
from .lines import SourceError
from .rows import key_prefix
from .source import Record
from .work_file import COLUMNS, NOT_SENT, ReportRow, WorkFile

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")  # and what is one of them in another width
WORTH_ANOTHER_TRY = {str(one) for one in (Status.EXPIRED, Status.LOST, Status.INVALID, Status.MISCONFIGURED)} | {
    NOT_SENT
}
SENT_AS_SHOWN = re.compile(UID_CHARACTERS + "{1,79}")  # a longer one may have been cut
REASONS = 30  # that a summary lists
TONES = {"issued": "good", "superseded": "calm", "in_doubt": "calm", "not_sent": "calm"}


def cell(text: object) -> object:
    """A text as a cell that no spreadsheet takes for a formula: an apostrophe before what could begin one."""
    if not isinstance(text, str):
        return text
    first = text[:1] if text.isascii() else unicodedata.normalize("NFKC", text[:1])
    return f"'{text}" if first.startswith(FORMULA) else text


def rows_to(file: TextIO, end: str) -> Callable[[Iterable[object]], object]:
    """A function that writes a row as CSV: no cell of ours goes another way."""
    writer = csv.writer(file, lineterminator=end)
    return lambda row: writer.writerow(map(cell, row))


def write_report(path: Path, rows: Iterable[ReportRow]) -> None:
    """Write the rows, as JSON Lines if the name ends in ``.jsonl``, else as CSV.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rows)
            return
        file.write("\ufeff")  # or Excel takes it for the encoding of its country
        write = rows_to(file, "\r\n")
        write(COLUMNS)
        for row in rows:
            write(row)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A file that takes another's place when it is whole; readable for its owner only."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def read_report(path: Path) -> Iterator[ReportRow]:
    """The rows of a report, as far as another run needs them."""
    is_json = path.suffix == ".jsonl"
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in map(json.loads, file) if is_json else csv.DictReader(file):
            uid = row["customer_uid"].removeprefix("" if is_json else "'")
            yield ReportRow(int(row["line"]), uid, row["status"], job_id=row["job_id"])


def _found(path: Path, *, is_worth_it: bool = True) -> Iterator[ReportRow]:
    return (row for row in read_report(path) if (row.status in WORTH_ANOTHER_TRY) == is_worth_it)


class Failed:
    """Rows of an earlier report that are worth another try: those that were not sent, or whose cause can be mended.

    Args:
        path: of the report, CSV or JSON Lines.

    Raises:
        SourceError: it is no report of a migration.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._lines = {row.line for row in _found(path) if not SENT_AS_SHOWN.fullmatch(row.customer_uid)}
            self._uids = {row.customer_uid for row in _found(path) if "***" not in row.customer_uid} - {""}
            others = map(attrgetter("customer_uid"), _found(path, is_worth_it=False))
            self._uids.difference_update(others)  # a customer among them stands there twice
            self._sent = next(filter(attrgetter("job_id"), read_report(path)), None)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error):
            raise SourceError(f"{path}: is no report of a migration") from None

    def is_of(self, name: str, run: int) -> bool:
        """True for the report of that run: a card that a run between issued must not be sent again."""
        return self._sent is None or self._sent.job_id == job_id_of(key_prefix(name, run) + self._sent.customer_uid)

    def __len__(self) -> int:
        return len(self._uids) + len(self._lines)

    def has(self, record: Record) -> bool:
        """True for a row of the source that is one of them: by customer_uid, or by line if the report shows none."""
        return record.fields.get("customer_uid") in self._uids or record.line in self._lines


class Bar(NamedTuple):
    """A line of a summary: so many rows, and what they have in common."""

    rows: int
    words: str
    status: str = ""


class Summary:
    """Counts of a run by status, reason and card company.

    Args:
        title: which run it is.
        work: its rows.
    """

    def __init__(self, title: str, work: WorkFile) -> None:
        self.title, self.rows = title, work.rows
        self.statuses = [Bar(count, status, status) for (status,), count in work.tally("status")]
        self.reasons = _reasons(work)
        companies = work.tally("card_name", "status")
        self.companies = [Bar(count, f"{name or '(none)'}, {status}", status) for (name, status), count in companies]

    def text(self) -> str:
        """For a terminal or a mail."""
        by_reason = ["", "By reason", *lines_of(self.reasons)] if self.reasons else []
        lines = [self.title, f"{self.rows:,} rows", "", *lines_of(self.statuses), *by_reason]
        return "\n".join([*lines, "", "By card company", *lines_of(self.companies), ""])

    def page(self) -> str:
        """One HTML page that needs nothing else."""
        template = Template(files(__package__).joinpath("summary.html").read_text(encoding="utf-8"))
        return template.substitute(
            title=escape(self.title),
            rows=f"{self.rows:,}",
            statuses=_chart(self.statuses, self.rows),
            reasons=_chart(self.reasons, self.rows),
            companies=_chart(self.companies, self.rows),
        )


def reason(problem: str) -> str:
    """A row's problem without the numbers that differ from row to row."""
    if "fields, the header" in problem:
        return "has another number of fields than the header"
    if problem.startswith("customer_uid: stands on line") and problem.endswith("too"):
        return "customer_uid: stands on an earlier line, too"
    return re.sub(r"on line \d+(?:, line \d+)*(?: and \d+ more)?", "on another line", problem)


def _reasons(work: WorkFile) -> list[Bar]:
    counts: Counter[tuple[str, ...]] = Counter()
    for (status, *rest, message), count in work.tally("status", "code", "pg_code", "message", limit=1000):
        if status != Status.ISSUED:
            counts[status, *rest, reason(message)] += count
    return [Bar(count, " · ".join(filter(None, why)), why[0]) for why, count in counts.most_common(REASONS)]


def lines_of(bars: Iterable[Bar]) -> list[str]:
    """Lines of a terminal: counts, and what they are of."""
    return [f"{bar.rows:>12,}  {bar.words}" for bar in bars]


def _chart(bars: Iterable[Bar], whole: int) -> str:
    """Rows of a chart: words, and a bar as long as its part of the whole."""
    rows = []
    for count, words, status in bars:
        part, tone = count / max(whole, 1), TONES.get(status, "bad")
        rows.append(
            f'<tr><th scope="row">{escape(words)}</th><td class="number">{count:,}</td>'
            f'<td><svg width="100%" height="12" role="img" aria-label="{part:.1%}">'
            f'<rect class="{tone}" width="{max(part * 100, 0.3):.2f}%" height="12" rx="2"/></svg></td></tr>'
        )
    return "\n".join(rows) or '<tr><td colspan="3">none</td></tr>'
