"""Book: every command that a proof tries, how it ended, and what did not hold."""

import json
import sys
import threading
from collections import Counter
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Row(NamedTuple):
    """A command that was tried.

    Args:
        where: the environment.
        command: as a person would type it, without passwords.
        code: its exit code; None if it was still running.
        line: the first line that it printed.
    """

    where: str
    command: str
    code: int | None
    line: str


class Book:
    """What was tried so far. Safe to share between threads."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.failures: list[str] = []
        self.users: set[str] = set()
        self.is_over = False
        self._lock = threading.Lock()

    def note(self, where: str, command: str, code: int | None, output: str, *, problem: str | None = None) -> None:
        """Note a command; a problem is a failure. If it is over, the story that it belongs to ends here."""
        if self.is_over:
            raise SystemExit
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        with self._lock:
            self.rows.append(Row(where, command, code, lines[0] if lines else ""))
        if problem is not None:
            self.fail(f"{where}: {command}: {problem}; {' / '.join(lines[-5:])}")

    def fail(self, line: str) -> None:
        """Note that something does not hold."""
        with self._lock:
            self.failures.append(line)
        print(f"FAILED {line}", file=sys.stderr, flush=True)

    def show(self) -> None:
        """Print the table on stderr."""
        console = Console(stderr=True)
        if not console.is_terminal:
            console = Console(stderr=True, width=180)
        table = Table("environment", "command", "exit", "first line", title="Commands")
        for row in sorted(self.rows, key=lambda row: row.where):
            code = "" if row.code is None else str(row.code)
            table.add_row(row.where, Text(row.command), code, Text(row.line[:90]))
        console.print(table)

    def json(self, **members: Any) -> str:
        """The last line: one JSON object."""
        tried = Counter(row.where for row in self.rows)
        found = {"users": sorted(self.users), "commands": dict(tried), "failures": self.failures}
        return json.dumps({**members, **found}, ensure_ascii=False)
