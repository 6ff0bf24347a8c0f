"""Open fields: the texts of a request that are kept in clear, and that may hold nothing personal.

The one rule of producers, workers and migrations. No field may hold the job's own card number, or its birth date where
it begins a resident number; the two that name a customer may not be anybody's card or resident number. All else is an
identifier: dates, counters, milliseconds, random digits. Errors name the field and the rule, never the value.

Source: ISO/IEC 7812-1; for resident numbers the published weights 2 3 4 5 6 7 8 9 2 3 4 5. Those that are given since
2020-10-05 have no check digit.
"""

import re
import time
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, datetime

from .card import Card
from .card_rules import DIGITS, KOREA, LUHN_BRANDS, birth_date_holds, brand_of, luhn_holds
from .errors import InvalidRequest

NAMES_OF_CUSTOMERS = ("customer_uid", "customer_id")
OPEN_FIELDS = (*NAMES_OF_CUSTOMERS, "merchant_uid", "name", "pg", "channel_key", "channel_group_id")

OWN_NUMBER = "holds the card number (take another identifier, such as a counter with a prefix)"
OWN_BIRTH = "holds the birth date and seven digits more (take another identifier, such as a counter with a prefix)"
LIKE_A_PERSONS = "reads as a card number or a resident number (put a prefix before it, such as u-)"

AGES = range(14, 100)
SHORTEST = 13  # digits: of a resident number; a card's are more
WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
NO_CHECK_DIGIT_SINCE = date(2020, 10, 5)
OF_16_DIGITS = ("62", "6011", "644", "645", "646", "647", "648", "649", "65")  # UnionPay, Discover
# Never made of a card's own digits: re keeps the text of its patterns.
_RESIDENT_LIKE = re.compile(r"(?<![0-9])(?=([0-9]{6})[\s\-\u2010-\u2015\u2212]{0,3}[1-8][0-9]{6}(?![0-9]))")
_SIX_FIRST = re.compile(r"[^0-9]*([0-9]{6})[^0-9]")  # a date and a counter: no card is spelled like that


def check_open_fields(fields: Mapping[str, object], card: Card | None, *, now: float | None = None) -> None:
    """Refuse a request that would keep personal data in clear.

    Args:
        fields: a request's members by name; those that are no open fields are passed over.
        card: the job's own; None where it was sealed elsewhere, and the worker calls :func:`own_data_in`.
        now: Unix seconds, for people's ages; the system's clock by default.

    Raises:
        InvalidRequest: with each field and its rule.
    """
    today = datetime.fromtimestamp(time.time() if now is None else now, KOREA).date()
    problems = {
        name: LIKE_A_PERSONS for name, text in _texts(fields, NAMES_OF_CUSTOMERS) if _is_a_persons_number(text, today)
    }
    if card is not None:
        problems |= dict(own_data_in(fields, card))
    if problems:
        raise InvalidRequest(problems.items())


def may_hold_a_number(fields: Mapping[str, object]) -> bool:
    """False where :func:`check_open_fields` refuses nothing, whatever the card is."""
    return next(_texts(fields, OPEN_FIELDS), None) is not None


def own_data_in(fields: Mapping[str, object], card: Card) -> list[tuple[str, str]]:
    """The open fields with the job's own card number or birth date in them, each with the rule that it breaks."""
    number = card.card_number.get_secret_value()
    birth = card.birth.get_secret_value() if card.birth else ""
    found = []
    for name, text in _texts(fields, OPEN_FIELDS):
        if number in "".join(filter(str.isdecimal, text)):
            found.append((name, OWN_NUMBER))
        elif birth in _RESIDENT_LIKE.findall(text) and birth_date_holds(birth):
            found.append((name, OWN_BIRTH))
    return found


def _texts(fields: Mapping[str, object], names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The fields of those names that may hold a number, with wide digits and those of other scripts as our own."""
    for name in filter(fields.__contains__, names):
        if isinstance(text := fields[name], str):
            plain = text if text.isascii() else _plain(text)
            if sum(map(str.isdecimal, plain)) >= SHORTEST:
                yield name, plain


def _plain(text: str) -> str:
    return "".join(str(unicodedata.decimal(one, one)) for one in unicodedata.normalize("NFKC", text))


def _is_a_persons_number(text: str, today: date) -> bool:
    """True if a text as a whole, separators aside, is a card number or a resident number with a right check digit."""
    digits = "".join(filter(str.isalnum, text))
    if not set(digits) <= DIGITS:
        return False
    if len(digits) == 13:
        return _is_resident_number(digits, today)
    six = _SIX_FIRST.match(text)
    if not 14 <= len(digits) <= 16 or (six is not None and birth_date_holds(six[1])):
        return False
    return _has_check_digit(digits) and luhn_holds(digits)


def _has_check_digit(digits: str) -> bool:
    return brand_of(digits) in LUHN_BRANDS or (len(digits) == 16 and digits.startswith(OF_16_DIGITS))


def _is_resident_number(digits: str, today: date) -> bool:
    """True for the number of a person whose age has one: by that, milliseconds and today's date are none."""
    kind = int(digits[6])
    try:
        born = date((2000 if kind in {3, 4, 7, 8} else 1900) + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if kind not in range(1, 9) or age not in AGES or born >= NO_CHECK_DIGIT_SINCE:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, digits, strict=False))
    return ((11 if kind <= 4 else 13) - total % 11) % 10 == int(digits[12])
