"""The producer's commands: ``python -m producer``."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from producer.billing_queue import BillingQueue
from producer.cli.shared import before_cards, open_queue, plainly, print_json, stop
from producer.contract.card import Card
from producer.contract.errors import InvalidCard
from producer.contract.job import Job, Request
from producer.contract.outcome import Outcome
from producer.errors import SettingsError
from producer.runtime.lockdown import MemoryNotLocked, lock_down, start_anew_scrubbed
from producer.settings import ProducerSettings

OPEN, OTHER_OUTCOME = 3, 4  # exit codes; see also producer.cli.shared
STDIN_LIMIT = 16_384
ASKED = (("card_number", True), ("expiry", True), ("birth", False), ("pwd_2digit", False))


def _read_card() -> Card:
    """One card, as JSON on stdin or asked for without echo on a terminal."""
    if sys.stdin is None:
        raise InvalidCard([("card", "is expected as JSON on stdin")])
    if sys.stdin.isatty():
        answers = {
            name: click.prompt(name, hide_input=True, default=None if is_needed else "", show_default=False, err=True)
            for name, is_needed in ASKED
        }
        card = Card(**{name: answer for name, answer in answers.items() if answer})
    else:
        data = sys.stdin.buffer.read(STDIN_LIMIT)
        if not data.strip():
            raise InvalidCard([("card", "is expected as JSON on stdin")])
        card = Card.from_json(data)
    for warning in card.warnings:
        click.echo(f"producer: warning: {warning}", err=True)
    return card


def _print_job(job: Job) -> None:
    print_json({"job_id": job.job_id, "sequence": job.sequence, "expires_at": round(job.expires_at, 3)})


def _print_outcome(outcome: Outcome) -> None:
    print_json(outcome.to_dict())
    sys.exit(0 if outcome.succeeded else OTHER_OUTCOME)


def _await(queue: BillingQueue, job_id: str, wait_s: float | None) -> None:
    """Print the outcome; an open job is exit code 3."""
    try:
        outcome = queue.wait(job_id, wait_s) if wait_s else queue.outcome(job_id)
    except TimeoutError:
        outcome = None
    if outcome is None:
        click.echo("producer: the job is still open", err=True)
        sys.exit(OPEN)
    _print_outcome(outcome)


def _job_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option("--pg", metavar="P", help="Gateway: {provider} or {provider}.{MID}."),
        click.option("--channel-key", metavar="K", help="The channel's key from i'mport's console."),
        click.option("--idempotency-key", metavar="K", help="The same key is the same job."),
        click.option("--deadline", "deadline_s", type=float, metavar="S", help="Seconds until it is given up."),
        click.option(
            "--wait", "wait_s", type=click.FloatRange(0, 3600), metavar="S", help="Wait for the outcome, print it too."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class _Commands(click.Group):
    """Commands; those with subcommands of their own are loaded when they are asked for."""

    FAMILIES = ("migrate", "webhooks")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted([*super().list_commands(ctx), *self.FAMILIES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command."""
        if cmd_name not in self.FAMILIES:
            return super().get_command(ctx, cmd_name)
        found: click.Command = getattr(import_module(f"producer.cli.{cmd_name}"), cmd_name)
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Enqueue i'mport billing-key requests and read their outcomes. Card data comes in on stdin only."""


@main.command()
@click.option("--customer-uid", required=True, metavar="UID", help="Your handle of the billing key.")
@click.option("--customer-id", metavar="C", help="The gateway's customer id (Toss Payments).")
@_job_options
@plainly
def issue(wait_s: float | None, **request: Any) -> None:  # noqa: ANN401 — the options above
    """Read one card as JSON on stdin, or ask for it, and enqueue a billing-key request."""
    before_cards()
    with open_queue() as queue:
        job = queue.issue(card=_read_card(), **request)
        _print_job(job)
        if wait_s is not None:
            _await(queue, job.job_id, wait_s)


