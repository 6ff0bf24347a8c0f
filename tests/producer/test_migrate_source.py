import codecs
import contextlib
import csv
import io
import itertools
import re
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producer.cli.migrate_options import columns_of
from producer.migrate.columns import FIELDS, REQUIRED, Columns
from producer.migrate.lines import RECORD_LIMIT, CutOff, SourceError
from producer.migrate.source import Record, records
from tests.producer.migrate_stage import EXPIRY, HEADER, REPEATABLE, VISA, Pieces, byte_by_byte, customers, export

ROW = f"gildong,{VISA},{EXPIRY}"
GILDONG = {"customer_uid": "gildong", "card_number": VISA, "expiry": EXPIRY}
NAMED = f"{HEADER},customer_name"
MANY = b"".join(b"u%d,%s,2031-07\n" % (number, VISA.encode()) for number in range(30))

LONGEST = f"{'u' * (RECORD_LIMIT - 26)},{VISA},{EXPIRY}"  # with its line end

FIELD = f"(?:{'|'.join(FIELDS)})"
PROBLEMS = re.compile(
    rf"is no (?:utf-8|CSV|JSON object)|is longer than {RECORD_LIMIT} bytes|has a NUL|is the header once more"
    r"|has \d+ fields, the header has \d+|has a quote that does not end|names a member twice"
    rf"|names {FIELD} twice|{FIELD} must be text"
)
ERRORS = re.compile(
    rf"line \d+: (?:the source is empty|is a JSON document; JSON Lines is wanted, one object per line \(jq .*\)"
    rf"|the header (?:is missing|{PROBLEMS.pattern})"
    rf"|the header names no {FIELD}; say which column it is with --map COLUMN={FIELD}"
    rf"|the header names {FIELD}(?:, {FIELD})* twice"
    r"|the last line has no line end; the source may have been cut off there \(if it is whole, say so with "
    r"--accept-unterminated\)|ends in the middle of a record; the source was cut off there)"
)


def read(data: bytes, **options: Any) -> list[Record]:
    return list(records(io.BytesIO(data), **{"is_json": None, **options}))


def read_one(data: bytes, **options: Any) -> Record:
    (found,) = read(data, **options)
    return found


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """Errors of the source have one of the texts above; other exceptions are as they are."""
    try:
        yield
    except SourceError as error:
        text = str(error)
        if not ERRORS.fullmatch(text):
            raise AssertionError(text) from None
        raise


def problems(found: list[Record]) -> dict[int, str | None]:
    return {record.line: record.problem for record in found}


# CSV


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("홍길동", "홍길동"),
        ('"홍길동"', "홍길동"),
        ('"Hong, Gildong"', "Hong, Gildong"),
        ('"Hong ""Gil"" Dong"', 'Hong "Gil" Dong'),
        ('"Hong\nGildong"', "Hong\nGildong"),
        ('"Hong\r\nGil\r\ndong"', "Hong\r\nGil\r\ndong"),
        ('"""', None),
        ('""""', '"'),
    ],
)
def test_quoted_fields_are_read_as_rfc_4180_has_them(cell: str, text: str | None) -> None:
    found = read(export(f"{ROW},{cell}", header=NAMED))

    assert [record.fields.get("customer_name") for record in found] == [text]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "UTF-8", "utf8"])
@pytest.mark.parametrize(
    "data", [export(ROW), export(ROW, end="\r\n"), codecs.BOM_UTF8 + export(ROW), export(ROW)[:-1]]
)
def test_line_ends_a_byte_order_mark_and_the_spelling_of_utf_8_make_no_difference(data: bytes, encoding: str) -> None:
    assert read(data, encoding=encoding) == [Record(2, GILDONG)]


def test_columns_come_in_any_order_and_those_that_nobody_knows_are_left_out() -> None:
    data = export(f"2031-07,blue,{VISA},gildong", header="expiry,colour, card_number ,customer_uid")

    assert read(data) == [Record(2, GILDONG)]


def test_mapped_columns_become_our_fields() -> None:
    data = export(ROW, header="고객,card,expiry")

    assert read(data, columns=Columns(columns_of(["고객=customer_uid", "card=card_number"]))) == [Record(2, GILDONG)]


@pytest.mark.parametrize("text", ["card", "=card_number", "card=", "card=colour", "card=card_number=x"])
def test_a_mapping_to_no_field_of_ours_is_refused_with_the_fields_that_there_are(text: str) -> None:
    with pytest.raises(SourceError, match="--map: must be COLUMN=FIELD, with a field of: customer_uid, pg"):
        columns_of([text])


