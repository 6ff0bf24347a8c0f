"""The canaries of a run, and every form that their values could be found in.

All values of a run begin with its tag, so that a search looks for a few anchors and then asks a table. Two digits of a
password and six of a birth date are no needles by themselves: they are searched together with their member's name. Ten
of a business number are one where they stand apart; elsewhere instants, measurements and hashes have them by chance.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from typing import NamedTuple
from urllib.parse import quote

from tests.fake_iamport import numbered

RESERVED = 8000  # canaries from here on are poison, or leaks planted on purpose
MARK = "뷁쉛"  # what all names begin with; in no word of Korean
LONGEST = 512  # bytes of the longest form, with room: pieces of a stream must overlap by so much
WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)


class Canary(NamedTuple):
    """One card and its holder; every value is its own."""

    place: int
    number: str
    birth: str
    pwd_2digit: str
    name: str
    mail: str

    def members(self, holder: str = "customer") -> dict[str, str]:
        """The card JSON; with the holder as a ``customer`` or a ``buyer``."""
        return {
            "card_number": self.number,
            "expiry": "2031-07",
            "birth": self.birth,
            "pwd_2digit": self.pwd_2digit,
            f"{holder}_name": self.name,
            f"{holder}_email": f"{self.mail}@canary.example",
            f"{holder}_addr": "-" * (1 + self.place * 7 % 120),  # no two neighbours are of one length
        }


class Hit(NamedTuple):
    """What was found: whose value, which, and in which form.

    Whose a password is nobody says: -1, or -2 if it is one of the reserved. A card that is sealed is -3.
    """

    owner: int
    kind: str
    form: str


def canary(tag: int, index: int) -> Canary:
    """The ``index``-th of 10,000 canaries of a run; every fourth card is a company's, with a business number."""
    place = tag * 100_000 + index
    digits = f"8{tag:04d}{index:04d}"
    weighed = sum(int(d) * w for d, w in zip(digits, WEIGHTS, strict=True)) + int(digits[8]) * 5 // 10
    return Canary(
        index,
        numbered(place),
        (date(1940, 1, 1) + timedelta(index)).strftime("%y%m%d") if index % 4 else f"{digits}{-weighed % 10}",
        f"{index % 90 if index < RESERVED else 90 + index % 10:02d}",
        MARK + "".join(chr(0xAC00 + 100 * n + int(f"{place:010d}"[2 * n : 2 * n + 2])) for n in range(5)) + "님",
        f"cnry{tag:04d}.{index:05d}.x",
    )


def wide(digits: str) -> str:
    """As Korean keyboards type them."""
    return digits.translate(str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10))))


def circled(digits: str) -> str:
    """Each in a circle of its own."""
    return digits.translate(str.maketrans("0123456789", "⓪①②③④⑤⑥⑦⑧⑨"))


class _Form(NamedTuple):
    kind: str
    name: str
    encode: Callable[[str], bytes]


