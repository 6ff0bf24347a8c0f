"""An operator's commands on a terminal. Tables for people, lines of JSON with ``--json``; an error is one line."""

import getpass
import json
import os
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from producer.contract.outcome import Status
from producer.runtime.errors import ProcessError, StoreUnavailable
from producer.runtime.redis_store import Link
from worker.errors import NotPossible
from worker.operator.actions import EXPIRE, RETRY, Operator
from worker.operator.draining import end, left, supervisors
from worker.operator.queries import OPEN, Asked, Jobs
from worker.operator.seen import STEPS_KEPT, Seen, Step
from worker.operator.settings import OperatorSettings
from worker.settings import WorkerSettings

if TYPE_CHECKING:
    from worker.operator.look_up import Said

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
    known = Jobs(open_ledger())
    found = known.find(Asked(**asked))
    if (until := known.paused_until()) is not None:
        click.echo(f"worker: nothing is sent until {clock(until)}: an operator's pause", err=True)
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


@click.command()
@click.argument("job_id")
@click.option("--look-up", is_flag=True, help="Ask i'mport now, too, and show its records; no outcome is written.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, all fields as they are.")
def trace(job_id: str, *, look_up: bool, as_json: bool) -> None:
    """Show a job's life, with times and processes; with --look-up also what i'mport has of it."""
    known = Jobs(open_ledger())
    job, steps, now = known.get(job_id), known.steps(job_id), known.now()
    found = _look_up(job) if look_up else []
    if as_json:
        members = as_members(job, now) | {"steps": [step._asdict() for step in steps]}
        members |= {"imp": [one._asdict() for one in found]} if look_up else {}
        click.echo(json.dumps(members, ensure_ascii=False))
    else:
        show(_life(job, steps, now))
        for one in found:
            click.echo(one.words)


def _look_up(job: Seen) -> "list[Said]":
    from worker.operator.look_up import ask  # noqa: PLC0415 — the other commands need no worker's extra, and no secret

    return ask(WorkerSettings.from_env(), job)


def _life(job: Seen, steps: list[Step], now: float) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=" · ".join(filter(None, (job.job_id, *job.about))), title_justify="left")
    for name in ("when", "after", "process", "step"):
        table.add_column(name, overflow="fold", justify="right" if name == "after" else "left")
    table.add_row(clock(job.accepted_at), "0.00 s", "", "accepted, and put in the queue by the producer")
    if len(steps) == STEPS_KEPT:
        table.add_row("…", "", "", f"only the newest {STEPS_KEPT} steps are kept")
    for step in steps:
        table.add_row(clock(step.at), f"{step.at - job.accepted_at:.2f} s", step.process, step.words)
    at = job.newest_at if job.outcome else now
    last = "outcome" if job.outcome else f"until {clock(job.until(now))}"
    words = ": ".join(filter(None, (f"{job.state(now)}, {last}", job.why(now))))
    table.add_row(clock(at), f"{at - job.accepted_at:.2f} s", "", words)
    return table


@click.command()
@click.argument("report", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each row, with i'mport's record.")
def exists(report: Path, *, as_json: bool) -> None:
    """Ask i'mport which customer_uids of a migration it has, and which with another card. Nothing is written.

    REPORT is that of `migrate --dry-run --report`: its rows that would be sent are asked about, 40 a call.

    Exit 0: none is stored with another card. 1: some are. 2: the report or i'mport does not tell.
    """
    from worker.operator.exists import OTHER_CARD, tell  # noqa: PLC0415 — as above

    try:
        states = tell(WorkerSettings.from_env(), report, as_json=as_json)
    except ProcessError as error:
        click.echo(f"worker: {error}", err=True)
        sys.exit(2)
    sys.exit(1 if states[OTHER_CARD] else 0)


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """An action's option ``--as``."""
    return click.option("--as", "who", default=_login, show_default="the login name", help="Who asks.")(command)


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return str(os.getuid())


def confirms(command: Callable[..., None]) -> Callable[..., None]:
    """An action's option ``--yes``: what changes more than one job asks first."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def operator(who: str) -> Operator:
    """Whoever asks, at the ledger that the settings say."""
    return Operator(open_ledger(), who, time.sleep)


def sure(words: str, *, yes: bool) -> None:
    """Go on only if the person says so."""
    click.echo(words)
    if not yes:
        click.confirm("Go on?", abort=True)


@click.command()
@click.option("--for", "seconds", type=Span(), default="600", show_default=True, metavar="S", help="At most a day.")
@confirms
@asks
def pause(seconds: float, who: str, *, yes: bool) -> None:
    """Stop all calls that issue or pay, for a while, in all workers. Look-ups go on, jobs are accepted."""
    if not 1 <= seconds <= UNIT_S["d"]:
        raise click.BadParameter("between 1 second and a day", param_hint="--for")
    mine = operator(who)
    held_up = mine.examine_pause(seconds)
    expire = f"{held_up.will_expire} of them will expire by it" if held_up.will_expire else "none will expire by it"
    sure(f"{held_up.open_jobs} open jobs wait for {seconds:g} s; {expire}.", yes=yes)
    click.echo(f"paused until {clock(mine.pause(seconds, held_up.open_jobs))}; python -m worker resume ends it")


@click.command()
@confirms
@asks
def resume(who: str, *, yes: bool) -> None:
    """End the pause now."""
    mine = operator(who)
    if mine.jobs.paused_until() is None:
        raise NotPossible("there is no pause")
    held_up = mine.examine_pause(0).open_jobs
    sure(f"{held_up} open jobs go on, as fast as the shared rate lets them.", yes=yes)
    mine.resume(held_up)
    click.echo("resumed")


@click.command()
@click.argument("job_id")
@asks
def retry(job_id: str, who: str) -> None:
    """Have an open job taken up now, whatever it waits for; what it waits for may make it wait again."""
    _ask(RETRY, job_id, who, "it is due now")


@click.command()
@click.argument("job_id")
@asks
def expire(job_id: str, who: str) -> None:
    """End an open job that is not in a worker's hands: expired, or in doubt if a call may have gone through."""
    _ask(EXPIRE, job_id, who, "it ends now")


def _ask(what: str, job_id: str, who: str, done: str) -> None:
    is_done = operator(who).ask(what, job_id)
    click.echo(done if is_done else f"noted: {done} once a worker's sweeper takes it up; is a worker running?")


@click.command()
@click.option("--timeout", "seconds", type=Span(), default="100", show_default=True, metavar="S")
@confirms
@asks
def drain(seconds: float, who: str, *, yes: bool) -> None:
    """End the ledger's workers that run here as this user: they finish what they hold, and exit."""
    found = supervisors(open_ledger())
    if not found:
        raise NotPossible("no workers of this ledger run here as this user (python -m worker run)")
    sure(f"{len(found)} workers finish what they hold and exit: {', '.join(map(str, found))}", yes=yes)
    try:
        operator(who).note("drain", count=len(found))
    except StoreUnavailable as error:  # no reason to go on working
        click.echo(f"worker: warning: not in the audit: {error}", err=True)
    for descriptor in found.values():
        end(descriptor)
    _await_end(found, time.monotonic() + seconds)


def _await_end(found: dict[int, int], until: float) -> None:
    while found:
        if time.monotonic() >= until:
            raise NotPossible(f"still at work: {', '.join(map(str, found))}; they were told, and go on to their end")
        running = left(found, min(1.0, max(until - time.monotonic(), 0)))
        for pid in found.keys() - set(running):
            click.echo(f"{pid} has ended")
            os.close(found.pop(pid))
