"""The commands of single jobs: enqueue one with a card from stdin or the terminal, and read its outcome."""

import sys
from collections.abc import Callable
from typing import Any

import click

from ..billing_queue import BillingQueue
from ..contract.card import Card
from ..contract.errors import InvalidCard
from ..contract.job import Job
from .shared import before_cards, open_queue, plainly, print_json, stop

STILL_OPEN, OTHER_OUTCOME = 3, 4  # exit codes; see also producer.cli.shared
STDIN_LIMIT = 16_384
PROMPTS = {"card_number": None, "expiry": None, "birth": "", "pwd_2digit": ""}  # None: must be answered


def _read_card() -> Card:
    """One card, as JSON on stdin or asked for without echo on a terminal."""
    has_terminal = sys.stdin is not None and sys.stdin.isatty()
    card = _ask_for_card() if has_terminal else Card.from_json(_read_stdin())
    for warning in card.warnings:
        click.echo(f"producer: warning: {warning}", err=True)
    return card


def _ask_for_card() -> Card:
    answers = {
        name: click.prompt(name, hide_input=True, default=default, show_default=False, err=True)
        for name, default in PROMPTS.items()
    }
    return Card(**{name: answer for name, answer in answers.items() if answer})


def _read_stdin() -> bytes:
    data = b"" if sys.stdin is None else sys.stdin.buffer.read(STDIN_LIMIT)
    if not data.strip():
        raise InvalidCard([("card", "is expected as JSON on stdin")])
    return data


def _enqueue(send: Callable[..., Job], wait_s: float | None, request: dict[str, Any]) -> None:
    before_cards()
    with open_queue() as queue:
        job = send(queue, card=_read_card(), **request)
        print_json({"job_id": job.job_id, "sequence": job.sequence, "expires_at": round(job.expires_at, 3)})
        if wait_s is not None:
            _print_outcome(queue, job.job_id, wait_s)


def _print_outcome(queue: BillingQueue, job_id: str, wait_s: float | None) -> None:
    try:
        found = queue.wait(job_id, wait_s) if wait_s else queue.outcome(job_id)
    except TimeoutError:
        found = None
    if found is None:
        stop("the job is still open", STILL_OPEN)
    print_json(found.to_dict())
    sys.exit(0 if found.succeeded else OTHER_OUTCOME)


def _job_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option("--pg", metavar="P", help="Gateway: {provider} or {provider}.{MID}."),
        click.option("--idempotency-key", metavar="K", help="The same key is the same job."),
        click.option("--deadline", "deadline_s", type=float, metavar="S", help="Seconds until it is given up."),
        click.option(
            "--wait", "wait_s", type=click.FloatRange(0, 3600), metavar="S", help="Wait for the outcome, print it too."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.option("--customer-uid", required=True, metavar="UID", help="Your handle of the billing key.")
@click.option("--customer-id", metavar="C", help="The gateway's customer id (Toss Payments).")
@click.option("--channel-key", metavar="K", help="The channel's key from i'mport's console.")
@_job_options
@plainly
def issue(wait_s: float | None, **request: Any) -> None:  # noqa: ANN401 — the options above
    """Read one card as JSON on stdin, or ask for it, and enqueue a billing-key request."""
    _enqueue(BillingQueue.issue, wait_s, request)


@click.command()
@click.option("--merchant-uid", required=True, metavar="M", help="Your order; new for each payment.")
@click.option("--amount", required=True, type=int, metavar="N", help="KRW.")
@click.option("--name", required=True, metavar="TEXT", help="The order's name.")
@click.option("--customer-uid", metavar="UID", help="Store a billing key under it, too.")
@click.option("--channel-group-id", metavar="G", help="The group of channels from i'mport's console.")
@click.option("--card-quota", type=int, default=0, metavar="N", help="Months of instalments.")
@click.option("--vat-amount", type=int, metavar="N", help="KRW.")
@click.option("--tax-free", type=int, metavar="N", help="KRW.")
@click.option("--product-type", type=click.Choice(["real", "digital"]))
@_job_options
@plainly
def onetime(wait_s: float | None, **request: Any) -> None:  # noqa: ANN401 — the options above
    """Read one card as on issue, and enqueue a key-in payment with it."""
    _enqueue(BillingQueue.onetime, wait_s, request)


@click.command()
@click.argument("job_id")
@click.option("--wait", "wait_s", type=click.FloatRange(0, 3600), metavar="S", help="Wait for it that long.")
@plainly
def outcome(job_id: str, wait_s: float | None) -> None:
    """Print the outcome of a job. Exit 0 issued or paid, 3 still open, 4 any other outcome, 5 unknown job."""
    with open_queue() as queue:
        _print_outcome(queue, job_id, wait_s)