def _base64(encode: Callable[[str], bytes], shift: int) -> Callable[[str], bytes]:
    """Base64 of a value that stands ``shift`` bytes after a multiple of three, without what its neighbours change."""

    def encoded(text: str) -> bytes:
        raw = bytes(shift) + encode(text)
        return base64.b64encode(raw)[-(-shift * 8 // 6) : len(raw) * 8 // 6]

    return encoded


def _escaped(text: str) -> bytes:
    return json.dumps(text)[1:-1].encode()


def _codec(name: str) -> Callable[[str], bytes]:
    return lambda text: text.encode(name)


def _grouped(separator: str) -> Callable[[str], bytes]:
    return lambda digits: separator.join(digits[at : at + 4] for at in range(0, len(digits), 4)).encode()


def _spelled(script: Callable[[str], str], encode: Callable[[str], bytes]) -> Callable[[str], bytes]:
    return lambda digits: encode(script(digits))


UTF8 = _codec("utf-8")
ESCAPES: dict[str, Callable[[str], bytes]] = {
    "json": _escaped,
    "json, upper case": lambda text: _escaped(text).upper().replace(b"\\U", b"\\u"),
    "json twice": lambda text: _escaped(text).replace(b"\\", b"\\\\"),
    "url": lambda text: quote(text).encode(),
    "url, lower case": lambda text: quote(text).lower().encode(),
    "html": lambda text: text.encode("ascii", "xmlcharrefreplace"),
    **{codec: _codec(codec) for codec in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "cp949")},
}


def _forms() -> Iterator[_Form]:
    for name, encode in ESCAPES.items():
        yield _Form("name", name, encode)
    yield _Form("mail", "text", UTF8)
    for script in (wide, circled):
        for name in ("json", "json twice", "url", "utf-8", "utf-16-le"):
            yield _Form("number", f"{script.__name__}, {name}", _spelled(script, ESCAPES[name]))
    in_base64 = {
        "name": {"utf-8": UTF8, "json": _escaped},
        "mail": {"text": UTF8},
        "number": {"digits": UTF8, "hyphens": _grouped("-"), "spaces": _grouped(" ")},
        "business": {"digits": UTF8},
    }
    for kind, encodings in in_base64.items():
        for name, encode in encodings.items():
            for shift in range(3):
                yield _Form(kind, f"base64 of {name}", _base64(encode, shift))


SEPARATOR = rb"(?:[^0-9A-Za-z%]|%[0-9A-Fa-f]{2}){0,3}"
ASSIGNED = rb"(?:[\"'\\ :=>(,]|%(?:22|27|3A|3D|20|5C)|&(?:quot|#34|#39|#x27);){1,12}"
NAMED = rb"birth" + ASSIGNED
BIRTH = re.compile(NAMED + rb"([0-9]{6})(?![0-9])")
# After the first digit, which is a literal to look for: it stands apart, or behind an escape that ends in digits.
BEGUN = rb"(?:(?<![0-9A-Fa-f.]8)|(?<=%[0-9A-Fa-f]{2}8)|(?<=\\x[0-9A-Fa-f]{2}8)|(?<=\\u[0-9A-Fa-f]{4}8))"
ENDED = rb"(?![0-9A-Fa-f]|\.[0-9])"
PASSWORD = re.compile(rb"pwd_2digit" + ASSIGNED + rb"([0-9]{2})(?![0-9])")
SEALED = re.compile(rb"eyJhbGciOiJ(?:FQ0RILUVT|FZDI1NTE5)|eyJlcGsiOn")  # how sealed cards and signed requests begin
NOT_DIGITS = re.compile(rb"%[0-9A-Fa-f]{2}|[^0-9]")


_Table = dict[bytes, tuple[int, dict[bytes, Hit]]]  # by anchor: length, and what the values of that length are


class Needles:
    """Finds the canaries of a run.

    Args:
        tag: of the run, 0 to 9999.
        indexes: which canaries.
    """

    def __init__(self, tag: int, indexes: Iterable[int]) -> None:
        canaries = [canary(tag, index) for index in indexes]
        self._numbers = {one.number.encode(): one.place for one in canaries}
        self._businesses = {one.birth.encode(): one.place for one in canaries if len(one.birth) == 10}
        self._births = {one.birth.encode(): one.place for one in canaries if len(one.birth) == 6}
        self._number = re.compile(_digits(f"400002{tag:04d}", 6))
        self._named_business = re.compile(NAMED + _digits(f"8{tag:04d}", 5))
        self._business = re.compile(_apart(f"{tag:04d}"))
        begins = {"number": f"400002{tag:04d}", "business": f"8{tag:04d}", "name": MARK, "mail": f"cnry{tag:04d}"}
        # With NULs and without them: without, text in UTF-16 and UTF-32 looks like ASCII.
        self._tables: tuple[_Table, _Table] = {}, {}
        for form in _forms():
            values = {
                form.encode(text): Hit(one.place, form.kind, form.name)
                for one in canaries
                if (text := one.birth if form.kind == "business" else getattr(one, form.kind))
                and (form.kind != "business" or len(text) == 10)
            }
            tables = self._tables["utf-16" not in form.name and "utf-32" not in form.name]
            for urlsafe in (False, True):
                table = {
                    _urlsafe(key) if urlsafe and "base64" in form.name else key: hit for key, hit in values.items()
                }
                anchor = _common(table, len(form.encode(begins[form.kind])))
                if anchor:
                    tables.setdefault(anchor, (len(next(iter(table))), {}))[1].update(table)

    def find(self, data: bytes) -> set[Hit]:
        """All canaries in some bytes."""
        found = _look_up(data, self._tables[False])
        if b"\0" in data:
            data = data.translate(None, b"\0")
        return found | _look_up(data, self._tables[True]) | self._digits_in(data)

    def _digits_in(self, data: bytes) -> set[Hit]:
        found = set()
        for pattern, values, kind in (
            (self._number, self._numbers, "number"),
            (self._named_business, self._businesses, "birth"),
            (self._business, self._businesses, "birth"),
        ):
            for match in pattern.finditer(data):
                index = values.get(NOT_DIGITS.sub(b"", match[0]))
                if index is not None:
                    found.add(Hit(index, kind, "digits"))
        for match in BIRTH.finditer(data):
            if match[1] in self._births:
                found.add(Hit(self._births[match[1]], "birth", "member"))
        passwords = {Hit(-2 if match[1] >= b"90" else -1, "password", "member") for match in PASSWORD.finditer(data)}
        return found | passwords | {Hit(-3, "sealed", "as it is") for _ in SEALED.finditer(data)}


def _look_up(data: bytes, tables: _Table) -> set[Hit]:
    found = set()
    for anchor, (length, values) in tables.items():
        at = data.find(anchor)
        while at >= 0:
            hit = values.get(data[at : at + length])
            if hit is not None:
                found.add(hit)
            at = data.find(anchor, at + 1)
    return found


def _digits(begin: str, more: int) -> bytes:
    """Digits with whatever separates them."""
    return SEPARATOR.join(digit.encode() for digit in begin) + (SEPARATOR + rb"[0-9]") * more


def _apart(tag: str) -> bytes:
    """A business number that stands apart, plain or as it is written: 3-2-5."""
    return b"8" + BEGUN + f"{tag[:2]}[- ]?{tag[2:]}[- ]?[0-9]{{5}}".encode() + ENDED


def _urlsafe(text: bytes) -> bytes:
    return text.translate(bytes.maketrans(b"+/", b"-_"))


def _common(values: Iterable[bytes], most: int) -> bytes:
    """What all of some bytes begin with, at most so many."""
    first, last = min(values, default=b""), max(values, default=b"")
    length = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: min(length, most)]
