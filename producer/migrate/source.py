"""Source: records of an export as they come, CSV or JSON Lines, each with the number of the line where it begins.

A record that cannot be read is one record with a problem, and the next one is read all the same. No more than
:data:`RECORD_LIMIT` bytes of the source are held at a time, whatever is in it, and none that were parsed. Never quotes
what it read.
"""

import codecs
import contextlib
import csv
import select
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import filterfalse
from typing import Any, BinaryIO, NamedTuple

from ..contract.card import Card
from ..contract.jose import DuplicateMember, loads

RECORD_LIMIT = 65_536  # bytes
RECORD_LINES = 20  # of a CSV record with line ends in its fields
PIECE = 65_536
REQUEST_FIELDS = ("customer_uid", "pg", "channel_key", "customer_id")
FIELDS = (*REQUEST_FIELDS, *Card.model_fields)
REQUIRED = ("customer_uid", "card_number", "expiry")
SIGNS = '\n\r",{}:'  # they tell records and fields apart, and are looked for before the text is decoded
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

TOO_LONG, NOT_CSV, NOT_JSON = f"is longer than {RECORD_LIMIT} bytes", "is no CSV", "is no JSON object"
OPEN_QUOTE, SAME_MEMBER = "has a quote that does not end", "names a member twice"
UNENDED = (
    "line {}: the last line has no line end; the source may have been cut off there "
    "(if it is whole, say so with --accept-unterminated)"
)


class SourceError(Exception):
    """The source as a whole cannot be used; says why and at which line."""


class CutOff(SourceError):
    """The source ended in the middle of a record: what came before it holds."""


class Record(NamedTuple):
    """One record.

    Args:
        line: where it begins, from 1.
        fields: texts by our names; empty ones are left out.
        problem: why it cannot be read, or None.
    """

    line: int
    fields: Mapping[str, str]
    problem: str | None = None


class _Line(NamedTuple):
    """A line, or why it cannot be read; ``is_ended`` by a line end."""

    number: int
    text: str
    problem: str | None
    is_ended: bool


