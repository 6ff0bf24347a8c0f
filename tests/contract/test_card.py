import copy
import json
import logging
import pickle
import re
import traceback
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.card import PLAINTEXT_LIMIT, Card, same_digits
from producer.contract.card_rules import KOREA, birth_date_holds, brand_of, business_number_holds, luhn_holds
from producer.contract.errors import InvalidCard

NUMBER, BIRTH, NAME = "4242424242424242", "900101", "홍길동"
OTHER = "5555555555554444"
PLAIN = {"card_number": NUMBER, "expiry": "2031-07", "birth": BIRTH, "pwd_2digit": "12", "customer_name": NAME}
NOW = datetime(2027, 1, 15, tzinfo=KOREA).timestamp()
HOLDER = {"name": 20, "tel": 20, "email": 200, "addr": 200, "postcode": 8}
BUYER = {"name": 16, "email": 64, "tel": 16, "addr": 128, "postcode": 8}
LIMITS = {f"customer_{name}": limit for name, limit in HOLDER.items()}
LIMITS |= {f"buyer_{name}": limit for name, limit in BUYER.items()}


def wide(text: str) -> str:
    """The full-width form, as Korean and Japanese keyboards type it."""
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


def card(now: Any = NOW, **changes: Any) -> Card:
    """A good card at a fixed time, with changes; None leaves a member out."""
    members = {name: value for name, value in (PLAIN | changes).items() if value is not None}
    return Card.model_validate(members, context={"now": now})


def lasting() -> Card:
    """A good card, whatever the system's clock says."""
    return card(expiry="2099-12")


Problems = tuple[tuple[str, str], ...]


def problems_of(make: Callable[[], object]) -> Problems:
    with pytest.raises(InvalidCard) as caught:
        make()
    return caught.value.problems


def problems_with(**changes: Any) -> Problems:
    return problems_of(lambda: card(**changes))


def with_check_digit(digits: str) -> str:
    return next(digits + last for last in "0123456789" if luhn_holds(digits + last))


BRANDS = {
    "visa": "4242424242424242",
    "mastercard": "5555555555554444 2221000000000009 2720990000000007",
    "amex": "378282246310005 343434343434343",
    "jcb": "3566002020360505",
    "diners": "30569309025904 30950000000000 36000000000000",
    "unionpay": "6240008631401148",
    "domestic": "2220990000000002 2721000000000004 3527000000000000 3590000000000000 30600000000000 9999010000000001",
}


@pytest.mark.parametrize(
    ("brand", "digits"), [(brand, digits) for brand, numbers in BRANDS.items() for digits in numbers.split()]
)
def test_brand_follows_from_the_first_digits(brand: str, digits: str) -> None:
    assert brand == brand_of(digits)


@pytest.mark.parametrize("number", ["4242424242424242", "378282246310005", "30569309025904", "9999010000000001"])
def test_numbers_of_14_to_16_digits_are_taken(number: str) -> None:
    assert number == card(card_number=number).card_number.get_secret_value()


@pytest.mark.parametrize(
    "number",
    [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242.4242/4242_4242",
        "\t4242\u00a04242\u20114242\u200b4242\n",
        wide(NUMBER),
        "⁴²₄₂④②④②42424242",
    ],
)
def test_separators_and_wide_digits_are_understood(number: str) -> None:
    assert card(card_number=number).card_number.get_secret_value() == NUMBER


@pytest.mark.parametrize(
    "number",
    [
        *("", "4242", "4" * 13, "4" * 17, "4" * 100),
        *("4242x42424242424242", "424가2424242424242", "٤" * 16, "424242424242424٤", NUMBER + "٤"),
    ],
)
def test_what_is_no_card_number_is_refused(number: str) -> None:
    assert problems_with(card_number=number) == (("card_number", "must be 14 to 16 digits"),)


@pytest.mark.parametrize(
    "number", ["4242424242424241", "5555555555554445", "378282246310006", "3566002020360506", "30569309025905"]
)
def test_check_digit_must_hold_for_international_brands(number: str) -> None:
    assert problems_with(card_number=number) == (("card_number", "the check digit does not hold (mistyped?)"),)


@pytest.mark.parametrize("number", ["9999010000000001", "6240008631401140"])
def test_check_digit_that_fails_is_only_a_warning_elsewhere(number: str) -> None:
    found = card(card_number=number)

    assert (f"card_number: the check digit does not hold (not assured for {found.brand} cards)",) == found.warnings


