from datetime import datetime
from typing import Any

import pytest

from producer.contract.card import Card
from producer.contract.card_rules import KOREA
from producer.contract.errors import InvalidRequest
from producer.contract.open_fields import LIKE_A_PERSONS, OWN_BIRTH, OWN_NUMBER, check_open_fields, own_data_in
from tests.contract.open_fields_at_scale import IDENTIFIERS, PERSONAL, accepted, is_refused, refused

NOW = datetime(2026, 11, 28, 12, tzinfo=KOREA).timestamp()
NUMBER, BIRTH = "4242424242424242", "900101"
FIELDS = ("customer_uid", "customer_id", "merchant_uid", "name", "pg", "channel_key")
WIDE = str.maketrans("0123456789", "".join(chr(ord("0") + 0xFEE0 + place) for place in range(10)))
ARABIC = str.maketrans("0123456789", "".join(chr(0x660 + place) for place in range(10)))


def card(birth: str | None = BIRTH, number: str = NUMBER) -> Card:
    members = {"card_number": number, "expiry": "2031-07", "birth": birth}
    return Card.model_validate({name: text for name, text in members.items() if text}, context={"now": NOW})


def problems(fields: dict[str, Any], beside: Card | None = None, now: float = NOW) -> dict[str, str]:
    try:
        check_open_fields(fields, beside, now=now)
    except InvalidRequest as error:
        return dict(error.problems)
    return {}


# The job's own card and birth date


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "text",
    [
        NUMBER,
        f"u{NUMBER}",
        f"{NUMBER}@example.com",
        "4242-4242-4242-4242",
        "u_4242.4242 4242\u00a04242",
        f"1{NUMBER}7",
        NUMBER.translate(WIDE),
        NUMBER.translate(ARABIC),
    ],
)
def test_no_open_field_holds_the_jobs_own_card_number(field: str, text: str) -> None:
    assert problems({field: text}, card()) == {field: OWN_NUMBER}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "text",
    [
        "9001011234567",
        "u9001018234567",
        "900101-1234567",
        "회원 900101 1234567 님",
        "900101 - 1234567",
        "900101\u20131234567",
        "900101-1234567".translate(WIDE),
        "order-900101-1234567-2",
        "123456 900101-1234567",
    ],
)
def test_no_open_field_holds_the_jobs_own_birth_date_as_a_resident_number_has_it(field: str, text: str) -> None:
    assert problems({field: text}, card()) == {field: OWN_BIRTH}


@pytest.mark.parametrize(
    "text",
    [
        *("900101", "900101-123456", "900101-12345678", "1900101-1234567", "19900101-1234567", "900101/1234567"),
        *("900101-0234567", "900101-9234567", "9001019234567", "9001021234567", "900101a1234567"),
    ],
)
def test_a_birth_date_with_anything_else_beside_it_is_no_resident_number(text: str) -> None:
    assert problems({"merchant_uid": text, "customer_uid": f"u{text}"}, card()) == {}


@pytest.mark.parametrize(
    ("birth", "text"),
    [("1234567891", "1234567891"), ("1234567891", "123456-7891234"), ("123456", "123456-1234567"), (None, "-1234567")],
)
def test_a_business_number_and_a_stand_in_for_a_birth_date_may_be_there(birth: str | None, text: str) -> None:
    assert problems({"merchant_uid": text, "name": text}, card(birth)) == {}


def test_another_persons_card_and_birth_date_are_order_numbers() -> None:
    fields = {"merchant_uid": "5555555555554444", "name": "850505-1234567"}

    assert problems(fields, card()) == {}


def test_a_card_that_no_network_checks_is_found_as_its_own_jobs() -> None:
    domestic = card(number="9999010000000001")

    assert problems({"customer_uid": "u9999-0100-0000-0001"}, domestic) == {"customer_uid": OWN_NUMBER}
    assert problems({"customer_uid": "9999010000000001"}, card()) == {}


def test_a_worker_that_has_opened_the_card_finds_the_same() -> None:
    fields = {"customer_uid": f"u{NUMBER}", "name": "900101-1234567", "merchant_uid": "o-1", "amount": 9900}

    assert own_data_in(fields, card()) == [("customer_uid", OWN_NUMBER), ("name", OWN_BIRTH)]


