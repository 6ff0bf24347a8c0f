"""Preview: a dry run in words for a person: counts, the reading of the source, and the command that sends the rows."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

import click

from .checker import shown
from .dry_run import DryRun
from .lines import SourceError
from .options import Options, read
from .progress import counted
from .report import replacing
from .source import Source


def look(file: BinaryIO, options: Options, command: str) -> bool:
    """A dry run.

    Args:
        command: the options of the run that would follow.

    Returns:
        True if every row would be sent.

    Raises:
        SourceError, CutOff, OSError: of the source, of the report.
    """
    checker = options.checker(is_dry=True)
    source = read(file, options)
    form = options.reading.expiry_format
    with _reporting(options.report) as report:
        try:
            tally = DryRun.of(map(checker.check, counted(source)), time.time(), report, form)
        except sqlite3.Error:
            raise SourceError("the temporary database of the dry run failed (is there room in /tmp?)") from None
    click.echo(tally.text(is_strict=options.strict))
    options.check_count(tally.rows)
    click.echo("\n".join(["", *_read_as(source, form), *_first(tally), *_next(tally, options, command)]))
    return not tally.bad and not (options.strict and tally.warned)


def _reporting(path: Path | None) -> contextlib.AbstractContextManager[TextIO | None]:
    return contextlib.nullcontext() if path is None else replacing(path)


def _read_as(source: Source, form: str) -> Iterator[str]:
    if source.header is None:
        yield f"Read as JSON Lines, {source.encoding}; expiry as {form}"
    else:
        header, separator = source.header, {"\t": "a tab"}.get(source.separator, source.separator)
        yield f"Read as CSV, {source.encoding}, fields apart by {separator}; expiry as {form}"
        columns = zip(map(str.strip, header.cells), header.fields, strict=True)
        yield "Columns: " + ", ".join(f"{shown(cell)}={name or '(not used)'}" for cell, name in columns)
    if source.empty:
        yield f"Lines without content, passed over: {source.empty:,}"


def _first(tally: DryRun) -> Iterator[str]:
    if tally.first:
        yield "The first rows as understood:"
        yield from (f"  {row}" for row in tally.first)


def _next(tally: DryRun, options: Options, command: str) -> Iterator[str]:
    if tally.good:
        checked = "" if options.report is None else f" --checked {options.report}"
        more = f"{' --as-of DATE' * (options.as_of is None)} --rows {tally.rows}{checked}{command}"
        yield f"To send them: EXPORT | python -m producer migrate - --name NAME{more}"
