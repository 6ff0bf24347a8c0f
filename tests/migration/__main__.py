"""``python -m tests.migration SCENARIO``: progress on stderr; the last line is one JSON object.

Ends with 1 if a promise was broken; ``broken`` names them.
"""

import json
import sys
import time
from collections.abc import Callable

import click

from tests.migration.brake import brake as run_brake
from tests.migration.dry import dry as run_dry
from tests.migration.interactive import interactive as run_interactive
from tests.migration.kills import kills as run_kills
from tests.migration.mutated import mutated as run_mutated
from tests.migration.newer import newer as run_newer
from tests.migration.orders import orders as run_orders
from tests.migration.stage import THREADS, Figures
from tests.migration.stops import STORIES
from tests.migration.stops import stops as run_stops
from tests.migration.volume import volume as run_volume


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Migrations with real workers and stores, and a fake i'mport that remembers what it stored."""


@main.command()
@click.option("--rows", default=100_000, show_default=True, type=click.IntRange(100))
@click.option("--rate", default=500.0, show_default=True, help="IMP_RATE_PER_S.")
def volume(rows: int, rate: float) -> None:
    """A large export: memory, pace, report, and a search for its card numbers."""
    tell(lambda: run_volume(rows, rate=rate))


@main.command()
@click.option("--rows", default=20_000, show_default=True, type=click.IntRange(100))
@click.option("--producers", default=10, show_default=True, type=click.IntRange(0))
@click.option("--workers", default=10, show_default=True, type=click.IntRange(0))
@click.option("--seed", default=1, show_default=True)
@click.option("--hurry", is_flag=True, help="Leases of what was killed end at once.")
def kills(rows: int, producers: int, workers: int, seed: int, *, hurry: bool) -> None:
    """Producers and worker groups killed at random moments, with --resume each time."""
    tell(lambda: run_kills(rows, producers, workers, seed, hurry=hurry))


@main.command()
@click.option("--rows", default=200_000, show_default=True, type=click.IntRange(1))
def dry(rows: int) -> None:
    """Rows a second of --dry-run on one core."""
    tell(lambda: run_dry(rows))


@main.command()
@click.option("--count", default=10_000, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=1, show_default=True)
def mutated(count: int, seed: int) -> None:
    """Damaged files of every kind: exit code and one line always, no card shown, nothing sent that differs."""
    tell(lambda: run_mutated(count, seed))


@main.command()
@click.option("--rows", default=100_000, show_default=True, type=click.IntRange(500))
@click.option("--more", default=5000, show_default=True, help="Cards to be sent once it goes on.")
@click.option("--rate", default=500.0, show_default=True, help="IMP_RATE_PER_S.")
def brake(rows: int, more: int, rate: float) -> None:
    """A file whose password column is another's: how many cards are sent before the run pauses itself."""
    tell(lambda: run_brake(rows, more, rate=rate))


@main.command()
@click.option("--customers", default=1000, show_default=True, type=click.IntRange(10))
@click.option("--forgotten", is_flag=True, help="An export of 10 days ago, and a ledger that remembers 7.")
@click.option("--rate", default=300.0, show_default=True, help="IMP_RATE_PER_S.")
@click.option("--seed", default=1, show_default=True)
def newer(customers: int, rate: float, seed: int, *, forgotten: bool) -> None:
    """Customers who register on the page before and while an older export of the same is migrated."""
    tell(lambda: run_newer(customers, is_forgotten=forgotten, rate=rate, seed=seed))


@main.command()
@click.option("--rate", default=20.0, show_default=True, help="IMP_RATE_PER_S.")
@click.option("--jobs", default=60, show_default=True, type=click.IntRange(1))
@click.option("--latency", "latency_s", default=1.0, show_default=True, help="Of i'mport, in seconds.")
@click.option("--threads", default=THREADS, show_default=True, help="Of each of two worker processes.")
def interactive(rate: float, jobs: int, latency_s: float, threads: int) -> None:
    """How long interactive jobs wait beside a migration at full rate."""
    tell(lambda: run_interactive(rate, jobs, latency_s=latency_s, threads=threads))


@main.command("control")
@click.option("--rows", default=6000, show_default=True, type=click.IntRange(1000))
@click.option("--watch", "watch_s", default=10.0, show_default=True, help="Seconds for which each rate is measured.")
def control(rows: int, watch_s: float) -> None:
    """How soon pause, throttle, resume and cancel take effect."""
    tell(lambda: run_orders(rows, watch_s=watch_s))


@main.command()
@click.option("--rows", default=1500, show_default=True, type=click.IntRange(100))
@click.option("--only", type=click.Choice(list(STORIES)))
def stops(rows: int, only: str | None) -> None:
    """Signals, stores that go, a source that breaks, a full disk."""
    tell(lambda: run_stops(rows, only))


def tell(run: Callable[[], Figures]) -> None:
    """Run a scenario and print its figures; exit 1 if a promise was broken."""
    began = time.monotonic()
    figures = run()
    figures["seconds"] = round(time.monotonic() - began, 1)
    click.echo(json.dumps(figures, ensure_ascii=False, default=str))
    sys.exit(1 if figures["broken"] else 0)


if __name__ == "__main__":
    main(prog_name="python -m tests.migration")
