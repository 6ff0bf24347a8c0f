"""Columns: which of the export's is which field of ours, and what is made of several of them.

Names are compared without regard to case, outer spaces and Unicode form.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import count, filterfalse
from operator import itemgetter
from typing import Self

from ..contract.card import Card
from .lines import SourceError

REQUEST_FIELDS = ("customer_uid", "pg", "channel_key", "customer_id")
EXPIRY_PARTS = ("expiry_month", "expiry_year")
CARD_FIELDS = (*Card.model_fields, *EXPIRY_PARTS)
FIELDS = (*REQUEST_FIELDS, *CARD_FIELDS)
REQUIRED = ("customer_uid", "card_number", "expiry")
_NAMED = re.compile(r"\{([^{}]+)\}")


@lru_cache(maxsize=1024)
def plain_name(column: str) -> str:
    """A column's name as it is compared."""
    return unicodedata.normalize("NFC", column).strip().casefold()


class Template:
    """A text made of columns: ``{customer}_{card_id}``.

    Args:
        text: what is not in braces stands as it is.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.columns = [plain_name(name) for name in _NAMED.findall(text)]

    def fill(self, value_of: Callable[[str], str]) -> str:
        """The text for a row; none if one of the columns has nothing there."""
        values = [value_of(name).strip(" ") for name in self.columns]
        if not all(values):
            return ""
        left = iter(values)
        return _NAMED.sub(lambda _: next(left), self.text)


@dataclass(frozen=True)
class Columns:
    """The export's columns, as far as the command tells of them.

    Args:
        names: our field by the export's column, where they differ.
        uid: customer_uid as made of columns, or None.
        default: the column, and the text in it, that mark the card in use of a customer who has several; or None.
        is_default_optional: an export without the columns of ``default`` has no such mark.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    uid: Template | None = None
    default: tuple[str, Template] | None = None
    is_default_optional: bool = False

    def __post_init__(self) -> None:
        if self.uid is not None and any(self.field(name) in CARD_FIELDS for name in self.uid.columns):
            raise SourceError("--uid: must not name a column of the card")

    def field(self, column: str) -> str | None:
        """Our field in a column, if it has one."""
        name = plain_name(column)
        found = self._by_column.get(name, name if name in FIELDS else None)
        return None if found == "customer_uid" and self.uid is not None else found

    @cached_property
    def _by_column(self) -> dict[str, str]:
        return {plain_name(column): name for column, name in self.names.items()}

    def of_header(self, names: Collection[str]) -> Self:
        """The same for a CSV with these columns: a gateway's mark of the card in use may be missing."""
        has_mark = all(name in names for name, option in self.others if option == "--default")
        return self if has_mark or not self.is_default_optional else replace(self, default=None)

    @cached_property
    def others(self) -> list[tuple[str, str]]:
        """Further columns that are needed, each with the option that names it."""
        uid = [(name, "--uid") for name in self.uid.columns] if self.uid is not None else []
        default = [self.default[0], *self.default[1].columns] if self.default is not None else []
        return uid + [(plain_name(name), "--default") for name in default]

    def made(self, value_of: Callable[[str], str]) -> tuple[dict[str, str], bool | None]:
        """Fields that are made of a row's columns, and True for the card in use (None: nobody asked)."""
        made = {"customer_uid": uid} if self.uid is not None and (uid := self.uid.fill(value_of)) else {}
        if self.default is None:
            return made, None
        column, wanted = self.default
        marked = value_of(plain_name(column)).strip()
        return made, marked != "" and marked.casefold() == wanted.fill(value_of).casefold()


def twice(names: Iterable[str | None]) -> set[str]:
    """The names that are there more than once."""
    return {name for name, times in Counter(names).items() if name and times > 1}


class Header:
    """The columns of a CSV, in their order.

    Args:
        line: of the header.
        cells: the names.
        columns: what the command says of them.

    Raises:
        SourceError: a column that is needed is missing, or there twice.
    """

    def __init__(self, line: int, cells: Sequence[str], columns: Columns) -> None:
        self.cells, self.columns = list(cells), columns.of_header(list(map(plain_name, cells)))
        self.fields = [columns.field(name) for name in cells]
        self._at = dict(zip(map(plain_name, cells), count()))
        self._pairs = [(at, name) for at, name in enumerate(self.fields) if name]
        for words, found in filter(itemgetter(1), self._problems()):
            raise SourceError(f"line {line}: the header {words.format(', '.join(found))}")

    def _problems(self) -> Iterable[tuple[str, list[str]]]:
        names, others = list(map(plain_name, self.cells)), self.columns.others
        wanted = [(name, "--map") for name in self.columns.names] + others
        for name, option in filterfalse(lambda one: plain_name(one[0]) in names, wanted):
            yield f"has no column {{}}, which {option} names", [name]
        yield "names no {0}; say which column it is with --map COLUMN={0}", self._missing()
        yield "names {} twice", sorted(twice(self.fields) & {*FIELDS})
        yield "names {} twice", sorted(twice(names) & {name for name, _ in others})
        both = {*EXPIRY_PARTS} & {*self.fields} if "expiry" in self.fields else set()
        yield "names expiry and {}; map one of them only", sorted(both)

    def _missing(self) -> list[str]:
        made = {"customer_uid"} if self.columns.uid is not None else set()
        made |= {"expiry"} if set(EXPIRY_PARTS) <= set(self.fields) else set()
        return [*filterfalse({*self.fields, *made}.__contains__, REQUIRED)][:1]

    def read(self, cells: Sequence[str]) -> tuple[dict[str, str], bool | None]:
        """The fields of a row that has something in them, and whether it is the card in use."""
        found = {name: cells[at] for at, name in self._pairs if cells[at]}
        if not self.columns.others:
            return found, None
        made, is_default = self.columns.made(lambda name: cells[self._at[name]])
        return found | made, is_default
