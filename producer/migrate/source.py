"""Source: records of an export as they come, CSV or JSON Lines, each with the number of the line where it begins.

A record that cannot be read is one record with a problem, and the next one is read all the same. Nothing that was
parsed is held. Never quotes what it read.
"""

import contextlib
import csv
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, NamedTuple, Self

from ..contract.jose import DuplicateMember, loads
from .columns import EXPIRY_PARTS, REQUEST_FIELDS, Columns, Header, plain_name, twice
from .lines import RECORD_LIMIT, CutOff, Line, Lines, SourceError

RECORD_LINES = 20  # of a CSV record with line ends in its fields
SEPARATORS = ",;\t|"
NOTHING = " \t\r\n\x1a\u00a0\u3000\ufeff"

NOT_CSV, NOT_JSON = "is no CSV", "is no JSON object"
OPEN_QUOTE, SAME_MEMBER = "has a quote that does not end", "names a member twice"
UNENDED = (
    "line {}: the last line has no line end; the source may have been cut off there "
    "(if it is whole, say so with --accept-unterminated)"
)
DOCUMENT = "line {}: is a JSON document; JSON Lines is wanted, one object per line (jq -c '.[]' makes it of an array)"


class Record(NamedTuple):
    """One record.

    Args:
        line: where it begins, from 1.
        fields: texts by our names; empty ones are left out. Of one that cannot be read, customer_uid at most.
        problem: why it cannot be read, or None.
        is_default: it is marked as the card in use of its customer; None if nobody asked.
    """

    line: int
    fields: Mapping[str, str]
    problem: str | None = None
    is_default: bool | None = None


class Source(Iterator[Record]):
    """The records of an export.

    Args:
        lines: of it.
        is_json: JSON Lines, or CSV with a header; by its first character if None.
        columns: what the command says of its columns.
        must_end: a last CSV record without a line end counts as cut off: a pipe may have broken in its middle.

    Attributes:
        empty: lines that were passed over, since nothing is in them.
        header: of a CSV, or None.
        separator: of a CSV's fields.

    Raises:
        SourceError: there is nothing to read, the encoding or header does not hold, or the source breaks.
        CutOff: it ended in the middle of a record.
    """

    def __init__(self, lines: Lines, *, is_json: bool | None, columns: Columns, must_end: bool) -> None:
        csv.field_size_limit(RECORD_LINES * RECORD_LIMIT)
        self._lines, self._columns, self._must_end = lines, columns, must_end
        self.empty, self.separator = 0, ","
        self.header: Header | None = None
        first = lines.peek()
        is_json = first.startswith((b"{", b"[")) if is_json is None else is_json
        self._records = self._of_json(first) if is_json else self._of_csv()

    @property
    def encoding(self) -> str:
        """Of the text."""
        return self._lines.encoding

    def __next__(self) -> Record:
        return next(self._records)

    def refuse_nothing(self) -> Self:
        """The same, unless there is no row in it.

        Raises:
            SourceError: there is none.
        """
        for first in self._records:
            self._records = chain(iter([first]), self._records)  # an iterator lets go of it; a list would keep its card
            return self
        raise SourceError("the source has a header and no rows" if self.header else "the source has no rows")

    # map and filter, here and below: a loop would keep a record in its frame while the next one is awaited

    def _of_csv(self) -> Iterator[Record]:
        self._find_separator()
        rows = filter(None, map(self._row, self._lines))
        header = next(rows, _Cells(1, [], "is missing", is_ended=True))
        self._lines.settle()
        if header.problem:
            raise SourceError(f"line {header.line}: the header {header.problem}")
        self.header = Header(header.line, header.cells, self._columns)
        self._csv_record(self.header, header)  # which must have its end, too
        return map(partial(self._csv_record, self.header), rows)

    def _find_separator(self) -> None:
        """Take it from the header, or from a line ``sep=;`` before it."""
        for first in filter(_is_something, self._lines):
            told = first.text.strip(NOTHING)
            if told[:4].casefold() == "sep=" and len(told) <= 5:
                self.separator = _separator(told[4:] or "\t", first.number)  # a tab was stripped
            else:
                self._lines.give_back([first])
                self.separator = max(SEPARATORS, key=partial(self._likeness, first.text))
            return

    def _likeness(self, header: str, separator: str) -> tuple[int, int]:
        """A measure of how much like a header a line is with that separator."""
        cells: list[str] = []
        with contextlib.suppress(csv.Error):
            cells = next(csv.reader([header], delimiter=separator), [])
        return len(set(map(self._columns.field, cells)) - {None}), len(cells)

    def _csv_record(self, header: Header, row: "_Cells") -> Record:
        if self._must_end and not row.is_ended:
            raise CutOff(UNENDED.format(row.line))
        if problem := _misfit(row, header):
            return Record(row.line, {}, problem)
        fields, is_default = header.read(row.cells)
        return Record(row.line, _without_outer_spaces(fields), None, is_default)

    def _row(self, line: Line) -> "_Cells | None":
        """The row that a line begins. One that breaks off is that line only: a stray quote swallows no others."""
        text = line.text.rstrip("\r\n")
        if line.problem or '"' in text or "\r" in text:
            row = self._quoted_row(line)
        else:  # as the csv module reads it, in a third of the time
            row = _Cells(line.number, text.split(self.separator), None, line.is_ended)
        if row.problem or "".join(row.cells).strip(NOTHING):
            return row
        self.empty += 1
        return None

    def _quoted_row(self, line: Line) -> "_Cells":
        parts = self._parts(line)
        cells, count, problem = self._cells(parts)
        self._lines.give_back(parts[count:])
        return _Cells(line.number, cells, problem, parts[count - 1].is_ended)

    def _parts(self, first: Line) -> list[Line]:
        """A line, and those that follow while a quote is open. One within an unquoted field opens nothing, though."""
        parts, quotes = [first], first.text.count('"')
        while quotes % 2 and len(parts) < RECORD_LINES and (line := next(self._lines, None)):
            parts.append(line)
            quotes += line.text.count('"')
        return parts

    def _cells(self, parts: list[Line]) -> tuple[list[str], int, str | None]:
        """The cells of the row that these lines begin with, how many of the lines are its own, or what is wrong."""
        if all(part.problem is None for part in parts):
            reader = csv.reader([part.text for part in parts], strict=True, delimiter=self.separator)
            with contextlib.suppress(csv.Error):
                return next(reader, []), reader.line_num or 1, None
        return [], 1, parts[0].problem or (OPEN_QUOTE if len(parts) > 1 else NOT_CSV)

    def _of_json(self, first: bytes) -> Iterator[Record]:
        self._lines.settle()
        if first.startswith(b"["):
            raise SourceError(DOCUMENT.format(1))
        lines = filter(self._is_something, self._lines)
        begin = next(lines, None)
        if begin is None:
            return iter(())
        if not begin.problem and begin.is_ended and _is_first_of_many(begin.text.strip()):
            raise SourceError(DOCUMENT.format(begin.number))
        return filter(None, map(self._json_record, chain(iter([begin]), lines)))

    def _json_record(self, line: Line) -> Record | None:
        members = _members(line)
        if isinstance(members, str):
            return _unread(line, members)
        if not any(map(_is_set, members.values())):
            self.empty += 1
            return None
        fields, problem = _texts(members, self._columns)
        made, is_default = self._columns.made(partial(_text_of, members))
        fields = _without_outer_spaces(fields | made)
        return Record(line.number, _told(fields, problem), problem, is_default)

    def _is_something(self, line: Line) -> bool:
        is_something = _is_something(line)
        self.empty += not is_something
        return is_something


