import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.card import Card
from producer.contract.open_fields import LIKE_A_PERSONS, OWN_BIRTH, OWN_NUMBER
from producer.enqueue import IssueRequest
from producer.migrate.checker import CARD_LIKE, shown
from producer.migrate.columns import REQUEST_FIELDS, REQUIRED
from producer.migrate.fields import EXPIRY_FORMATS, Reading
from producer.migrate.source import Record
from tests.producer.migrate_stage import EXPIRY, MASTERCARD, REPEATABLE, VISA, checker, record_of

UIDS_LIKE_CARDS = ["20260101123456", "user_20260101_123456", "550e8400-e29b-41d4-a716-446655440000"]
UIDS_LIKE_CARDS += [f"u-{MASTERCARD}", "5555555555554445", "9999010000000001", "1764320381123", "261128-00000005"]


def test_a_good_record_becomes_a_request() -> None:
    row = checker().check(record_of(7, "gildong", birth="900101", pg="nice", channel_key="k", customer_id="c"))

    card = Card(card_number=VISA, expiry=EXPIRY, birth="900101")
    assert (row.line, row.customer_uid, row.problem) == (7, "gildong", None)
    assert row.request == IssueRequest(
        customer_uid="gildong",
        card=card,
        pg="nice",
        channel_key="k",
        customer_id="c",
        idempotency_key="migration:m:1:gildong",
        deadline_s=900.0,
    )


def test_defaults_hold_for_rows_that_do_not_say() -> None:
    rules = checker(defaults={"pg": "nice", "channel_key": "k"})

    silent, saying = rules.check(record_of(2, "a")).request, rules.check(record_of(3, "b", pg="kcp")).request

    assert silent is not None
    assert saying is not None
    assert (silent.pg, silent.channel_key) == ("nice", "k")
    assert (saying.pg, saying.channel_key) == ("kcp", "k")


def test_what_the_source_could_not_read_keeps_its_reason() -> None:
    row = checker().check(Record(9, {}, "is no CSV"))

    assert (row.line, row.customer_uid, row.request, row.problem) == (9, "", None, "is no CSV")


EXPIRIES = [
    *(("YYYY-MM", "2031-07", True), ("YYYYMM", "203107", True), ("YYMM", "3107", True), ("MMYY", "0731", True)),
    *(("MM/YY", "07/31", True), ("MM/YYYY", " 07/2031 ", True), ("YYYY/MM", "2031/07", True), ("YY/MM", "31/7", True)),
    *(("YYYY-MM-DD", "2031-07-31", True), ("MM.YYYY", "7.2031", True), ("YYYY-MM", "2031-7", True)),
    *(("MM/YY", "7/31", True), ("MMYY", "731", True), ("YYYYMM", "20317", True), ("MM/YYYY", "\uff17/2031", True)),
    *(("YYMM", "317", False), ("YYYY-MM", "'2031-07", True), ("YYYY-MM-DD", "2031-07-32", False)),
    *(("MM/YY", "13/31", False), ("YYYYMM", "2031-07", False), ("MM.YYYY", "7/2031", False)),
    *(("YYMM", "203107", False), ("MMYY", "1331", False), ("YYMM", "3100", False), ("YYYYMM", "193107", False)),
    ("YYYY-MM", "07/31", False),
]


@pytest.mark.parametrize(("form", "text", "is_one"), EXPIRIES)
def test_expiry_is_read_in_the_format_that_is_named_and_in_no_other(form: str, text: str, is_one: bool) -> None:
    row = checker(reading=Reading(form)).check(record_of(2, "gildong", expiry=text))

    assert row.card == (Card(card_number=VISA, expiry="2031-07") if is_one else None)
    assert row.problem == (None if is_one else f"expiry: must be {form}")


def test_every_expiry_format_is_tried_here() -> None:
    assert EXPIRY_FORMATS.keys() == {form for form, _, is_one in EXPIRIES if is_one}


def test_an_expiry_in_another_format_hides_no_other_problem_of_the_request() -> None:
    row = checker(reading=Reading("MMYY")).check(record_of(2, "a b", expiry="2031-07"))

    assert str(row.problem).startswith("customer_uid: ")
    assert str(row.problem).endswith("; expiry: must be MMYY")


@pytest.mark.parametrize(
    ("seconds", "is_good"), [(0, True), (864_000 + 15 * 3600 - 1, True), (864_000 + 15 * 3600, False)]
)
def test_a_card_is_good_until_its_month_ends_in_korea(seconds: float, is_good: bool) -> None:
    rules = checker(now=lambda: 1_795_132_800 + seconds)  # from 2026-11-20 00:00 UTC on

    row = rules.check(record_of(2, "gildong", expiry="2026-11"))

    assert row.problem == (None if is_good else "expiry: lies in the past")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_field_is_named(name: str) -> None:
    fields = {key: text for key, text in record_of(2, "gildong").fields.items() if key != name}

    assert checker().check(Record(2, fields)).problem == f"{name}: is required"


