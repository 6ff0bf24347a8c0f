"""The commands of webhooks: deliver outcomes, list those that were given up, send them once more."""

import contextlib
import signal

import click
import structlog

from ..outcome_stream import OutcomeReader, ReconciledReader
from ..runtime.alive import AliveFile, alive_file
from ..settings import ProducerMetrics
from ..webhooks.delivery_queue import WebhookLedger
from ..webhooks.settings import Destination, WebhookSettings
from .shared import UNKNOWN_JOB, plainly, print_json, read_settings, stop

log = structlog.get_logger("webhooks")


@click.group()
def webhooks() -> None:
    """Tell your server of every outcome: signed, at least once, in order for each customer_uid."""


@webhooks.command("run")
@plainly
def webhooks_run() -> None:
    """Deliver until SIGTERM or Ctrl-C."""
    from ..runtime.logs import set_up_logs  # noqa: PLC0415 — the other commands log nothing
    from ..runtime.monitoring import monitored  # noqa: PLC0415 — the other commands need no server and no HTTP client
    from ..webhooks.delivery import Deliverer, group_of  # noqa: PLC0415 — as above
    from ..webhooks.http import WebhookClient  # noqa: PLC0415 — as above
    from ..webhooks.metrics import registry_of  # noqa: PLC0415 — as above

    ledger_url, settings = read_settings().ledger_url, WebhookSettings.from_env()
    set_up_logs()
    client = WebhookClient(
        settings.webhook_url,
        settings.webhook_secrets,
        timeout_s=settings.webhook_timeout_s,
        allow_private=settings.webhook_allow_private,
    )
    ledger = WebhookLedger(ledger_url, settings.webhook_name, settings.webhook_line_s)
    alive, reading = alive_file(group := group_of(settings.webhook_name)), AliveFile(None)
    deliverer = Deliverer(
        (OutcomeReader(ledger_url, group, group), ReconciledReader(ledger_url, group, group, block_ms=0)),
        ledger,
        client,
        tell=_log_failure,
        tell_trouble=log.warning,
        alive=alive.touch,
        reading=reading.touch,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: deliverer.stop())
    with monitored(
        ProducerMetrics.from_env(),
        registry_of(ledger),
        is_alive=lambda: alive.is_fresh,
        is_ready=lambda: reading.is_fresh,
    ):
        log.info("delivering to %s", settings.webhook_name)
        deliverer.run()
    log.info("ended")


def _log_failure(job_id: str, word: str, given_up: bool) -> None:
    log.warning("delivery given up" if given_up else "delivery failed, again later", job_id=job_id, answer=word)


@webhooks.command("list")
@plainly
def webhooks_list() -> None:
    """List what was given up, a line of JSON each; and how much waits, on stderr."""
    with _open_ledger() as ledger:
        for event, at, answer in ledger.failed():
            row = {name: event.data.get(name) for name in ("job_id", "customer_uid", "merchant_uid", "status", "found")}
            print_json({"id": event.id, **row, "given_up_at": round(at, 3), "answer": answer})
        found = ledger.waiting()
        click.echo(f"producer: {found.lines} customers and {found.late} late deliveries waiting", err=True)


@webhooks.command("resend")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Everything that was given up.")
@plainly
def webhooks_resend(ids: tuple[str, ...], *, everything: bool) -> None:
    """Deliver outcomes once more, by job id: those named, or all that were given up."""
    if everything == bool(ids):
        raise click.UsageError("name job ids, or give --all")
    with _open_ledger() as ledger:
        wanted = ids or [event.id for event, _, _ in ledger.failed()]
        unknown = [one for one in wanted if not ledger.resend(one, ledger.now())]
        click.echo(f"producer: {len(wanted) - len(unknown)} to be sent once more", err=True)
        if unknown:
            stop(f"not known any more, or waiting already: {', '.join(unknown)}", UNKNOWN_JOB)


def _open_ledger() -> contextlib.closing[WebhookLedger]:
    return contextlib.closing(WebhookLedger(read_settings().ledger_url, Destination.from_env().webhook_name))
