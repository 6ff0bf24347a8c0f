"""What the tests of a migration stand on: exports as bytes, and a ledger with its workers in plain Python."""

import contextlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from hypothesis import settings

from producer import BillingQueue
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.outcome import Outcome, Status
from producer.enqueue import IssueRequest
from producer.errors import IdempotencyConflict
from producer.migrate import ledger
from producer.migrate.checker import Checker
from producer.migrate.ledger import Control, Instructions
from producer.migrate.pace import Brake, Window
from producer.migrate.progress import Progress
from producer.migrate.rows import Reader, rows_to_send
from producer.migrate.run import Run
from producer.migrate.source import Record
from producer.migrate.work_file import WorkFile
from tests.producer.stage import Stage

HEADER = "customer_uid,card_number,expiry"
VISA, MASTERCARD, EXPIRY = "4242424242424242", "5555555555554444", "2031-07"
NOW = 1_795_132_800.0  # 2026-11-20 09:00 in Korea
KEY_PREFIX = "migration:m:1:"
LOOPS = 400  # a run that goes on for longer than that hangs
REPEATABLE = settings(derandomize=True, database=None, deadline=None)  # a slow machine is no failure


def export(*lines: str, header: str = HEADER, end: str = "\n") -> bytes:
    """A CSV of these lines."""
    return "".join(line + end for line in (header, *lines)).encode()


def customers(*uids: str) -> bytes:
    """A CSV of customers with a Visa each."""
    return export(*(f"{uid},{VISA},{EXPIRY}" for uid in uids))


def record_of(line: int, uid: str, **fields: str) -> Record:
    """A record with a Visa, some of its fields changed."""
    return Record(line, {"customer_uid": uid, "card_number": VISA, "expiry": EXPIRY} | fields)


def records_of(count: int) -> list[Record]:
    """Customers u2, u3, … on the lines of these numbers."""
    return [record_of(line, f"u{line}") for line in range(2, 2 + count)]


def checker(**changes: Any) -> Checker:
    """The rules of run 1 of the migration m."""
    given: dict[str, Any] = {"now": lambda: NOW, "key_prefix": KEY_PREFIX, "deadline_s": 900.0}
    return Checker(**given | changes)


def job_of(uid: str) -> str:
    """The job id of a customer in run 1 of the migration m."""
    return job_id_of(KEY_PREFIX + uid)


def outcome_of(uid: str, status: Status = Status.ISSUED, **fields: Any) -> Outcome:
    """The outcome of a customer's job in run 1 of the migration m."""
    given: dict[str, Any] = {
        "job_id": job_of(uid),
        "status": status,
        "operation": Operation.ISSUE,
        "customer_uid": uid,
        "accepted_at": NOW,
        "finished_at": NOW + 1,
    }
    return Outcome(**given | fields)


class Pieces(io.BytesIO):
    """A source that gives its bytes piece by piece, as a pipe does; an exception among them is raised."""

    def __init__(self, pieces: Iterable[bytes | Exception]) -> None:
        super().__init__()
        self._pieces = iter(pieces)

    def read(self, size: int | None = -1, /) -> bytes:
        piece = next(self._pieces, b"")
        if isinstance(piece, Exception):
            raise piece
        return piece


def byte_by_byte(data: bytes) -> Pieces:
    return Pieces(bytes([byte]) for byte in data)


