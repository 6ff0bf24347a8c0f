import csv
import html.parser
import json
import re
from pathlib import Path

import pytest

from producer.contract.outcome import Status
from producer.migrate.lines import SourceError
from producer.migrate.report import WORTH_ANOTHER_TRY, Failed, Summary, cell, replacing, write_report
from producer.migrate.source import Record
from producer.migrate.work_file import AWAITED, COLUMNS, NOT_SENT, ReportRow
from tests.producer.migrate_stage import job_of, outcome_of, record_of, work_file

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''x", "'"]
WIDE = [chr(ord(sign) + 0xFEE0) + "1+1" for sign in "=+-@'"]  # as Korean and Japanese keyboards type them
SMALL = ["\N{SMALL EQUALS SIGN}1", "\N{SMALL PLUS SIGN}1", "\N{SMALL HYPHEN-MINUS}1", "\N{SMALL COMMERCIAL AT}1"]
FORMS = ["report.csv", "report.jsonl"]


def bad(line: int, uid: str, status: str = "invalid", code: str = "row") -> ReportRow:
    return ReportRow(line, uid, status, code)


def failed(folder: Path, form: str, *rows: ReportRow) -> Failed:
    write_report(folder / form, rows)
    return Failed(folder / form)


def test_no_cell_is_taken_for_a_formula_and_others_stay_as_they_are() -> None:
    others = ["", "gildong", "a=1", "1-2", " =1", f"a{WIDE[0]}", -1, None]
    signs = [*FORMULAS, *WIDE, *SMALL]

    assert [cell(text) for text in signs] == [f"'{text}" for text in signs]
    assert [cell(text) for text in others] == others


def test_a_csv_report_has_a_row_for_each_row_with_all_columns(tmp_path: Path) -> None:
    outcome = outcome_of("=a", Status.DECLINED, code=-1, message='-"카드", 틀림\n', card_number="424242******4242")
    rows = [ReportRow.of(2, outcome), ReportRow(3, "", "invalid", "row", message="is no CSV")]

    write_report(tmp_path / "report.csv", rows)

    finished = str(outcome.finished_at)
    header, *found = csv.reader((tmp_path / "report.csv").open(encoding="utf-8-sig", newline=""))
    assert tuple(header) == COLUMNS
    assert found == [
        ["2", "'=a", "declined", "'-1", "", '\'-"카드", 틀림\n', "", "424242******4242", outcome.job_id, finished],
        ["3", "", "invalid", "row", "", "is no CSV", "", "", "", ""],
    ]