@main.command()
@click.option("--merchant-uid", required=True, metavar="M", help="Your order; new for each payment.")
@click.option("--amount", required=True, type=int, metavar="N", help="KRW.")
@click.option("--name", required=True, metavar="TEXT", help="The order's name.")
@click.option("--customer-uid", metavar="UID", help="Store a billing key under it, too.")
@click.option("--card-quota", type=int, default=0, metavar="N", help="Months of instalments.")
@click.option("--vat-amount", type=int, metavar="N", help="KRW.")
@click.option("--tax-free", type=int, metavar="N", help="KRW.")
@click.option("--product-type", type=click.Choice(["real", "digital"]))
@_job_options
@plainly
def onetime(wait_s: float | None, **request: Any) -> None:  # noqa: ANN401 — the options above
    """Read one card as on issue, and enqueue a key-in payment with it."""
    before_cards()
    with open_queue() as queue:
        job = queue.onetime(card=_read_card(), **request)
        _print_job(job)
        if wait_s is not None:
            _await(queue, job.job_id, wait_s)


@main.command()
@click.argument("job_id")
@click.option("--wait", "wait_s", type=click.FloatRange(0, 3600), metavar="S", help="Wait for it that long.")
@plainly
def outcome(job_id: str, wait_s: float | None) -> None:
    """Print the outcome of a job. Exit 0 issued or paid, 3 still open, 4 any other outcome, 5 unknown job."""
    with open_queue() as queue:
        _await(queue, job_id, wait_s)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Beyond this machine only behind TLS.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--prefix", default="/subscription", show_default=True, help="Path under which everything lies.")
@click.option("--behind", metavar="ADDRESSES", help="Proxies whose X-Forwarded-For and -Proto are believed.")
@plainly
def serve(host: str, port: int, prefix: str, behind: str | None) -> None:
    """Serve the card page and its endpoint."""
    from producer.web.server import run  # noqa: PLC0415 — the other commands need no web server

    before_cards()
    with open_queue() as queue:
        run(queue, host, port, prefix, behind)


@main.command()
@click.option("--customer-uid", metavar="UID", help="Your handle of the billing key.")
@click.option("--merchant-uid", metavar="M", help="Your order: the ticket is then for a payment.")
@click.option("--amount", type=int, metavar="N", help="KRW.")
@click.option("--name", metavar="TEXT", help="The order's name.")
@click.option("--pg", metavar="P", help="Gateway: {provider} or {provider}.{MID}.")
@click.option("--session", metavar="ID", help="The session that it is good in.")
@click.option(
    "--life", "life_s", type=int, default=1800, show_default=True, metavar="S", help="Seconds it is good for."
)
@plainly
def ticket(session: str | None, life_s: int, **asked: Any) -> None:  # noqa: ANN401 — the options above
    """Print a ticket for the card page, as your app would make one."""
    from producer.web.ticket import Tickets  # noqa: PLC0415 — as above

    operation = "onetime" if asked["merchant_uid"] else "issue"
    request = Request.model_validate({"operation": operation, **{k: v for k, v in asked.items() if v is not None}})
    with open_queue() as queue:
        click.echo(Tickets.of(queue).mint(request, session=session, life_s=life_s))


@main.command("api-key")
@click.argument("name")
@click.option("--may", default="issue", show_default=True, metavar="LIST", help="issue, onetime or both.")
@plainly
def api_key(name: str, may: str) -> None:
    """Make an API key for another backend; it is shown once, API_KEYS_FILE keeps its digest."""
    from producer.web.api_key import add_api_key  # noqa: PLC0415 — as above
    from producer.web.settings import WebSettings  # noqa: PLC0415

    path = WebSettings.from_env().api_keys_file
    if path is None:
        raise SettingsError("API_KEYS_FILE: is not set")
    click.echo(add_api_key(path, name, [word.strip() for word in may.split(",")]))


def _lock_down() -> None:
    """What a process that sees cards does before anything else."""
    start_anew_scrubbed()
    try:
        is_required = ProducerSettings.from_env().require_locked_memory
    except SettingsError:  # the command itself will say
        is_required = False
    try:
        problems = lock_down(require_locked_memory=is_required)
    except MemoryNotLocked as problem:
        stop(f"REQUIRE_LOCKED_MEMORY: {problem}", 1)
    else:
        for line in problems:
            click.echo(f"producer: warning: {line}", err=True)


if __name__ == "__main__":
    main(prog_name="python -m producer", obj=_lock_down)