@dataclass
class World:
    """Queue, ledger and workers of one run.

    Args:
        plan: what changes at which tick, counted from 1.
        ends: whether workers end what is accepted.
        tells: whether the stream tells it.
        failing: what the next calls raise, each once what was asked is done as far as ``accepts_first`` says.
        conflicts: customers whose key belongs to another request.
        forgets: customers whose jobs are accepted and lost.
        wrong: how the jobs of these customers end, instead of issued.
        told: counts, why nothing was sent, and the customers accepted, as each tick found them.
    """

    asked: str = ledger.RUN
    throttle: float | None = None
    is_ours: bool = True
    fullness: float | None = 0.1
    ends: bool = True
    tells: bool = True
    failing: list[Exception] = field(default_factory=list)
    accepts_first: bool = False
    conflicts: frozenset[str] = frozenset()
    forgets: frozenset[str] = frozenset()
    wrong: dict[str, dict[str, Any]] = field(default_factory=dict)
    plan: dict[int, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, Outcome | None] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    calls: list[list[str]] = field(default_factory=list)
    waits_ms: list[int] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)
    told: dict[int, tuple[dict[str, int], str | None, list[str]]] = field(default_factory=dict)
    most_open: int = 0
    _untold: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> list[str]:
        """The customers whose jobs were accepted, in order."""
        return list(self.uids.values())

    def accept(self, request: IssueRequest) -> None:
        if request.customer_uid in self.conflicts:
            raise IdempotencyConflict(request.idempotency_key or "")
        job_id = job_id_of(request.idempotency_key or "")
        if job_id not in self.uids:
            self.uids[job_id] = request.customer_uid
            if request.customer_uid not in self.forgets:
                self.jobs[job_id] = None
                self._untold.append(job_id)
        self.most_open = max(self.most_open, sum(one is None for one in self.jobs.values()))

    # What a run asks of its queue

    def issue_many(self, requests: Iterable[IssueRequest]) -> Iterator[None]:
        chunk = list(requests)
        self.calls.append([request.customer_uid for request in chunk])
        if self.failing and not self.accepts_first:
            raise self.failing.pop()
        conflict: IdempotencyConflict | None = None
        for request in chunk:
            try:
                self.accept(request)
            except IdempotencyConflict as error:
                conflict = conflict or error
        if self.failing:
            raise self.failing.pop()
        if conflict:
            raise conflict
        yield from [None] * len(chunk)

    # What it asks of the ledger

    def now(self) -> float:
        return NOW

    def listen_from(self, now: float) -> None:
        pass

    def tick(self, fields: dict[str, Any]) -> Instructions:
        self.written.append(fields)
        number, progress = len(self.written), json.loads(fields["progress"])
        self.told[number] = progress["counts"], progress["held"], self.accepted
        for name, value in self.plan.get(number, {}).items():
            setattr(self, name, value)
        return Instructions(self.is_ours, self.asked, self.throttle, NOW)

    def memory_used(self) -> dict[str, float | None]:
        return {"ledger": self.fullness, "vault": None}

    def heard(self, *, wait_ms: int) -> list[Outcome]:
        self.waits_ms.append(wait_ms)
        if not self.ends:
            return []
        told, self._untold = self._untold, []
        self.jobs |= {
            job_id: outcome_of(uid, job_id=job_id, **self.wrong.get(uid, {}))
            for job_id in told
            for uid in [self.uids[job_id]]
        }
        return [one for job_id in told if (one := self.jobs[job_id])] if self.tells else []

    def outcomes(self, job_ids: Sequence[str]) -> dict[str, Outcome | None]:
        return {job_id: self.jobs[job_id] for job_id in job_ids if job_id in self.jobs}


class Ready(Reader):
    """A reader that reads when it is asked, so that a test has no second thread."""

    def take(self) -> Any:
        return list(itertools.islice(self._rows, 100)) or None


def drive(
    world: World,
    work: WorkFile,
    records: Iterable[Record],
    *,
    window: int = 10_000,
    step_s: float = 0.6,
    loops: int = 0,
    stop_at: float = 30.0,
) -> Progress:
    """Run a migration to its end, on a clock that goes on by ``step_s`` each time round.

    Args:
        loops: somebody wants it to stop after so many times round; never, if 0.
        stop_at: per cent of the last outcomes that may be declined.
    """
    clock = itertools.count()
    rounds = itertools.count(1)

    def is_stopping() -> bool:
        number = next(rounds)
        assert number <= LOOPS, "the run does not end"
        return 0 < loops < number

    progress = Progress("m", 1)
    run = Run(
        cast("BillingQueue", world),
        cast("Control", world),
        work,
        Window(900, window, 0.0),
        Brake(stop_at),
        progress,
        0.8,
        lambda _progress: None,
        is_stopping,
        clock=lambda: next(clock) * step_s,
    )
    run.go(Ready(rows_to_send(records, checker(), iter(work))))
    work.commit()
    return progress


def work_file(folder: Path, run: int = 1) -> WorkFile:
    return WorkFile(folder / "work.partial", "m", run)


@contextlib.contextmanager
def narrow_user(stage: Stage, *rules: str) -> Iterator[str]:
    """The ledger's URL for a Redis user with these rights."""
    stage.ledger.execute_command("ACL", "SETUSER", "narrow", "reset", "on", ">secret", *rules)
    try:
        yield stage.url(1).replace("//", "//narrow:secret@")
    finally:
        stage.ledger.execute_command("ACL", "DELUSER", "narrow")
