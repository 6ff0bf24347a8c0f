"""The story of a run, with queue, ledger and workers in plain Python.

The first tick comes before anything is sent. Going on is a second run on the same work file.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producer.contract.outcome import Status
from producer.errors import BrokerUnavailable
from producer.migrate import ledger
from producer.migrate.checker import Row
from producer.migrate.continuation import WrongState, run_number
from producer.migrate.ledger import Checkpoint
from producer.migrate.lines import CutOff, SourceError
from producer.migrate.rows import ROWS_AT_ONCE, Reader, rows_to_send
from producer.migrate.run import NEVER_SENT, Stopped
from producer.migrate.source import Record
from producer.migrate.work_file import AWAITED, NOT_SENT, ReportRow, WorkFile
from tests.producer.migrate_stage import World, checker, drive, job_of, outcome_of, record_of, records_of, work_file

AWAY = BrokerUnavailable("accept", accepted=False, idempotency_key="k")
HALF_DONE = BrokerUnavailable("vault", accepted=None, idempotency_key="k")


@pytest.fixture
def work(tmp_path: Path) -> WorkFile:
    return work_file(tmp_path)


def counts(work: WorkFile) -> dict[str, int]:
    return {status: count for status, count in work.counts.items() if count}


def kept(work: WorkFile, line: int) -> ReportRow:
    found = work.find(line)
    assert found is not None
    return found


def uids(count: int) -> list[str]:
    return [f"u{line}" for line in range(2, 2 + count)]


# All goes well


def test_every_row_is_sent_once_and_in_order_and_its_outcome_kept(work: WorkFile) -> None:
    world = World()

    drive(world, work, records_of(250))

    assert world.accepted == uids(250)
    assert [uid for call in world.calls for uid in call] == uids(250)
    assert counts(work) == {"issued": 250}
    assert kept(work, 7) == ReportRow.of(7, outcome_of("u7"))


def test_rows_that_cannot_be_sent_are_kept_with_their_reason(work: WorkFile) -> None:
    world = World()

    drive(world, work, [record_of(2, "a"), Record(3, {}, "is no CSV"), record_of(4, "b", expiry="2020-01")])

    assert world.accepted == ["a"]
    assert [kept(work, 3), kept(work, 4)] == [
        ReportRow(3, "", "invalid", "row", message="is no CSV"),
        ReportRow(4, "b", "invalid", "row", message="expiry: lies in the past"),
    ]


def test_a_customer_who_comes_again_is_sent_once(work: WorkFile) -> None:
    world = World()

    drive(world, work, [record_of(2, "a"), record_of(3, "a"), record_of(4, "b"), record_of(5, "a")])

    assert world.accepted == ["a", "b"]
    assert counts(work) == {"issued": 2, "invalid": 2}
    assert kept(work, 5).message == "customer_uid: stands on line 2, too"


def test_a_row_is_in_the_work_file_before_it_is_sent(work: WorkFile) -> None:
    class Watching(World):
        def issue_many(self, requests: Any) -> Iterator[None]:
            chunk = list(requests)
            assert [work.line_of(request.customer_uid) for request in chunk] == list(range(2, 12))
            return super().issue_many(chunk)

    drive(Watching(), work, records_of(10))

    assert counts(work) == {"issued": 10}


def test_a_source_without_rows_ends_at_once(work: WorkFile) -> None:
    drive(World(), work, [])

    assert work.rows == 0


def test_outcomes_of_other_jobs_are_passed_over(work: WorkFile) -> None:
    class Busy(World):
        def heard(self, *, wait_ms: int) -> Any:
            return [outcome_of("somebody else", Status.DECLINED), *super().heard(wait_ms=wait_ms)]

    drive(Busy(), work, records_of(3))

    assert counts(work) == {"issued": 3}


# How much is sent


def test_no_more_jobs_are_open_than_the_window_allows(work: WorkFile) -> None:
    world = World(ends=False, plan={5: {"ends": True}})

    drive(world, work, records_of(40), window=7)

    assert world.most_open == 7
    assert counts(work) == {"issued": 40}


def test_a_throttle_limits_how_many_rows_are_sent_a_second(work: WorkFile) -> None:
    world = World(throttle=10.0)

    progress = drive(world, work, records_of(100), step_s=0.5)

    assert [len(call) for call in world.calls[:3]] == [5, 5, 5]
    assert progress.throttle == 10
    assert counts(work) == {"issued": 100}


@pytest.mark.parametrize("fullness", [0.81, 1.0])
def test_nothing_is_sent_while_a_store_is_fuller_than_the_mark(work: WorkFile, fullness: float) -> None:
    world = World(fullness=fullness, plan={3: {"fullness": 0.8}})

    drive(world, work, records_of(5))

    assert world.told[3] == ({}, f"the ledger is {fullness:.0%} full", [])
    assert counts(work) == {"issued": 5}


def test_rows_that_cannot_be_sent_need_no_room(work: WorkFile) -> None:
    world = World(asked=ledger.PAUSE)
    bad = [Record(line, {}, "is no CSV") for line in range(2, 302)]

    drive(world, work, bad)

    assert counts(work) == {"invalid": 300}


def test_a_run_that_may_not_send_waits_for_outcomes_in_peace(work: WorkFile) -> None:
    world = World(asked=ledger.PAUSE)

    with pytest.raises(Stopped):
        drive(world, work, records_of(5), loops=20)

    assert min(world.waits_ms[1:]) >= 50


# Instructions from another shell


def test_a_paused_run_sends_nothing_until_it_is_resumed(work: WorkFile) -> None:
    world = World(asked=ledger.PAUSE, plan={3: {"asked": ledger.RUN}})

    drive(world, work, records_of(5))

    assert world.told[3] == ({}, "paused", [])
    assert world.accepted == uids(5)


def test_what_is_open_goes_on_while_a_run_is_paused(work: WorkFile) -> None:
    world = World(ends=False, plan={2: {"asked": ledger.PAUSE}, 3: {"ends": True}, 5: {"asked": ledger.RUN}})

    drive(world, work, records_of(150))

    assert world.told[5] == ({"issued": 100}, "paused", uids(100))
    assert counts(work) == {"issued": 150}


def test_a_run_that_is_paused_while_a_store_fails_sends_nothing_when_it_is_back(work: WorkFile) -> None:
    world = World(failing=[AWAY], plan={2: {"asked": ledger.PAUSE}, 5: {"asked": ledger.RUN}})

    drive(world, work, records_of(5), step_s=1.1)

    assert world.told[5] == ({AWAITED: 5}, "paused", [])


def test_a_cancelled_run_lists_the_rest_as_not_sent_and_awaits_what_is_open(work: WorkFile) -> None:
    world = World(ends=False, plan={2: {"asked": ledger.CANCEL}, 5: {"ends": True}})

    drive(world, work, [*records_of(250), Record(252, {}, "is no CSV")])

    assert world.told[5][0] == {AWAITED: 100, NOT_SENT: 150, "invalid": 1}
    assert world.accepted == uids(100)
    assert counts(work) == {"issued": 100, NOT_SENT: 150, "invalid": 1}
    assert kept(work, 150) == ReportRow(150, "u150", NOT_SENT, "cancelled", message=NEVER_SENT[-1])


@pytest.mark.parametrize(("accepts_first", "ends"), [(False, {NOT_SENT: 5}), (True, {"issued": 5})])
def test_of_a_run_that_is_cancelled_while_a_store_fails_what_was_accepted_is_awaited(
    work: WorkFile, accepts_first: bool, ends: dict[str, int]
) -> None:
    world = World(failing=[HALF_DONE] * 3, accepts_first=accepts_first, plan={2: {"asked": ledger.CANCEL}})

    drive(world, work, records_of(5), step_s=1.1)

    assert counts(work) == ends


def test_a_run_that_is_told_to_stop_can_be_resumed_and_sends_nothing_twice(work: WorkFile) -> None:
    world = World(ends=False)
    with pytest.raises(Stopped, match="asked to stop"):
        drive(world, work, records_of(250), loops=2)
    stopped_at = len(world.accepted)

    world.ends = True
    drive(world, work, records_of(250))

    assert 0 < stopped_at < 250
    assert world.accepted == uids(250)
    assert counts(work) == {"issued": 250}


def test_a_run_that_another_process_took_over_stops(work: WorkFile) -> None:
    with pytest.raises(Stopped, match="another process runs this migration now"):
        drive(World(plan={2: {"is_ours": False}}), work, records_of(1000))


# What goes wrong


def test_a_conflict_of_one_row_costs_that_row_only(work: WorkFile) -> None:
    world = World(conflicts=frozenset({"u3", "u9"}))

    drive(world, work, records_of(20))

    assert world.accepted == [uid for uid in uids(20) if uid not in {"u3", "u9"}]
    assert counts(work) == {"issued": 18, "invalid": 2}
    assert (kept(work, 3).code, kept(work, 9).code) == ("conflict", "conflict")


@pytest.mark.parametrize("accepts_first", [False, True])
@pytest.mark.parametrize("error", [AWAY, HALF_DONE])
def test_a_store_that_is_away_for_a_while_costs_nothing(
    work: WorkFile, error: BrokerUnavailable, accepts_first: bool
) -> None:
    world = World(failing=[error] * 3, accepts_first=accepts_first)

    drive(world, work, records_of(150), step_s=1.1)

    assert world.accepted == uids(150)
    assert counts(work) == {"issued": 150}
    assert len(world.calls) == 5


def test_why_nothing_is_sent_is_shown(work: WorkFile) -> None:
    world = World(failing=[AWAY] * 3)

    drive(world, work, records_of(5), step_s=1.1)

    held = [held for _, held, _ in world.told.values()]
    assert held[:2] == [None, "LEDGER_URL: the store cannot be reached, refuses us or does not answer"]


@pytest.mark.parametrize("call", ["tick", "heard", "outcomes", "memory_used"])
def test_a_ledger_that_does_not_answer_for_a_while_costs_no_outcome(work: WorkFile, call: str) -> None:
    class Failing(World):
        fails = 2

    def failing(*arguments: Any, **named: Any) -> Any:
        if Failing.fails:
            Failing.fails -= 1
            raise BrokerUnavailable("read", accepted=None)
        return getattr(World, call)(world, *arguments, **named)

    world = Failing(tells=call != "outcomes")
    setattr(world, call, failing)
    drive(world, work, records_of(5), step_s=1.1)

    assert Failing.fails == 0
    assert counts(work) == {"issued": 5}


def test_an_outcome_that_the_stream_never_told_is_found_by_asking(work: WorkFile) -> None:
    drive(World(tells=False), work, records_of(250))

    assert counts(work) == {"issued": 250}


def test_a_job_that_the_ledger_forgot_ends_in_doubt(work: WorkFile) -> None:
    drive(World(forgets=frozenset({"u4"})), work, records_of(5))

    assert counts(work) == {"issued": 4, "in_doubt": 1}
    assert (kept(work, 4).status, kept(work, 4).code) == ("in_doubt", "forgotten")


def test_a_source_that_breaks_ends_the_run_and_keeps_what_was_sent(work: WorkFile) -> None:
    world = World()

    def broken() -> Iterator[Record]:
        yield from records_of(100)
        raise CutOff("line 102: the source was cut off")

    with pytest.raises(CutOff):
        drive(world, work, broken())
    work.commit()

    assert len(list(work)) == len(world.accepted) == 100


def test_a_reader_tells_its_error_where_it_is_asked() -> None:
    def broken() -> Iterator[Row]:
        yield checker().check(record_of(2, "a"))
        raise SourceError("line 3: the source broke")

    reader = Reader(broken())
    reader.run()
    assert reader.take()

    with pytest.raises(SourceError, match="line 3: the source broke"):
        reader.take()


def test_a_reader_gives_rows_in_order_then_nothing_then_the_end() -> None:
    reader = Reader(checker().check(record) for record in records_of(150))
    early = reader.take()
    reader.run()

    chunks = [reader.take() for _ in range(3)]

    assert early == []
    lengths = [len(chunk) for chunk in chunks if chunk]
    assert lengths == [ROWS_AT_ONCE, 50]
    assert [row.line for chunk in chunks if chunk for row in chunk] == list(range(2, 152))
    assert chunks[2] is None


# Resuming


def resumed(work: WorkFile) -> None:
    """A run before this one left a row that ended, one that is open, and one that cannot be sent."""
    work.add([ReportRow(2, "u2", AWAITED, job_id=job_of("u2")), ReportRow(3, "u3", AWAITED, job_id=job_of("u3"))])
    work.add([ReportRow(4, "", "invalid", "row", message="is no CSV")])
    work.settle([ReportRow.of(2, outcome_of("u2"))])
    work.commit()


SOURCE = [record_of(2, "u2"), record_of(3, "u3"), Record(4, {}, "is no CSV"), record_of(5, "u5")]


def test_going_on_sends_what_has_no_end_yet(work: WorkFile) -> None:
    resumed(work)
    world = World()

    drive(world, work, SOURCE)

    assert world.accepted == ["u3", "u5"]
    assert counts(work) == {"issued": 3, "invalid": 1}


def test_an_outcome_that_came_while_nobody_listened_is_asked_for_at_once(work: WorkFile) -> None:
    resumed(work)
    world = World(tells=False, jobs={job_of("u3"): outcome_of("u3", Status.DECLINED)}, uids={job_of("u3"): "u3"})

    drive(world, work, SOURCE[:3])

    assert kept(work, 3).status == "declined"


def test_a_row_whose_card_has_expired_since_it_was_sent_is_awaited_all_the_same(work: WorkFile) -> None:
    resumed(work)
    world = World(tells=False, jobs={job_of("u3"): outcome_of("u3")}, uids={job_of("u3"): "u3"})

    drive(world, work, [record_of(2, "u2", expiry="2026-10"), record_of(3, "u3", expiry="2026-10"), *SOURCE[2:3]])

    assert counts(work) == {"issued": 2, "invalid": 1}


def test_a_row_that_was_sent_with_other_options_has_the_outcome_of_its_job(work: WorkFile) -> None:
    resumed(work)
    sent = {job_of("u3"): outcome_of("u3")}
    world = World(tells=False, conflicts=frozenset({"u3"}), jobs=dict(sent), uids={job_of("u3"): "u3"})

    drive(world, work, SOURCE[:3])

    assert kept(work, 3).status == "issued"


@pytest.mark.parametrize(
    "changed",
    [
        [record_of(2, "other"), *SOURCE[1:]],
        [SOURCE[0], record_of(3, "other"), *SOURCE[2:]],
        [*SOURCE[:2], record_of(4, "u4"), SOURCE[3]],
        [SOURCE[0], Record(3, {}, "is no CSV"), *SOURCE[2:]],
    ],
)
def test_another_source_is_refused_with_the_line_and_nothing_of_it_is_sent(
    work: WorkFile, changed: list[Record]
) -> None:
    resumed(work)
    world = World()

    with pytest.raises(SourceError, match=r"line \d: is not what this run read there; this is another source"):
        drive(world, work, changed)

    assert world.accepted == []


@pytest.mark.parametrize("count", [1, 2])
def test_a_shorter_source_is_noticed(work: WorkFile, count: int) -> None:
    resumed(work)

    with pytest.raises(CutOff, match="the source ends before the last line that this run has read; it was cut off"):
        drive(World(), work, SOURCE[:count])


@pytest.mark.parametrize(
    ("before", "source"),
    [
        ([ReportRow(2, "a", AWAITED, job_id="x")], []),
        ([ReportRow(2, "a", "issued"), ReportRow(5, "b", AWAITED, job_id="x")], [record_of(2, "a"), record_of(3, "c")]),
        ([ReportRow(2, "a", AWAITED, job_id="x"), ReportRow(3, "b", "issued")], [record_of(3, "b")]),
    ],
)
def test_a_source_without_a_line_that_was_read_is_refused(before: list[ReportRow], source: list[Record]) -> None:
    with pytest.raises(SourceError):
        list(rows_to_send(source, checker(), iter(before)))


@pytest.mark.parametrize(
    "uid", ["user_20260101_123456", "550e8400-e29b-41d4-a716-446655440000", "1234567890123", "9999010000000001"]
)
def test_a_customer_uid_of_many_digits_does_not_look_like_another_source(uid: str) -> None:
    row = checker().check(record_of(2, uid))

    (again,) = rows_to_send([record_of(2, uid)], checker(), iter([ReportRow(2, row.customer_uid, AWAITED, job_id="x")]))

    assert again.customer_uid == uid


def test_what_has_its_end_is_passed_over_without_a_look_at_its_card() -> None:
    before = [ReportRow(2, "a", "issued"), ReportRow(3, "b", AWAITED, job_id="x"), ReportRow(4, "홍", "invalid")]
    source = [record_of(2, "a", card_number="x"), record_of(3, "b"), record_of(4, "홍"), record_of(5, "c")]

    rows = list(rows_to_send(source, checker(), iter(before)))

    assert [(row.line, row.problem) for row in rows] == [(3, None), (5, None)]


# Which run it is


def checkpoint(state: str, *, run: int = 3) -> Checkpoint:
    return Checkpoint(run, state, state == ledger.RUNNING, ledger.RUN, None, {"line": 1234}, 0.0)


STOPPED, DONE, CANCELLED_RUN = (checkpoint(state) for state in (ledger.STOPPED, ledger.DONE, ledger.CANCELLED))


@pytest.mark.parametrize(
    ("known", "is_resume", "is_again", "number"),
    [
        (None, False, False, 1),
        (checkpoint(ledger.STOPPED, run=1), True, False, 1),
        (STOPPED, True, True, 3),
        (DONE, False, True, 4),
        (CANCELLED_RUN, False, True, 4),
    ],
)
def test_a_run_has_the_number_that_makes_its_job_ids(
    known: Checkpoint | None, is_resume: bool, is_again: bool, number: int
) -> None:
    assert run_number("m", known, is_resume=is_resume, is_again=is_again) == number


@pytest.mark.parametrize(
    ("known", "is_resume", "is_again", "words"),
    [
        (None, True, False, "m has nothing to resume"),
        (None, True, True, "m has nothing to resume"),
        (DONE, True, False, "m has nothing to resume"),
        (CANCELLED_RUN, True, True, "m has nothing to resume"),
        (STOPPED, True, False, "run 3 of m was begun with --only-failed"),
        (checkpoint(ledger.STOPPED, run=1), True, True, "run 1 of m was begun without --only-failed"),
        (STOPPED, False, False, "m was stopped at line 1,234; go on with --resume"),
        (STOPPED, False, True, "m was stopped at line 1,234; go on with --resume"),
        (DONE, False, False, "m is done; take another --name, or --only-failed REPORT for another run"),
        (CANCELLED_RUN, False, False, "m is cancelled; take another --name, or --only-failed REPORT for another run"),
    ],
)
def test_what_cannot_be_done_now_is_refused_with_what_can(
    known: Checkpoint | None, is_resume: bool, is_again: bool, words: str
) -> None:
    with pytest.raises(WrongState) as caught:
        run_number("m", known, is_resume=is_resume, is_again=is_again)

    assert str(caught.value) == words


# Progress


def test_progress_tells_counts_rate_and_what_is_left(work: WorkFile) -> None:
    world = World()

    progress = drive(world, work, [*records_of(100), Record(102, {}, "is no CSV")])

    written = [json.loads(fields["progress"]) for fields in world.written]
    assert (written[0]["counts"], written[-1]["counts"]) == ({}, {"issued": 100, "invalid": 1})
    assert (progress.name, progress.run, progress.rows, progress.line) == ("m", 1, 101, 102)
    assert progress.rate > 0
    assert {fields["state"] for fields in world.written} == {ledger.RUNNING}


def test_no_card_and_no_customer_is_in_what_a_run_tells_the_ledger(work: WorkFile) -> None:
    world = World()

    drive(world, work, records_of(50))

    assert "4242" not in json.dumps(world.written)
    assert "u7" not in json.dumps(world.written)


# The brake


def test_a_run_that_brakes_hears_what_is_open_and_can_be_gone_on_from(work: WorkFile) -> None:
    wrong = {uid: {"status": Status.DECLINED} for uid in uids(900)}
    world = World(wrong=wrong)

    with pytest.raises(Stopped, match="outcomes are declined") as stopped:
        drive(world, work, records_of(900))
    sent = len(world.accepted)
    drive(world, work, records_of(900), stop_at=100)

    assert stopped.value.more == " --stop-at 100"
    assert 61 <= sent <= 300
    assert counts(work) == {"declined": 900}


def test_a_run_that_brakes_says_so_where_it_is_watched(work: WorkFile) -> None:
    wrong = {uid: {"status": Status.MISCONFIGURED, "code": "no_channel"} for uid in uids(900)}
    world = World(wrong=wrong)

    with pytest.raises(Stopped, match=r"misconfigured \(no_channel\)") as stopped:
        drive(world, work, records_of(900))

    assert stopped.value.more == ""
    assert len(world.accepted) <= 300
