"""No text of a request that is kept or shown holds what ends a line, steers a terminal or turns text around."""

import unicodedata
from typing import Any

import pytest

from producer.contract.card import Card
from producer.contract.errors import InvalidInput
from producer.contract.job import Request

CONTROL = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]  # C0, DEL and C1
LINES = ["\u2028", "\u2029"]
BIDI = [chr(code) for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))]

ISSUE = {"operation": "issue", "customer_uid": "gildong"}
ONETIME = {"operation": "onetime", "merchant_uid": "order-1", "amount": 1000, "name": "one month"}
CARD = {"card_number": "4242424242424242", "expiry": "2031-07"}
OF_ISSUE = ("customer_uid", "pg", "channel_key", "customer_id")
OF_ONETIME = ("merchant_uid", "name", "channel_group_id")
OF_CARD = tuple(name for name in Card.model_fields if name.startswith(("customer_", "buyer_")))
FIELDS: list[tuple[Any, dict[str, Any], str]] = [
    *((Request, ISSUE, name) for name in OF_ISSUE),
    *((Request, ONETIME, name) for name in OF_ONETIME),
    *((Card, CARD, name) for name in OF_CARD),
]


@pytest.mark.parametrize(("model", "well", "field"), FIELDS, ids=[name for _, _, name in FIELDS])
def test_control_characters_are_refused_with_the_field_and_the_rule(
    model: Any, well: dict[str, Any], field: str
) -> None:
    taken = []
    for character in (*CONTROL, *LINES, *BIDI):
        for text in (f"{character}sesame", f"ses{character}ame", f"sesame{character}"):
            try:
                model(**well | {field: text})
            except InvalidInput as error:
                ((name, rule),) = error.problems
                assert (name, "sesame" in rule, rule.isprintable()) == (field, False, True)
            else:
                taken.append(unicodedata.name(character, hex(ord(character))))

    assert taken == []


@pytest.mark.parametrize(("field", "text"), [("card_number", "4242 4242 4242 4242"), ("birth", "90-01-01")])
def test_separators_of_digits_may_be_anything_and_are_kept_nowhere(field: str, text: str) -> None:
    digits = "".join(filter(str.isdecimal, text))

    for character in (*CONTROL, *LINES, *BIDI):
        taken = Card(**CARD | {field: character.join(digits)}).reveal()[field]
        assert taken == digits