class _Cells(NamedTuple):
    """A row of a CSV, or why it cannot be read; ``is_ended`` by a line end."""

    line: int
    cells: list[str]
    problem: str | None
    is_ended: bool


def records(
    source: BinaryIO,
    *,
    is_json: bool | None,
    encoding: str | None = None,
    columns: Columns | None = None,
    must_end: bool = False,
) -> Source:
    """Read an export; see :class:`Lines` and :class:`Source`."""
    lines = Lines(source, encoding)
    return Source(lines, is_json=is_json, columns=columns or Columns(), must_end=must_end)


def _separator(told: str, line: int) -> str:
    if told not in SEPARATORS:
        raise SourceError(f"line {line}: names no separator that is known (, ; | or a tab)")
    return told


def _is_something(line: Line) -> bool:
    return bool(line.problem or line.text.strip(NOTHING))


def _misfit(row: _Cells, header: Header) -> str | None:
    if row.cells == header.cells:
        return "is the header once more"
    if not row.problem and len(row.cells) != len(header.cells):
        return f"has {len(row.cells)} fields, the header has {len(header.cells)}"
    return row.problem


def _without_outer_spaces(fields: dict[str, str]) -> dict[str, str]:
    """The same; of the fields outside the card, which are kept as they are otherwise."""
    for name in REQUEST_FIELDS:
        if name in fields and not (text := fields[name].strip(" ")):
            del fields[name]
        elif name in fields:
            fields[name] = text
    return fields


def _unread(line: Line, problem: str) -> Record:
    if not line.is_ended and problem != SAME_MEMBER:
        raise CutOff(f"line {line.number}: ends in the middle of a record; the source was cut off there")
    return Record(line.number, {}, problem)


def _told(fields: dict[str, str], problem: str | None) -> dict[str, str]:
    """Of a record that cannot be used no more than whose it is."""
    return fields if problem is None else {name: fields[name] for name in fields if name == "customer_uid"}


def _is_first_of_many(line: str) -> bool:
    """True for the first line of an object that goes on in the next one."""
    return line.startswith("{") and not line.endswith("}")


def _members(line: Line) -> dict[str, Any] | str:
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


def _texts(members: Mapping[str, Any], columns: Columns) -> tuple[dict[str, str], str | None]:
    """The fields among a record's members, and what is wrong with one of them."""
    known = [(columns.field(column), value) for column, value in sorted(members.items()) if _is_set(value)]
    fields = {name: value for name, value in known if name}
    odd = [f"{name} must be text" for name, value in fields.items() if not _is_text(name, value)]
    odd += [f"names {name} twice" for name in twice(name for name, _ in known)]
    return {name: str(value) for name, value in fields.items()}, next(iter(odd), None)


def _is_set(value: object) -> bool:
    return value not in (None, "")


def _is_text(name: str, value: object) -> bool:
    return isinstance(value, str) or (name in EXPIRY_PARTS and type(value) is int)  # of that nothing can be lost


def _text_of(members: Mapping[str, Any], name: str) -> str:
    found = [value for column, value in members.items() if plain_name(column) == name]
    return str(found[0]) if len(found) == 1 and type(found[0]) in (str, int) else ""
