"""Card numbers in text, however they are written: for lines of logs, and for i'mport's messages, which are kept.

Recognised are 13 digits or more of any script or form (wide, circled, mathematical …), also as escapes of JSON, Python,
URLs and HTML, twice escaped too, with up to four characters between two of them that are neither letters nor digits,
escaped or not. Letters may stand on either side. Of such a run it is

1. enough that 13 digits stand together, or in fours, or in other groups of one size that begin with 2 to 9;
2. otherwise a group must begin a number with a network's prefix, its length and a right check digit, or 16 digits from
   9 on: Korea's own cards, which may have none.

Ids, times and addresses are not touched: a UUID (versions 1 to 8) and 32 or 64 hex digits with two letters or more,
unless a number as in 2, of 14 digits or more, stands at an edge of the id or of one of its groups (Korea's own: at its
beginning, or after the first group); ISO dates and times, Unix times with a fraction, ids of Redis streams, IPv4
addresses with their ports, fractions of one.

Not recognised: other numbers without a right check digit, in groups of several sizes or hidden in an id; those with
words or markup between their digits; in words, in base64, or backwards. Taken for numbers although they are none: other
ids of hex digits with 13 decimal ones in a row, and lists of small numbers of one size. ``python -m tests.fuzz``
measures both sides.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby

from ..contract.card_rules import brand_of, luhn_holds

SHORTEST, SHORTEST_HIDDEN, LONGEST = 13, 14, 19  # i'mport's have 14 to 16 digits
LONGEST_RUN = 400  # characters: nothing that is ordinary has so many without a letter between
SIZES = range(1, 7)  # of groups of one size
LENGTHS = {
    "visa": (16, 19),
    "mastercard": (16,),
    "jcb": (16,),
    "unionpay": (16, 17, 18, 19),
    "amex": (15,),
    "diners": (14,),
}
DISCOVER = ("6011", "644", "645", "646", "647", "648", "649", "65")
FIRST = "23456789"  # no card of a network or of Korea begins with 0 or 1
KOREAN = "9"  # of cards that are good in Korea only, and may have no check digit
GROUPS = (0, 8, 12, 16, 20, 32)  # where those of a UUID begin and end

# Digits of their own kind, which \d is not: unicodedata.digit knows them, unicodedata.decimal does not.
ODD_DIGITS = (
    "²³¹፩-፱᧚⁰⁴-⁹₀-₉①-⑨⑴-⑼⒈-⒐⓪⓵-⓽⓿❶-❾➀-➈➊-➒"
    "\U00010a40-\U00010a43\U00010e60-\U00010e68\U00011052-\U0001105a\U0001f100-\U0001f10a"
)
DIGIT = rf"[\d{ODD_DIGITS}]"

# What was unescaped is filled up with NULs: every place stays where it is. NULs may stand anywhere.
_RUN = re.compile(rf"{DIGIT}(?:\0*+(?:(?:[^\w\0]|_)\0*+){{0,4}}+{DIGIT}){{{SHORTEST - 1},}}+\0*+")
_HEX, _SLASH = "[0-9A-Fa-f]", r"(?<!\\)\\++\0*"
_ESCAPE = re.compile(
    rf"{_SLASH}U({_HEX}{{8}})|{_SLASH}u([Dd][89ABab]{_HEX}{{2}})\\++\0*u([Dd][C-Fc-f]{_HEX}{{2}})"
    rf"|{_SLASH}u({_HEX}{{4}})|{_SLASH}[nrt]|&\0*(?:#[0-9]{{1,7}}|#[Xx]{_HEX}{{1,6}}|[A-Za-z]{{2,8}});"
)
_SIGN = rf"(?:%\0*|{_SLASH}x)"
_NEXT = rf"{_SIGN}[89ABab]{_HEX}"
_BYTES = re.compile(
    rf"{_SIGN}[CDcd]{_HEX}{_NEXT}|{_SIGN}[Ee]{_HEX}{_NEXT}{_NEXT}|{_SIGN}[Ff][0-7]{_NEXT}{_NEXT}{_NEXT}|{_SIGN}{_HEX}{{2}}"
)
_BYTE = re.compile(rf"({_HEX}{{2}})\Z|({_HEX}{{2}})(?=[%\\])")

_LETTERS = r"(?=[0-9]*[A-Fa-f][0-9]*[A-Fa-f])"
_ZONE = r"(?:Z|[+-]\d\d:?\d\d)"
_TIME = rf"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-6]\d(?:[.,]\d{{3}}(?:\d{{3}}){{0,2}}(?!\d)|\.\d{{1,9}}(?={_ZONE}))?)?"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_ORDINARY = re.compile(
    rf"(?:(?<![^\W_])|(?<=%{_HEX}{{2}}))(?={_HEX})(?:"  # apart, or behind an escape that is none any more
    rf"(?P<id>(?:{_HEX}{{8}}-{_HEX}{{4}}-[1-8]{_HEX}{{3}}-[89ABab]{_HEX}{{3}}-{_HEX}{{12}}"
    rf"|{_LETTERS}(?:{_HEX}{{64}}|{_HEX}{{32}}))(?![^\W_]))|(?P<odd>{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}(?![^\W_]))"
    rf"|(?:19|20)\d\d-[01]\d-[0-3]\d(?:[T ]{_TIME}{_ZONE}?)?(?!\d|:\d)|(?<!:){_TIME}(?!\d|:\d)"
    r"|(?<!\.)(?:1[4-9]|2[01])\d{8}\.\d{1,9}(?!\d)|(?:1[4-9]|2[01])\d{11}-\d{1,6}(?![\d-])"
    rf"|(?<!\.)(?:{_OCTET}\.){{3}}{_OCTET}(?::\d{{1,5}})?(?![.:]?\d)|(?<!\.)0\.\d{{13,20}}(?!\d))",
    re.ASCII,
)


def without_card_numbers(text: str, mask: str) -> str:
    """A text with a mask for each card number; and for the digits next to it, which may be its expiry or password."""
    pieces, at = [], 0
    for begin, end in _merged(sorted(span for level in _levels(text) for span in _found(level))):
        pieces += [text[at:begin], mask]
        at = end
    return "".join([*pieces, text[at:]])


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in spans:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _levels(text: str) -> Iterator[str]:
    """The text as it is, and unescaped once and twice, all of one length."""
    level = _ESCAPE.sub(_character, text) if "\\" in text or "&" in text else text
    yield level
    if "\\" in level or "%" in level:
        for pattern, decode in ((_BYTES, _byte), (_ESCAPE, _character), (_BYTES, _byte)):
            deeper = pattern.sub(decode, level)
            if deeper != level:
                level = deeper
                yield level


def _character(match: re.Match[str]) -> str:
    wide, high, low, short = match.groups()
    if high:
        text = (bytes.fromhex(high) + bytes.fromhex(low)).decode("utf-16-be")
    elif wide or short:
        number = int(wide or short, 16)
        text = chr(number) if number <= 0x10FFFF else ""
    else:
        text = html.unescape(match[0].replace("\0", "")) if match[0][0] == "&" else " "
    return text.ljust(len(match[0]), "\0") if len(text) == 1 else match[0]


def _byte(match: re.Match[str]) -> str:
    raw = bytes.fromhex("".join(one or other for one, other in _BYTE.findall(match[0])))
    try:
        text = raw.decode() if len(raw) > 1 else raw.decode("latin-1")
    except UnicodeDecodeError:
        return match[0]
    # A percent sign may stand before a number: %42 stays, where it would be a letter.
    return match[0] if text.isascii() and text.isalpha() else text.ljust(len(match[0]), "\0")


def _found(level: str) -> Iterator[tuple[int, int]]:
    if _RUN.search(level) is None:
        return
    for match in _RUN.finditer(_ORDINARY.sub(_judged, level)):
        run = match[0].replace("\0", "")
        if len(run) > LONGEST_RUN or _holds_card([_plain(one) for one in re.findall(rf"{DIGIT}+", run)]):
            yield match.span()


def _plain(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(unicodedata.digit(one)) for one in digits)


def _judged(match: re.Match[str]) -> str:
    """Letters in place of what is ordinary; digits for an id that hides a number; no UUID of any version as it is."""
    found = match["id"] or match["odd"]
    if found and _hides_card(found.replace("-", "")):
        return "9" * len(found)
    return match["odd"] or "x" * len(match[0])


def _hides_card(digits: str) -> bool:
    edges = GROUPS if len(digits) == GROUPS[-1] else (0, len(digits))
    for length in range(SHORTEST_HIDDEN, LONGEST + 1):
        for begin in {*edges, *(edge - length for edge in edges if edge > length)}:
            number = digits[begin : begin + length]
            if number.isdecimal() and _is_card(number) and (number[0] != KOREAN or begin in GROUPS[:2]):
                return True  # Korean ones further on come by chance too often
    return False


def _holds_card(groups: list[str]) -> bool:
    sizes = [len(one) for one in groups]
    if max(sizes) >= SHORTEST:
        return True
    if any(a >= 4 and (b, c) == (4, 4) for a, b, c in zip(sizes, sizes[1:], sizes[2:-1], strict=False)):
        return True
    return _is_even(groups) or _has_check_digit(groups)


def _is_even(groups: list[str]) -> bool:
    """Groups of one size, and perhaps a shorter one at the end."""
    at = 0
    for size, members in groupby(map(len, groups)):
        end = at + len(list(members))
        rest = len(groups[end]) if end < len(groups) and len(groups[end]) < size else 0
        firsts = range(at, end - (SHORTEST - rest - 1) // size)  # of groups that have enough behind them
        if size in SIZES and any(groups[first][0] in FIRST for first in firsts):
            return True
        at = end
    return False


def _has_check_digit(groups: list[str]) -> bool:
    for at in range(len(groups)):
        number = ""
        for group in groups[at:]:
            number += group
            if len(number) > LONGEST:
                break
            if len(number) >= SHORTEST and _is_card(number):
                return True
    return False


def _is_card(digits: str) -> bool:
    if digits[:1] == KOREAN:
        return len(digits) == 16
    lengths = (16,) if digits.startswith(DISCOVER) else LENGTHS.get(brand_of(digits[:4]), ())
    return len(digits) in lengths and luhn_holds(digits)
