"""The command of a migration, and those that look after one from another shell."""

import contextlib
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from ..contract.job import DEADLINE_LIMIT_S
from ..errors import BrokerUnavailable, SettingsError
from ..migrate import ledger
from ..migrate.ledger import Checkpoint, Control
from ..migrate.progress import Progress
from ..migrate.rows import EXPIRY_FORMATS
from ..migrate.run import Stopped
from ..migrate.session import Options, Session, WrongState, lies_on_a_disk, look
from ..migrate.source import FIELDS, CutOff, SourceError
from ..migrate.work_file import WorkFileError
from ..settings import ProducerMetrics, ProducerSettings, refuse_worker_secrets
from .shared import before_cards, open_queue, plainly, print_json, stop

ENCRYPTED = {".gpg": "gpg --decrypt", ".pgp": "gpg --decrypt", ".asc": "gpg --decrypt", ".age": "age --decrypt"}
PLAIN_TEXT = (
    "this is a plain-text file on a disk; encrypt it, and pipe it in: "
    "gpg --decrypt export.csv.pgp | python -m producer migrate - --name NAME "
    "(or --i-know-this-file-holds-card-data)"
)
NOT_ALL, USAGE, RESUMABLE = 1, 2, 3  # exit codes; 0 all issued


class Finite(click.FloatRange):
    """A number within its limits; float() takes ``nan`` and ``inf``, too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 — click's
        """The number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number.", param, ctx)
        return number


FILE = click.Path(dir_okay=False, path_type=Path)
OLD_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DEADLINE = Finite(60, DEADLINE_LIMIT_S)


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
@click.option("--name", metavar="NAME", help="Of the migration; job ids follow from it. By default the file's.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Look at every row and send nothing.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped. Give it the same source.")
@click.option(
    "--only-failed", "failed", type=OLD_FILE, metavar="REPORT", help="A new run of what is worth another try."
)
@click.option("--report", type=FILE, metavar="FILE", help="CSV, or JSON Lines if .jsonl; NAME.report.csv by default.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="By the first character, if not given.")
@click.option("--map", "mapped", multiple=True, metavar="COLUMN=FIELD", help="The export's column for a field of ours.")
@click.option("--encoding", default="utf-8", metavar="E", help="Of the source: utf-8, cp949, euc-kr …")
@click.option("--expiry-format", type=click.Choice(list(EXPIRY_FORMATS)), default="YYYY-MM")
@click.option("--pg", metavar="P", help="Gateway for rows that do not say: {provider} or {provider}.{MID}.")
@click.option("--channel-key", metavar="K", help="The channel's key, for rows that do not say.")
@click.option(
    "--rows", "expected", type=click.IntRange(0), metavar="N", help="Of the source; one that was cut off is noticed."
)
@click.option("--deadline", "deadline_s", type=DEADLINE, metavar="S", help="For each job; JOB_DEADLINE_S by default.")
@click.option("--window", type=click.IntRange(1, 1_000_000), default=10_000, metavar="N", help="Open jobs, at most.")
@click.option("--throttle", type=Finite(min=0, min_open=True), metavar="N", help="Rows a second, at most.")
@click.option(
    "--memory-mark", type=Finite(0, 100), default=80, metavar="PERCENT", help="Send nothing to a fuller Redis."
)
@click.option("--accept-unterminated", is_flag=True, help="A last line without a line end is whole.")
@click.option("--i-know-this-file-holds-card-data", "is_plain_allowed", is_flag=True, help="Read a plain-text file.")
@plainly
def migrate_source(
    source: str,
    name: str | None,
    mapped: tuple[str, ...],
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
        options = Options(names=columns_of(mapped), **given)
        with opened(source, is_plain_allowed=is_plain_allowed) as file:
            if is_dry:
                is_good = look(file, options)
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


def columns_of(texts: Iterable[str]) -> dict[str, str]:
    """Read ``--map``: our field by the export's column.

    Raises:
        SourceError: one is no such pair, or names a field that we do not have.
    """
    found = {}
    for text in texts:
        column, _, name = text.rpartition("=")
        if not column or name not in FIELDS:
            raise SourceError(f"--map: must be COLUMN=FIELD, with a field of: {', '.join(FIELDS)}")
        found[column.strip()] = name
    return found


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
