"""The commands of a migration. Jobs are ended by a thread that stands in for the workers."""

import contextlib
import csv
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from producer.contract import redis_keys
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.outcome import Outcome, Status
from producer.migrate import ledger
from producer.migrate.dry_run import OTHER_DATA
from producer.migrate.ledger import Control
from producer.migrate.report import write_report
from producer.migrate.run import stopped_by_signals
from producer.migrate.work_file import COLUMNS, ReportRow
from tests.ports import dead_port
from tests.producer.migrate_stage import MASTERCARD, VISA, customers, export, narrow_user, outcome_of
from tests.producer.stage import Run, Stage

PLAIN = "--i-know-this-file-holds-card-data"
AS_OF, BEGIN_OF_2025 = "--as-of=2025-01-01", 1_735_657_200  # in Korea
Piped = Callable[[bytes], None]


def job(uid: str, run: int = 1) -> str:
    return job_id_of(f"migration:m:{run}:{uid}")


def end_open_jobs(stage: Stage, is_over: threading.Event) -> None:
    client = stage.ledger
    while not is_over.wait(0.005):
        for job_id in client.zrange(redis_keys.OPEN, 0, -1):
            uid = stage.record(job_id)["customer_uid"]
            ended = Outcome(
                job_id=job_id,
                status=Status.DECLINED if uid.startswith("poor") else Status.ISSUED,
                operation=Operation.ISSUE,
                customer_uid=uid,
                accepted_at=1,
                finished_at=2,
            ).model_dump_json()
            client.set(redis_keys.OUTCOME + job_id, ended)
            client.zrem(redis_keys.OPEN, job_id)
            client.xadd(redis_keys.OUTCOMES, {"outcome": ended})


@contextlib.contextmanager
def beside(action: Callable[[threading.Event], None]) -> Iterator[None]:
    is_over = threading.Event()
    thread = threading.Thread(target=action, args=[is_over])
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.fixture
def workers(stage: Stage) -> Iterator[None]:
    with beside(lambda is_over: end_open_jobs(stage, is_over)):
        yield


