import csv
import io
import itertools
from collections.abc import Iterable
from datetime import datetime
from typing import TextIO

import pytest

from producer.contract.card_rules import KOREA
from producer.contract.open_fields import OWN_NUMBER
from producer.migrate.checker import Checker
from producer.migrate.dry_run import OTHER_DATA, SHARED, DryRun
from producer.migrate.source import Record, records
from tests.fake_iamport.cards import CARDS
from tests.producer.migrate_stage import VISA, checker, export, record_of


def dry_run(found: Iterable[Record], rules: Checker | None = None, report: TextIO | None = None) -> DryRun:
    rules = rules or checker()
    return DryRun.of(map(rules.check, found), rules.now(), report or io.StringIO())


ON_ANOTHER_LINE = OTHER_DATA.format("on another line".removeprefix("on "))


def at(year: int, month: int) -> float:
    return datetime(year, month, 15, tzinfo=KOREA).timestamp()


def test_rows_are_counted_as_good_or_by_what_is_wrong_with_them() -> None:
    data = export(
        f"a,{VISA},2031-07",
        f"b,{VISA},2020-01",
        f"c,4242424242424241,{'2031-07'}",
        f"d,{VISA}",
        "e",
        f"f,{VISA},2020-01",
    )

    tally = dry_run(records(io.BytesIO(data), is_json=None))

    assert (tally.rows, tally.good, tally.bad) == (6, 1, 5)
    assert tally.problems == {
        "expiry: lies in the past": 2,
        "card_number: the check digit does not hold (mistyped?)": 1,
        "has another number of fields than the header": 2,
    }


def test_all_rows_of_a_customer_who_has_several_cards_are_refused() -> None:
    found = [record_of(2, "a", expiry="never"), record_of(3, "a"), record_of(4, "b")]

    tally = dry_run([*found, record_of(5, "a", card_number="5555555555554444"), record_of(6, "a")])

    assert (tally.rows, tally.good, tally.bad) == (5, 1, 4)
    assert tally.problems == {ON_ANOTHER_LINE: 3, "expiry: must be YYYY-MM": 1}


def test_cards_are_counted_by_brand_those_that_hold() -> None:
    names = ("visa", "mastercard", "amex", "jcb", "diners", "domestic", "visa")
    found = [record_of(line, f"u{line}", card_number=CARDS[name].card_number) for line, name in enumerate(names, 2)]

    tally = dry_run([*found, record_of(9, "u9", card_number="4242424242424241")])

    assert tally.brands == {"visa": 2, "mastercard": 1, "amex": 1, "jcb": 1, "diners": 1, "domestic": 1}


@pytest.mark.parametrize(
    ("now", "soon", "later"),
    [((2026, 8), "2026-11", "2026-12"), ((2026, 9), "2026-12", "2027-01"), ((2026, 10), "2027-01", "2027-02"),
     ((2026, 11), "2027-02", "2027-03"), ((2026, 12), "2027-03", "2027-04")],
)  # fmt: skip
def test_cards_that_expire_within_three_months_are_counted_across_the_years_end(
    now: tuple[int, int], soon: str, later: str
) -> None:
    this_month = f"{now[0]}-{now[1]:02}"
    found = [record_of(line, f"u{line}", expiry=text) for line, text in enumerate((this_month, soon, later, "2031-07"))]

    tally = dry_run(found, checker(now=lambda: at(*now)))

    assert (tally.good, tally.expiring_soon, tally.soon) == (4, 2, soon)


@pytest.mark.parametrize("uid", ["=1+1", "\N{FULLWIDTH EQUALS SIGN}1+1", "\N{FULLWIDTH COMMERCIAL AT}a"])
def test_no_cell_of_the_report_begins_as_a_formula_does(uid: str) -> None:
    report = io.StringIO()

    dry_run([record_of(2, uid, expiry="-")], report=report)

    _, (line, shown, problem, *_) = csv.reader(report.getvalue().splitlines())
    assert (line, shown, problem[0].isalpha()) == ("2", f"'{uid}", True)


def test_the_report_lists_every_row_and_shows_no_card() -> None:
    report = io.StringIO()
    found = [
        *(record_of(2, "a"), record_of(3, "=1+1", expiry="2020-01"), Record(4, {}, "is no CSV"), record_of(5, "a")),
        record_of(6, VISA),
    ]

    dry_run(found, report=report)

    assert report.getvalue().splitlines() == [
        "line,customer_uid,problem,warning,card_number,verdict",
        "2,a,,birth: is missing; pwd_2digit: is missing,424242******4242,send",
        "3,'=1+1,expiry: lies in the past,,,refused",
        "4,,is no CSV,,,refused",
        "5,a,,,424242******4242,repeat",
        f'6,***,"customer_uid: {OWN_NUMBER}",,,refused',
    ]


def test_the_text_tells_every_count() -> None:
    first = [record_of(2, "a", expiry="2026-12"), record_of(3, "b", expiry="12/26"), record_of(4, "u5")]
    found = [*first, *(record_of(n, f"u{n}") for n in range(5, 1504))]

    text = dry_run(found).text()

    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "1,502 rows",
        "1,500 would be sent",
        "1 would not",
        "1 expiry: must be YYYY-MM",
        "1 the same as an earlier row, passed over",
        "1 of those to be sent expire within 3 months (by 2027-02)",
        "1,500 warning: birth: is missing",
        "1,500 warning: pwd_2digit: is missing",
        f"1,500 warning: {SHARED}",
        "1,500 visa",
    ]


def test_rows_are_looked_at_as_they_come_and_none_are_no_trouble() -> None:
    lines = itertools.count(2)

    some = dry_run(record_of(line, f"u{line}") for line in itertools.islice(lines, 5))
    none = dry_run([])

    assert (some.rows, next(lines)) == (5, 7)
    assert (none.rows, none.good, none.bad) == (0, 0, 0)