def test_right_check_digit_gives_no_warning() -> None:
    assert card().warnings == ()


@pytest.mark.parametrize("digit", "0123456789")
def test_one_wrong_digit_never_passes_luhn(digit: str) -> None:
    right = with_check_digit(digit * 15)
    others = [(place, other) for place in range(16) for other in "0123456789" if other != right[place]]

    assert not [other for place, other in others if luhn_holds(right[:place] + other + right[place + 1 :])]


@pytest.mark.parametrize("expiry", ["2027-01", "2027-12", "2099-12", " 2031-07 ", wide("2031-07")])
def test_expiry_from_this_month_on_is_taken(expiry: str) -> None:
    assert re.fullmatch(r"20\d\d-\d\d", card(expiry=expiry).expiry.get_secret_value(), re.ASCII)


@pytest.mark.parametrize(
    "expiry", ["", "2031", "2031-13", "2031-00", "2031-7", "07/31", "203107", "31-07", "2131-07", "2031-07-01", NUMBER]
)
def test_expiry_is_a_year_and_a_month(expiry: str) -> None:
    assert problems_with(expiry=expiry) == (("expiry", "must be YYYY-MM"),)


def test_expiry_in_the_past_is_refused() -> None:
    assert problems_with(expiry="2026-12") == (("expiry", "lies in the past"),)


def test_card_is_good_until_midnight_in_korea() -> None:
    midnight = datetime(2027, 2, 1, tzinfo=KOREA).timestamp()

    assert card(now=midnight - 0.001, expiry="2027-01").expiry.get_secret_value() == "2027-01"


def test_card_expires_at_midnight_in_korea_and_not_in_utc() -> None:
    midnight = datetime(2027, 2, 1, tzinfo=KOREA).timestamp()

    assert problems_with(now=midnight, expiry="2027-01") == (("expiry", "lies in the past"),)


@pytest.mark.parametrize(
    "birth", ["900101", "000229", "90-01-01", wide("900101"), "123456", "1234567891", "123-45-67891"]
)
def test_birth_is_a_date_or_a_business_number(birth: str) -> None:
    found = card(birth=birth).birth

    assert found is not None
    assert found.get_secret_value().isdigit()


BIRTHS = {
    "must be YYMMDD or a 10-digit business number": [
        "",
        "9001011",
        "19900101",
        "9001011234567",
        "90JAN1",
        "90010\u0661",
    ],
    "is no calendar date YYMMDD": ["901301", "900230", "010229"],
    "the check digit of the business number does not hold": ["1234567890"],
}


@pytest.mark.parametrize(("rule", "birth"), [(rule, birth) for rule, births in BIRTHS.items() for birth in births])
def test_birth_that_cannot_be_is_refused(rule: str, birth: str) -> None:
    assert (("birth", rule),) == problems_with(birth=birth)


@pytest.mark.parametrize("digits", ["1234567891", "2208162517", "1248100998"])
def test_known_business_numbers_hold(digits: str) -> None:
    assert business_number_holds(digits)


@given(st.text("0123456789", min_size=9, max_size=9))
def test_business_number_has_one_check_digit(digits: str) -> None:
    right = [last for last in "0123456789" if business_number_holds(digits + last)]

    assert len(right) == 1


@given(
    st.dates(min_value=datetime(1900, 1, 1, tzinfo=KOREA).date(), max_value=datetime(2099, 12, 31, tzinfo=KOREA).date())
)
def test_every_day_of_two_centuries_is_a_birth_date(day: Any) -> None:
    assert birth_date_holds(day.strftime("%y%m%d"))


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        *(("pwd_2digit", value, "must be 2 digits") for value in ("1", "123", wide("12"), "12\n")),
        *(("cvc", value, "must be 3 or 4 digits") for value in ("12", "12345", "abc")),
    ],
)
def test_password_and_cvc_have_their_digits(field: str, value: str, rule: str) -> None:
    assert ((field, rule),) == problems_with(**{field: value})


@pytest.mark.parametrize("cvc", ["123", "1234"])
def test_cvc_of_3_or_4_digits_is_taken(cvc: str) -> None:
    assert cvc == card(cvc=cvc).reveal()["cvc"]


