"""Card numbers in running text, in every spelling that redaction promises to know."""

import json
from collections.abc import Callable
from random import Random
from typing import NamedTuple
from uuid import UUID

from tests.fake_iamport.cards import CARDS, luhn_digit
from tests.fuzz.ordinary import ordinary

Spelling = Callable[[Random, str], str]
Hidden = tuple[str, str, str]
"""What stands directly before the number, the number, and what stands behind it."""
CIRCLED = "⓪①②③④⑤⑥⑦⑧⑨"
ANY_SEPARATOR = (
    " ",
    "-",
    ".",
    ":",
    "/",
    "_",
    ",",
    "\u00a0",
    "\u200b",
    "\t",
    "\n",
    " - ",
    "%20",
    "%2D",
    "\\n",
    "\\u00a0",
)
EDGES = (8, 12, 16, 20)  # of a UUID's groups
WIDE, ARABIC, PLAIN, MATHEMATICAL = 0xFF10, 0x660, 0x30, 0x1D7CE
HEX, LETTERS = "0123456789abcdef", "abcdef"
LENGTHS = (
    (16, ("4", "51", "55", "2221", "2720", "3528", "62", "6011", "65")),
    (15, ("34", "37")),
    (14, ("36", "3095")),
)
LONG = ((13, "4"), (17, "62"), (18, "62"), (19, "62"), (19, "4"))


class Planted(NamedTuple):
    """A number in running text.

    Args:
        spelling: its name.
        text: what a line would be.
        number: as it is spelled in it.
    """

    spelling: str
    text: str
    number: str


def card_number(rng: Random) -> str:
    """13 to 19 digits with a network's prefix and a right check digit; or a Korean card's from 9 on, without one."""
    if rng.random() < 0.2:
        return "9" + "".join(rng.choices(HEX[:10], k=15))
    if rng.random() < 0.1:
        length, prefix = rng.choice(LONG)
    else:
        length, prefixes = rng.choice(LENGTHS)
        prefix = rng.choice(prefixes)
    digits = prefix + "".join(rng.choices(HEX[:10], k=length - 1 - len(prefix)))
    return digits + luhn_digit(digits)


def _groups(rng: Random, digits: str) -> list[str]:
    """As cards show them: in fours, or 4-6-5 and 4-6-4 where there are fewer than 16."""
    if len(digits) in {14, 15} and rng.random() < 0.5:
        return [digits[:4], digits[4:10], digits[10:]]
    return [digits[at : at + 4] for at in range(0, len(digits), 4)]


def _grouped(separator: str) -> Spelling:
    return lambda rng, digits: separator.join(_groups(rng, digits))


def _each(spell: Callable[[str], str]) -> Spelling:
    return lambda _rng, digits: "".join(map(spell, digits))


def _from(zero: int) -> Callable[[str], str]:
    return lambda digit: chr(zero + int(digit))


def _json(zero: int) -> Callable[[str], str]:
    return lambda digit: json.dumps(chr(zero + int(digit)))[1:-1] if zero > 127 else f"\\u00{ord(digit):x}"


def _percent(zero: int) -> Callable[[str], str]:
    return lambda digit: "".join(f"%{byte:02X}" for byte in chr(zero + int(digit)).encode())


def _several(rng: Random, digits: str) -> str:
    groups = _groups(rng, digits)
    return groups[0] + "".join(rng.choice(ANY_SEPARATOR) + one for one in groups[1:])


def _one_by_one(rng: Random, digits: str) -> str:
    return rng.choice(ANY_SEPARATOR).join(digits)


def _mixed(rng: Random, digits: str) -> str:
    return "".join(chr(rng.choice((WIDE, ARABIC, PLAIN)) + int(one)) for one in digits)


def _hex(rng: Random, length: int) -> str:
    return "".join(rng.choices(HEX, k=length))


def _after_letters(rng: Random, digits: str) -> Hidden:
    return _hex(rng, rng.randrange(12)) + rng.choice(LETTERS), digits, rng.choice(("", *LETTERS))


def _in_hex(rng: Random, digits: str) -> Hidden:
    """32 hex digits, of which the number is the first, the last, or the next after a UUID's first group."""
    digits = CARDS["visa"].card_number if len(digits) == 13 else digits
    left = 32 - len(digits)
    begin = rng.choice((0, 8) if digits[0] == "9" else (0, 8, left))
    filler = rng.choice((_hex(rng, left), "0" * left))
    return filler[:begin], digits, filler[begin:]


def _in_uuid(rng: Random, digits: str) -> Hidden:
    left, number, right = _in_hex(rng, digits)
    dashed = str(UUID(hex=left + number + right))
    begin, end = (at + sum(at > edge for edge in EDGES) for at in (len(left), len(left + number)))
    return dashed[:begin], dashed[begin:end], dashed[end:]


SPELLINGS: dict[str, Spelling] = {
    "plain": lambda _rng, digits: digits,
    "a list in JSON in JSON": lambda rng, digits: json.dumps(json.dumps(_groups(rng, digits)))[1:-1],
    **{
        name: _grouped(separator)
        for name, separator in {
            "spaces": " ", "hyphens": "-", "dots": ".", "colons": ":", "slashes": "/", "underscores": "_", "plus": "+",
            "no-break spaces": "\u00a0", "zero width": "\u200b", "%20": "%20", "%C2%A0": "%C2%A0", "\\n": "\\n",
            "&nbsp;": "&nbsp;", "brackets": "][",
        }.items()
    },
    "several separators": _several,
    "digit by digit": _one_by_one,
    "full width": _each(_from(WIDE)),
    "circled": _each(lambda digit: CIRCLED[int(digit)]),
    "mathematical": _each(_from(MATHEMATICAL)),
    "Arabic-Indic": _each(_from(ARABIC)),
    "several scripts": _mixed,
    "JSON, full width": _each(_json(WIDE)),
    "JSON, ASCII": _each(_json(PLAIN)),
    "JSON, pairs of surrogates": _each(_json(MATHEMATICAL)),
    "JSON in JSON": _each(lambda digit: json.dumps(_json(WIDE)(digit))[1:-1]),
    "percent": _each(_percent(PLAIN)),
    "percent, full width": _each(_percent(WIDE)),
    "bytes": lambda _rng, digits: repr("".join(map(_from(WIDE), digits)).encode())[2:-1],
    "HTML": _each(lambda digit: f"&#{ord(digit)};"),
    "HTML, circled": _each(lambda digit: f"&#x{ord(CIRCLED[int(digit)]):x};"),
}  # fmt: skip
HIDDEN: dict[str, Callable[[Random, str], Hidden]] = {
    "after %2f": lambda _rng, digits: ("%2f", digits, ""),
    "after a to f": _after_letters,
    "in a UUID": _in_uuid,
    "in 32 hex digits": _in_hex,
}
NAMES = (*SPELLINGS, *HIDDEN)


def planted(seed: int, number: int) -> Planted:
    """The number of that number, in the next spelling, with ordinary text around it."""
    rng = Random(f"{seed}:{number}")
    name, digits = NAMES[number % len(NAMES)], card_number(rng)
    begun, spelled, ended = HIDDEN[name](rng, digits) if name in HIDDEN else ("", SPELLINGS[name](rng, digits), "")
    before, after = (ordinary(rng)[1] for _ in range(2))
    left, right = (rng.choice((" ", '"', "(", "=", ": ", "/", "|", "카드 ", "\n")) for _ in range(2))
    return Planted(name, f"{before} {left}{begun}{spelled}{ended}{right} {after}", spelled)