def records(
    source: BinaryIO,
    *,
    is_json: bool | None,
    encoding: str = "utf-8",
    names: Mapping[str, str] | None = None,
    must_end: bool = False,
) -> Iterator[Record]:
    """Read an export.

    Args:
        source: its bytes; not buffered, so that whoever closes it waits for no reader.
        is_json: JSON Lines, or CSV with a header; by its first character if None.
        encoding: Python's name of it; line ends must be those of ASCII.
        names: our field by the export's column, where they differ.
        must_end: a last CSV record without a line end counts as cut off: a pipe may have broken in its middle.

    Raises:
        SourceError: there is nothing to read, the encoding or header does not hold, or the source breaks.
        CutOff: it ended in the middle of a record.
    """
    csv.field_size_limit(RECORD_LINES * RECORD_LIMIT)
    encoding = encoding.removesuffix("-sig")
    _refuse_unlike_ascii(encoding)
    lines = _Lines(source, encoding)
    first = lines.begin()
    if not first:
        raise SourceError("line 1: the source is empty")
    if first.startswith(UTF_16):
        raise SourceError("line 1: looks like UTF-16; convert it to UTF-8")
    if is_json is None:
        is_json = first.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{")
    names = names or {}
    return _json_records(lines, names) if is_json else _csv_records(lines, names, must_end=must_end)


def _refuse_unlike_ascii(encoding: str) -> None:
    with contextlib.suppress(LookupError, UnicodeError):
        if SIGNS.encode(encoding) == SIGNS.encode():
            return
    raise SourceError("--encoding: is not known, or its line ends and commas are not those of ASCII")


class _Lines(Iterator[_Line]):
    """The lines of a source. One that is too long, or no text, is a line with a problem, and the next one follows."""

    def __init__(self, source: BinaryIO, encoding: str) -> None:
        self._source, self._encoding = source, encoding
        self._buffer, self._at, self._number = bytearray(), 0, 0  # what was read of it is overwritten
        self._returned: deque[_Line] = deque()

    def begin(self) -> bytes:
        """The first bytes, enough to tell their kind. All but UTF-8's byte order mark stay to be read."""
        text = bytearray()
        while (len(self._buffer) < 4 or not text) and len(self._buffer) < 4096 and self._fill():
            text = self._buffer.removeprefix(codecs.BOM_UTF8).strip()
        first = bytes(self._buffer[:4096])
        self._buffer = self._buffer.removeprefix(codecs.BOM_UTF8)
        return first

    def give_back(self, lines: Iterable[_Line]) -> None:
        """Put lines back, to be read next."""
        self._returned.extendleft(reversed(list(lines)))

    def __next__(self) -> _Line:
        if self._returned:
            return self._returned.popleft()
        raw = self._next_raw()
        if not raw:
            raise StopIteration
        self._number += 1
        if len(raw) <= RECORD_LIMIT:
            return _Line(self._number, *self._text(raw), is_ended=raw.endswith(b"\n"))
        while raw and not raw.endswith(b"\n"):
            raw = self._next_raw()
        return _Line(self._number, "", TOO_LONG, is_ended=bool(raw))

    def _text(self, raw: bytes) -> tuple[str, str | None]:
        try:
            text = raw.decode(self._encoding)
        except UnicodeError:
            return "", f"is no {self._encoding}"
        return text, "has a NUL" if "\0" in text else None

    def _next_raw(self) -> bytes:
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if len(self._buffer) - self._at > RECORD_LIMIT or not self._fill():
                end = min(len(self._buffer), self._at + RECORD_LIMIT + 1) - 1
                break
        raw = bytes(self._buffer[self._at : end + 1])
        self._buffer[self._at : end + 1] = bytes(len(raw))
        self._at = end + 1
        return raw

    def _fill(self) -> bool:
        try:
            while (piece := self._source.read(PIECE)) is None:  # whoever started us made it non-blocking
                select.select([self._source], [], [])
        except OSError as error:
            raise SourceError(f"line {self._number + 1}: the source broke ({error.strerror})") from None
        del self._buffer[: self._at]
        self._buffer += piece
        self._at = 0
        return bool(piece)


class _Cells(NamedTuple):
    """A row of a CSV, or why it cannot be read; ``is_ended`` by a line end."""

    line: int
    cells: list[str]
    problem: str | None
    is_ended: bool


# map and filter, here and below: a loop would keep a record in its frame while the next one is awaited
def _csv_records(lines: _Lines, names: Mapping[str, str], *, must_end: bool) -> Iterator[Record]:
    rows = filter(None, map(partial(_row, lines), lines))
    header = next(rows, _Cells(1, [], "is missing", is_ended=True))
    record_of = partial(_csv_record, header, _header_fields(header, names), must_end)
    record_of(header)  # which must have its end, too
    return map(record_of, rows)


def _csv_record(header: _Cells, fields: list[str | None], must_end: bool, row: _Cells) -> Record:
    if must_end and not row.is_ended:
        raise CutOff(UNENDED.format(row.line))
    problem = _misfit(row, header)
    return Record(row.line, {} if problem else _filled(fields, row.cells), problem)


def _row(lines: _Lines, line: _Line) -> _Cells | None:
    """The row that a line begins; one that breaks off is that line only, so that a stray quote swallows no others."""
    parts = _parts(line, lines)
    cells, count, problem = _cells(parts)
    lines.give_back(parts[count:])
    return _Cells(line.number, cells, problem, parts[count - 1].is_ended) if cells or problem else None


def _parts(first: _Line, lines: _Lines) -> list[_Line]:
    """A line, and those that follow while a quote is open. A quote within an unquoted field opens nothing, though."""
    parts, quotes = [first], first.text.count('"')
    while quotes % 2 and len(parts) < RECORD_LINES and (line := next(lines, None)):
        parts.append(line)
        quotes += line.text.count('"')
    return parts


def _cells(parts: list[_Line]) -> tuple[list[str], int, str | None]:
    """The cells of the row that these lines begin with, how many of the lines are its own, or what is wrong."""
    if all(part.problem is None for part in parts):
        reader = csv.reader([part.text for part in parts], strict=True)
        with contextlib.suppress(csv.Error):
            return next(reader, []), reader.line_num, None
    return [], 1, parts[0].problem or (OPEN_QUOTE if len(parts) > 1 else NOT_CSV)


def _header_fields(header: _Cells, names: Mapping[str, str]) -> list[str | None]:
    """Our names of the columns, None for one that has none."""
    columns = list(map(str.strip, header.cells))
    fields = [_field(column, names) for column in columns]
    problems = (
        ("{}", list(filter(None, [header.problem]))),
        ("has no column {}, which --map names", sorted(names.keys() - columns)),
        (
            "names no {0}; say which column it is with --map COLUMN={0}",
            [*filterfalse(fields.__contains__, REQUIRED)][:1],
        ),
        ("names {} twice", sorted(name for name in FIELDS if fields.count(name) > 1)),
    )
    for words, found in problems:
        if found:
            raise SourceError(f"line {header.line}: the header {words.format(', '.join(found))}")
    return fields


def _misfit(row: _Cells, header: _Cells) -> str | None:
    if row.cells == header.cells:
        return "is the header once more"
    if not row.problem and len(row.cells) != len(header.cells):
        return f"has {len(row.cells)} fields, the header has {len(header.cells)}"
    return row.problem


def _filled(fields: list[str | None], cells: list[str]) -> dict[str, str]:
    return {name: cell for name, cell in zip(fields, cells, strict=True) if name and cell}


def _field(column: str, names: Mapping[str, str]) -> str | None:
    name = names.get(column, column)
    return name if name in FIELDS else None


def _json_records(lines: _Lines, names: Mapping[str, str]) -> Iterator[Record]:
    return map(partial(_json_record, names), filter(lambda line: line.problem or line.text.strip(), lines))


def _json_record(names: Mapping[str, str], line: _Line) -> Record:
    found = _members(line)
    if not isinstance(found, str):
        found = _texts(found, names)
    elif not line.is_ended and found != SAME_MEMBER:
        raise CutOff(f"line {line.number}: ends in the middle of a record; the source was cut off there")
    return Record(line.number, {}, found) if isinstance(found, str) else Record(line.number, found)


def _members(line: _Line) -> dict[str, Any] | str:
    """The members of a JSON object, or what is wrong with it."""
    if line.problem:
        return line.problem
    try:
        members = loads(line.text.encode())
    except DuplicateMember:
        return SAME_MEMBER
    except (ValueError, RecursionError):
        return NOT_JSON
    return members if isinstance(members, dict) else NOT_JSON


def _texts(members: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str] | str:
    """The fields among a record's members, or what is wrong with them."""
    fields: dict[str, str] = {}
    for column, value in members.items():
        name = _field(column, names)
        if name is None or value in (None, ""):
            continue
        if not isinstance(value, str):
            return f"{name} must be text"
        if name in fields:
            return f"names {name} twice"
        fields[name] = value
    return fields