def test_a_mapped_column_that_is_not_there_is_named() -> None:
    with pytest.raises(SourceError, match="line 1: the header has no column kard, which --map names"):
        read(export(ROW), columns=Columns({"kard": "card_number"}))


@pytest.mark.parametrize("encoding", ["cp949", "euc-kr"])
def test_korean_encodings_are_read(encoding: str) -> None:
    data = export(f"{ROW},홍길동", header=NAMED).decode().encode(encoding)

    assert read_one(data, encoding=encoding).fields["customer_name"] == "홍길동"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_header_without_a_needed_column_says_which(name: str) -> None:
    with pytest.raises(SourceError, match=rf"line 1: the header names no {name}; .* --map COLUMN={name}"):
        read(export(ROW, header=HEADER.replace(name, "other")))


def test_a_file_without_a_header_is_refused_and_not_quoted() -> None:
    with pytest.raises(SourceError) as caught:
        read(export(ROW, header=ROW))

    assert VISA not in str(caught.value)


def test_a_field_that_two_columns_give_is_refused() -> None:
    with pytest.raises(SourceError, match=r"line 1: the header names birth, expiry twice"):
        read(export(header=f"{HEADER},birth,birth,expiry"))
    with pytest.raises(SourceError, match="line 1: the header names card_number twice"):
        read(export(header=f"{HEADER},card"), columns=Columns({"card": "card_number"}))


WIDE = "has 4 fields, the header has 3"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        pytest.param([HEADER, ROW], {2: "is the header once more", 3: None}, id="second header"),
        pytest.param(["gildong", ROW], {2: "has 1 fields, the header has 3", 3: None}, id="one field"),
        pytest.param([f"{ROW},x", ROW, f"{ROW},"], {2: WIDE, 3: None, 4: WIDE}, id="too many fields"),
        pytest.param([ROW, f"a\0b,{VISA},{EXPIRY}", ROW], {2: None, 3: "has a NUL", 4: None}, id="NUL"),
        pytest.param([f'"gil"dong,{VISA},{EXPIRY}', ROW], {2: "is no CSV", 3: None}, id="text after a quote"),
        pytest.param([f"gil\rdong,{VISA},{EXPIRY}", ROW], {2: "is no CSV", 3: None}, id="lone carriage return"),
        pytest.param([f'"{ROW}', ROW], {2: "has a quote that does not end", 3: None}, id="quote without an end"),
        pytest.param([f'gil"dong,{VISA},{EXPIRY}'] * 2, {2: None, 3: None}, id="two stray quotes"),
        pytest.param([LONGEST, f"u{LONGEST}", ROW], {2: None, 3: "is longer than 65536 bytes", 4: None}, id="too long"),
    ],
)
def test_a_line_that_is_no_row_costs_itself_only(lines: list[str], found: dict[int, str | None]) -> None:
    assert problems(read(export(*lines))) == found


def test_lines_with_nothing_in_them_are_passed_over_and_counted_and_empty_fields_left_out() -> None:
    data = export("", f"{ROW},", "", ",,,", " , ,\u3000,", f"{ROW},", '"","","",""', header=NAMED, end="\r\n")

    source = records(io.BytesIO(data), is_json=None)

    assert list(source) == [Record(3, GILDONG), Record(7, GILDONG)]
    assert source.empty == 5


def test_a_wrong_encoding_costs_its_line_only() -> None:
    found = read(customers("a") + "길동,1,2\n".encode("cp949") + MANY)

    assert [record.line for record in found] == list(range(2, 34))
    assert [record.line for record in found if record.problem == "is no utf-8"] == [3]


@pytest.mark.parametrize("stray", [f'"{ROW}', f'gil"dong,{VISA},{EXPIRY}', f'gildong,{VISA},{EXPIRY}"'])
def test_a_stray_quote_costs_its_own_line_only(stray: str) -> None:
    found = read(export(stray) + MANY)

    assert [record.line for record in found] == list(range(2, 33))
    assert [record.line for record in found[1:] if record.problem] == []


def test_a_field_over_more_lines_than_a_record_may_have_is_none() -> None:
    most, more = f'{ROW},"' + "a\n" * 19 + '"', f'{ROW},"' + "b\n" * 20 + '"'

    found = read(export(most, more, f"{ROW},c", header=NAMED))

    assert [record.line for record in found if record.problem is None] == [2, 43]