@pytest.mark.parametrize("name", [*(name for name in REQUEST_FIELDS if name != "customer_uid"), *Card.model_fields])
def test_a_wrong_value_is_told_by_its_field_and_never_shown(name: str) -> None:
    secret = "\N{ZERO WIDTH SPACE}마법사" * 80

    row = checker().check(record_of(2, "gildong", **{name: secret}))

    assert row.request is None
    assert str(row.problem).startswith(f"{name}: ")
    assert "마" not in str(row)


def test_all_that_is_wrong_is_told_at_once() -> None:
    row = checker().check(Record(2, {"customer_uid": "a", "pg": "a b", "card_number": "4242", "birth": "x"}))

    assert [part.partition(":")[0] for part in str(row.problem).split("; ")] == ["pg", "card_number", "expiry", "birth"]


@pytest.mark.parametrize("number", [VISA, "4242-4242-4242-4242", "4242.4242.4242.4242"])
@pytest.mark.parametrize("uid", ["{}", "u{}", "{}@example.com"])
def test_a_customer_uid_that_holds_the_card_number_is_refused_and_masked(uid: str, number: str) -> None:
    row = checker().check(record_of(2, uid.format(number)))

    assert (row.request, row.problem) == (None, f"customer_uid: {OWN_NUMBER}")
    assert row.customer_uid == uid.format("***")


@pytest.mark.parametrize("name", ["customer_uid", "pg", "channel_key", "customer_id"])
@pytest.mark.parametrize(
    "text", [VISA, f"u{VISA}", "4242-4242-4242-4242", "4242.4242.4242.4242", "u_4242_42424242_4242"]
)
def test_no_field_outside_the_seal_may_hold_the_card_number(name: str, text: str) -> None:
    row = checker().check(Record(2, {**record_of(2, "gildong").fields, name: text}))

    assert row.request is None
    assert f"{name}: {OWN_NUMBER}" in str(row.problem)
    assert "4242" not in row.customer_uid


@pytest.mark.parametrize("name", ["customer_uid", "customer_id"])
def test_no_field_outside_the_seal_may_hold_the_birth_date_of_a_resident_number(name: str) -> None:
    row = checker().check(Record(2, {**record_of(2, "gildong", birth="900101").fields, name: "u900101-1234567"}))

    assert (row.request, row.problem) == (None, f"{name}: {OWN_BIRTH}")
    assert "900101" not in row.customer_uid


@pytest.mark.parametrize("uid", [MASTERCARD, "5555-5555-5555-4444", "900101-1234568"])
def test_a_customer_uid_that_is_another_persons_number_is_refused_and_masked(uid: str) -> None:
    row = checker().check(record_of(2, uid))

    assert (row.request, row.problem, row.customer_uid) == (None, f"customer_uid: {LIKE_A_PERSONS}", "***")


def test_a_personal_number_is_told_also_of_a_row_whose_card_cannot_be_read() -> None:
    row = checker().check(record_of(2, MASTERCARD, card_number="4242"))

    assert [part.partition(":")[0] for part in str(row.problem).split("; ")] == ["card_number", "customer_uid"]


@pytest.mark.parametrize("uid", UIDS_LIKE_CARDS)
def test_a_customer_uid_that_only_looks_like_a_card_number_is_accepted_as_it_is(uid: str) -> None:
    row = checker().check(record_of(2, uid))

    assert (row.customer_uid, row.problem) == (uid, None)


# What is shown of a row that does not hold


@pytest.mark.parametrize(
    ("uid", "text"),
    [
        ("", ""),
        ("gildong", "gildong"),
        ("홍 길동", "홍 길동"),
        ("010-1234-5678", "010-1234-5678"),
        ("a\nb\x1b[31mc\0", "a b [31mc "),
        ("\ud800", " "),
        ("=1+1", "=1+1"),
        (VISA, "***"),
        (f"a{VISA}b", "a***b"),
        ("4242 4242 4242 4242", "***"),
        ("4242-4242-4242-4242 a 5555.5555.5555.4444", "*** a ***"),
        ("".join(chr(ord(digit) + 0xFEE0) for digit in VISA), "***"),
        ("3782822463100", "***"),
        ("x" * 100, "x" * 80),
    ],
)
def test_of_a_customer_uid_that_does_not_hold_only_harmless_text_is_shown(uid: str, text: str) -> None:
    assert shown(uid) == text


GAPS = [" - ", "  ", "\t\t"]


@pytest.mark.parametrize("uid", [*(gap.join(["4242"] * 4) for gap in GAPS), "x" * 68 + VISA])
def test_a_card_number_with_wide_gaps_or_where_the_text_is_cut_is_not_shown(uid: str) -> None:
    assert "4242" not in shown(uid)


@REPEATABLE
@given(st.text("0123456789 -.ab", max_size=60), st.integers(0, 60))
def test_no_run_of_digits_that_a_card_number_could_be_is_shown(text: str, at: int) -> None:
    assert CARD_LIKE.search(shown(text[:at] + VISA + text[at:])) is None