def test_holder_data_reaches_its_limits() -> None:
    holder = {field: "가" * length for field, length in LIMITS.items()}

    assert PLAIN | holder == card(**holder).reveal()


@pytest.mark.parametrize("excess", [True, False], ids=["longer", "empty"])
def test_holder_data_beyond_its_limits_is_refused(*, excess: bool) -> None:
    holder = {field: "가" * (length + 1) if excess else "" for field, length in LIMITS.items()}

    assert tuple((field, f"must be 1 to {length} characters") for field, length in LIMITS.items()) == problems_with(
        **holder
    )


@pytest.mark.parametrize(
    "text", ["\0", "a\nb", "a\r", "\t", "\x1b[0m", "\x7f", "\u2028", "\u202e", "\ud800", "a\udfff"]
)
def test_holder_data_is_one_line_of_printable_text(text: str) -> None:
    rule = "must be printable text in one line"

    assert tuple((field, rule) for field in LIMITS) == problems_with(**dict.fromkeys(LIMITS, text))


@pytest.mark.parametrize("field", ["card_number", "expiry"])
def test_number_and_expiry_are_required(field: str) -> None:
    assert ((field, "is required"),) == problems_with(**{field: None})


@pytest.mark.parametrize("value", [4242424242424242, 4.2, True, ["4242424242424242"], {"n": NUMBER}])
def test_card_number_must_be_text(value: object) -> None:
    ((field, _),) = problems_with(card_number=value)

    assert field == "card_number"


def test_all_problems_are_named_at_once() -> None:
    wrong = {"card_number": "1", "expiry": "x", "birth": "y"}

    assert [field for field, _ in problems_with(**wrong)] == list(wrong)


def test_unknown_field_is_named() -> None:
    assert problems_with(pin="1234") == (("pin", "is not a field of this"),)


@pytest.mark.parametrize(
    "name", ["Card number 4242 4242 4242 4242", "홍길동", NUMBER, "900101", f"card_{NUMBER}", "card_number.4242"]
)
def test_value_gone_astray_into_a_field_name_is_not_repeated(name: str) -> None:
    assert problems_with(**{name: "x"}) == (("unknown field", "is not a field of this"),)


def test_fields_of_each_call_are_fields_of_a_card() -> None:
    assert set(Card.model_fields) == Card.fields_of_issue | Card.fields_of_onetime


@pytest.mark.parametrize(
    "show",
    [
        *(repr, str, lambda shown: f"{shown}", lambda shown: f"{shown!r:>2000}", "{0} {0!r}".format),
        lambda shown: shown.model_dump_json(),
        lambda shown: json.dumps(shown.model_dump(mode="json")),
        lambda shown: str(shown.model_dump()),
        lambda shown: str(vars(shown)),
        lambda shown: json.dumps({"card": shown}, default=str),
        lambda shown: repr(pickle.dumps(shown)),
        lambda shown: repr(pickle.loads(pickle.dumps(shown))),
        lambda shown: repr(copy.copy(shown)),
        lambda shown: repr(copy.deepcopy([shown])),
    ],
)
def test_shown_card_is_masked(show: Any) -> None:
    shown = card(cvc="987")

    text = show(shown)

    assert not [value for value in shown.reveal().values() if value in text]


def test_logged_card_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("merchant").warning("card %s %r", card(), {"card": card()})

    assert NUMBER not in caplog.text
    assert "**" in caplog.text


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_copied_card_is_the_same_card(duplicate: Any) -> None:
    original = card()

    assert original.reveal() == duplicate(original).reveal()


@pytest.mark.parametrize(
    "change",
    [
        lambda one: setattr(one, "card_number", OTHER),
        lambda one: setattr(one, OTHER, ""),
        lambda one: delattr(one, "birth"),
    ],
    ids=["assign", "add", "delete"],
)
def test_card_cannot_be_changed(change: Any) -> None:
    one = card()

    with pytest.raises(AttributeError) as caught:
        change(one)

    assert (str(caught.value), vars(caught.value)) == ("a card cannot be changed", {})
    assert one == card()


def test_copy_with_changes_is_masked() -> None:
    changed = lasting().model_copy(update={"card_number": OTHER, "birth": None})

    assert not [value for value in (OTHER, NUMBER, NAME) if value in f"{changed!r} {changed!s} {vars(changed)}"]