def problems_in_little_memory(*pieces: Iterable[bytes]) -> list[str | None]:
    tracemalloc.start()
    found = [record.problem for record in records(Pieces(itertools.chain(*pieces)), is_json=None)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    return found


def test_a_line_of_a_gigabyte_is_passed_over_in_constant_memory() -> None:
    filler = itertools.repeat(b"x" * 65_536, 2**30 // 65_536)

    found = problems_in_little_memory([customers("a")], filler, [b"\n", ROW.encode(), b"\n"])

    assert found == [None, "is longer than 65536 bytes", None]


def test_a_source_of_many_rows_is_read_in_constant_memory() -> None:
    assert problems_in_little_memory([customers()], itertools.repeat(MANY, 100)) == [None] * 3000


@pytest.mark.parametrize("data", [export(ROW, ROW), b'{"customer_uid": "a"}\n{"customer_uid": "b"}\n'])
def test_a_source_that_comes_byte_by_byte_is_read_as_a_whole_one_is(data: bytes) -> None:
    assert list(records(byte_by_byte(data), is_json=None)) == read(data)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, b"\n"])
def test_json_lines_are_recognised_however_short_the_first_piece_is(mark: bytes) -> None:
    found = list(records(byte_by_byte(mark + b'{"customer_uid": "a"}\n'), is_json=None))

    assert [record.fields for record in found] == [{"customer_uid": "a"}]


# The source as a whole


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the source is empty"),
        *((data, "the header is missing") for data in (b"\n", b"\r\n\r\n", codecs.BOM_UTF8)),
        (codecs.BOM_UTF16_LE, "the header is missing"),
        (codecs.BOM_UTF16_LE + "a".encode("utf-16-be"), "the header .* --map COLUMN=customer_uid"),
        (b"sep=x\n", "names no separator that is known .*"),
        (export(ROW, end="\r"), "the header is no CSV"),
    ],
)
def test_a_source_that_cannot_be_used_is_an_error_with_the_line(data: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=f"^line 1: {words}$"):
        read(data)


def test_a_source_of_a_header_only_has_no_rows() -> None:
    assert read(export()) == []


@pytest.mark.parametrize("head", [b'{"customer_uid": "a"}\n', customers("a")])
def test_a_source_that_breaks_is_an_error_with_the_line(head: bytes) -> None:
    found: list[Record] = []

    with pytest.raises(SourceError, match=r"line \d: the source broke \(Input/output error\)"):
        found.extend(records(Pieces([head, OSError(5, "Input/output error")]), is_json=None))

    assert [record.fields["customer_uid"] for record in found] == ["a"]


@pytest.mark.parametrize(
    ("data", "line", "uids"),
    [(customers("a", "b"), 3, ["a"]), (export(f'{ROW},"Hong\nGil', header=NAMED), 3, [None]), (export(), 1, [])],
)
def test_a_last_line_without_its_end_is_taken_for_cut_off_where_it_must_end(
    data: bytes, line: int, uids: list[str | None]
) -> None:
    found: list[Record] = []

    with pytest.raises(CutOff, match=rf"line {line}: the last line has no line end; .* --accept-unterminated"):
        found.extend(records(io.BytesIO(data[:-1]), is_json=None, must_end=True))

    assert [record.fields.get("customer_uid") for record in found] == uids


# JSON Lines


def test_json_lines_are_read() -> None:
    data = b'\n{"customer_uid": "a", "colour": 3, "birth": null, "pg": ""}\r\n  \n{"card": "4", "birth": "900101"}'

    found = read(data, columns=Columns({"card": "card_number"}))

    assert found == [Record(2, {"customer_uid": "a"}), Record(4, {"card_number": "4", "birth": "900101"})]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"pg": "nice", "pg": "nice"}', "names a member twice"),
        ('{"x": {"pg": "nice", "pg": "nice"}}', "names a member twice"),
        (f'{{"card_number": {VISA}}}', "card_number must be text"),
        ('{"birth": true}', "birth must be text"),
        ('{"expiry": {"year": 2031}}', "expiry must be text"),
        ('{"expiry": ["2031-07"]}', "expiry must be text"),
        ('{"birth": NaN}', "is no JSON object"),
        ('{"birth": ' + "9" * 5000 + "}", "is no JSON object"),
        ('["birth"]', "is no JSON object"),
        ("{" * 3, "is no JSON object"),
        ('{"a":' * 5000, "is no JSON object"),
        (f"gildong,{VISA}", "is no JSON object"),
        ('{"birth": "\0"}', "has a NUL"),
        ('{"birth": "' + "9" * RECORD_LIMIT + '"}', "is longer than 65536 bytes"),
    ],
)
def test_a_line_that_is_no_record_costs_itself_only(text: str, problem: str) -> None:
    found = read(f'{{"pg": "nice"}}\n{text}\n{{"pg": "nice"}}\n'.encode(), is_json=True)

    assert problems(found) == {1: None, 2: problem, 3: None}


