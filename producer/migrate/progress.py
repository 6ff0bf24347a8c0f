"""Progress of a run, as the ledger and a terminal have it: a table that lives, else a plain line now and then."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from .source import Record
from .work_file import AWAITED, NOT_SENT

PLAIN_EVERY_S = 5.0
NAMED = ("issued", "declined", "invalid", AWAITED, "in_doubt")


@dataclass
class Progress:
    """Where a run is, for whoever looks at it. Rates are rows a second.

    Args:
        expected: rows that the source is said to have.
        held: why nothing is sent just now, or None.
    """

    name: str
    run: int
    expected: int | None = None
    line: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    rate: float = 0.0
    throttle: float | None = None
    window: int = 0
    held: str | None = None
    is_read: bool = False
    eta_s: float | None = None
    elapsed_s: float = 0.0

    @property
    def rows(self) -> int:
        """Rows that were read so far."""
        return sum(self.counts.values())

    @property
    def others(self) -> int:
        """Rows with another end than those that are named."""
        return sum(count for status, count in self.counts.items() if status not in (*NAMED, NOT_SENT))

    def estimate(self) -> None:
        """Set ``eta_s`` from the rows that are left, if it is known how many."""
        whole = self.rows if self.is_read else self.expected
        self.eta_s = None
        if whole is not None and self.rate > 0:
            self.eta_s = (whole - self.rows + self.counts.get(AWAITED, 0)) / self.rate

    def json(self) -> str:
        """As the ledger keeps it."""
        return json.dumps(asdict(self))

    def text(self) -> str:
        """One line."""
        whole = "" if self.expected is None else f" of {self.expected:,}"
        counts = ", ".join(f"{self.counts.get(name, 0):,} {name}" for name in NAMED)
        more = f", {self.others:,} other" if self.others else ""
        throttle = "" if self.throttle is None else f" (throttled to {self.throttle:g}/s)"
        left = "" if self.eta_s is None else f", {_duration(self.eta_s)} left"
        held = f"; waiting: {self.held}" if self.held else ""
        return f"{self.name}: {self.rows:,}{whole} rows, {counts}{more}; {self.rate:.1f}/s{throttle}{left}{held}"

    def table(self) -> Group:
        """A table with a title and a bar."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(justify="right", style="bold")
        for name in NAMED:
            grid.add_row(f"{self.counts.get(name, 0):,}", name.replace("_", " "))
        grid.add_row(f"{self.others:,}", "other")
        grid.add_row(f"{self.rate:.1f}/s", "finished, over the last ten seconds")
        grid.add_row("none" if self.throttle is None else f"{self.throttle:g}/s", "throttle")
        grid.add_row(f"{self.window:,}", "may be open")
        grid.add_row("?" if self.eta_s is None else _duration(self.eta_s), "left")
        title = f"{self.name}, run {self.run}, line {self.line:,}, {_duration(self.elapsed_s)}"
        done = self.rows - self.counts.get(AWAITED, 0)
        bar = Table.grid(expand=True)  # a bar by itself ends without a line end, and swallows the row below it
        bar.add_row(ProgressBar(total=self.expected, completed=done, pulse=self.expected is None))
        return Group(title, bar, grid, f"waiting: {self.held}" if self.held else "")


class Display:
    """Shows progress on stderr, as a context manager that gives the terminal back."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._told_at = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show where it is."""
        if self._console.is_terminal:
            self._live.update(progress.table())
        elif time.monotonic() >= self._told_at + PLAIN_EVERY_S:
            self._told_at = time.monotonic()
            self._console.print(progress.text(), highlight=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def counted(records: Iterable[Record]) -> Iterator[Record]:
    """The same records; their number so far is told every few seconds, on stderr."""
    count, tell_at = 0, time.monotonic() + PLAIN_EVERY_S
    for record in records:
        count += 1  # noqa: SIM113 — enumerate keeps what it gave, as would this loop without the last line
        if not count % 1000 and time.monotonic() >= tell_at:
            tell_at += PLAIN_EVERY_S
            click.echo(f"{count:,} rows", err=True)
        yield record
        del record
