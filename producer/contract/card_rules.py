"""The rules of a card's digits and texts. Errors name the rule, never the value."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

from pydantic import AfterValidator, SecretStr

from .identifiers import printable

HOUR_S = 3600
KOREA = timezone(timedelta(hours=9))  # no daylight saving since 1988
DUMMY_BIRTH = "123456"  # one gateway (Hecto) asks for it where its contract does not check the birth date
DIGITS = frozenset("0123456789")
LUHN_BRANDS = frozenset({"visa", "mastercard", "amex", "jcb", "diners"})
_MONTH, _PWD_2DIGIT = re.compile("20[0-9]{2}-(0[1-9]|1[0-2])"), re.compile("[0-9]{2}")
_DOUBLED = str.maketrans("0123456789", "0246813579")  # twice a digit, its own digits added


def luhn_holds(digits: str) -> bool:
    """True if the check digit of a card number holds (ISO/IEC 7812-1)."""
    as_they_are, doubled = digits[::-2].encode(), digits[-2::-2].translate(_DOUBLED).encode()
    return (sum(as_they_are) + sum(doubled) - ord("0") * len(digits)) % 10 == 0


BRANDS = (  # of a number's first four digits
    (range(4000, 5000), "visa"),
    (range(5100, 5600), "mastercard"),
    (range(2221, 2721), "mastercard"),
    (range(3400, 3500), "amex"),
    (range(3700, 3800), "amex"),
    (range(3528, 3590), "jcb"),
    (range(3000, 3060), "diners"),
    (range(3095, 3096), "diners"),
    (range(3600, 3700), "diners"),
    (range(3800, 4000), "diners"),
    (range(6200, 6300), "unionpay"),
)
BRAND_OF = {number: brand for numbers, brand in BRANDS for number in numbers}


def brand_of(digits: str) -> str:
    """``visa``, ``mastercard``, ``amex``, ``jcb``, ``diners``, ``unionpay`` or ``domestic``."""
    return BRAND_OF.get(int(digits[:4]), "domestic")


def business_number_holds(digits: str) -> bool:
    """True if the check digit of a Korean business registration number (10 digits) holds.

    Source: the National Tax Service's published weights 1 3 7 1 3 7 1 3 5.
    """
    total = sum(int(d) * w for d, w in zip(digits, (1, 3, 7, 1, 3, 7, 1, 3, 5), strict=False))
    total += int(digits[8]) * 5 // 10
    return (10 - total % 10) % 10 == int(digits[9])


def birth_date_holds(digits: str) -> bool:
    """True if six digits are a calendar date ``YYMMDD`` in this century or the last."""
    for century in (1900, 2000):
        try:
            date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:]))
        except ValueError:
            continue
        return True
    return False


@lru_cache(maxsize=8)
def month_in_korea(hour: float) -> str:
    """``YYYY-MM`` there, so many hours after the beginning of 1970."""
    return datetime.fromtimestamp(hour * HOUR_S, UTC).astimezone(KOREA).strftime("%Y-%m")


def digits_of(text: str, rule: str) -> str:
    """The digits of a text, wide ones too, without separators.

    Raises:
        ValueError: it has letters or other digits; with the rule as its text.
    """
    if text.isdecimal() and text.isascii():
        return text
    kept = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text)))
    if not set(kept) <= DIGITS:
        raise ValueError(rule)
    return kept


def _card_number(text: str, _now: float) -> str:
    rule = "must be 14 to 16 digits"
    digits = digits_of(text, rule)
    if not 14 <= len(digits) <= 16:
        raise ValueError(rule)
    if brand_of(digits) in LUHN_BRANDS and not luhn_holds(digits):
        raise ValueError("the check digit does not hold (mistyped?)")
    return digits


def _expiry(text: str, now: float) -> str:
    month = text if text.isascii() else unicodedata.normalize("NFKC", text)
    if not _MONTH.fullmatch(month := month.strip()):
        raise ValueError("must be YYYY-MM")
    if month < month_in_korea(now // HOUR_S):
        raise ValueError("lies in the past")
    return month


def _birth(text: str, _now: float) -> str:
    rule = "must be YYMMDD or a 10-digit business number"
    digits = digits_of(text, rule)
    if len(digits) == 6:
        if digits != DUMMY_BIRTH and not birth_date_holds(digits):
            raise ValueError("is no calendar date YYMMDD")
    elif len(digits) != 10:
        raise ValueError(rule)
    elif not business_number_holds(digits):
        raise ValueError("the check digit of the business number does not hold")
    return digits


def _pwd_2digit(text: str, _now: float) -> str:
    if not _PWD_2DIGIT.fullmatch(text):
        raise ValueError("must be 2 digits")
    return text


def _cvc(text: str, _now: float) -> str:
    if not re.fullmatch("[0-9]{3,4}", text):
        raise ValueError("must be 3 or 4 digits")
    return text


RULES: Mapping[str, Callable[[str, float], str]] = {
    "card_number": _card_number,
    "expiry": _expiry,
    "birth": _birth,
    "pwd_2digit": _pwd_2digit,
    "cvc": _cvc,
}
"""The rules of a card's digits: the text as a card keeps it, at that time in Unix seconds, or ValueError."""


def at_most(length: int) -> AfterValidator:
    """1 to so many printable characters."""

    def check(value: SecretStr) -> SecretStr:
        text = unicodedata.normalize("NFKC", value.get_secret_value())  # Korean keyboards type wide spaces and digits
        if not 0 < len(text) <= length:
            raise ValueError(f"must be 1 to {length} characters")
        return SecretStr(printable(text))

    return AfterValidator(check)
