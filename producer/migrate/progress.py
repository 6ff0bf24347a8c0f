"""Display: a run as it goes, for a terminal as a table that lives, else as a plain line now and then. On stderr."""

import time
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from producer.migrate.run import Progress
from producer.migrate.work_file import NOT_SENT, OPEN

PLAIN_EVERY_S = 5.0
SHOWN = ("issued", "declined", "invalid", OPEN, "in_doubt")


class Display:
    """Shows progress, until it is closed."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._said_at = 0.0
        if self._console.is_terminal:
            self._live.start()

    def show(self, progress: Progress) -> None:
        """Show where it is."""
        if self._console.is_terminal:
            self._live.update(table(progress))
        elif time.monotonic() >= self._said_at + PLAIN_EVERY_S:
            self._said_at = time.monotonic()
            self._console.print(line(progress), highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Give the terminal back."""
        self._live.stop()


def others(progress: Progress) -> int:
    """Rows with another end than those that are named."""
    return sum(count for status, count in progress.counts.items() if status not in (*SHOWN, NOT_SENT))


def line(progress: Progress) -> str:
    """Progress in one line."""
    whole = "" if progress.expected is None else f" of {progress.expected:,}"
    counts = ", ".join(f"{progress.counts.get(name, 0):,} {name}" for name in SHOWN)
    left = "" if progress.eta_s is None else f", {_duration(progress.eta_s)} left"
    held = f"; waiting: {progress.held}" if progress.held else ""
    throttle = "" if progress.throttle is None else f" (throttled to {progress.throttle:g}/s)"
    more = f", {others(progress):,} other" if others(progress) else ""
    return (
        f"{progress.name}: {progress.rows:,}{whole} rows, {counts}{more}; {progress.rate:.1f}/s{throttle}{left}{held}"
    )


def table(progress: Progress) -> Group:
    """Progress as a table."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="bold")
    grid.add_column()
    for name in SHOWN:
        grid.add_row(f"{progress.counts.get(name, 0):,}", name.replace("_", " "))
    grid.add_row(f"{others(progress):,}", "other")
    grid.add_row(f"{progress.rate:.1f}/s", "finished, over the last ten seconds")
    grid.add_row("none" if progress.throttle is None else f"{progress.throttle:g}/s", "throttle")
    grid.add_row(f"{progress.window:,}", "may be open")
    grid.add_row("?" if progress.eta_s is None else _duration(progress.eta_s), "left")
    title = f"{progress.name}, run {progress.run}, line {progress.line:,}, {_duration(progress.elapsed_s)}"
    done = progress.rows - progress.counts.get(OPEN, 0)
    bar = ProgressBar(total=progress.expected, completed=done, pulse=progress.expected is None)
    return Group(title, bar, grid, f"waiting: {progress.held}" if progress.held else "")


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
