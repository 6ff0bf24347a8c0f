"""Report: one row for each row of the source, and a summary in text and as a page. No card number is in any of them.

Each file is written under a temporary name and renamed, so that it is whole or not there.
"""

import contextlib
import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TextIO

from producer.contract.identifiers import UID_CHARACTERS, job_id_of
from producer.contract.outcome import Status
from producer.migrate.rows import key_prefix, reason
from producer.migrate.source import Record
from producer.migrate.work_file import COLUMNS, NOT_SENT, ReportRow, WorkFile

FORMULA = ("=", "+", "-", "@", "\t", "\r")
AGAIN = {str(one) for one in (Status.EXPIRED, Status.LOST, Status.INVALID, Status.MISCONFIGURED)} | {NOT_SENT}
SENT_AS_SHOWN = re.compile(UID_CHARACTERS + "{1,79}")  # a longer one may have been cut
REASONS = 30  # that a summary lists
TONES = {"issued": "good", "superseded": "calm", "in_doubt": "calm", "not_sent": "calm"}


def cell(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula: an apostrophe before what could begin one."""
    return f"'{text}" if text.startswith((*FORMULA, "'")) else text


def write_report(path: Path, rows: Iterable[ReportRow]) -> None:
    """Write the rows, as JSON Lines if the name ends in ``.jsonl``, else as CSV.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as file:
        if path.suffix == ".jsonl":
            for row in rows:
                file.write(json.dumps(row._asdict(), ensure_ascii=False) + "\n")
            return
        file.write("\ufeff")  # or Excel takes it for the encoding of its country
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(["" if one is None else cell(one) if isinstance(one, str) else one for one in row])


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


def _reported(path: Path) -> Iterator[tuple[int, str, str, str | None]]:
    """Line, customer_uid, status and job id of each row of a report."""
    is_json = path.suffix == ".jsonl"
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in map(json.loads, file) if is_json else csv.DictReader(file):
            uid = row["customer_uid"]
            yield int(row["line"]), uid.removeprefix("" if is_json else "'"), row["status"], row["job_id"]


class Failed:
    """Rows of an earlier report that are worth another try: those that were not sent, or whose cause can be mended.

    Args:
        path: of the report, CSV or JSON Lines.

    Raises:
        OSError, ValueError, KeyError: it is no report of a migration.
    """

    def __init__(self, path: Path) -> None:
        self._uids: set[str] = set()
        self._lines: set[int] = set()
        self._sent: tuple[str, str] | None = None  # the first row that was sent: its customer_uid and job
        try:
            for line, uid, status, job_id in _reported(path):
                self._sent = self._sent or ((uid, job_id) if job_id else None)
                if status in AGAIN and uid and "***" not in uid:
                    self._uids.add(uid)
                if status in AGAIN and not SENT_AS_SHOWN.fullmatch(uid):
                    self._lines.add(line)
            for _, uid, status, _ in _reported(path):
                if status not in AGAIN:  # its customer stood in the source twice
                    self._uids.discard(uid)
        except (TypeError, AttributeError, csv.Error):
            raise ValueError("is no report") from None

    def is_of(self, name: str, run: int) -> bool:
        """Whether it is the report of that run: what a run between issued must not be sent again."""
        return self._sent is None or self._sent[1] == job_id_of(key_prefix(name, run) + self._sent[0])

    def __len__(self) -> int:
        return len(self._uids) + len(self._lines)

    def has(self, record: Record) -> bool:
        """Whether a row of the source is one of them: by its customer_uid, or by its line if it had none."""
        return record.fields.get("customer_uid") in self._uids or record.line in self._lines


class Summary:
    """Counts of a run by status, reason and card company.

    Args:
        title: which run it is.
        work: its rows.
    """

    def __init__(self, title: str, work: WorkFile) -> None:
        self.title, self.rows = title, work.rows
        self.statuses = work.tally(["status"])
        reasons = work.tally(["status", "code", "pg_code", "message"], limit=1000)
        counts: Counter[tuple[str, ...]] = Counter()
        for (status, *rest, message), count in reasons:
            if status != Status.ISSUED:
                counts[status, *rest, reason(message)] += count
        self.reasons = counts.most_common(REASONS)
        self.companies = work.tally(["card_name", "status"])

    def text(self) -> str:
        """For a terminal or a mail."""
        lines = [self.title, f"{self.rows:,} rows", ""]
        lines += [f"{count:>12,}  {status}" for (status,), count in self.statuses]
        if self.reasons:
            lines += ["", "By reason", *(f"{count:>12,}  {_joined(rest)}" for rest, count in self.reasons)]
        lines += ["", "By card company"]
        lines += [f"{count:>12,}  {company or '(none)'}, {status}" for (company, status), count in self.companies]
        return "\n".join(lines) + "\n"

    def page(self) -> str:
        """One HTML page that needs nothing else."""
        template = Template(files("producer.migrate").joinpath("summary.html").read_text(encoding="utf-8"))
        reasons = [(_joined(rest), rest[0], count) for rest, count in self.reasons]
        companies = [(f"{company or '(none)'}, {status}", status, count) for (company, status), count in self.companies]
        return template.substitute(
            title=escape(self.title),
            rows=f"{self.rows:,}",
            statuses=_bars([(status, status, count) for (status,), count in self.statuses], self.rows),
            reasons=_bars(reasons, self.rows),
            companies=_bars(companies, self.rows),
        )


def _joined(parts: Iterable[str]) -> str:
    return " · ".join(str(part) for part in parts if part)


def _bars(items: Iterable[tuple[str, str, int]], whole: int) -> str:
    """Rows of a chart: words, and a bar as long as its part of the whole."""
    parts = [(words, TONES.get(status, "bad"), count, count / max(whole, 1)) for words, status, count in items]
    rows = [
        f'<tr><th scope="row">{escape(words)}</th><td class="number">{count:,}</td>'
        f'<td><svg width="100%" height="12" role="img" aria-label="{part:.1%}">'
        f'<rect class="{tone}" width="{max(part * 100, 0.3):.2f}%" height="12" rx="2"/></svg></td></tr>'
        for words, tone, count, part in parts
    ]
    return "\n".join(rows) or '<tr><td colspan="3">none</td></tr>'
