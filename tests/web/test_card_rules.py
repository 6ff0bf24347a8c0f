"""card.js and producer.contract.card agree, whatever is typed."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from producer.contract.card import Card
from producer.contract.card_rules import birth_date_holds, brand_of, business_number_holds, luhn_holds
from producer.contract.errors import InvalidCard
from tests.vectors.recipe import CARD, IAT
from tests.web.node import run

CHANCE = random.Random(5)
PREFIXES: tuple[str, ...] = (
    "4",
    "51",
    "55",
    "2221",
    "2720",
    "2721",
    "34",
    "37",
    "3528",
    "3589",
    "3590",
    "300",
    "305",
    "3095",
    "36",
)
PREFIXES += ("38", "39", "62", "9", "9410", "6", "1", "50", "56", "2220", "3527", "306")
KOREAN = {"corporate": False, "now": IAT}
CORPORATE = {"corporate": True, "now": IAT}


def wide(text: str) -> str:
    """As a Korean keyboard types it in full width."""
    return "".join(chr(ord(one) + 0xFEE0) for one in text)


def numbers() -> Iterator[str]:
    for prefix in PREFIXES:
        for length in (13, 14, 15, 16, 17):
            for _ in range(8):
                yield prefix + "".join(CHANCE.choices("0123456789", k=length - len(prefix)))


NUMBERS = list(numbers())
BUSINESSES = ["".join(CHANCE.choices("0123456789", k=10)) for _ in range(500)]
DATES = ["".join(CHANCE.choices("0123456789", k=6)) for _ in range(1000)]
DATES += [f"{year:02d}{month:02d}{day:02d}" for year in (0, 99, 4) for month in (1, 2, 12, 13) for day in (0, 29, 31)]


def holds(**changes: str) -> bool:
    try:
        Card.model_validate(CARD | changes, context={"now": IAT})
    except InvalidCard:
        return False
    return True


def rules(field: str, texts: list[str], how: dict[str, Any] = KOREAN) -> list[bool]:
    return [code is None for code in run("card.mjs", [["rule", field, text, how] for text in texts])]


def test_brands_agree() -> None:
    assert [brand_of(one) for one in NUMBERS] == run("card.mjs", [["brandOf", one] for one in NUMBERS])


def test_check_digits_agree() -> None:
    assert [luhn_holds(one) for one in NUMBERS] == run("card.mjs", [["luhnHolds", one] for one in NUMBERS])
    expected = [business_number_holds(one) for one in BUSINESSES]
    assert expected == run("card.mjs", [["businessNumberHolds", one] for one in BUSINESSES])
    assert 20 < sum(expected) < 100


def test_dates_agree() -> None:
    assert [birth_date_holds(one) for one in DATES] == run("card.mjs", [["birthDateHolds", one] for one in DATES])


def test_numbers_that_hold_are_the_same() -> None:
    texts = [
        *NUMBERS,
        "",
        "4242-4242-4242-4242",
        "4242 4242 4242 424a",
        wide("4242") + "424242424242",
        "한4242424242424242",
    ]

    assert [holds(card_number=one) for one in texts] == rules("card_number", texts)


def test_what_holds_for_a_corporate_card_holds_for_the_worker() -> None:
    assert [holds(birth=one) for one in BUSINESSES] == rules("birth", BUSINESSES, CORPORATE)


@pytest.mark.parametrize(
    ("typed", "expiry"),
    [
        ("07/31", "2031-07"),
        ("7/31", "2031-07"),
        ("0731", "2031-07"),
        ("07/2031", "2031-07"),
        ("072031", "2031-07"),
        ("2031-07", "2031-07"),
        ("07 - 31", "2031-07"),
        (wide("07/31"), "2031-07"),
        ("12/99", "2099-12"),
        ("00/31", None),
        ("13/31", None),
        ("731", None),
        ("07/1931", None),
        ("", None),
    ],
)
def test_expiry_is_read_as_people_write_it(typed: str, expiry: str | None) -> None:
    assert [expiry] == run("card.mjs", [["expiryFrom", typed]])


def test_card_expires_with_its_month_in_korea() -> None:
    ends = 1_801_407_600  # 2027-02-01 00:00 in Korea

    codes = run("card.mjs", [["rule", "expiry", "01/27", {"now": now}] for now in (ends - 1, ends)])

    assert codes == [None, "past"]
