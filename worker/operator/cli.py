"""An operator's commands on a terminal. Tables for people, lines of JSON with ``--json``; an error is one line."""

import json
import re
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from producer.contract.outcome import Status
from producer.runtime.redis_store import Link
from worker.operator.queries import OPEN, Asked, Jobs, Seen
from worker.operator.settings import OperatorSettings

UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
WIDE = 240  # columns where the output is no terminal: nothing is cut


class Span(click.ParamType[float]):
    """Seconds, from ``90``, ``90s``, ``15m``, ``2h`` or ``3d``."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 — click's
        """See the class."""
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"(\d{1,9})([smhd]?)", value)
        if found is None:
            self.fail("use a number of seconds, or 90s, 15m, 2h, 3d", param, ctx)
        return float(found[1]) * UNIT_S[found[2] or "s"]


class Since(Span):
    """Unix seconds from ``2026-11-28T09:00``; or a :class:`Span`, given as seconds below 0."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 — click's
        """See the class."""
        try:
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, TypeError):
            return -max(super().convert(value, param, ctx), 1.0)


def open_ledger() -> Link:
    """The ledger that the settings say."""
    return Link(OperatorSettings.from_env().ledger_url, "ledger")


def clock(instant: float) -> str:
    """An instant in this machine's time zone."""
    return datetime.fromtimestamp(instant).astimezone().strftime("%m-%d %H:%M:%S") if instant else ""


def show(table: Table) -> None:
    """Print a table, as wide as it is where no terminal limits it."""
    console = Console()
    Console(width=None if console.is_terminal else WIDE).print(table)


@click.command()
@click.option("--customer-uid", metavar="U", help="Of this customer_uid: all open ones, and the last 20 that ended.")
@click.option("--merchant-uid", metavar="M", help="Of this order.")
@click.option(
    "--status", type=click.Choice([OPEN, *map(str, Status)]), metavar="S", help=f"{OPEN}, {', '.join(Status)}."
)
@click.option("--waiting", is_flag=True, help="Those that wait, and why; what is due next comes first.")
@click.option("--since", type=Since(), metavar="T", help="Accepted or ended since: 15m, 2h, 2026-11-28T09:00.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each, all fields as they are.")
def jobs(*, as_json: bool, **asked: Any) -> None:  # noqa: ANN401 — the options above
    """Show open and finished jobs, the newest first: why one waits, and until when."""
    found = Jobs(open_ledger()).find(Asked(**asked))
    if as_json:
        for job in found.jobs:
            click.echo(json.dumps(as_members(job, found.now), ensure_ascii=False))
    elif found.jobs:
        show(_table(found.jobs, found.now))
    else:
        click.echo("no such jobs")
    if not found.is_all:
        click.echo(f"worker: there may be more than these {len(found.jobs)}: see --limit, --since", err=True)


def as_members(job: Seen, now: float) -> dict[str, Any]:
    """A job as JSON: its state in words, and the raw fields."""
    return {
        "job_id": job.job_id,
        "state": job.state(now),
        "why": job.why(now),
        "until": job.until(now),
        "record": job.record,
        "outcome": job.outcome.to_dict() if job.outcome else None,
    }


def _table(found: list[Seen], now: float) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("job", no_wrap=True, min_width=36)
    for name in ("accepted", "operation", "customer", "order", "state", "until", "why"):
        table.add_column(name, overflow="fold")
    for job in found:
        until = "" if job.outcome else clock(job.until(now))
        table.add_row(job.job_id, clock(job.accepted_at), *job.about, job.state(now), until, job.why(now))
    return table
