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
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice, takewhile

from ..contract.card_rules import brand_of, luhn_holds

SHORTEST, SHORTEST_HIDDEN, LONGEST = 13, 14, 19  # i'mport's have 14 to 16 digits
LONGEST_RUN = 400  # characters: nothing that is ordinary has so many without a letter between
LENGTHS = {
    "visa": (16, 19),
    "mastercard": (16,),
    "jcb": (16,),
    "unionpay": (16, 17, 18, 19),
    "amex": (15,),
    "diners": (14,),
}
DISCOVER = ("6011", "644", "645", "646", "647", "648", "649", "65")
KOREAN = "9"  # of cards that are good in Korea only, and may have no check digit

# Digits of their own kind, which \d is not: unicodedata.digit knows them, unicodedata.decimal does not.
ODD_DIGITS = (
    "²³¹፩-፱᧚⁰⁴-⁹₀-₉①-⑨⑴-⑼⒈-⒐⓪⓵-⓽⓿❶-❾➀-➈➊-➒"
    "\U00010a40-\U00010a43\U00010e60-\U00010e68\U00011052-\U0001105a\U0001f100-\U0001f10a"
)
DIGIT = rf"[\d{ODD_DIGITS}]"

# What was unescaped is filled up with NULs: every place stays where it is. NULs may stand anywhere.
_RUN = re.compile(rf"{DIGIT}(?:\0*+(?:(?:[^\w\0]|_)\0*+){{0,4}}+{DIGIT}){{{SHORTEST - 1},}}+\0*+")
_GROUP = re.compile(rf"{DIGIT}+")
# Of groups with a space between: 13 digits, fours, and groups of one size with perhaps a shorter one at the end.
_WRITTEN = re.compile(
    r"\d{13}|\d{4} \d{4} \d{4} \d|"
    + "|".join(
        rf"(?<!\d)[2-9]\d{{{size - 1}}}(?: \d{{{size}}}){{{12 // size - 1}}} \d{{{rest},{size}}}(?!\d)"
        for size in range(1, 7)
        for rest in (13 - 12 // size * size,)
    )
)

_HEX, _SLASH = "[0-9A-Fa-f]", r"(?<!\\)\\++\0*"
_MARK = re.compile(r"[\\%&]")
_ESCAPE = re.compile(
    rf"{_SLASH}U{_HEX}{{8}}|{_SLASH}u[Dd][89ABab]{_HEX}{{2}}\\++\0*u[Dd][C-Fc-f]{_HEX}{{2}}|{_SLASH}u{_HEX}{{4}}"
    rf"|{_SLASH}[nrt\"'/]|&\0*(?:#[0-9]{{1,7}}|#[Xx]{_HEX}{{1,6}}|[A-Za-z]{{2,8}});"
)
_SIGN = rf"(?:%\0*|{_SLASH}x)"
_NEXT = rf"{_SIGN}[89ABab]{_HEX}"
_BYTES = re.compile(
    rf"{_SIGN}[CDcd]{_HEX}{_NEXT}|{_SIGN}[Ee]{_HEX}(?:{_NEXT}){{2}}|{_SIGN}[Ff][0-7](?:{_NEXT}){{3}}|{_SIGN}{_HEX}{{2}}"
)
_BYTE = re.compile(rf"[%x]\0*({_HEX}{{2}})")

_ZONE = r"(?:Z|[+-]\d\d:?\d\d)"
_TIME = rf"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-6]\d(?:[.,]\d{{3}}(?:\d{{3}}){{0,2}}(?!\d)|\.\d{{1,9}}(?={_ZONE}))?)?"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_ORDINARY = re.compile(
    rf"(?:(?<![^\W_])|(?<=%{_HEX}{{2}}))(?={_HEX})(?:"  # apart, or behind an escape that is none any more
    rf"(?P<id>(?:{_HEX}{{8}}-{_HEX}{{4}}-[1-8]{_HEX}{{3}}-[89ABab]{_HEX}{{3}}-{_HEX}{{12}}"
    rf"|(?=[0-9]*[A-Fa-f][0-9]*[A-Fa-f])(?:{_HEX}{{64}}|{_HEX}{{32}}))(?![^\W_]))"
    rf"|(?P<odd>{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}(?![^\W_]))"
    rf"|(?:19|20)\d\d-[01]\d-[0-3]\d(?:[T ]{_TIME}{_ZONE}?)?(?!\d|:\d)|(?<!:){_TIME}(?!\d|:\d)"
    r"|(?<!\.)(?:1[4-9]|2[01])\d{8}\.\d{1,9}(?!\d)|(?:1[4-9]|2[01])\d{11}-\d{1,6}(?![\d-])"
    rf"|(?<!\.)(?:{_OCTET}\.){{3}}{_OCTET}(?::\d{{1,5}})?(?![.:]?\d)|(?<!\.)0\.\d{{13,20}}(?!\d))",
    re.ASCII,
)
_EARLY = (0, 8)  # where one of Korea's may begin in an id: further on, too many would by chance
_WINDOWS = {  # where one may begin and end in an id of that length: at an edge of it, or of a UUID's groups
    edges[-1]: sorted(
        {
            (begin, begin + length)
            for length in range(SHORTEST_HIDDEN, LONGEST + 1)
            for edge in edges
            for begin in (edge, edge - length)
            if 0 <= begin <= edges[-1] - length
        }
    )
    for edges in ((0, 8, 12, 16, 20, 32), (0, 64))
}


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


def _levels(text: str) -> Iterable[str]:
    """The text unescaped, in part and as far as it goes, all of one length; as it is where there is no escape."""
    if _MARK.search(text) is None:
        return [text]
    steps = ((_ESCAPE, _character), (_BYTES, _byte)) * 2
    levels = accumulate(steps, lambda level, step: step[0].sub(step[1], level), initial=text)
    return dict.fromkeys(islice(levels, 1, None))


def _character(match: re.Match[str]) -> str:
    plain = match[0].replace("\0", "")
    if plain[0] == "&":
        text = html.unescape(plain)
    else:
        escapes = re.sub(r"\\+", r"\\", plain).encode().decode("unicode_escape", "replace")
        text = escapes.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.ljust(len(match[0]), "\0") if len(text) == 1 else match[0]


def _byte(match: re.Match[str]) -> str:
    raw = bytes.fromhex("".join(_BYTE.findall(match[0])))
    text = raw.decode(errors="replace") if len(raw) > 1 else raw.decode("latin-1")
    # A percent sign may stand before a number: %42 stays, where it would be a letter.
    return match[0] if text.isascii() and text.isalpha() else text.ljust(len(match[0]), "\0")


def _found(level: str) -> Iterator[tuple[int, int]]:
    if _RUN.search(level) is None:
        return
    for match in _RUN.finditer(_ORDINARY.sub(_judged, level)):
        run = match[0].replace("\0", "")
        if len(run) > LONGEST_RUN or _holds_card(list(map(_plain, _GROUP.findall(run)))):
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
    numbers = ((begin, digits[begin:end]) for begin, end in _WINDOWS[len(digits)])
    return any(_is_card(number) and (number[0] != KOREAN or begin in _EARLY) for begin, number in numbers)


def _holds_card(groups: list[str]) -> bool:
    return _WRITTEN.search(" ".join(groups)) is not None or _has_check_digit(groups)


def _has_check_digit(groups: list[str]) -> bool:
    return any(
        _is_card(number)
        for at in range(len(groups))
        for number in takewhile(lambda number: len(number) <= LONGEST, accumulate(groups[at : at + LONGEST]))
    )


def _is_card(text: str) -> bool:
    """True for 14 digits or more that a card of a network may have, or one of Korea's own."""
    if len(text) < SHORTEST_HIDDEN or not text.isdecimal():
        return False
    if text[0] == KOREAN:
        return len(text) == 16
    lengths = (16,) if text.startswith(DISCOVER) else LENGTHS.get(brand_of(text), ())
    return len(text) in lengths and luhn_holds(text)