@pytest.fixture
def piped() -> Iterator[Piped]:
    """Put bytes into a pipe that is stdin."""
    before = os.dup(0)

    def pipe(data: bytes) -> None:
        reading, writing = os.pipe()
        os.write(writing, data)
        os.close(writing)
        os.dup2(reading, 0)
        os.close(reading)

    yield pipe
    os.dup2(before, 0)
    os.close(before)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two customers."""
    return file(tmp_path, customers("a", "b"))


def file(folder: Path, data: bytes, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def reported(folder: Path, name: str = "m.report.csv") -> dict[str, str]:
    """Line: status."""
    with (folder / name).open(encoding="utf-8-sig", newline="") as report:
        return {row["line"]: row["status"] for row in csv.DictReader(report)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pipe(command: str, name: str) -> str:
    return f"pipe it in: {command} --decrypt {name} | python -m producer migrate - --name NAME"


def nowhere() -> dict[str, str]:
    """An environment without stores and keys."""
    url = f"redis://127.0.0.1:{dead_port()}/0"
    return {"BROKER_URL": url, "LEDGER_URL": url, "VAULT_URL": url, "SEALING_KEYS_FILE": "/nowhere"}


# Usage


@pytest.mark.parametrize(
    "options",
    [
        *(["--format", "xml"], ["--expiry-format", "MM-YY"], ["--window", "0"], ["--window", "1000001"]),
        *(["--memory-mark", "101"], ["--deadline", "59"], ["--deadline", "604801"], ["--deadline", "nan"]),
        *(["--throttle", "0"], ["--throttle", "-1"], ["--throttle", "nan"], ["--throttle", "inf"], ["--rows", "-1"]),
        *(["--sample", "0"], ["--sample", "1001"], ["--stop-at", "101"], ["--stop-at", "nan"]),
        *(["--only-failed", "nowhere.csv"], ["--card-number", VISA]),
    ],
)
def test_a_wrong_option_is_exit_code_2_and_nothing_is_sent(
    stage: Stage, run: Run, source: Path, options: list[str]
) -> None:
    result = run("migrate", str(source), PLAIN, AS_OF, *options)

    assert (result.exit_code, result.stdout, "Usage" in result.stderr) == (2, "", True)
    assert VISA not in result.stderr
    assert stage.ledger.keys() == []


def test_without_a_source_there_is_help(run: Run) -> None:
    assert run("migrate", "run").exit_code == 2
    assert "migrate SOURCE" in run("migrate", "--help").stdout


BETTER = (
    "this is a plain-text file on a disk; encrypt it, and pipe it in: gpg --decrypt export.csv.pgp | "
    "python -m producer migrate - --name NAME (or --i-know-this-file-holds-card-data)"
)
NO_ENCODING = "--encoding: is not known, or its line ends and commas are not those of ASCII"
NO_DATE = "--as-of: must be a date, as 2026-11-20, or an instant, as 2026-11-20T09:00+09:00"
NO_EXPIRY = "line 1: the header names no expiry; say which column it is with --map COLUMN=expiry"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["m.csv"], BETTER),
        (["m.csv", "--dry-run"], BETTER),
        *((["x.csv.gpg", PLAIN], pipe("gpg", "x.csv.gpg")), (["x.pgp", PLAIN], pipe("gpg", "x.pgp"))),
        *((["x.asc", PLAIN], pipe("gpg", "x.asc")), (["x.csv.age", PLAIN], pipe("age", "x.csv.age"))),
        (["nowhere.csv", PLAIN], "nowhere.csv: No such file or directory"),
        ([".", PLAIN], ".: Is a directory"),
        (["m.csv", PLAIN, "--encoding", "klingon"], NO_ENCODING),
        (["m.csv", PLAIN, "--encoding", "zlib"], NO_ENCODING),
        (["m.csv", PLAIN, "--name", "a b"], "--name: must be 1 to 60 of A-Z a-z 0-9 _ . -"),
        (["m.csv", PLAIN, "--map", "kard=card_number"], "line 1: the header has no column kard, which --map names"),
        (["m.csv", PLAIN, "--map", "expiry=birth"], NO_EXPIRY),
        (["m.csv", PLAIN, AS_OF, "--report", "nowhere/x.csv"], "nowhere/x.csv.partial: No such file or directory"),
        (["m.csv", PLAIN, "--only-failed", "m.csv"], "m.csv: is no report of a migration"),
        (["m.csv", PLAIN, "--resume"], "m has nothing to resume"),
        (["m.csv", PLAIN, "--as-of", "2999-01-01"], "--as-of: lies in the future"),
        *(
            (["m.csv", PLAIN, "--as-of", text], NO_DATE)
            for text in ("yesterday", "1/2/2026", "0001-01-01", "1970-01-01", "")
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_that_shows_what_can_and_nothing_is_sent(
    stage: Stage, run: Run, source: Path, tmp_path: Path, arguments: list[str], line: str
) -> None:
    result = run("migrate", *arguments)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"producer: {line}\n")
    assert stage.ledger.keys() == []
    assert names(tmp_path) == [source.name]


@pytest.mark.parametrize("options", [["--name", "m"], ["--dry-run"]])
@pytest.mark.usefixtures("piped")
def test_a_plain_text_file_is_refused_as_stdin_too(run: Run, source: Path, options: list[str]) -> None:
    with source.open("rb") as opened:
        os.dup2(opened.fileno(), 0)

    result = run("migrate", "-", *options)

    assert (result.exit_code, result.stderr) == (2, f"producer: {BETTER}\n")


def test_what_comes_by_stdin_needs_a_name(run: Run, piped: Piped) -> None:
    piped(customers("a"))

    result = run("migrate", "-")

    assert (result.exit_code, result.stderr) == (2, "producer: --name: is needed for what comes by stdin\n")


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "the source is empty"),
        (b"\xff\xfea\0", "the header names no customer_uid; say which column it is with --map COLUMN=customer_uid"),
        (b"\0" * 100, "the header has a NUL"),
        (b"x" * 100_000, "the header is longer than 65536 bytes"),
        (VISA.encode(), "the header names no customer_uid; say which column it is with --map COLUMN=customer_uid"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_line_with_its_number(
    stage: Stage, run: Run, tmp_path: Path, data: bytes, line: str, dry: list[str]
) -> None:
    result = run("migrate", str(file(tmp_path, data)), PLAIN, *dry)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"producer: line 1: {line}\n")
    assert stage.ledger.keys() == []
    assert names(tmp_path) == ["m.csv"]


# Dry run


def test_a_dry_run_needs_no_store_and_no_key(run: Run, source: Path, tmp_path: Path) -> None:
    result = run("migrate", str(source), PLAIN, "--dry-run", **nowhere())

    assert (result.exit_code, result.stderr) == (0, "")
    assert [" ".join(line.split()) for line in result.stdout.splitlines()[:3]] == [
        "2 rows",
        "2 would be sent",
        "0 would not",
    ]
    assert names(tmp_path) == ["m.csv"]


def test_a_dry_run_of_a_pipe_needs_no_name(run: Run, piped: Piped) -> None:
    piped(b'{"customer_uid": "a", "card_number": "%s", "expiry": "2031-07"}\n' % VISA.encode())

    result = run("migrate", "-", "--dry-run", **nowhere())

    assert result.exit_code == 0
    assert "1  would be sent" in result.stdout


def test_a_dry_run_of_rows_that_would_not_be_accepted_is_exit_code_1_with_a_report(run: Run, tmp_path: Path) -> None:
    path = file(tmp_path, export(f"a,{VISA},07/31", f"a,{MASTERCARD},07/31", f"c,{VISA},7/31/", "d"))

    result = run(
        "migrate", "--dry-run", str(path), PLAIN, "--expiry-format", "MM/YY", "--report", "dry.csv", **nowhere()
    )

    assert result.exit_code == 1
    assert (tmp_path / "dry.csv").read_text().splitlines() == [
        "line,customer_uid,problem,warning,card_number,verdict",
        f'2,a,"{OTHER_DATA.format("line 3")}",,424242******4242,refused',
        f'3,a,"{OTHER_DATA.format("line 2")}",,555555******4444,refused',
        "4,c,expiry: must be MM/YY,,,refused",
        '5,,"has 1 fields, the header has 3",,,refused',
    ]
    assert VISA not in result.output


def test_a_dry_run_reads_the_encoding_and_the_columns_that_are_named(run: Run, tmp_path: Path) -> None:
    data = export(f"a,{VISA},2031-07,홍길동", header="고객,card_number,expiry,customer_name").decode().encode("cp949")

    options = ["--encoding", "cp949", "--map", "고객=customer_uid", "--pg", "nice", "--rows", "1"]

    assert run("migrate", str(file(tmp_path, data)), PLAIN, "--dry-run", *options).exit_code == 0


def test_a_dry_run_shows_how_it_understood_the_source_and_the_command_that_sends_it(run: Run, tmp_path: Path) -> None:
    data = export(f"a;{VISA};07/31;900101;12", header="고객;card_number;Expiry;birth;memo").decode().encode("cp949")

    result = run(
        "migrate", str(file(tmp_path, data)), PLAIN, "--dry-run", "--map", "고객=customer_uid", "--report", "dry.csv",
        "--expiry-format", "MM/YY", "--pg", "nice",
    )  # fmt: skip

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-5:] == [
        "Read as CSV, cp949, fields apart by ;; expiry as MM/YY",
        "Columns: 고객=customer_uid, card_number=card_number, Expiry=expiry, birth=birth, memo=(not used)",
        "The first rows as understood:",
        "  line 2: a, 424242******4242, expiry 2031-**, birth ******, pwd_2digit ",
        (
            "To send them: EXPORT | python -m producer migrate - --name NAME --as-of DATE --rows 1 --checked dry.csv"
            " --expiry-format MM/YY --map '고객=customer_uid' --pg nice"
        ),
    ]


@pytest.mark.parametrize(
    ("options", "exit_code", "would"), [([], 0, "2  would be sent"), (["--strict"], 1, "0  would be sent")]
)
def test_strictly_a_warning_holds_every_row(
    run: Run, source: Path, options: list[str], exit_code: int, would: str
) -> None:
    result = run("migrate", str(source), PLAIN, "--dry-run", *options)

    assert result.exit_code == exit_code
    assert would in result.stdout


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--default", "x"], "--default: must be COLUMN=VALUE"),
        (["--default", "x=1"], "line 1: the header has no column x, which --default names"),
        (["--uid", "{x}_1"], "line 1: the header has no column x, which --uid names"),
        (["--uid", "{card_number}"], "--uid: must not name a column of the card"),
        (["--require", "cvc"], "--require: must be one or more of birth,pwd_2digit"),
        (["--from", "stripe"], "line 1: the header has no column id, which --map names"),
    ],
)
def test_an_option_about_columns_that_does_not_hold_is_one_line(
    run: Run, source: Path, options: list[str], line: str
) -> None:
    result = run("migrate", str(source), PLAIN, "--dry-run", *options)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"producer: {line}\n")


def test_a_default_that_does_not_hold_is_told_by_a_dry_run(run: Run, source: Path) -> None:
    result = run("migrate", str(source), PLAIN, "--dry-run", "--pg", "a b")

    assert result.exit_code == 1
    assert "  pg: " in result.stdout


def test_a_dry_run_of_fewer_rows_than_there_are_is_a_source_error(run: Run, source: Path) -> None:
    result = run("migrate", str(source), PLAIN, "--dry-run", "--rows", "3")

    assert (result.exit_code, result.stderr) == (2, "producer: 3 rows were expected, 2 came\n")


# A run


@pytest.mark.usefixtures("workers")
def test_a_run_after_a_dry_run_sends_what_that_found_good_and_nothing_else(
    stage: Stage, run: Run, piped: Piped, tmp_path: Path
) -> None:
    rows = (
        f"a,{VISA},2031-07",
        f"b,{VISA},2031-07",
        f"a,{MASTERCARD},2031-07",
        f"b,{VISA},2031-07",
        f"c,{VISA},2020-07",
    )
    piped(export(*rows))
    run("migrate", "-", "--dry-run", "--report", "dry.csv")
    piped(export(*rows))

    result = run("migrate", "-", "--name", "m", AS_OF, "--rows", "5", "--checked", "dry.csv")

    assert result.exit_code == 1, result.output
    assert reported(tmp_path) == {"2": "invalid", "3": "issued", "4": "invalid", "6": "invalid"}
    assert stage.records() == [job("b")]


def test_a_run_of_another_source_than_the_dry_run_read_sends_nothing_of_it(
    stage: Stage, run: Run, piped: Piped, tmp_path: Path
) -> None:
    piped(customers("a", "b"))
    run("migrate", "-", "--dry-run", "--report", "dry.csv")
    piped(customers("c", "b"))

    result = run("migrate", "-", "--name", "m", AS_OF, "--checked", "dry.csv")

    assert result.exit_code == 2
    assert "line 2: is not what the dry run read there; this is another source" in result.stderr
    assert stage.records() == []


@pytest.mark.parametrize(
    ("options", "exit_code", "words"),
    [
        (["--strict"], 2, "--strict: needs the dry run's report, --checked REPORT"),
        (["--strict", "--checked", "dry.csv"], 1, "--strict: nothing is sent, since 2 rows have warnings"),
        (["--checked", "m.csv"], 2, "m.csv: is no report of a dry run"),
    ],
)
def test_strictly_a_run_sends_nothing_while_the_dry_run_has_warnings(
    stage: Stage, run: Run, source: Path, options: list[str], exit_code: int, words: str
) -> None:
    run("migrate", str(source), PLAIN, "--dry-run", "--report", "dry.csv")

    result = run("migrate", str(source), PLAIN, *options)

    assert (result.exit_code, result.stdout, result.stderr) == (exit_code, "", f"producer: {words}\n")
    assert stage.records() == []


@pytest.mark.usefixtures("workers")
def test_a_run_whose_rows_are_all_issued_is_exit_code_0_with_report_and_summaries(
    stage: Stage, run: Run, source: Path, tmp_path: Path
) -> None:
    result = run("migrate", str(source), PLAIN, AS_OF, "--pg", "nice", "--deadline", "3600")

    assert result.exit_code == 0, result.output
    assert reported(tmp_path) == {"2": "issued", "3": "issued"}
    assert names(tmp_path) == ["m.csv", "m.report.csv", "m.report.summary.html", "m.report.summary.txt"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("m.report*")} == {0o600}
    assert "2  issued" in (tmp_path / "m.report.summary.txt").read_text()
    assert stage.records() == sorted([job("a"), job("b")])
    signed = stage.keys.verified(stage.sealed(job("a")))
    assert (signed.customer_uid, signed.pg) == ("a", "nice")
    assert signed.expires_at - signed.accepted_at == pytest.approx(3600)
    assert stage.ledger.hget(redis_keys.MIGRATION_RECORD + "m", "state") == ledger.DONE


@pytest.mark.usefixtures("workers")
def test_a_run_with_rows_that_are_not_issued_is_exit_code_1_and_its_report_complete(
    stage: Stage, run: Run, piped: Piped, tmp_path: Path
) -> None:
    piped(export(f"a,{VISA},2031-07", "=1+1,x,y", "ragged", f"poor,{VISA},2031-07", f"a,{VISA},2031-07"))

    result = run("migrate", "-", "--name", "m", AS_OF, "--report", "out.jsonl", "--rows", "5")

    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert result.exit_code == 1
    assert [(row["line"], row["status"]) for row in rows] == [
        *((2, "issued"), (3, "invalid"), (4, "invalid"), (5, "declined"), (6, "invalid")),
    ]
    assert {tuple(row) for row in rows} == {COLUMNS}
    assert rows[0]["job_id"] == job("a")


@pytest.mark.usefixtures("workers")
def test_no_card_number_is_left_behind(stage: Stage, run: Run, piped: Piped, tmp_path: Path) -> None:
    data = export(
        *(f"a,{VISA},2031-07", f"{MASTERCARD},{MASTERCARD},2031-07", f"{VISA},x", f"x,{VISA},{VISA}", f'"{VISA}'),
        *(f"4242 4242 4242 4242,{VISA},2031-07", f"{VISA}\0,1,2", f"\r{VISA},1,2"),
    )
    piped(data)

    result = run("migrate", "-", "--name", "m", AS_OF)

    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for text in (result.output, written.decode(), stage.everything(but_sealed=True)):
        assert VISA not in text
        assert MASTERCARD not in text
        assert "4242 4242" not in text


@pytest.mark.usefixtures("workers")
def test_a_source_that_was_cut_off_is_exit_code_3_and_the_whole_one_goes_on(
    stage: Stage, run: Run, piped: Piped, tmp_path: Path
) -> None:
    piped(customers("a", "b")[:-3])
    first = run("migrate", "-", "--name", "m", AS_OF)
    accepted = stage.records()

    piped(customers("a", "b", "c"))
    second = run("migrate", "-", "--name", "m", "--resume")

    assert first.exit_code == 3
    assert first.stderr.splitlines()[-1] == (
        "producer: line 3: the last line has no line end; the source may have been cut off there (if it is whole, say "
        "so with --accept-unterminated); rows read so far: 1; go on with migrate SOURCE --name m --resume"
    )
    assert len(accepted) == 1
    assert second.exit_code == 0, second.output
    assert reported(tmp_path) == {"2": "issued", "3": "issued", "4": "issued"}


@pytest.mark.usefixtures("workers")
def test_fewer_rows_than_there_are_is_exit_code_3_and_the_right_number_goes_on(
    run: Run, source: Path, tmp_path: Path
) -> None:
    first = run("migrate", str(source), PLAIN, AS_OF, "--rows", "3")
    again = run("migrate", str(source), PLAIN, AS_OF)

    second = run("migrate", str(source), PLAIN, "--resume", "--rows", "2")

    assert (first.exit_code, "3 rows were expected, 2 came" in first.stderr) == (3, True)
    assert (again.exit_code, again.stderr.startswith("producer: m was stopped at line ")) == (2, True)
    assert (second.exit_code, reported(tmp_path)) == (0, {"2": "issued", "3": "issued"})


def test_a_signal_is_exit_code_3_and_going_on_sends_nothing_twice(
    stage: Stage, run: Run, source: Path, tmp_path: Path
) -> None:
    def interrupt(is_over: threading.Event) -> None:
        client = stage.ledger
        while client.zcard(redis_keys.OPEN) < 2 and not is_over.wait(0.005):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    with beside(interrupt):
        first = run("migrate", str(source), PLAIN, AS_OF)
    stopped = names(tmp_path)
    status = run("migrate", "status", "m")
    with beside(lambda is_over: end_open_jobs(stage, is_over)):
        second = run("migrate", str(source), PLAIN, "--resume")

    assert (first.exit_code, "asked to stop; rows read so far: 2;" in first.stderr) == (3, True)
    assert stopped == ["m.csv", "m.report.csv.partial"]
    assert "run 1, stopped" in status.stdout
    assert second.exit_code == 0, second.output
    assert [stage.ledger.get(f"{redis_keys.CUSTOMER_SEQUENCE}{uid}") for uid in "ab"] == ["1", "1"]


def test_a_second_signal_is_left_to_the_system() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with stopped_by_signals() as is_stopping:
        first = is_stopping()
        os.kill(os.getpid(), signal.SIGTERM)
        second, handler = is_stopping(), signal.getsignal(signal.SIGTERM)

    assert (first, second, handler) == (False, True, signal.SIG_DFL)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_report_that_is_there_is_not_overwritten(stage: Stage, run: Run, source: Path, tmp_path: Path) -> None:
    words = "m.report.csv is there already; move it away, or name another --report"
    for name, problem in (("m.report.csv", words), ("m.report.csv.partial", "is no work file of a migration")):
        path = file(tmp_path, b"before" * 500, name)

        result = run("migrate", str(source), PLAIN, AS_OF)

        assert (result.exit_code, path.read_bytes()) == (2, b"before" * 500)
        assert problem in result.stderr
        path.unlink()
    assert stage.ledger.keys() == []


def test_a_migration_that_another_process_runs_is_left_alone(stage: Stage, run: Run, source: Path) -> None:
    other = Control(stage.url(1), stage.vault_url(), "m")
    other.tick({"run": 1, "state": ledger.RUNNING})

    result = run("migrate", str(source), PLAIN, AS_OF)

    assert (result.exit_code, result.stderr) == (2, "producer: m is run by another process\n")
    assert other.tick({}).is_ours
    other.close()


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("rows", ["2", "3"])
def test_status_tells_where_a_run_ended_or_stopped(run: Run, source: Path, rows: str) -> None:
    run("migrate", str(source), PLAIN, AS_OF, "--rows", rows)

    assert "m: 2 of" in run("migrate", "status", "m").stdout
    assert "2 issued" in run("migrate", "status", "m").stdout


@pytest.mark.usefixtures("workers")
def test_resuming_with_another_source_is_refused(run: Run, source: Path, tmp_path: Path) -> None:
    run("migrate", str(source), PLAIN, AS_OF, "--rows", "3")
    other = file(tmp_path, customers("a", "x", "c"), "other.csv")

    result = run("migrate", str(other), PLAIN, "--name", "m", "--resume")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "producer: line 3: is not what this run read there; this is another source"
    )


def test_stores_that_are_away_are_one_line_and_exit_code_2(
    stage: Stage, run: Run, source: Path, tmp_path: Path
) -> None:
    result = run("migrate", str(source), PLAIN, AS_OF, LEDGER_URL=f"redis://:secret@127.0.0.1:{dead_port()}/1")

    assert result.exit_code == 2
    assert result.stderr.startswith("producer: LEDGER_URL: ledger at 127.0.0.1:")
    assert result.stderr.endswith(", user default: refuses the connection: nobody listens there\n")
    assert names(tmp_path) == ["m.csv"]


@pytest.mark.parametrize(
    ("right", "code", "arguments"),
    [
        ("hmget", 2, ["m.csv", PLAIN]),
        ("info", 2, ["m.csv", PLAIN, AS_OF]),
        ("hmget", 1, ["status", "m"]),
        ("hmget", 1, ["pause", "m"]),
    ],
)
def test_a_redis_user_without_the_right_is_told_so_in_one_line_and_nothing_is_left_behind(
    stage: Stage, run: Run, source: Path, tmp_path: Path, right: str, code: int, arguments: list[str]
) -> None:
    with narrow_user(stage, "~*", "+@all", f"-{right}") as url:
        result = run("migrate", *arguments, LEDGER_URL=url)

    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (code, "", 1)
    assert f", user narrow: no right to run {right.upper()} (" in result.stderr
    assert result.stderr.endswith("; migrate logs in as the user migrator\n")
    assert names(tmp_path) == [source.name]


@pytest.mark.usefixtures("workers")
def test_stores_without_a_limit_are_warned_about(stage: Stage, run: Run, source: Path) -> None:
    stage.vault.config_set("maxmemory", "1gb")

    result = run("migrate", str(source), PLAIN, AS_OF)

    assert result.stderr.splitlines()[0] == (
        "producer: warning: the ledger has no maxmemory, so it has no --memory-mark"
    )
    assert "the vault has no maxmemory" not in result.stderr


# Another run of what failed


@pytest.mark.usefixtures("workers")
def test_another_run_sends_only_what_is_worth_it(stage: Stage, run: Run, tmp_path: Path) -> None:
    source = file(tmp_path, export(f"a,{VISA},2031-07", f"poor,{VISA},2031-07", "c,x,2031-07", "d"))
    first = run("migrate", str(source), PLAIN, AS_OF)
    file(tmp_path, export(f"a,{VISA},2031-07", f"poor,{VISA},2031-07", f"c,{VISA},2031-07", f"d,{VISA},2031-07"))

    refused = run("migrate", str(source), PLAIN, AS_OF)
    second = run("migrate", str(source), PLAIN, "--only-failed", "m.report.csv")

    assert (first.exit_code, refused.exit_code, second.exit_code) == (1, 2, 0)
    assert "m is done; take another --name, or --only-failed REPORT" in refused.stderr
    assert reported(tmp_path, "m.run2.report.csv") == {"4": "issued", "5": "issued"}
    assert stage.records() == sorted([job("a"), job("poor"), job("c", 2), job("d", 2)])


def stopped_second_run(run: Run, piped: Piped, stage: Stage) -> str:
    """Stop run 2 of m, which sends again what failed of run 1; what it said last."""
    control = Control(stage.url(1), stage.vault_url(), "m")
    control.tick({"run": 1, "state": ledger.DONE, "as_of": BEGIN_OF_2025}, lease_s=0)
    control.close()
    write_report(Path("r.csv"), [ReportRow.of(2, outcome_of("a")), ReportRow(3, "b", "invalid", "row")])
    piped(export(f"a,{VISA},2031-07", "b,x,2031-07", end="\n")[:-1])
    result = run("migrate", "-", "--name", "m", "--only-failed", "r.csv", "--report", "again.csv")
    assert result.exit_code == 3
    return result.stderr.splitlines()[-1]


def test_how_to_go_on_names_the_options_that_it_takes(stage: Stage, run: Run, piped: Piped) -> None:
    words = stopped_second_run(run, piped, stage)

    assert "--only-failed r.csv" in words
    assert "--report again.csv" in words


@pytest.mark.usefixtures("workers")
def test_going_on_with_another_run_sends_nothing_that_is_issued(stage: Stage, run: Run, piped: Piped) -> None:
    stopped_second_run(run, piped, stage)
    piped(export(f"a,{VISA},2031-07", f"b,{VISA},2031-07"))

    run("migrate", "-", "--name", "m", "--resume", "--report", "again.csv")

    assert job("a", 2) not in stage.records()


# The export's date


def test_a_run_needs_the_exports_date_and_shows_the_files(
    stage: Stage, run: Run, source: Path, piped: Piped, tmp_path: Path
) -> None:
    os.utime(source, (1_795_132_800.9, 1_795_132_800.9))
    of_file = run("migrate", str(source), PLAIN)
    piped(customers("a"))
    of_pipe = run("migrate", "-", "--name", "m")

    needed = "producer: --as-of: is needed: when the export was made"
    for result in (of_file, of_pipe):
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert result.stderr.startswith(needed)
    assert of_file.stderr.endswith("; the file was last changed 2026-11-20T09:00:00+09:00\n")
    assert "last changed" not in of_pipe.stderr
    assert stage.ledger.keys() == []
    assert names(tmp_path) == [source.name]


@pytest.mark.parametrize(
    "text", ["2025-01-01", "2025-01-01T00:00", "2025-01-01T00:00:00.9+09:00", "2024-12-31T15:00Z", "20250101"]
)
@pytest.mark.usefixtures("workers")
def test_the_exports_date_is_signed_with_each_row_and_a_date_alone_begins_in_korea(
    stage: Stage, run: Run, source: Path, text: str
) -> None:
    result = run("migrate", str(source), PLAIN, "--as-of", text)

    assert {stage.keys.verified(stage.sealed(job(uid))).as_of for uid in "ab"} == {BEGIN_OF_2025}
    assert "the export is of 2025-01-01T00:00:00+09:00: a card that was applied since stays\n" in result.stderr
    assert "export of 2025-01-01T00:00:00+09:00" in run("migrate", "status", "m").stdout


@pytest.mark.usefixtures("workers")
def test_the_exports_date_is_kept_by_all_runs_and_cannot_be_another(
    stage: Stage, run: Run, source: Path, tmp_path: Path
) -> None:
    source.write_bytes(customers("a", "b")[:-3] + export(f"c,x{VISA},2031-07").partition(b"\n")[2])
    run("migrate", str(source), PLAIN, AS_OF, "--rows", "9")
    other = run("migrate", str(source), PLAIN, "--resume", "--as-of", "2025-01-02")
    resumed = run("migrate", str(source), PLAIN, "--resume", AS_OF)
    source.write_bytes(customers("a", "b", "c"))
    again = run("migrate", str(source), PLAIN, "--only-failed", "m.report.csv")

    kept = "this migration's export is of 2025-01-01T00:00:00+09:00; another one needs another --name"
    assert (other.exit_code, other.stderr) == (2, f"producer: --as-of: {kept}\n")
    assert (resumed.exit_code, again.exit_code) == (1, 0), again.output
    assert stage.keys.verified(stage.sealed(job("b", 2))).as_of == BEGIN_OF_2025


def test_a_dry_run_needs_no_date(run: Run, source: Path) -> None:
    assert run("migrate", str(source), PLAIN, "--dry-run", **nowhere()).exit_code == 0


# A trial and a brake


@pytest.mark.usefixtures("workers")
def test_a_sample_is_sent_told_and_gone_on_from(stage: Stage, run: Run, tmp_path: Path) -> None:
    source = file(tmp_path, customers(*("poor0", *(f"u{number}" for number in range(1, 20)))))

    sample = run("migrate", str(source), PLAIN, AS_OF, "--sample", "4")
    sent = stage.records()
    whole = run("migrate", str(source), PLAIN, "--resume")

    assert sent == sorted(job(uid) for uid in ("poor0", "u4", "u12", "u16"))
    assert sample.exit_code == 3
    assert [line.split() for line in sample.stdout.splitlines() if "issued" in line or "declined" in line][:2] == [
        ["3", "issued"],
        ["1", "declined"],
    ]
    assert sample.stderr.splitlines()[-1].endswith("go on with migrate SOURCE --name m --resume")
    assert whole.exit_code == 1
    assert (len(stage.records()), len(reported(tmp_path))) == (20, 20)


@pytest.mark.usefixtures("workers")
def test_a_run_of_declined_cards_pauses_itself_and_goes_on_when_told(stage: Stage, run: Run, tmp_path: Path) -> None:
    source = file(tmp_path, customers(*(f"poor{number}" for number in range(800))))

    paused = run("migrate", str(source), PLAIN, AS_OF)
    sent = len(stage.records())
    whole = run("migrate", str(source), PLAIN, "--resume", "--stop-at", "100")

    assert (paused.exit_code, paused.stdout) == (3, "")
    words = paused.stderr.splitlines()[-1]
    assert "of the last " in words
    assert "outcomes are declined" in words
    assert words.endswith("go on with migrate SOURCE --name m --resume --stop-at 100")
    assert 61 <= sent <= 300
    assert whole.exit_code == 1
    assert len(stage.records()) == 800
    assert set(reported(tmp_path).values()) == {"declined"}


# From another shell


@pytest.fixture
def running(stage: Stage) -> Iterator[Control]:
    control = Control(stage.url(1), stage.vault_url(), "m")
    progress = {"name": "m", "run": 2, "line": 8, "counts": {"issued": 1200, "open": 7, "lost": 1}, "throttle": 2.5}
    control.tick({"run": 2, "state": ledger.RUNNING, "progress": json.dumps(progress)})
    yield control
    control.close()


@pytest.mark.parametrize(
    ("arguments", "asked", "rate"),
    [
        (["pause", "m"], "pause", None),
        (["resume", "m"], "run", None),
        (["cancel", "m"], "cancel", None),
        (["throttle", "m", "12.5"], "run", 12.5),
        (["throttle", "m", "0"], "run", None),
    ],
)
def test_an_order_is_heard_at_the_next_tick(
    run: Run, running: Control, arguments: list[str], asked: str, rate: float | None
) -> None:
    result = run("migrate", *arguments)

    order = running.tick({})
    assert (result.exit_code, order.asked, order.throttle, order.is_ours) == (0, asked, rate, True)


def test_a_throttle_is_taken_away_again(run: Run, running: Control) -> None:
    run("migrate", "throttle", "m", "5")

    run("migrate", "throttle", "m", "0")

    assert running.tick({}).throttle is None


@pytest.mark.parametrize("rate", ["-1", "x", "nan", "inf"])
def test_a_throttle_is_a_number_from_0_on(run: Run, running: Control, rate: str) -> None:
    assert run("migrate", "throttle", "m", "--", rate).exit_code == 2
    assert running.tick({}).throttle is None


@pytest.mark.parametrize(
    "arguments", [["status", "x"], ["pause", "x"], ["resume", "x"], ["throttle", "x", "1"], ["cancel", "x"]]
)
def test_a_migration_that_nobody_knows_is_exit_code_2(stage: Stage, run: Run, arguments: list[str]) -> None:
    result = run("migrate", *arguments)

    assert (result.exit_code, result.stderr) == (2, "producer: x: no migration of that name is known\n")
    assert stage.ledger.keys() == []


@pytest.mark.parametrize("state", [ledger.DONE, ledger.CANCELLED])
def test_a_migration_that_has_ended_takes_no_orders(run: Run, running: Control, state: str) -> None:
    running.tick({"state": state}, lease_s=0)

    for arguments in (["pause", "m"], ["throttle", "m", "1"]):
        result = run("migrate", *arguments)

        assert (result.exit_code, result.stderr) == (2, "producer: m has ended\n")
    assert state in run("migrate", "status", "m").stdout


@pytest.mark.usefixtures("running")
def test_status_tells_where_a_migration_is(run: Run) -> None:
    run("migrate", "pause", "m")

    first, second = run("migrate", "status", "m").stdout.splitlines()

    assert first == (
        "m: 1,208 rows, 1,200 issued, 0 declined, 0 invalid, 7 open, 0 in_doubt, 1 other; 0.0/s (throttled to 2.5/s)"
    )
    assert second.startswith("run 2, running, asked to pause, ")


@pytest.mark.parametrize("state", [ledger.STOPPED, ledger.RUNNING], ids=["asked to stop", "killed"])
def test_status_of_a_migration_that_nobody_runs_shows_no_rate_no_time_left_and_no_waiting(
    run: Run, running: Control, state: str
) -> None:
    counts = {"issued": 1200, "open": 7}
    progress = {"name": "m", "run": 2, "counts": counts, "rate": 99.5, "eta_s": 30.0, "held": "paused"}
    running.tick({"state": state, "progress": json.dumps(progress)}, lease_s=0)

    where, state_line, advice = run("migrate", "status", "m").stdout.splitlines()
    found = json.loads(run("migrate", "status", "m", "--json").stdout)

    assert where == "m: 1,207 rows, 1,200 issued, 0 declined, 0 invalid, 7 open, 0 in_doubt; 0.0/s"
    assert state_line.startswith("run 2, stopped, ")
    assert advice == "what was open then is open or done by now: workers go on with it, and --resume counts it"
    assert (found["progress"]["rate"], found["progress"]["eta_s"], found["progress"]["held"]) == (0, None, None)


@pytest.mark.usefixtures("running")
def test_status_is_one_json_object_if_it_is_asked_for(run: Run) -> None:
    found = json.loads(run("migrate", "status", "m", "--json").stdout)

    assert (found["run"], found["state"], found["is_held"], found["asked"]) == (2, "running", True, "run")
    assert found["progress"]["counts"]["issued"] == 1200


def test_a_producer_that_holds_a_workers_secret_does_not_begin(stage: Stage, run: Run, source: Path) -> None:
    result = run("migrate", str(source), PLAIN, AS_OF, IMP_SECRET="x")

    assert (result.exit_code, result.stderr.startswith("producer: IMP_SECRET: is set")) == (2, True)
    assert stage.ledger.keys() == []


@pytest.mark.usefixtures("workers")
def test_the_report_of_an_earlier_run_sends_nothing_that_a_later_one_issued(
    run: Run, source: Path, tmp_path: Path
) -> None:
    source.write_text(source.read_text() + "broken,4242424242424241,2031-07,900101,12\n")
    first = run("migrate", str(source), PLAIN, AS_OF)
    second = run("migrate", str(source), PLAIN, "--only-failed", "m.report.csv")

    third = run("migrate", str(source), PLAIN, "--only-failed", "m.report.csv")

    assert (first.exit_code, second.exit_code) == (1, 1)
    assert (third.exit_code, third.stderr) == (
        2,
        "producer: m.report.csv is not the report of run 2, which was the last one\n",
    )
