"""Source: records of an export as they come, CSV or JSON Lines, each with the number of the line where it begins.

A record that cannot be read is one record with a problem, and the next one is read all the same. No more than
:data:`RECORD_LIMIT` bytes of the source are held at a time, whatever is in it. Never quotes what it read.
"""

import csv
import select
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, NamedTuple

from producer.contract.card import Card
from producer.contract.jose import DuplicateMember, loads

RECORD_LIMIT = 65_536  # bytes
RECORD_LINES = 20  # of a CSV record with line ends in its fields
PIECE = 65_536
TOO_LONG, NOT_CSV, NOT_JSON = f"is longer than {RECORD_LIMIT} bytes", "is no CSV", "is no JSON object"
UNENDED = (
    "line {}: the last line has no line end; the source may have been cut off there "
    "(if it is whole, say so with --accept-unterminated)"
)
UTF_8_BOM = b"\xef\xbb\xbf"
REQUEST_FIELDS = ("customer_uid", "pg", "channel_key", "customer_id")
FIELDS = (*REQUEST_FIELDS, *Card.model_fields)
NEEDED = ("customer_uid", "card_number", "expiry")
BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


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
        SourceError: there is nothing to read, the header does not hold, or the source breaks.
        CutOff: it ended in the middle of a record.
    """
    csv.field_size_limit(RECORD_LINES * RECORD_LIMIT)
    lines = _Lines(source, encoding)
    first = lines.peek()
    if not first:
        raise SourceError("line 1: the source is empty")
    for mark, what in BOMS.items():
        if first.startswith(mark):
            raise SourceError(f"line 1: looks like {what}; convert it to UTF-8")
    if is_json is None:
        is_json = first.removeprefix(UTF_8_BOM).lstrip().startswith(b"{")
    names = names or {}
    return _json_records(lines, names) if is_json else _csv_records(lines, names, must_end=must_end)


class _Lines:
    """The lines of a source. What is too long, or no text, is a line with a problem, and the next one follows."""

    def __init__(self, source: BinaryIO, encoding: str) -> None:
        self._source, self._encoding = source, encoding.removesuffix("-sig")
        self._buffer, self._at, self.number = b"", 0, 0
        self._returned: deque[_Line] = deque()

    def peek(self) -> bytes:
        """The first bytes, enough to tell what it is, which stay to be read."""
        while (len(self._buffer) < 4 or not self._buffer.removeprefix(UTF_8_BOM).strip()) and len(self._buffer) < 4096:
            if not self._fill():
                break
        return self._buffer[:4096]

    def give_back(self, lines: Iterable[_Line]) -> None:
        """These come next."""
        self._returned.extendleft(reversed(list(lines)))

    def __iter__(self) -> Iterator[_Line]:
        return self

    def __next__(self) -> _Line:
        if self._returned:
            return self._returned.popleft()
        raw = self._next_raw()
        if not raw:
            raise StopIteration
        self.number += 1
        is_ended = raw.endswith(b"\n")
        if len(raw) > RECORD_LIMIT:
            return _Line(self.number, "", TOO_LONG, is_ended or self._skip_to_end())
        if self.number == 1:
            raw = raw.removeprefix(UTF_8_BOM)
        try:
            text = raw.decode(self._encoding)
        except UnicodeError:
            return _Line(self.number, "", f"is no {self._encoding}", is_ended)
        return _Line(self.number, text, "has a NUL" if "\0" in text else None, is_ended)

    def _next_raw(self) -> bytes:
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if len(self._buffer) - self._at > RECORD_LIMIT or not self._fill():
                end = min(len(self._buffer), self._at + RECORD_LIMIT + 1) - 1
                break
        raw = self._buffer[self._at : end + 1]
        self._at = end + 1
        return raw

    def _skip_to_end(self) -> bool:
        """Leave the rest of a line that is too long unread; whether it has an end."""
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            self._at = len(self._buffer)
            if not self._fill():
                return False
        self._at = end + 1
        return True

    def _fill(self) -> bool:
        try:
            while (piece := self._source.read(PIECE)) is None:  # whoever started us made it non-blocking
                select.select([self._source], [], [])
        except OSError as error:
            raise SourceError(f"line {self.number + 1}: the source broke ({error.strerror})") from None
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        return bool(piece)


def _csv_records(lines: _Lines, names: Mapping[str, str], *, must_end: bool) -> Iterator[Record]:
    header = _header(lines, names, must_end=must_end)
    width = len(header.cells)
    for line, cells, problem in _rows(lines):
        if not line.is_ended and must_end:
            raise CutOff(UNENDED.format(line.number))
        if problem:
            yield Record(line.number, {}, problem)
        elif cells == header.cells:
            yield Record(line.number, {}, "is the header once more")
        elif len(cells) != width:
            yield Record(line.number, {}, f"has {len(cells)} fields, the header has {width}")
        else:
            yield Record(
                line.number, {name: cell for name, cell in zip(header.fields, cells, strict=True) if name and cell}
            )


def _rows(lines: _Lines) -> Iterator[tuple[_Line, list[str], str | None]]:
    """The rows of a CSV; one that breaks off is its first line only, so that a stray quote swallows no others."""
    for line in lines:
        parts = [line]
        while sum(part.text.count('"') for part in parts) % 2 and len(parts) < RECORD_LINES:
            following = next(lines, None)
            if following is None:
                break
            parts.append(following)
        cells, count, problem = _cells(parts)
        lines.give_back(parts[count:])
        if problem and len(parts) > 1:
            yield line, [], line.problem or "has a quote that does not end"
        elif cells or problem:
            yield line._replace(is_ended=parts[count - 1].is_ended), cells, problem


def _cells(parts: list[_Line]) -> tuple[list[str], int, str | None]:
    """The cells of the row that these lines begin with, how many of the lines are its own, or what is wrong."""
    if problem := next((part.problem for part in parts if part.problem), None):
        return [], 1, problem
    reader = csv.reader([part.text for part in parts], strict=True)
    try:
        return next(reader, []), reader.line_num, None  # a quote within an unquoted field begins nothing
    except csv.Error:
        return [], 1, NOT_CSV


class _Header(NamedTuple):
    cells: list[str]
    fields: list[str | None]


def _header(lines: _Lines, names: Mapping[str, str], *, must_end: bool) -> _Header:
    line, cells, problem = next(_rows(lines), (_Line(1, "", None, is_ended=True), [], "is missing"))
    at = f"line {line.number}: the header"
    if problem:
        raise SourceError(f"{at} {problem}")
    trimmed = [cell.strip() for cell in cells]
    if missing := sorted(set(names) - set(trimmed)):
        raise SourceError(f"{at} has no column {', '.join(missing)}, which --map names")
    fields = [_field(cell, names) for cell in trimmed]
    for name in NEEDED:
        if name not in fields:
            raise SourceError(f"{at} names no {name}; say which column it is with --map COLUMN={name}")
    known = [name for name in fields if name]
    if twice := sorted({name for name in known if known.count(name) > 1}):
        raise SourceError(f"{at} names {', '.join(twice)} twice")
    if must_end and not line.is_ended:
        raise CutOff(UNENDED.format(line.number))
    return _Header(cells, fields)


def _field(column: str, names: Mapping[str, str]) -> str | None:
    name = names.get(column, column)
    return name if name in FIELDS else None


def _json_records(lines: _Lines, names: Mapping[str, str]) -> Iterator[Record]:
    for line in lines:
        if not line.problem and not line.text.strip():
            continue
        record = Record(line.number, {}, line.problem)
        if not line.problem:
            record = _json_record(line.number, line.text, names)
        if not line.is_ended and (line.problem or record.problem == NOT_JSON):
            raise CutOff(f"line {line.number}: ends in the middle of a record; the source was cut off there")
        yield record


def _json_record(line: int, text: str, names: Mapping[str, str]) -> Record:
    try:
        members = loads(text.encode())
    except DuplicateMember:
        return Record(line, {}, "names a member twice")
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        return Record(line, {}, NOT_JSON)
    fields: dict[str, str] = {}
    for column, value in members.items():
        name = _field(column, names)
        if name is None or value is None or value == "":
            continue
        if not isinstance(value, str):
            return Record(line, {}, f"{name} must be text")
        if name in fields:
            return Record(line, {}, f"names {name} twice")
        fields[name] = value
    return Record(line, fields)


def pairs(texts: Iterable[str]) -> dict[str, str]:
    """``column=field`` options as a mapping.

    Raises:
        SourceError: one is no such pair, or names a field that we do not have.
    """
    found = {}
    for text in texts:
        column, equals, name = text.rpartition("=")
        if not equals or not column or name not in FIELDS:
            raise SourceError(f"--map: must be COLUMN=FIELD, with a field of: {', '.join(FIELDS)}")
        found[column.strip()] = name
    return found