def test_a_field_under_its_own_and_its_mapped_name_is_there_twice() -> None:
    found = read_one(b'{"card": "4", "card_number": "5"}\n', columns=Columns({"card": "card_number"}))

    assert (found.fields, found.problem) == ({}, "names card_number twice")


def test_a_record_of_64_kib_is_read_and_one_byte_more_is_not() -> None:
    frame = len('{"birth": ""}\n')
    longest, longer = (f'{{"birth": "{"9" * (RECORD_LIMIT - frame + more)}"}}\n'.encode() for more in (0, 1))

    assert problems(read(longest + longer)) == {1: None, 2: "is longer than 65536 bytes"}


@pytest.mark.parametrize("rest", [b'{"pg": "ni', '{"customer_name": "홍'.encode()[:-1]])
def test_a_json_source_that_ends_in_the_middle_of_a_record_was_cut_off(rest: bytes) -> None:
    with pytest.raises(CutOff, match="line 2: ends in the middle of a record; the source was cut off there"):
        read(b'{"pg": "nice"}\n' + rest)


# Whatever comes

SOUP = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.sampled_from(
            [
                *(HEADER.encode(), ROW.encode(), b'"', b",", b"\n", b"\r", b"\r\n", b"\0", b"\xff", codecs.BOM_UTF8),
                *("홍".encode(), VISA.encode(), b'{"pg": "nice"}', b'{"pg": 4242424242424242', b"{", b"x" * 70_000),
            ]
        ),
    ),
    max_size=30,
).map(b"".join)


@REPEATABLE
@given(
    st.lists(st.text("a '\t;|\r\x0b\x85\u2028", max_size=4), min_size=5, max_size=5), st.sampled_from(["\n", "\r\n"])
)
def test_a_line_without_quotes_is_read_as_the_csv_module_reads_it(cells: list[str], end: str) -> None:
    names = ("card_number", "expiry", "birth", "pwd_2digit", "cvc")
    line = ",".join(("u", *cells)) + end
    expected = None
    with contextlib.suppress(csv.Error):
        expected = dict(zip(("customer_uid", *names), next(csv.reader([line], strict=True)), strict=True))

    (record,) = records(io.BytesIO(f"customer_uid,{','.join(names)}\n{line}".encode()), is_json=None)

    assert record.fields == {name: cell for name, cell in (expected or {}).items() if cell}
    assert record.problem == (None if expected else "is no CSV")


@REPEATABLE
@given(SOUP, st.booleans(), st.sampled_from([True, False, None]), st.booleans())
def test_whatever_comes_no_line_is_told_twice_and_nothing_is_quoted(
    soup: bytes, has_header: bool, is_json: bool | None, must_end: bool
) -> None:
    found: list[Record] = []
    with contextlib.suppress(SourceError), told_plainly():
        found.extend(records(io.BytesIO(customers() * has_header + soup), is_json=is_json, must_end=must_end))

    lines = [record.line for record in found]
    assert lines == sorted(set(lines))
    assert [record.problem for record in found if record.problem and not PROBLEMS.fullmatch(record.problem)] == []
    assert [record for record in found if record.problem and record.fields.keys() - {"customer_uid"}] == []


@REPEATABLE
@given(SOUP)
@example(b'gil"dong')
def test_whatever_comes_before_them_good_lines_are_all_read(soup: bytes) -> None:
    found = read(customers() + soup + b"\n" + MANY, is_json=False)

    assert [record.fields.get("customer_uid") for record in found if not record.problem][-30:] == [
        f"u{number}" for number in range(30)
    ]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@REPEATABLE
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), max_size=8))
def test_rows_that_a_csv_writer_wrote_are_read_back_equal(rows: list[tuple[str, ...]]) -> None:
    names = (*REQUIRED, "customer_name")
    file = io.StringIO()
    csv.writer(file).writerows([names, *rows])

    found = read(file.getvalue().encode())

    something = [fields for row in rows if "".join(row).strip() and (fields := dict(zip(names, row, strict=True)))]
    assert [record.problem for record in found] == [None] * len(something)
    assert [record.fields for record in found] == [
        {name: cell.strip(" ") if name == "customer_uid" else cell for name, cell in fields.items() if cell.strip(" ")}
        for fields in something
    ]


def test_reading_goes_no_further_than_it_is_asked_to() -> None:
    def pieces() -> Iterator[bytes]:
        yield customers("a", "b")
        raise AssertionError("read too far")

    first = next(iter(records(Pieces(pieces()), is_json=None)))

    assert first.line == 2
