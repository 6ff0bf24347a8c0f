"""The rules of a card's digits and texts. Errors name the rule, never the value."""

import unicodedata
from datetime import date

from pydantic import AfterValidator, SecretStr

from .identifiers import printable

DIGITS = frozenset("0123456789")
LUHN_BRANDS = frozenset({"visa", "mastercard", "amex", "jcb", "diners"})
_DOUBLED = str.maketrans("0123456789", "0246813579")  # twice a digit, its own digits added


def luhn_holds(digits: str) -> bool:
    """True if the check digit of a card number holds (ISO/IEC 7812-1)."""
    return (sum(map(int, digits[::-2])) + sum(map(int, digits[-2::-2].translate(_DOUBLED)))) % 10 == 0


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


def digits_of(value: SecretStr, rule: str) -> str:
    """The digits of a value, wide ones too, without separators.

    Raises:
        ValueError: it has letters or other digits; with the rule as its text.
    """
    text = unicodedata.normalize("NFKC", value.get_secret_value())
    if text.isdecimal() and text.isascii():
        return text
    kept = "".join(filter(str.isalnum, text))
    if not set(kept) <= DIGITS:
        raise ValueError(rule)
    return kept


def at_most(length: int) -> AfterValidator:
    """1 to so many printable characters."""

    def check(value: SecretStr) -> SecretStr:
        text = unicodedata.normalize("NFKC", value.get_secret_value())  # Korean keyboards type wide spaces and digits
        if not 0 < len(text) <= length:
            raise ValueError(f"must be 1 to {length} characters")
        return SecretStr(printable(text))

    return AfterValidator(check)
