import sqlite3
from pathlib import Path
from threading import Thread

import pytest

from producer.contract.outcome import Outcome, Status
from producer.migrate.checker import shown
from producer.migrate.work_file import AWAITED, NOT_SENT, ReportRow, WorkFile, WorkFileError
from tests.producer.migrate_stage import VISA, job_of, outcome_of, work_file


@pytest.fixture
def work(tmp_path: Path) -> WorkFile:
    return work_file(tmp_path)


def sent(line: int, uid: str) -> ReportRow:
    return ReportRow(line, uid, AWAITED, job_id=job_of(uid))


def ended(line: int, uid: str, status: Status = Status.ISSUED, **fields: object) -> ReportRow:
    return ReportRow.of(line, outcome_of(uid, status, **fields))


def test_rows_are_kept_and_read_back_by_line(work: WorkFile) -> None:
    rows = [ReportRow(3, "홍 길동", "invalid", "row", message="expiry: must be YYYY-MM"), sent(2, "a"), sent(4, "b")]

    work.add(rows)
    work.commit()

    assert list(work) == [rows[1], rows[0], rows[2]]
    assert [work.find(line) for line in (2, 3, 5)] == [rows[1], rows[0], None]
    assert (work.rows, work.counts, work.last_line) == (3, {AWAITED: 2, "invalid": 1}, 4)


def test_an_outcome_settles_its_row_and_keeps_line_customer_and_job(work: WorkFile) -> None:
    work.add([sent(2, "a")])

    work.settle([ended(2, "a", Status.DECLINED, code=1, pg_code="F113", message="틀림", card_name="신한")])

    assert work.find(2) == ReportRow(
        *(2, "a", "declined", "1", "F113", "틀림", "신한", None, job_of("a"), outcome_of("a").finished_at)
    )
    assert (work.rows, {name: n for name, n in work.counts.items() if n}) == (1, {"declined": 1})


def test_the_first_end_of_a_row_is_its_only_one(work: WorkFile) -> None:
    work.add([sent(2, "a"), ReportRow(3, "b", NOT_SENT)])
    work.settle([ended(2, "a")])

    work.settle([ended(2, "a", Status.DECLINED), ended(3, "b"), ended(99, "c")])

    assert [(row.line, row.status) for row in (work.find(2), work.find(3)) if row] == [(2, "issued"), (3, NOT_SENT)]
    assert {name: n for name, n in work.counts.items() if n} == {"issued": 1, NOT_SENT: 1}


def test_a_line_is_kept_once(work: WorkFile) -> None:
    work.add([sent(2, "a")])

    with pytest.raises(sqlite3.IntegrityError):
        work.add([sent(2, "b")])


def test_a_customer_is_sent_once_and_found_by_name(work: WorkFile) -> None:
    work.add([ReportRow(2, "a", "invalid", "row"), sent(3, "a"), ReportRow(4, "a", "invalid", "row")])

    assert (work.line_of("a"), work.line_of("b")) == (3, None)
    with pytest.raises(sqlite3.IntegrityError):
        work.add([sent(5, "a")])


def test_open_rows_are_found_in_pieces(work: WorkFile) -> None:
    work.add([sent(line, f"u{line}") for line in range(2, 7)])
    work.settle([ended(3, "u3")])

    assert work.open_rows(0, 2) == [(2, job_of("u2")), (4, job_of("u4"))]
    assert work.open_rows(4, 2) == [(5, job_of("u5")), (6, job_of("u6"))]
    assert work.open_rows(6, 2) == []


def test_counts_are_there_after_reopening(work: WorkFile, tmp_path: Path) -> None:
    work.add([sent(2, "a"), sent(3, "b"), ReportRow(7, "", "invalid", "row")])
    work.settle([ended(3, "b")])
    rows, counts = list(work), dict(work.counts)
    work.close()

    again = work_file(tmp_path)

    assert (next(iter(again)), [row.status for row in again]) == (sent(2, "a"), [AWAITED, "issued", "invalid"])
    assert (rows, counts) == ([], {AWAITED: 1, "issued": 1, "invalid": 1})
    assert (dict(again.counts), again.rows, again.last_line) == (counts, 3, 7)
    assert again.line_of("b") == 3


