"""Identifiers and personal numbers by the million against the rule of open fields.

    python -m tests.contract.open_fields_at_scale [COUNT]

Each identifier is checked at the instant at which a shop would give it, beside one of a thousand cards. The last line
is a JSON object: how many identifiers were refused, how many personal numbers accepted.
"""

import json
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from typing import NamedTuple

from producer.contract.card import Card
from producer.contract.card_rules import KOREA, luhn_holds
from producer.contract.errors import InvalidRequest
from producer.contract.open_fields import check_open_fields

TEN_YEARS_S = 3653 * 86_400
NETWORKS = {
    "visa": (("4",), 16),
    "mastercard": (("51", "52", "53", "54", "55", "2221", "2345", "26", "270", "2720"), 16),
    "amex": (("34", "37"), 15),
    "jcb": (("3528", "3555", "3589"), 16),
    "diners": (("300", "305", "3095", "36", "38", "39"), 14),
    "discover": (("6011", "644", "649", "65"), 16),
    "unionpay": (("62",), 16),
}
GROUPS = {14: (4, 6, 4), 15: (4, 6, 5), 16: (4, 4, 4, 4)}
IN_A_UID = ("", "-", ".", "_", ":")  # separators that the characters of a customer_uid allow


class Given(NamedTuple):
    """An identifier, and the Unix seconds at which a shop gave it."""

    text: str
    at: float


def digits(dice: random.Random, count: int) -> str:
    return f"{dice.randrange(10**count):0{count}}"


def instant(dice: random.Random) -> datetime:
    now = time.time()
    return datetime.fromtimestamp(dice.uniform(now, now + TEN_YEARS_S), UTC).astimezone(KOREA)


def milliseconds(dice: random.Random) -> Given:
    at = instant(dice).timestamp()
    return Given(str(int(at * 1000)), at)


def instant_and_two(dice: random.Random) -> Given:
    at = instant(dice)
    return Given(f"{at:%Y%m%d%H%M%S}{digits(dice, 2)}", at.timestamp())


def date_and_counter(dice: random.Random) -> Given:
    at = instant(dice)
    return Given(f"{at:%y%m%d}-{digits(dice, dice.randint(1, 10))}", at.timestamp())


def random_uuid(dice: random.Random) -> Given:
    return Given(str(uuid.UUID(int=dice.getrandbits(128), version=4)), time.time())


def snowflake(dice: random.Random) -> Given:
    return Given(str(dice.randrange(10**16, 10**19)), time.time())


def random_16(dice: random.Random) -> Given:
    return Given(digits(dice, 16), time.time())


def random_13(dice: random.Random) -> Given:
    return Given(digits(dice, 13), time.time())


IDENTIFIERS: dict[str, tuple[str, Callable[[random.Random], Given]]] = {
    "Date.now()": ("customer_uid", milliseconds),
    "YYYYMMDDhhmmss and two digits": ("customer_uid", instant_and_two),
    "YYMMDD- and a counter": ("customer_uid", date_and_counter),
    "UUIDs": ("customer_uid", random_uuid),
    "snowflakes": ("customer_uid", snowflake),
    "random 16 digits as merchant_uid": ("merchant_uid", random_16),
    "random 13 digits as merchant_uid": ("merchant_uid", random_13),
}


def grouped(text: str, sizes: Iterable[int], separator: str) -> str:
    rest = iter(text)
    return separator.join("".join(next(rest) for _ in range(size)) for size in sizes)


def number_of(dice: random.Random, network: str) -> str:
    """A card number of a network, its check digit right."""
    prefixes, length = NETWORKS[network]
    prefix = dice.choice(prefixes)
    body = prefix + digits(dice, length - len(prefix) - 1)
    return next(body + last for last in "0123456789" if luhn_holds(body + last))


def card_number(dice: random.Random) -> str:
    """A card number in one of its usual spellings."""
    number = number_of(dice, dice.choice(list(NETWORKS)))
    return grouped(number, GROUPS[len(number)], dice.choice(IN_A_UID))


def birthday(dice: random.Random, oldest: int = 99) -> date:
    """Of a person of 14 years to so many."""
    today = datetime.now(KOREA).date()
    return today - timedelta(days=dice.randrange(14 * 366, oldest * 365))


def resident_number(dice: random.Random) -> str:
    """A resident number, a Korean's or a foreigner's, in one of its usual spellings."""
    born = birthday(dice)
    kind = dice.choice((1, 2, 5, 6) if born.year < 2000 else (3, 4, 7, 8))
    text = f"{born:%y%m%d}{kind}{digits(dice, 5)}"
    total = sum((2 + place % 8) * int(digit) for place, digit in enumerate(text))
    check = ((11 if kind < 5 else 13) - total % 11) % 10
    return grouped(f"{text}{check}", (6, 7), dice.choice(IN_A_UID))


PERSONAL = {"cards": card_number, "resident numbers": resident_number}


def cards(dice: random.Random) -> list[Card]:
    """A thousand cards of people who are not yet a hundred in ten years: on that day a date is a birth date, too."""
    numbers = (number_of(dice, "visa") for _ in range(1000))
    return [Card(card_number=number, expiry="2099-12", birth=f"{birthday(dice, 89):%y%m%d}") for number in numbers]


def is_refused(field: str, text: str, card: Card | None, now: float | None = None) -> bool:
    try:
        check_open_fields({field: text}, card, now=now)
    except InvalidRequest:
        return True
    return False


def refused(name: str, count: int, seed: int = 1) -> int:
    """How many of so many identifiers of a kind are refused."""
    dice = random.Random(f"{name} {seed}")
    field, give = IDENTIFIERS[name]
    beside = cycle(cards(dice))
    return sum(is_refused(field, *_with(give(dice), next(beside))) for _ in range(count))


def _with(given: Given, card: Card) -> tuple[str, Card, float]:
    return given.text, card, given.at


def accepted(name: str, count: int, seed: int = 1) -> int:
    """How many of so many personal numbers of a kind pass for a customer_uid."""
    dice = random.Random(f"{name} {seed}")
    return sum(not is_refused("customer_uid", PERSONAL[name](dice), None) for _ in range(count))


def main(count: int) -> None:
    """Count, and print the figures."""
    figures = {f"refused of {count} {name}": refused(name, count) for name in IDENTIFIERS}
    figures |= {f"accepted of {count // 10} {name}": accepted(name, count // 10) for name in PERSONAL}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["1000000"])[0]))