def test_copy_with_changes_is_the_card_with_them() -> None:
    changed = lasting().model_copy(update={"card_number": wide(OTHER), "birth": None})

    expected = {**lasting().reveal(), "card_number": OTHER}
    del expected["birth"]
    assert expected == changed.reveal()


@pytest.mark.parametrize("deep", [False, True])
def test_copy_without_changes_is_the_same_card(*, deep: bool) -> None:
    assert lasting() == lasting().model_copy(deep=deep)


@pytest.mark.parametrize(
    ("update", "problem"),
    [
        ({"card_number": NUMBER[:-1] + "1"}, ("card_number", "the check digit does not hold (mistyped?)")),
        ({"card_number": None}, ("card_number", "must be text")),
        ({"customer_name": "a\nb"}, ("customer_name", "must be printable text in one line")),
        ({NUMBER: "x"}, ("unknown field", "is not a field of this")),
    ],
)
def test_copy_with_changes_keeps_the_rules(update: dict[str, object], problem: tuple[str, str]) -> None:
    assert problems_of(lambda: lasting().model_copy(update=update)) == (problem,)


construct: Any = Card.model_construct


def test_constructed_card_is_masked() -> None:
    constructed = construct({"card_number"}, card_number=NUMBER, expiry="2099-12")

    assert NUMBER not in f"{constructed!r} {vars(constructed)}"
    assert constructed.reveal() == {"card_number": NUMBER, "expiry": "2099-12"}


def test_card_is_not_constructed_without_its_rules() -> None:
    assert problems_of(lambda: construct(card_number="4242", pin="1234")) == (
        ("card_number", "must be 14 to 16 digits"),
        ("expiry", "is required"),
        ("pin", "is not a field of this"),
    )


@pytest.mark.parametrize(
    "kind", [str, str.encode, lambda text: bytearray(text.encode())], ids=["str", "bytes", "array"]
)
def test_json_is_read_whichever_way_it_is_given(kind: Any) -> None:
    text = lasting().reveal_json().decode()

    assert lasting() == Card.model_validate_json(kind(text))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (json.dumps(PLAIN)[:-1], "is not JSON"),
        (f'{{"card_number":"{NUMBER}","card_number":"{NUMBER}"}}', "names a member twice"),
        (f'["{NUMBER}"]', "must be a JSON object"),
        (f'{{"card_number":"{NUMBER}\ud800"}}', "is not JSON"),
    ],
)
def test_broken_json_is_an_invalid_card_whichever_way_it_is_read(text: str, rule: str) -> None:
    with pytest.raises(InvalidCard) as caught:
        Card.model_validate_json(text)

    assert caught.value.problems == (("card", rule),)
    assert caught.value.__context__ is None


def test_traceback_of_an_invalid_card_shows_no_value() -> None:
    wrong = {"card_number": NUMBER[:-1] + "1", "expiry": "2019-01", "birth": "1234567890", "customer_name": NAME * 9}

    with pytest.raises(InvalidCard) as caught:
        card(**wrong)

    shown = "".join(traceback.format_exception(caught.value))
    assert not [value for value in wrong.values() if value in shown]


@given(
    st.dictionaries(
        st.sampled_from(sorted(Card.model_fields)),
        st.one_of(st.text("0123456789 -", min_size=3, max_size=40), st.integers(100), st.binary(), st.none()),
    )
)
def test_no_error_repeats_digits_of_its_input(members: dict[str, Any]) -> None:
    found = None
    try:
        Card.model_validate(members, context={"now": NOW})
    except InvalidCard as error:
        found = error

    shown = f"{found} {found!r} {found.args}" if found else ""
    assert not [run for text in map(str, members.values()) for run in re.findall("[0-9]{5,}", text) if run in shown]


def test_invalid_card_carries_nothing_of_its_cause() -> None:
    with pytest.raises(InvalidCard) as caught:
        card(card_number="4242")

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


PRINTABLE = st.characters(exclude_categories=["C", "Z"], include_characters=" ")


def personal_data(limit: int) -> st.SearchStrategy[str]:
    """Texts that are within the limit in the normal form, too, where U+00BC is three characters."""
    texts = st.text(PRINTABLE, min_size=1, max_size=min(limit, 16))
    return texts.filter(lambda text: len(unicodedata.normalize("NFKC", text)) <= limit)


PERSONAL_DATA = {name: personal_data(limit) for name, limit in LIMITS.items()}