# Anybody's, in the names of customers


@pytest.mark.parametrize("field", ["customer_uid", "customer_id"])
@pytest.mark.parametrize(
    "text",
    [
        *("4242424242424242", "4242-4242-4242-4242", "4242.4242.4242.4242", "=4242_4242_4242_4242~"),
        *("5555555555554444", "2223003122003222", "378282246310005", "3782-822463-10005", "3530111333300000"),
        *("36227206271667", "3056-930902-5904", "6011111111111117", "6200000000000005"),
        *("900101-1234568", "9001011234568", "900101.1234568", "050505-3234562", "900101-5234561"),
    ],
)
def test_a_customers_name_is_nobodys_card_or_resident_number(field: str, text: str) -> None:
    assert problems({field: text}) == {field: LIKE_A_PERSONS}
    assert problems({field: f"u-{text}", "merchant_uid": text, "name": text}) == {}


@pytest.mark.parametrize(
    "text",
    [
        *("4242424242424241", "9999010000000001", "42424242424241", "620000000000000", "900101-1234567"),
        *("9013011234561", "20261128123456", "2026112812345678", "261128-00000005", "261128-0001-0004"),
    ],
)
def test_what_has_no_right_check_digit_or_no_network_is_an_identifier(text: str) -> None:
    assert problems({"customer_uid": text, "customer_id": text}) == {}


def resident(born: str, kind: int) -> str:
    """A resident number that lacks nothing but, perhaps, the right age."""
    body = f"{born}{kind}00000"
    total = sum(weight * int(digit) for weight, digit in zip((2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), body, strict=True))
    return f"{body}{((11 if kind < 5 else 13) - total % 11) % 10}"


@pytest.mark.parametrize(
    ("born", "kind", "is_of_age"),
    [
        *(("121128", 3, True), ("121129", 3, False), ("121128", 1, False)),
        *(("261129", 1, True), ("261128", 1, False), ("261128", 3, False)),
        *(("900101", 5, True), ("050505", 8, True), ("900229", 1, False), ("900101", 9, False), ("900101", 0, False)),
    ],
)
def test_a_resident_number_is_that_of_a_person_from_14_to_99(born: str, kind: int, is_of_age: bool) -> None:
    assert bool(problems({"customer_uid": resident(born, kind)})) is is_of_age


def test_who_was_born_after_check_digits_ended_has_none() -> None:
    in_2036 = datetime(2036, 12, 31, tzinfo=KOREA).timestamp()

    assert problems({"customer_uid": resident("201004", 3)}, now=in_2036)
    assert not problems({"customer_uid": resident("201005", 3)}, now=in_2036)


@pytest.mark.parametrize("name", IDENTIFIERS)
def test_identifiers_that_shops_give_are_accepted(name: str) -> None:
    assert refused(name, 3000) == 0


@pytest.mark.parametrize("name", PERSONAL)
def test_personal_numbers_in_their_usual_spellings_are_refused(name: str) -> None:
    assert accepted(name, 2000) == 0


def test_milliseconds_are_no_resident_numbers_whenever_they_are_given() -> None:
    step_ms = 61_001_003  # 17 hours: some thirty thousand instants of sixty years
    instants = range(int(NOW * 1000), int(NOW * 1000) + 60 * 365 * 86_400_000, step_ms)

    assert [at for at in instants if is_refused("customer_uid", str(at), None, at / 1000)] == []


# The refusal itself


def test_refusal_names_the_field_offers_a_prefix_and_shows_no_value() -> None:
    fields = {"customer_uid": NUMBER, "customer_id": "5555555555554444", "merchant_uid": "900101-1234567"}

    with pytest.raises(InvalidRequest) as caught:
        check_open_fields(fields, card(), now=NOW)

    assert {name for name, _ in caught.value.problems} == fields.keys()
    assert all("prefix" in rule for _, rule in caught.value.problems)
    assert not [text for text in (NUMBER, "5555", BIRTH) if text in f"{caught.value!r} {vars(caught.value)}"]


def test_fields_that_are_not_set_or_are_no_text_are_passed_over() -> None:
    fields = {"operation": "issue", "customer_uid": None, "name": "책", "amount": 4242424242424242, "envelope": NUMBER}

    assert problems(fields, card()) == {}
