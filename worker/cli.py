"""The worker's commands: ``python -m worker``. Each loads what it needs when it runs."""

import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from producer.runtime.command import VERSION, warn_of_misspelled
from producer.runtime.errors import ProcessError
from producer.runtime.lockdown import MemoryNotLocked, end_with_parent, lock_down

WORKER_EXTRA = frozenset({"prometheus_client", "requests", "urllib3"})  # what we import of it
OPERATORS = ("jobs", "trace", "pause", "resume", "drain", "retry", "expire", "exists")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _producer_name(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
        raise click.BadParameter("use up to 32 of a-z, 0-9 and -")
    return name


class _Commands(click.Group):
    """The commands below, and an operator's, which are loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *OPERATORS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in OPERATORS:
            return super().get_command(ctx, cmd_name)
        found: click.Command = getattr(import_module("worker.operator.cli"), cmd_name)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="iamport-billing-worker")
@click.pass_context
def main(context: click.Context) -> None:
    """Workers that turn sealed cards into i'mport billing keys."""
    if context.invoked_subcommand != "consume":  # `run` said it
        warn_of_misspelled("worker", ".env.worker")


@main.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--rotate", is_flag=True, help="Append a key to every set in DIRECTORY; the last is the newest.")
@click.option(
    "--producer", "name", metavar="NAME", callback=_producer_name, help="Add a producer with a signing key of its own."
)
@click.option("--may", metavar="LIST", help="What the producer may ask for; issue,onetime by default.")
@click.option(
    "--replace-signing",
    "replaced",
    metavar="NAME",
    callback=_producer_name,
    help="Give a producer (the first is called producer) a new signing key; tickets of the old one hold on.",
)
def keygen(directory: Path, *, rotate: bool, name: str | None, may: str | None, replaced: str | None) -> None:
    """Write the key files of both halves into DIRECTORY. Never overwrites a key."""
    _check_together({"--rotate": rotate or None, "--replace-signing": replaced, "--producer": name, "--may": may})
    for path in _written(directory, name, _operations(may), replaced, rotate=rotate):
        click.echo(path)


def _check_together(options: dict[str, object]) -> None:
    given = [option for option, value in options.items() if value is not None]
    if len(given) > 1 and given[0] != "--producer":
        raise click.UsageError(f"{' and '.join(given)} do not go together")


def _operations(may: str | None) -> list[str]:
    from worker.keys import generate as keys

    operations = list(keys.ALL_OPERATIONS) if may is None else [word.strip() for word in may.split(",")]
    if not set(operations) <= set(keys.ALL_OPERATIONS):
        raise click.BadParameter(f"knows {' and '.join(keys.ALL_OPERATIONS)}", param_hint="--may")
    return operations


def _written(
    directory: Path, name: str | None, operations: list[str], replaced: str | None, *, rotate: bool
) -> list[Path]:
    from worker.keys import generate as keys

    if rotate:
        return keys.rotate(directory)
    if replaced:
        return keys.replace_signing(directory, replaced)
    return keys.add_producer(directory, name, operations) if name else keys.generate(directory, operations)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--ledger", default="ledger:6379", show_default=True, metavar="HOST:PORT", help="Queue and ledger.")
@click.option("--vault", default="vault:6379", show_default=True, metavar="HOST:PORT")
@click.option("--tls", is_flag=True, help="The servers speak TLS.")
@click.option("--ca-file", metavar="PATH", help="Their authority's certificate, where the clients find it.")
def acl(directory: Path, ledger: str, vault: str, ca_file: str | None, *, tls: bool) -> None:
    """Write Redis ACL files for worker, producer and Flower into DIRECTORY, and the URLs that go with them."""
    from worker import redis_acl

    servers = (redis_acl.Server(address, tls, ca_file) for address in (ledger, vault))
    for path in redis_acl.write_access(directory, *servers):
        click.echo(path)


@main.command()
@click.argument("kid")
@click.option("--force", is_flag=True, help="Even if it is needed: what was sealed to it cannot be opened any more.")
def retire(kid: str, *, force: bool) -> None:
    """Take the opening key KID out of OPENING_KEYS_FILE, once no card can come that only it opens."""
    from worker.keys import retire as retirement
    from worker.settings import WorkerSettings

    settings = WorkerSettings.from_env()
    if settings.opening_keys_command:
        raise click.UsageError("the keys come from OPENING_KEYS_COMMAND: take it out where they are kept")
    open_jobs = retirement.retire(kid, settings.opening_keys_file, settings.ledger_url, force=force)
    if open_jobs:
        click.echo(f"worker: warning: {open_jobs} open jobs were sealed to it and will end expired", err=True)
    click.echo(f"{kid} is retired; workers forget it within a second. Producers' key sets may drop it, too.")


@main.command()
@click.option("--processes", type=click.IntRange(1, 256), default=CORES, show_default="one a core")
@click.option("--concurrency", type=click.IntRange(1, 1024), default=32, show_default=True, help="Threads a process.")
@click.option("--events/--no-events", default=False, show_default=True, help="Send task events, for Flower.")
@click.option(
    "--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]), default="INFO", show_default=True
)
def run(processes: int, concurrency: int, log_level: str, *, events: bool) -> None:
    """Run the workers: scrubbing allocator, locked memory, no core dumps, then Celery with the threads pool."""
    from worker.bootstrap import open_keyrings
    from worker.metrics_server import metrics_served
    from worker.settings import WorkerSettings
    from worker.start_check import check_stores
    from worker.supervisor import split, supervise

    _lock_down()
    settings = WorkerSettings.from_env()
    open_keyrings(settings)  # what is bad is said once, before any process starts
    check_stores(settings, tell=lambda words: click.echo(f"worker: {words}", err=True))
    arguments = ["-l", log_level, *(["-E"] if events else [])]
    processes, concurrency = split(processes, concurrency)
    with metrics_served(settings, processes) as environ:
        sys.exit(supervise(processes, concurrency, arguments, environ))


@main.command()
def reconcile() -> None:
    """Ask i'mport now what became of the jobs that ended in doubt; a line of JSON each, exit 1 if it does not say."""
    from worker.bootstrap import this_worker

    _lock_down()
    silent = 0
    for doubtful in this_worker().ledger.in_doubt():
        said = this_worker().reconciler.ask(doubtful)
        silent += said is None
        click.echo(json.dumps(said.to_dict() if said else {"job_id": doubtful.job_id, "found": None}))
    sys.exit(1 if silent else 0)


@main.command(hidden=True)
@click.option("-n", "hostname")
@click.option("-Q", "queues")
@click.option("-c", "concurrency", type=int)
@click.option("-l", "loglevel", default="INFO")
@click.option("-E", "task_events", is_flag=True, default=None)
def consume(**options: Any) -> None:  # noqa: ANN401 — those of `celery worker`
    """One worker process; `run` starts these.

    Not by Celery's own command, whose imports (a shell, a terminal's colours, Flower) take half as long as all others.
    """
    end_with_parent()
    for line in _lock_down():
        click.echo(f"worker: warning: {line}", err=True)
    from worker.celery import app

    sys.__stdout__ = None  # type: ignore[misc] # Celery writes there in its signal handler, and a full pipe would hold it
    app.Worker(without_heartbeat=True, **options).start()


@main.command()
@click.option(
    "--without-login", is_flag=True, help="Do not ask i'mport for a token: for a health check that runs often."
)
def doctor(*, without_login: bool) -> None:
    """Check settings, keys, stores, users, clocks, i'mport's login and the lock-down; exit 1 if any fails.

    It sees most under its own Redis user: the URLs in DIR/doctor, as `python -m worker acl DIR` writes them.
    """
    from worker.doctor import FAIL, examine
    from worker.settings import WorkerSettings

    settings, wrong = WorkerSettings.as_far_as_possible()
    is_well = True
    for what, mark, words in examine(settings, wrong, with_login=not without_login):
        is_well = is_well and mark != FAIL
        click.echo(f"{mark:4}  {what}: {words}")
    sys.exit(0 if is_well else 1)


def _lock_down() -> list[str]:
    """Lock a process that holds keys down; gives what does not hold, in words."""
    from worker.errors import SettingsError
    from worker.settings import WorkerSettings

    try:
        return lock_down(require_locked_memory=WorkerSettings.from_env().require_locked_memory)
    except MemoryNotLocked as problem:
        raise SettingsError(f"REQUIRE_LOCKED_MEMORY: {problem}") from None


def run_command() -> None:
    """Run what the command line says; a mistake is one line."""
    try:
        main()
    except ProcessError as error:
        click.echo(f"worker: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in WORKER_EXTRA:
            raise
        click.echo("worker: needs what its distribution brings: pip install iamport-billing-worker", err=True)
        sys.exit(1)
