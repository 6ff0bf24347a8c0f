import pytest

from producer.migrate.fields import Reading, formats_of
from producer.migrate.source import Record
from tests.producer.migrate_stage import NOW, VISA, checker, record_of

WIDE = "\uff14\uff12" * 8


def members(*readings: Reading, **fields: str) -> tuple[dict[str, str], dict[str, str]]:
    found, problems = [*readings, Reading()][0].members(fields, NOW)
    return found, dict(problems)


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        *(("card_number", f" {VISA}\u00a0", VISA), ("card_number", f"'{VISA}", VISA), ("card_number", WIDE, VISA)),
        *(("card_number", f"\u200b{VISA}\ufeff", VISA), ("card_number", "4242 4242 4242 4242", VISA)),
        *(("pwd_2digit", " 05 ", "05"), ("pwd_2digit", "'05", "05"), ("cvc", "\uff11\uff12\uff13", "123")),
        *(("birth", "19900101", "900101"), ("birth", "1990-01-01", "900101"), ("birth", "2000/02/29", "000229")),
        *(("birth", "'900101", "900101"), ("birth", "123-45-67890", "123-45-67890")),
        *(("customer_name", " 't Hooft ", "'t Hooft"), ("customer_name", "   ", None), ("birth", "\u3000", None)),
    ],
)
def test_a_field_loses_what_says_nothing(name: str, text: str, read: str | None) -> None:
    found, problems = members(**{name: text})

    assert (found.get(name), problems) == (read, {})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        *(("birth", "10203", "leading zero"), ("birth", "203", "leading zero"), ("pwd_2digit", "5", "leading zero")),
        *(("birth", "900101-1234567", "resident number"), ("birth", "9001011234567", "resident number")),
        *(
            ("birth", "900101-1******", "resident number"),
            ("birth", "2090-01-01", "past"),
            ("birth", "19900231", "past"),
        ),
        *(("birth", "10101.0", "decimal point"), ("card_number", "378282246310005.0", "decimal point")),
        *(("card_number", "4.24242E+15", "exponent"), ("card_number", "4,24242E+15", "exponent")),
        ("pwd_2digit", "5.0", "decimal point"),
    ],
)
def test_a_field_that_may_have_lost_something_is_refused_and_never_guessed(name: str, text: str, words: str) -> None:
    found, problems = members(**{name: text})

    assert found == {}
    assert words in problems[name]


@pytest.mark.parametrize(("name", "text", "read"), [("birth", "10203", "010203"), ("pwd_2digit", "5", "05")])
def test_a_lost_zero_is_put_back_where_that_is_asked_for(name: str, text: str, read: str) -> None:
    assert members(Reading(pad_zeros=True), **{name: text}) == ({name: read}, {})


@pytest.mark.parametrize(
    ("month", "year", "expiry", "problem"),
    [
        *(("7", "2031", "2031-07", {}), ("07", "31", "2031-07", {}), ("12", " 2031 ", "2031-12", {})),
        *(("13", "2031", None, "expiry_month"), ("", "2031", None, "expiry_month"), ("7", "1931", None, "expiry_year")),
        ("7", "", None, "expiry_year"),
    ],
)
def test_month_and_year_may_stand_apart(month: str, year: str, expiry: str | None, problem: str) -> None:
    found, problems = members(expiry_month=month, expiry_year=year)

    assert found.get("expiry") == expiry
    assert list(problems) == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        *(("2031/07", {"YYYY/MM"}), ("31/07", {"YY/MM"}), ("07/12", {"YY/MM", "MM/YY"}), ("1231", {"MMYY"})),
        *(("2031-7-1", {"YYYY-MM-DD"}), ("1212", {"MMYY", "YYMM"}), ("July 2031", set())),
    ],
)
def test_every_format_that_reads_an_expiry_is_told(text: str, forms: set[str]) -> None:
    assert formats_of(text) == forms


@pytest.mark.parametrize("name", ["customer_uid", "customer_id"])
@pytest.mark.parametrize("text", ["1.23457E+11", "1,23457e+11", "1E+15", "1.5e15", "'123"])
def test_what_a_spreadsheet_made_of_an_id_is_refused(name: str, text: str) -> None:
    row = checker().check(Record(2, {**record_of(2, "u1").fields, name: text}))

    assert str(row.problem).startswith(f"{name}: ")


@pytest.mark.parametrize("uid", ["12e4", "1e15", "9E0A4F12", "20261127-0000417", "1795790400000", "2026112714475400"])
def test_an_id_that_only_looks_like_that_is_taken(uid: str) -> None:
    assert checker().check(record_of(2, uid)).problem is None


def test_a_required_field_that_is_missing_or_empty_is_refused() -> None:
    rules = checker(required=frozenset({"birth", "pwd_2digit"}))

    assert rules.check(record_of(2, "u1", birth=" ")).problem == "birth: is required; pwd_2digit: is required"
    assert rules.check(record_of(2, "u1", birth="900101", pwd_2digit="12")).problem is None


@pytest.mark.parametrize("uid", ["u1", "customer_00000001", "2026112714475400", "a b", "900101-1234568", VISA, "."])
@pytest.mark.parametrize("fields", [{}, {"birth": "900101"}, {"birth": "x"}, {"pg": "a b"}, {"customer_name": "김"}])
def test_a_dry_run_judges_as_a_run_does(uid: str, fields: dict[str, str]) -> None:
    record = record_of(2, uid, **fields)

    assert checker(is_dry=True).check(record)[3] == checker().check(record)[3]