@given(st.text("0123456789", min_size=15, max_size=15), st.fixed_dictionaries({}, optional=PERSONAL_DATA))
def test_revealed_card_is_read_again_as_it_was(digits: str, personal: dict[str, str]) -> None:
    original = card(card_number=with_check_digit(digits), **personal)

    again = Card.from_json(original.reveal_json(), now=NOW)

    assert original == again
    assert {name: again.reveal()[name] for name in personal} == {
        name: unicodedata.normalize("NFKC", text) for name, text in personal.items()
    }


def test_greatest_korean_card_is_read_again() -> None:
    greatest = card(cvc="1234", birth="1234567891", **{field: "가" * length for field, length in LIMITS.items()})

    assert greatest == Card.from_json(greatest.reveal_json(), now=NOW)


def card_of(length: int) -> Card:
    """A card whose JSON has that many bytes."""
    members = {field: "가" * limit for field, limit in LIMITS.items() if field != "customer_addr"}
    rest = length - len(card(**members, customer_addr="a").reveal_json()) + 1
    return card(**members, customer_addr="😀" * (rest // 4) + "a" * (rest % 4))


def test_card_at_the_limit_of_its_json_is_read_again() -> None:
    data = card_of(PLAINTEXT_LIMIT).reveal_json()

    assert len(data) == PLAINTEXT_LIMIT == 2400
    assert data == Card.from_json(data, now=NOW).reveal_json()


def test_card_beyond_the_limit_of_its_json_is_refused() -> None:
    assert problems_of(lambda: card_of(PLAINTEXT_LIMIT + 1)) == (("card", "is longer than 2400 bytes in all"),)


def test_revealed_json_is_compact_utf8_without_unset_members() -> None:
    revealed = card(birth=None, pwd_2digit=None).reveal_json()

    assert f'{{"card_number":"{NUMBER}","expiry":"2031-07","customer_name":"{NAME}"}}'.encode() == revealed


def test_reveal_is_limited_to_the_members_of_a_call() -> None:
    members = card(buyer_name=NAME).reveal(Card.fields_of_onetime)

    assert {"card_number", "expiry", "birth", "pwd_2digit", "buyer_name"} == set(members)


@pytest.mark.parametrize(
    ("masked", "fits"),
    [
        *((masked, True) for masked in ("424242******4242", "************4242", "424242**********")),
        *((masked, False) for masked in ("424242******0000", "999999******4242")),
        *((masked, None) for masked in ("*************242", "424242****4242", "", None)),
    ],
)
def test_a_masked_number_is_compared_digit_by_digit_where_it_tells(masked: str | None, fits: bool | None) -> None:
    assert card().fits(masked) is fits


@pytest.mark.parametrize(
    ("masked", "is_same"),
    [
        *((masked, True) for masked in ("424242******4242", "************4242", "4242************")),
        *((masked, False) for masked in ("424242******0000", "999999**********")),
        *((masked, None) for masked in ("******4242******", "424242****4242", "", None)),
    ],
)
def test_two_masked_numbers_are_compared_where_both_show_digits(masked: str | None, is_same: bool | None) -> None:
    assert same_digits("424242******4242", masked) is same_digits(masked, "424242******4242") is is_same


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        *((data, "is not JSON") for data in (b"", NUMBER.encode() + b"x", b"\xff" + NUMBER.encode(), b"[" * 2000)),
        *((data, "is not JSON") for data in (b"\xef\xbb\xbf{}", b'{"card_number":NaN}')),
        *((data, "must be a JSON object") for data in (b"null", NUMBER.encode(), b"[]")),
        (b'{"cvc":"123","cvc":"124"}', "names a member twice"),
        (b" " * (PLAINTEXT_LIMIT + 1), "is longer than 2400 bytes"),
    ],
)
def test_card_json_is_read_strictly(data: bytes, rule: str) -> None:
    assert (("card", rule),) == problems_of(lambda: Card.from_json(data, now=NOW))


def test_card_json_takes_its_time_from_the_caller() -> None:
    data = json.dumps(PLAIN).encode()

    with pytest.raises(InvalidCard, match="lies in the past"):
        Card.from_json(data, now=datetime(2031, 8, 1, tzinfo=KOREA).timestamp())


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_invalid_card(data: bytes) -> None:
    with pytest.raises(InvalidCard):
        Card.from_json(data, now=NOW)
