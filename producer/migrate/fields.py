"""Fields: the texts of a card as merchants' files have them, as the contract has them.

What changes is how a text is written, never what it says: where two readings fit, or a digit may be missing, the field
is refused. Errors name the field and the rule, never the value.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ..contract.card import SHORT_FIELDS, Card
from ..contract.card_rules import KOREA
from .columns import EXPIRY_PARTS

# A month may have one digit where a separator or the field's width tells; in YYMM the year may have lost one as well.
_MONTH = "(?P<month>0?[1-9]|1[0-2])"
_PARTS = {"YYYY": "(?P<year>20[0-9]{2})", "YY": "(?P<year>[0-9]{2})", "MM": _MONTH, "DD": "(?:0?[1-9]|[12][0-9]|3[01])"}
EXPIRY_FORMATS = {
    form: re.compile(re.sub("|".join(_PARTS), lambda part: _PARTS[part[0]], form.replace(".", "[.]")))
    for form in ("YYYY-MM", "YYYY/MM", "YYYY-MM-DD", "YYYYMM", "YY/MM", "MM/YY", "MM/YYYY", "MM.YYYY", "MMYY")
} | {"YYMM": re.compile("(?P<year>[0-9]{2})(?P<month>0[1-9]|1[0-2])")}

_CARD_FIELDS = frozenset(Card.model_fields)

EXPONENT = re.compile(r"[0-9](?:[.,][0-9]+[Ee][+-]?|[Ee][+-])[0-9]{1,3}")
SHORTENED = "has an exponent (a spreadsheet made a number of it; export the column as text)"
_DECIMAL = re.compile(r"[0-9]+[.,][0-9]{1,2}")
_POINT = "has a decimal point (it was taken for a number; export the column as text)"
_LOST_ZERO = "may have lost a leading zero (--pad-zeros puts it back)"

_WHOLE_DATE = re.compile(r"((?:19|20)[0-9]{2})(?P<sign>[-/]?)([0-9]{2})(?P=sign)([0-9]{2})")
_RESIDENT = re.compile(r"[0-9]{6}[^0-9A-Za-z]{0,3}[0-9][0-9*xX]{6}")

_WIDE = {code + 0xFEE0: code for code in range(0x21, 0x7F)}
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"))


class Odd(ValueError):
    """A field that cannot be understood; with its rule."""


def plain(text: str) -> str:
    """A text of digits without blanks, what has no width, wide forms and a spreadsheet's mark of a text."""
    if text.isalnum() and text.isascii():
        return text
    if not text.isascii():
        text = text.translate(_WIDE | _ZERO_WIDTH)
    return "".join(text.split()).removeprefix("'")


@dataclass(frozen=True)
class Reading:
    """The ways in which an export writes a card.

    Args:
        expiry_format: one of :data:`EXPIRY_FORMATS`.
        pad_zeros: a leading zero that a spreadsheet dropped is put back.
    """

    expiry_format: str = "YYYY-MM"
    pad_zeros: bool = False

    def members(self, fields: Mapping[str, str], now: float) -> tuple[dict[str, str], list[tuple[str, str]]]:
        """The card's members as far as they can be understood, and what is wrong with the others."""
        found: dict[str, str] = {}
        problems = []
        for name in filter(_CARD_FIELDS.__contains__, fields):
            text = fields[name]
            try:
                if text := self._short(name, plain(text), now) if name in SHORT_FIELDS else text.strip():
                    found[name] = text
            except Odd as odd:
                problems.append((name, str(odd)))
        if not fields.keys().isdisjoint(EXPIRY_PARTS):
            _put_together(fields, found, problems)
        return found, problems

    def _short(self, name: str, text: str, now: float) -> str:
        if name == "expiry" and text:
            return self._expiry(text)
        if not text.isdecimal():
            _refuse_number(text)
        if name == "birth":
            return self._birth(text, now)
        return self._padded(text, 2) if name == "pwd_2digit" else text

    def _expiry(self, text: str) -> str:
        found = EXPIRY_FORMATS[self.expiry_format].fullmatch(text)
        if found is None:
            raise Odd(f"must be {self.expiry_format}")
        return _year_and_month(found["year"], found["month"])

    def _birth(self, text: str, now: float) -> str:
        if len(text) <= 6:
            return self._padded(text, 6)
        if found := _WHOLE_DATE.fullmatch(text):
            year, _, month, day = found.groups()
            if not _is_past(int(year), int(month), int(day), now):
                raise Odd("is no date in the past")
            return year[2:] + month + day
        if _RESIDENT.fullmatch(text):
            raise Odd("is a resident number; only its first six digits may be here")
        return text

    def _padded(self, text: str, width: int) -> str:
        """A text of so many digits; one of fewer may have lost zeros before them."""
        if len(text) >= width or re.fullmatch("[0-9]+", text) is None:
            return text
        if not self.pad_zeros:
            raise Odd(_LOST_ZERO)
        return text.zfill(width)


def _refuse_number(text: str) -> None:
    for pattern, rule in ((EXPONENT, SHORTENED), (_DECIMAL, _POINT)):
        if pattern.fullmatch(text):
            raise Odd(rule)


def formats_of(text: str) -> set[str]:
    """The expiry formats that read a text."""
    return {form for form, pattern in EXPIRY_FORMATS.items() if pattern.fullmatch(plain(text))}


def _year_and_month(year: str, month: str) -> str:
    return f"20{year[-2:]}-{month:0>2}"


def _put_together(fields: Mapping[str, str], found: dict[str, str], problems: list[tuple[str, str]]) -> None:
    """The expiry of a month and a year in columns of their own."""
    month, year = (plain(fields.get(name, "")) for name in EXPIRY_PARTS)
    if not re.fullmatch(_MONTH, month):
        problems.append(("expiry_month", "must be a month, 1 to 12" if month else "is required"))
    elif not re.fullmatch("(?:20)?[0-9]{2}", year):
        problems.append(("expiry_year", "must be YYYY or YY" if year else "is required"))
    else:
        found["expiry"] = _year_and_month(year, month)


def _is_past(year: int, month: int, day: int, now: float) -> bool:
    try:
        return date(year, month, day) <= datetime.fromtimestamp(now, UTC).astimezone(KOREA).date()
    except ValueError:
        return False
