"""Every file of the world through a dry run."""

import base64
import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

FILE = Path(__file__).with_name("files.jsonl")


class Case(NamedTuple):
    """A file; see the package."""

    name: str
    args: list[str]
    exit: int
    good: list[str]
    bad: dict[str, str]
    source: str
    says: str | None = None
    says_not: str | None = None
    text: str | None = None
    base64: str | None = None

    @property
    def data(self) -> bytes:
        return base64.b64decode(self.base64) if self.base64 else (self.text or "").encode()


CASES = [Case(**json.loads(line)) for line in FILE.read_text().splitlines()]


def problems_of(report: Path) -> dict[str, str]:
    """Of the rows that are refused, by customer_uid and by line."""
    rows: list[dict[str, Any]] = list(csv.DictReader(report.read_text().splitlines())) if report.exists() else []
    refused = [row for row in rows if row["verdict"] == "refused"]
    return {name: row["problem"] for row in refused for name in (row["customer_uid"], f"line {row['line']}")}


def wrong(case: Case, code: int, output: str, problems: dict[str, str]) -> Iterator[str]:
    good = re.search(r"([\d,]+) +would be sent", output)
    if code != case.exit:
        yield f"exit code {code}"
    if good is not None and int(good[1].replace(",", "")) != len(case.good):
        yield f"{good[0]}"
    if (good is None) != (case.exit == 2) or "Traceback" in output:
        yield output
    yield from (name for name, words in case.bad.items() if not re.search(words, problems.get(name, "")))
    yield from (uid for uid in case.good if uid in problems)
    if case.says and not re.search(case.says, output):
        yield f"does not say {case.says}"
    if case.says_not and re.search(case.says_not, output):
        yield f"says {case.says_not}"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_file_of_the_world_is_read_as_its_owner_would_expect(case: Case, tmp_path: Path) -> None:
    report = tmp_path / "dry.csv"
    command = [sys.executable, "-m", "producer", "migrate", "-", "--dry-run", "--report", str(report), *case.args]
    done = subprocess.run(command, input=case.data, capture_output=True, check=False)

    assert list(wrong(case, done.returncode, (done.stdout + done.stderr).decode(), problems_of(report))) == []