def test_a_json_report_has_a_line_for_each_row_with_all_columns(tmp_path: Path) -> None:
    row = ReportRow(2, "=a", "invalid", "row", message="카드\n=1")

    write_report(tmp_path / "report.jsonl", [row, row])

    lines = (tmp_path / "report.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [row._asdict()] * 2
    assert tuple(json.loads(lines[0])) == COLUMNS


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_report_can_be_read(tmp_path: Path, form: str) -> None:
    assert len(failed(tmp_path, form)) == 0


# Written whole or not at all


def test_a_file_is_there_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text("before")

    with replacing(path) as file:
        file.write("after")
        during = path.read_text()

    assert (during, path.read_text(), list(tmp_path.iterdir())) == ("before", "after", [path])


def test_a_file_that_breaks_off_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text("before")

    def rows() -> object:
        yield bad(2, "a")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_report(path, rows())  # type: ignore[arg-type]

    assert path.read_text() == "before"


@pytest.mark.parametrize("is_there", [False, True])
def test_a_report_is_its_owners_only_whatever_was_there_before(tmp_path: Path, is_there: bool) -> None:
    if is_there:
        (tmp_path / "report.csv.new").touch(mode=0o644)

    write_report(tmp_path / "report.csv", [])

    assert (tmp_path / "report.csv").stat().st_mode & 0o777 == 0o600


# What is worth another try


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", [*Status, NOT_SENT, AWAITED])
def test_another_try_is_worth_it_where_the_cause_can_be_mended(tmp_path: Path, form: str, status: str) -> None:
    found = failed(tmp_path, form, bad(2, "a", str(status)))

    is_worth = str(status) in {"expired", "lost", "invalid", "misconfigured", "not_sent"}
    assert (len(found), found.has(record_of(2, "a"))) == (is_worth, is_worth)
    assert (str(status) in WORTH_ANOTHER_TRY) == is_worth


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("uid", [*FORMULAS, *WIDE, *SMALL, "gildong", "a,b", 'a"b', "a\nb", "홍길동"])
def test_a_customer_uid_comes_out_of_a_report_as_it_went_in(tmp_path: Path, form: str, uid: str) -> None:
    found = failed(tmp_path, form, bad(2, uid))

    assert found.has(record_of(99, uid))
    assert not found.has(record_of(99, f"{uid}x"))
    assert not found.has(record_of(99, f"'{uid}"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("uid", ["", "***", "u***", "홍 길동", "x" * 80])
def test_a_row_whose_customer_uid_is_not_shown_or_was_mended_is_found_by_its_line(
    tmp_path: Path, form: str, uid: str
) -> None:
    found = failed(tmp_path, form, bad(7, uid))

    assert found.has(record_of(7, "a"))
    assert found.has(Record(7, {}, "is no CSV"))
    assert not found.has(record_of(8, "a"))


@pytest.mark.parametrize("form", FORMS)
def test_a_customer_who_is_issued_is_not_sent_again_for_standing_in_the_source_twice(tmp_path: Path, form: str) -> None:
    found = failed(tmp_path, form, ReportRow.of(2, outcome_of("a")), bad(3, "a"))

    assert not found.has(record_of(2, "a"))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("report.csv", "a,b\n1,2\n"),
        ("report.csv", "line,customer_uid,problem\n2,a,x\n"),
        ("report.csv", "line,customer_uid,status\nx,a,lost\n"),
        ("report.csv", 'line,customer_uid,status\n2,"' + "a" * 2_000_000 + '",lost\n'),
        ("report.jsonl", "[1]\n"),
        ("report.jsonl", '{"line": null, "customer_uid": "a", "status": "lost"}\n'),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, form: str, text: str) -> None:
    (tmp_path / form).write_text(text)

    with pytest.raises(SourceError, match=f"{form}: is no report of a migration"):
        Failed(tmp_path / form)


# Summary


def summary(folder: Path) -> Summary:
    work = work_file(folder)
    work.add([ReportRow(line, f"u{line}", AWAITED, job_id=job_of(f"u{line}")) for line in range(2, 1302)])
    work.add([ReportRow(1302, "", "invalid", "row", message="is no CSV")])
    work.settle(ReportRow.of(line, outcome_of("", card_name="신한카드")) for line in range(2, 1300))
    declined = {"pg_code": "F113", "message": '<script>alert("x")</script> & $title', "card_name": "<b>현대</b>"}
    work.settle(ReportRow.of(line, outcome_of("", Status.DECLINED, code=1, **declined)) for line in range(1300, 1302))
    return Summary("m, run 1", work)


def test_the_text_counts_by_status_reason_and_card_company(tmp_path: Path) -> None:
    assert [" ".join(line.split()) for line in summary(tmp_path).text().splitlines()] == [
        *("m, run 1", "1,301 rows", ""),
        *("1,298 issued", "2 declined", "1 invalid", ""),
        *(
            "By reason",
            '2 declined · 1 · F113 · <script>alert("x")</script> & $title',
            "1 invalid · row · is no CSV",
            "",
        ),
        *("By card company", "1,298 신한카드, issued", "2 <b>현대</b>, declined", "1 (none), invalid"),
    ]


class Page(html.parser.HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_shows_texts_as_texts(tmp_path: Path) -> None:
    page = summary(tmp_path).page()

    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; $title" in page
    assert {tag for tag, _ in Page(page).tags} & {"script", "b", "link", "img", "iframe", "object", "a"} == set()


def test_the_page_refers_to_nothing_outside(tmp_path: Path) -> None:
    page = summary(tmp_path).page()

    names = {name for _, attributes in Page(page).tags for name in attributes}
    assert names & {"src", "href", "xlink:href", "srcset", "action", "data", "style", "onload"} == set()
    assert re.search(r"https?:|//|url\(|@import", page) is None
    assert "default-src 'none'" in page


def test_the_page_draws_a_bar_as_long_as_its_part_and_names_it(tmp_path: Path) -> None:
    tags = Page(summary(tmp_path).page()).tags

    bars = [attributes for tag, attributes in tags if tag == "rect"]
    assert [(bar["class"], bar["width"]) for bar in bars[:3]] == [
        ("good", "99.77%"),
        ("bad", "0.30%"),
        ("bad", "0.30%"),
    ]
    assert [attributes["aria-label"] for tag, attributes in tags if tag == "svg"][:3] == ["99.8%", "0.2%", "0.1%"]


def test_a_run_without_rows_has_a_summary_too(tmp_path: Path) -> None:
    empty = Summary("m, run 1", work_file(tmp_path))

    assert "0 rows" in empty.text()
    assert "0 rows" in empty.page()
