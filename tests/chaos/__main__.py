"""``python -m tests.chaos``: the crash suite. The last line of each run is one JSON object.

Ends with 1 if a promise was broken.
"""

import json
import sys
import time
from typing import Any

import click

from tests.chaos import clocks as stepping
from tests.chaos import fairness, scenarios
from tests.chaos.scenarios import QUICK, Figures
from tests.chaos.stage import Stage
from tests.model.run import run_model, run_stories

BROKEN = (
    "lost",
    "stale_overwrites",
    "double_charges",
    "without_outcome",
    "wrong_outcomes",
    "unjustified_ends",
    "tracebacks",
    "noperm",
    "accepted_gone",
    "outcomes_forgotten",
    "outcomes_written_twice",
    "outcomes_missing_in_the_stream",
    "charged_without_paid_or_doubt",
)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--jobs", default=30_000, show_default=True, type=click.IntRange(100))
@click.option("--kills", default=40, show_default=True, type=click.IntRange(0))
@click.option("--redis-restarts", default=0, show_default=True, type=click.IntRange(0))
@click.option("--seed", default=1, show_default=True)
@click.option("--quick", is_flag=True, help="The short form: 1,500 jobs, 4 kills, short timeouts; under 90 s.")
@click.pass_context
def main(context: click.Context, jobs: int, kills: int, redis_restarts: int, seed: int, *, quick: bool) -> None:
    """Jobs of all kinds while whole worker process groups are killed at random moments."""
    context.obj = seed
    if context.invoked_subcommand is not None:
        return
    if quick:
        tell(lambda: scenarios.storm(1500, 4, seed, over_s=6, look_up_for_s=5, redis_restarts=1, **QUICK))
    else:
        tell(lambda: scenarios.storm(jobs, kills, seed, over_s=jobs / 100, redis_restarts=redis_restarts))


@main.command()
@click.option("--jobs", default=2000, show_default=True)
@click.pass_obj
def vault(seed: int, jobs: int) -> None:
    """The vault killed and started empty with open jobs."""
    tell(lambda: scenarios.vault(jobs, seed))


@main.command()
@click.option("--jobs", default=2000, show_default=True)
@click.pass_obj
def flush(seed: int, jobs: int) -> None:
    """The queue emptied (FLUSHDB) with open jobs."""
    tell(lambda: scenarios.flush(jobs, seed))


@main.command()
@click.option("--count", default=500, show_default=True)
@click.option("--seconds", default=60.0, show_default=True)
@click.pass_obj
def crowd(seed: int, count: int, seconds: float) -> None:
    """Many declined cards of one customer_uid while other customers come."""
    tell(lambda: fairness.crowd(count, seconds, seed))


@main.command()
@click.option("--count", default=20_000, show_default=True)
@click.option("--seconds", default=60.0, show_default=True)
@click.pass_obj
def flushed(seed: int, count: int, seconds: float) -> None:
    """The queue emptied (FLUSHDB) under a long migration while customers come."""
    tell(lambda: fairness.flushed(count, seconds, seed))


@main.command()
@click.option("--jobs", default=30_000, show_default=True, type=click.IntRange(100))
@click.option("--times", default=40, show_default=True, type=click.IntRange(3))
@click.option("--slow-s", default=300.0, show_default=True, help="At 20 jobs a second.")
@click.pass_obj
def ends(seed: int, jobs: int, times: int, slow_s: float) -> None:
    """Worker processes killed, stopped for a while and ended behind a long backlog; how soon others take over."""
    tell(lambda: scenarios.ends(jobs, times, seed, slow_s=slow_s))


@main.command()
@click.option("--jobs", default=2000, show_default=True)
@click.option("--times", default=5, show_default=True)
@click.pass_obj
def restarts(seed: int, jobs: int, times: int) -> None:
    """The queue's and ledger's server killed and restarted under load."""
    tell(lambda: scenarios.restarts(jobs, times, seed))


@main.command()
@click.option("--jobs", default=80, show_default=True, help="Accepted around each cut.")
@click.option("--times", default=50, show_default=True)
@click.option("--at-once", is_flag=True, help="Do not wait for a file written anew; for Valkey 9 and later.")
@click.pass_obj
def power(seed: int, jobs: int, times: int, *, at_once: bool) -> None:
    """The power cut under load: the ledger keeps what was synced, the vault nothing."""
    tell(lambda: scenarios.power(jobs, times, seed, at_once=at_once))


@main.command()
@click.option("--jobs", default=10_000, show_default=True)
@click.option("--minutes", default=5.0, show_default=True)
@click.pass_obj
def outage(seed: int, jobs: int, minutes: float) -> None:
    """I'mport down for some minutes with jobs waiting."""
    tell(lambda: scenarios.outage(jobs, minutes, seed))


@main.command()
@click.option("--count", default=5000, show_default=True)
@click.pass_obj
def pairs(seed: int, count: int) -> None:
    """Two cards for one customer_uid back to back."""
    tell(lambda: scenarios.pairs(count, seed))


@main.command()
@click.option("--count", default=1000, show_default=True)
@click.pass_obj
def orders(seed: int, count: int) -> None:
    """Orders paid with two cards at once."""
    tell(lambda: scenarios.orders(count, seed))


@main.command()
@click.option("--jobs", default=20, show_default=True, help="Enqueued around each step.")
@click.pass_obj
def clocks(seed: int, jobs: int) -> None:
    """The stores' clocks stepping under load."""
    tell(lambda: stepping.clocks(jobs, seed))


@main.command()
@click.option("--seconds", default=60.0, show_default=True)
@click.pass_obj
def rate(seed: int, seconds: float) -> None:
    """The account's rate kept by 4 processes against a server that enforces it."""
    tell(lambda: scenarios.rate(seconds, seed))


@main.command()
@click.option("--count", default=10_000, show_default=True)
@click.pass_obj
def garbage(seed: int, count: int) -> None:
    """Malformed messages and forged requests among good jobs."""
    tell(lambda: scenarios.garbage(count, seed))


@main.command()
@click.option("--examples", default=2000, show_default=True)
@click.option("--steps", default=40, show_default=True)
@click.option("--shrink/--no-shrink", "shrinks", default=True, help="Look for the shortest order of events.")
@click.pass_obj
def model(seed: int, examples: int, steps: int, *, shrinks: bool) -> None:
    """Any order of events that Hypothesis can think of, under one clock."""
    tell(lambda: {"examples": examples, "steps": steps, "outcomes": run_model(examples, steps, seed, shrinks=shrinks)})


@main.command()
@click.option("--every", default=1, show_default=True, help="One of so many.")
def stories(every: int) -> None:
    """Each pair of fates of a job's two POSTs; a store may forget, another program send the same."""
    tell(lambda: {"stories": run_stories(every)})


def tell(run: Any) -> None:
    """Run a scenario and print its figures; exit 1 if a promise was broken."""
    began = time.monotonic()
    figures: Figures = run()
    figures |= Stage.facts
    figures["seconds"] = round(time.monotonic() - began, 1)
    click.echo(json.dumps(figures, default=str))
    sys.exit(1 if any(figures.get(name) for name in BROKEN) else 0)


if __name__ == "__main__":
    main(prog_name="python -m tests.chaos")
