"""The command of a migration, and those that look after one from another shell."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from ..errors import BrokerUnavailable, SettingsError
from ..migrate import ledger
from ..migrate.continuation import WrongState, shown
from ..migrate.ledger import Checkpoint, Control
from ..migrate.lines import CutOff, SourceError
from ..migrate.options import lies_on_a_disk
from ..migrate.preview import look
from ..migrate.progress import Progress
from ..migrate.run import Stopped
from ..migrate.session import Session
from ..migrate.work_file import WorkFileError
from ..settings import ProducerMetrics, ProducerSettings, refuse_worker_secrets
from .migrate_options import Finite, given_options, options_of, source_options
from .shared import before_cards, open_queue, plainly, print_json, stop

ENCRYPTED = {".gpg": "gpg --decrypt", ".pgp": "gpg --decrypt", ".asc": "gpg --decrypt", ".age": "age --decrypt"}
PLAIN_TEXT = (
    "this is a plain-text file on a disk; encrypt it, and pipe it in: "
    "gpg --decrypt export.csv.pgp | python -m producer migrate - --name NAME "
    "(or --i-know-this-file-holds-card-data)"
)
NOT_ALL, USAGE, RESUMABLE = 1, 2, 3  # exit codes; 0 all issued


class _Migrate(click.Group):
    """``migrate SOURCE`` is ``migrate run SOURCE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Migrate)
def migrate() -> None:
    """Move customers' cards to billing keys: migrate SOURCE [OPTIONS], see migrate run --help."""


@migrate.command("run", context_settings={"show_default": True})
@click.argument("source", metavar="SOURCE")
@source_options
@plainly
def migrate_source(
    source: str,
    name: str | None,
    *,
    is_dry: bool,
    is_plain_allowed: bool,
    **given: Any,  # noqa: ANN401 — Options
) -> None:
    """Migrate SOURCE: a CSV with a header or JSON Lines, - for stdin.

    Columns: customer_uid card_number expiry birth pwd_2digit, and what else an issue takes (pg, customer_name …).

    Exit 0: every row is issued. 1: some are not. 2: usage or source. 3: stopped, and --resume goes on.
    """
    before_cards()
    try:
        options = options_of(**given)
        with opened(source, is_plain_allowed=is_plain_allowed) as file:
            if is_dry:
                is_good = look(file, options, given_options())
            else:
                found = name_of(source, name)
                with open_queue() as queue, _control(found) as control:
                    session = Session(queue, control, found, options)
                    with _monitored(session):
                        is_good = session.migrate(file)
    except (Stopped, CutOff) as error:
        stop(str(error), USAGE if is_dry else RESUMABLE)
    except (WrongState, SourceError, WorkFileError, SettingsError, BrokerUnavailable) as error:
        stop(str(error), USAGE)
    except OSError as error:
        stop(f"{error.filename}: {error.strerror}", USAGE)
    sys.exit(0 if is_good else NOT_ALL)


def _monitored(session: Session) -> contextlib.AbstractContextManager[None]:
    settings = ProducerMetrics.from_env()
    if settings.metrics_port is None:
        return contextlib.nullcontext()
    from ..migrate.metrics import registry_of  # noqa: PLC0415 — an extra, needed by those who want metrics
    from ..runtime.monitoring import monitored  # noqa: PLC0415 — as above

    registry = registry_of(lambda: session.progress)
    return monitored(settings, registry, is_alive=lambda: True, is_ready=lambda: True)  # it can be slow, and be resumed


@contextlib.contextmanager
def opened(source: str, *, is_plain_allowed: bool) -> Iterator[BinaryIO]:
    """The source's bytes; from a disk only if that is allowed, since what lies there in plain text is not ours to read.

    Raises:
        SourceError: it is encrypted, a terminal, or lies in plain text.
        OSError: it cannot be opened.
    """
    if decrypt := ENCRYPTED.get(Path(source).suffix):
        raise SourceError(f"pipe it in: {decrypt} {source} | python -m producer migrate - --name NAME")
    is_stdin = source == "-"
    # Not buffered: closing would wait for the thread that reads.
    with open(0 if is_stdin else source, "rb", 0, closefd=not is_stdin) as file:
        if file.isatty():
            raise SourceError("stdin is a terminal; pipe the export in")
        if lies_on_a_disk(file) and not is_plain_allowed:
            raise SourceError(PLAIN_TEXT)
        yield file


def name_of(source: str, name: str | None) -> str:
    """The migration's name.

    Raises:
        SourceError: it is missing or has other characters than names have.
    """
    if name is None and source == "-":
        raise SourceError("--name: is needed for what comes by stdin")
    found = Path(source).stem if name is None else name
    if not ledger.MIGRATION_NAME.fullmatch(found):
        raise SourceError("--name: must be 1 to 60 of A-Z a-z 0-9 _ . -")
    return found


@migrate.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@plainly
def status(name: str, *, as_json: bool) -> None:
    """Tell where a migration is."""
    with _control(name) as control:
        found, now = _known(control, name), control.now()
    if as_json:
        print_json(found._asdict())
        return
    click.echo(Progress(**found.progress).text() if found.progress else name)
    asked = "" if found.asked == ledger.RUN else f", asked to {found.asked}"
    asked += "" if found.as_of is None else f", export of {shown(found.as_of)}"
    click.echo(f"run {found.run}, {found.state}{asked}, {max(now - found.updated_at, 0):.0f} s ago")
    if not (found.is_held or found.has_ended):
        click.echo("what was open then is open or done by now: workers go on with it, and --resume counts it")


@migrate.command()
@click.argument("name")
@click.argument("rate", metavar="N", type=Finite(min=0))
@plainly
def throttle(name: str, rate: float) -> None:
    """Send at most N rows a second; 0 takes the throttle away."""
    _ask(name, throttle="" if rate == 0 else repr(rate))


def _order(command: str, asked: str, words: str) -> None:
    @migrate.command(command, help=words)
    @click.argument("name")
    @plainly
    def order(name: str) -> None:
        _ask(name, asked=asked)


_order("pause", ledger.PAUSE, "Send nothing more until it is resumed. What is open goes on.")
_order("resume", ledger.RUN, "Go on after a pause; a run whose process ended goes on with migrate SOURCE --resume.")
_order("cancel", ledger.CANCEL, "Send nothing more for good. What is open goes on; the rest is reported as not_sent.")


@contextlib.contextmanager
def _control(name: str) -> Iterator[Control]:
    refuse_worker_secrets()
    settings = ProducerSettings.from_env()
    control = Control(settings.ledger_url, settings.vault_url, name)
    try:
        yield control
    except BrokerUnavailable as error:
        if error.is_lasting:
            raise SettingsError(f"{error}; migrate logs in as the user migrator") from None
        raise
    finally:
        control.close()


def _known(control: Control, name: str) -> Checkpoint:
    found = control.checkpoint()
    if found is None:
        stop(f"{name}: no migration of that name is known", USAGE)
    return found


def _ask(name: str, **fields: str) -> None:
    with _control(name) as control:
        known = _known(control, name)
        if known.has_ended:
            stop(f"{name} has ended", USAGE)
        control.ask(**fields)
    click.echo("noted" if known.is_held else f"noted; nobody runs {name} now, it is heeded by --resume")
