import codecs
import io
from typing import Any

import pytest

from producer.migrate.columns import Columns, Template
from producer.migrate.dry_run import DryRun
from producer.migrate.gateways import GATEWAYS
from producer.migrate.lines import SourceError
from producer.migrate.source import Source, records
from tests.producer.migrate_stage import EXPIRY, HEADER, MASTERCARD, NOW, VISA, checker, customers, export

KOREAN = {"고객": "customer_uid", "카드번호": "card_number", "유효기간": "expiry"}
KOREAN_FILE = f"고객,카드번호,유효기간,이름\nu1,{VISA},{EXPIRY},홍길동\n"
DEFAULT = ("main", Template("yes"))


def read(data: bytes, **options: Any) -> Source:
    return records(io.BytesIO(data), is_json=None, **options)


def uids(data: bytes, **options: Any) -> list[str | None]:
    return [record.fields.get("customer_uid") for record in read(data, **options)]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("begin", ["", "\n\n"])
def test_the_separator_is_taken_from_the_header(sign: str, begin: str) -> None:
    data = begin + export(f"u1,{VISA},{EXPIRY}", f'"a;b,c|d",{VISA},{EXPIRY}').decode().replace(",", sign)

    assert uids(data.encode())[0] == "u1"


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_a_line_that_names_the_separator_is_no_header(sign: str) -> None:
    assert uids(f"SEP={sign}\r\n".encode() + customers("u1").replace(b",", sign.encode())) == ["u1"]


@pytest.mark.parametrize(
    "data",
    [
        *(KOREAN_FILE.encode(name) for name in ("utf-8", "utf-8-sig", "utf-16", "cp949")),
        codecs.BOM_UTF16_BE + KOREAN_FILE.encode("utf-16-be"),
        KOREAN_FILE.replace("\n", "\r\n").encode("utf-16") + "\x1a".encode("utf-16-le"),
    ],
)
def test_the_encoding_is_recognised_and_nothing_is_lost(data: bytes) -> None:
    (record,) = read(data, columns=Columns({**KOREAN, "이름": "customer_name"}))

    assert record.fields["customer_name"] == "홍길동"


def test_half_a_character_at_the_end_of_utf_16_is_a_problem_of_its_line() -> None:
    found = list(read(KOREAN_FILE.encode("utf-16")[:-1], columns=Columns(KOREAN)))

    assert [record.problem for record in found] == ["is no utf-16"]


@pytest.mark.parametrize("header", ["CUSTOMER_UID,Card_Number, expiry ", '"customer_uid","card_number","Expiry"'])
def test_names_of_columns_are_compared_without_regard_to_case_and_outer_spaces(header: str) -> None:
    assert uids(export(f"u1,{VISA},{EXPIRY}", header=header)) == ["u1"]


@pytest.mark.parametrize("data", [customers("u1") + b"\x1a", customers("u1")[:-1] + b"\x1a\x1a"])
def test_the_end_of_file_of_dos_is_no_row_and_ends_the_last_line(data: bytes) -> None:
    assert uids(data, must_end=True) == ["u1"]


@pytest.mark.parametrize(
    "data", [b'[{"customer_uid": "u1"}]', b"[\n{}\n]\n", b'{\n"customer_uid": "u1"}\n', b"\n [1,\n"]
)
def test_a_json_document_over_many_lines_says_what_is_wanted(data: bytes) -> None:
    with pytest.raises(SourceError, match="is a JSON document; JSON Lines is wanted, one object per line"):
        read(data)


def test_a_json_number_is_refused_by_the_name_of_its_customer_and_one_of_a_month_is_read() -> None:
    data = (
        b'{"customer_uid": "u1", "card_number": 4242}\n{"customer_uid": "u2", "expiry_month": 7, "expiry_year": 2031}\n'
    )

    bad, good = read(data)

    assert (bad.fields, bad.problem) == ({"customer_uid": "u1"}, "card_number must be text")
    assert good.fields == {"customer_uid": "u2", "expiry_month": "7", "expiry_year": "2031"}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (f"{HEADER},Expiry", "names expiry twice"),
        (f"{HEADER},expiry_month", "names expiry and expiry_month; map one of them only"),
        (f"{HEADER},main,MAIN", "names main twice"),
    ],
)
def test_a_column_that_is_there_twice_is_refused_by_name(header: str, words: str) -> None:
    with pytest.raises(SourceError, match=f"line 1: the header {words}"):
        read(export(header=header), columns=Columns(default=DEFAULT) if "main" in header else None)


def test_columns_that_nobody_asks_for_may_be_there_twice() -> None:
    assert uids(export(f"u1,{VISA},{EXPIRY},,", header=f"{HEADER},,")) == ["u1"]


@pytest.mark.parametrize(
    "data",
    [
        export(f"c1,7,{VISA},{EXPIRY}", f"c1,,{VISA},{EXPIRY}", header="Customer,card_id,card_number,expiry"),
        b'{"customer": "c1", "card_id": 7}\n{"customer": "c1", "card_id": null}\n',
    ],
)
def test_a_customer_uid_is_made_of_columns_and_of_all_of_them(data: bytes) -> None:
    assert uids(data, columns=Columns(uid=Template("{customer}_{CARD_ID}"))) == ["c1_7", None]


def verdicts(data: bytes, columns: Columns) -> list[str]:
    report = io.StringIO()
    DryRun.of(map(checker().check, read(data, columns=columns)), NOW, report)
    return [line.rpartition(",")[2] for line in report.getvalue().splitlines()[1:]]


@pytest.mark.parametrize(
    ("marks", "found"),
    [
        (("yes", "no", "no"), ["send", "other_card", "other_card"]),
        (("no", "YES", ""), ["other_card", "send", "other_card"]),
        (("no", "no", "no"), ["refused", "refused", "refused"]),
        (("yes", "yes", "no"), ["refused", "refused", "refused"]),
    ],
)
def test_of_several_cards_the_one_that_is_marked_is_sent(marks: tuple[str, ...], found: list[str]) -> None:
    cards = zip((VISA, MASTERCARD, "4111111111111111"), marks, strict=True)
    data = export(*(f"u1,{number},{EXPIRY},{mark}" for number, mark in cards), header=f"{HEADER},main")

    assert verdicts(data, Columns(default=DEFAULT)) == found


STRIPE = "ID,NAME,CARD.EXP_MONTH,CARD.EXP_YEAR,CARD.ID,CARD.NUMBER"


@pytest.mark.parametrize(
    ("header", "end", "found"),
    [
        (f"{STRIPE},DEFAULT_SOURCE", ",card_2", ["other_card", "send", "send"]),
        (STRIPE, "", ["refused", "refused", "send"]),
    ],
)
def test_the_export_of_stripe_is_read_with_its_mark_if_it_has_one(header: str, end: str, found: list[str]) -> None:
    ready = GATEWAYS["stripe"]
    column, _, value = str(ready.default).partition("=")
    columns = Columns(ready.names, default=(column, Template(value)), is_default_optional=True)
    rows = (f"cus_1,K,7,2031,card_1,{VISA}", f"cus_1,K,9,2031,card_2,{MASTERCARD}", f"cus_2,L,9,2031,card_2,{VISA}")

    assert verdicts(export(*(row + end for row in rows), header=header), columns) == found
