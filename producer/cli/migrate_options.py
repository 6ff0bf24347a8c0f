"""The options of ``migrate SOURCE``, and the migration's own that follow from them."""

import math
import shlex
from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..contract.job import DEADLINE_LIMIT_S
from ..migrate.checker import OFTEN_MISSED
from ..migrate.columns import FIELDS, Columns, Template
from ..migrate.fields import EXPIRY_FORMATS, Reading
from ..migrate.gateways import GATEWAYS, Gateway
from ..migrate.lines import SourceError
from ..migrate.options import Options
from ..migrate.sample import SAMPLE_LIMIT

_OF_DRY_RUNS = {"source", "name", "is_dry", "report", "is_plain_allowed", "expected", "checked"}


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
OPTIONS = (
    click.option("--name", metavar="NAME", help="Of the migration; job ids follow from it. By default the file's."),
    click.option("--dry-run", "is_dry", is_flag=True, help="Look at every row and send nothing."),
    click.option("--resume", is_flag=True, help="Go on with a run that was stopped. Give it the same source."),
    click.option(
        "--only-failed", "failed", type=OLD_FILE, metavar="REPORT", help="A new run of what is worth another try."
    ),
    click.option(
        "--as-of", metavar="DATE", help="When the export was made; a date is its beginning in Korea. Needed once."
    ),
    click.option(
        "--sample", type=click.IntRange(1, SAMPLE_LIMIT), metavar="N", help="Send N rows, spread over the file."
    ),
    click.option(
        "--stop-at", type=Finite(0, 100), default=30, metavar="PERCENT", help="Of 200 outcomes, if more are declined."
    ),
    click.option(
        "--report", type=FILE, metavar="FILE", help="CSV, or JSON Lines if .jsonl; NAME.report.csv by default."
    ),
    click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="By the first character, if not given."),
    click.option(
        "--map", "mapped", multiple=True, metavar="COLUMN=FIELD", help="The export's column for a field of ours."
    ),
    click.option("--from", "gateway", type=click.Choice(list(GATEWAYS)), help="The columns of that gateway's export."),
    click.option("--uid", metavar="TEXT", help="customer_uid as made of columns: '{customer}_{card_id}'."),
    click.option("--default", metavar="COLUMN=VALUE", help="What marks the card in use of a customer who has several."),
    click.option("--encoding", metavar="E", help="Of the source: cp949, euc-kr …; UTF-8, or as the header tells."),
    click.option("--expiry-format", "expiry_format", type=click.Choice(list(EXPIRY_FORMATS)), default="YYYY-MM"),
    click.option("--pad-zeros", is_flag=True, help="Put back leading zeros that birth and pwd_2digit have lost."),
    click.option(
        "--require", "required", metavar="FIELDS", default="", help="Refuse rows without them: birth,pwd_2digit."
    ),
    click.option("--strict", is_flag=True, help="Send nothing at all while there are warnings."),
    click.option(
        "--checked", type=OLD_FILE, metavar="REPORT", help="Of a dry run of this source: what it refused is not sent."
    ),
    click.option("--pg", metavar="P", help="Gateway for rows that do not say: {provider} or {provider}.{MID}."),
    click.option("--channel-key", metavar="K", help="The channel's key, for rows that do not say."),
    click.option(
        "--rows",
        "expected",
        type=click.IntRange(0),
        metavar="N",
        help="Of the source; one that was cut off is noticed.",
    ),
    click.option(
        "--deadline", "deadline_s", type=DEADLINE, metavar="S", help="For each job; JOB_DEADLINE_S by default."
    ),
    click.option(
        "--window", type=click.IntRange(1, 1_000_000), default=10_000, metavar="N", help="Open jobs, at most."
    ),
    click.option("--throttle", type=Finite(min=0, min_open=True), metavar="N", help="Rows a second, at most."),
    click.option(
        "--memory-mark", type=Finite(0, 100), default=80, metavar="PERCENT", help="Send nothing to a fuller Redis."
    ),
    click.option("--accept-unterminated", is_flag=True, help="A last line without a line end is whole."),
    click.option(
        "--i-know-this-file-holds-card-data", "is_plain_allowed", is_flag=True, help="Read a plain-text file."
    ),
)


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options."""
    return reduce(lambda inner, option: option(inner), reversed(OPTIONS), command)


def options_of(
    mapped: Iterable[str],
    gateway: str | None,
    uid: str | None,
    default: str | None,
    required: str,
    expiry_format: str,
    *,
    pad_zeros: bool,
    **given: Any,  # noqa: ANN401 — Options
) -> Options:
    """The options as the migration has them.

    Raises:
        SourceError: one does not hold.
    """
    names = columns_of(mapped)
    ready = Gateway({}, None) if gateway is None else GATEWAYS[gateway]
    names |= {column: name for column, name in ready.names.items() if name not in names.values()}
    return Options(
        columns=Columns(
            names,
            Template(uid) if uid else None,
            _mark_of(default or ready.default),
            is_default_optional=default is None,
        ),
        reading=Reading(expiry_format, pad_zeros),
        required=_required(required),
        **given,
    )


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


def _mark_of(text: str | None) -> tuple[str, Template] | None:
    if text is None:
        return None
    column, is_there, value = text.partition("=")
    if not is_there or not column.strip() or not value.strip():
        raise SourceError("--default: must be COLUMN=VALUE")
    return column, Template(value.strip())


def _required(text: str) -> frozenset[str]:
    found = frozenset(filter(None, map(str.strip, text.split(","))))
    if not found <= {*OFTEN_MISSED}:
        raise SourceError(f"--require: must be one or more of {','.join(OFTEN_MISSED)}")
    return found


def given_options() -> str:
    """The options of this command that the run which follows a dry run takes as well."""
    context = click.get_current_context()
    options = {option.name or "": option.opts[0] for option in context.command.params}
    is_given = {name: context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in options}
    given = filter(is_given.__getitem__, options.keys() - _OF_DRY_RUNS)
    return "".join(_words(options[name], context.params[name]) for name in sorted(given))


def _words(option: str, value: object) -> str:
    """An option as it is written, as often as it is there."""
    many = value if isinstance(value, tuple) else (value,)
    return "".join(f" {option}" if one is True else f" {option} {shlex.quote(str(one))}" for one in many)