def test_what_was_not_committed_is_gone_after_a_crash(work: WorkFile, tmp_path: Path) -> None:
    work.add([sent(2, "a")])
    work.commit()
    work.add([sent(3, "b")])
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in list(tmp_path.glob("work.partial*")):
        (copy / file.name).write_bytes(file.read_bytes())

    assert [row.line for row in work_file(copy)] == [2]


def test_reading_shows_what_was_last_committed_while_rows_are_added(work: WorkFile) -> None:
    work.add([sent(2, "a"), sent(3, "b")])
    work.commit()

    reading = iter(work)
    first = next(reading)
    work.add([sent(4, "c")])
    work.commit()

    assert [first, *reading] == [sent(2, "a"), sent(3, "b")]


def test_reading_may_end_in_another_thread(work: WorkFile) -> None:
    work.add([sent(2, "a"), sent(3, "b")])
    work.commit()
    reading = iter(work)
    thread = Thread(target=next, args=[reading])
    thread.start()
    thread.join()

    reading.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "run"), [("other", 1), ("m", 2)])
def test_the_work_file_of_another_run_is_refused(tmp_path: Path, name: str, run: int) -> None:
    work_file(tmp_path).close()

    with pytest.raises(WorkFileError, match=r"work\.partial: belongs to run 1 of m; move it away"):
        WorkFile(tmp_path / "work.partial", name, run)


def test_a_file_that_is_no_work_file_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "work.partial"
    path.write_bytes(b"line,customer_uid\n" * 100)

    with pytest.raises(WorkFileError, match=r"work\.partial: is no work file of a migration"):
        work_file(tmp_path)

    assert path.read_bytes() == b"line,customer_uid\n" * 100


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "work.partial") as other:
        other.execute("CREATE TABLE rows (x)")

    with pytest.raises(WorkFileError):
        work_file(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkFileError, match=r"work\.partial: No such file or directory"):
        work_file(tmp_path / "nowhere")


def test_the_work_file_is_its_owners_only(work: WorkFile, tmp_path: Path) -> None:
    work.add([sent(2, "a")])
    work.commit()

    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_work_file_that_has_served_leaves_nothing(work: WorkFile, tmp_path: Path) -> None:
    work.add([sent(2, "a")])

    work.remove()

    assert list(tmp_path.iterdir()) == []


def test_no_card_number_is_in_the_file(work: WorkFile, tmp_path: Path) -> None:
    work.add(
        [
            ReportRow(2, shown(f"u {VISA}"), "invalid", "row", message="customer_uid: holds the card number"),
            sent(3, "b"),
        ]
    )
    work.settle([ended(3, "b", card_name="신한카드", card_number="424242******4242")])
    work.commit()

    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())

    assert b"424242******4242" in written
    assert VISA.encode() not in written
    assert b"42424242" not in written


def test_counts_by_column_come_largest_first_and_no_more_than_are_asked_for(work: WorkFile) -> None:
    work.add([sent(line, f"u{line}") for line in range(2, 8)])
    work.settle([ended(line, "", card_name="신한" if line < 5 else None) for line in range(2, 7)])

    assert work.tally("status") == [(("issued",), 5), ((AWAITED,), 1)]
    assert work.tally("card_name", "status", limit=2) == [(("신한", "issued"), 3), (("", "issued"), 2)]


def test_a_row_tells_what_its_outcome_tells() -> None:
    outcome = outcome_of("a", Status.DECLINED, code=-1, pg_code="F112", message="m", card_number="424242******4242")

    assert ReportRow.of(5, outcome) == ReportRow(
        *(5, "a", "declined", "-1", "F112", "m", None, "424242******4242", outcome.job_id, outcome.finished_at)
    )
    assert ReportRow.of(5, Outcome.from_json(outcome.model_dump_json())) == ReportRow.of(5, outcome)
