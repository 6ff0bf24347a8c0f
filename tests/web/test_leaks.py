"""The search for a card finds one."""

import base64
from urllib.parse import quote

import pytest

from tests.web.customer import GOOD
from tests.web.leaks import found_in

GROUPED = "4242 4242 4242 4242"
HIDDEN = [
    f'{{"card_number":"{GOOD}"}}'.encode(),
    GROUPED.encode(),
    quote(GROUPED).encode(),
    GROUPED.replace(" ", "+").encode(),
    GROUPED.encode("utf-16-le"),
    GOOD.encode().hex().encode(),
    *(base64.urlsafe_b64encode(b"x" * shift + GROUPED.encode() + b"yz") for shift in range(3)),
]


@pytest.mark.parametrize("data", HIDDEN)
def test_card_is_found_in_every_form(data: bytes) -> None:
    assert found_in(b"before " + data + b" after", GOOD) != set()


def test_another_card_is_not_found() -> None:
    assert found_in(b"4111 1111 1111 1111 424242******4242", GOOD) == set()
