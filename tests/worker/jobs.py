"""Jobs that a real ledger accepted, and what a worker asks it about them."""

import json
from collections.abc import Sequence

from producer.contract import redis_keys
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.job import INTERACTIVE, QUEUES, Request
from producer.contract.outcome import Outcome, Status
from producer.runtime.redis_store import Stores
from producer.stores import Acceptance, NewJob
from tests.servers import RedisServer
from worker.ledger import Ledger
from worker.model import End, Lease, NotClaimed
from worker.open_jobs import Due, OpenJobs
from worker.result import outcome_of

IMP_NOW = 990.125  # i'mport's clock has nothing to do with the ledger's
NOBODY_EMPTY = [-1.0] * len(QUEUES)


def accept(
    store: RedisServer,
    key: str = "k",
    *,
    uid: str | None = "gildong_0001",
    order: str | None = None,
    deadline_s: float = 900,
    queue: str = INTERACTIVE,
    as_of: int | None = None,
    traceparent: str = "",
) -> str:
    """Accept an issue, or with an order a payment, through the producer's own script."""
    fields = {"merchant_uid": order, "amount": 1000, "name": "order"} if order is not None else {}
    operation = Operation.ISSUE if order is None else Operation.ONETIME
    request = Request.model_validate({"operation": operation, "customer_uid": uid, "as_of": as_of, **fields})
    asked = NewJob(job_id_of(key), key, request, queue, deadline_s, "kid-1", None, traceparent)
    (accepted,) = Acceptance(store.url(1), store.url(2)).accept([asked])
    if isinstance(accepted, Exception):
        raise accepted
    return asked.job_id


def now(store: RedisServer) -> float:
    """The server's clock."""
    seconds, microseconds = store.client(1).time()
    return float(seconds + microseconds / 1e6)


def change(store: RedisServer, job_id: str, **fields: float | str) -> None:
    """Write into a job's record, as if a worker had made one."""
    db, key = store.client(1), redis_keys.JOB + job_id
    asked = db.getdel(redis_keys.REQUEST + job_id)
    if asked:
        db.hset(key, mapping={**json.loads(asked), "attempts": 0, "claims": 0})
    db.hset(key, mapping={name: str(value) for name, value in fields.items()})


def field(store: RedisServer, job_id: str, name: str) -> float:
    """A number of a job's record; 0 where it is not."""
    return float(store.client(1).hget(redis_keys.JOB + job_id, name) or 0)


def end_lease(store: RedisServer, job_id: str) -> None:
    """Let the lease run out."""
    change(store, job_id, leased_until=1)


def end_wait(store: RedisServer, job_id: str) -> None:
    """Let its time come."""
    change(store, job_id, next_at=1)


def claimed(ledger: Ledger, job_id: str, delivery: str = "d1") -> Lease:
    """A claim that succeeds."""
    claim = ledger.claim(job_id, delivery)
    assert isinstance(claim, Lease)
    return claim


def sent(ledger: Ledger, job_id: str, delivery: str = "d1") -> Lease:
    """A claim that is marked as sent."""
    lease = claimed(ledger, job_id, delivery)
    assert ledger.mark_sent(lease, IMP_NOW)
    return lease


def due(
    store: RedisServer,
    most: int = 10,
    most_migration: int = 100,
    empty_s: Sequence[float] = NOBODY_EMPTY,
    *,
    places: int = 2,
    has_front: bool = True,
) -> list[Due]:
    """What the sweeper is to publish."""
    return open_jobs(store).due(most, most_migration, places, empty_s, has_front=has_front)


def open_jobs(store: RedisServer) -> OpenJobs:
    """The sweeper's part of the ledger."""
    return OpenJobs(Stores(store.url(1)), Stores(store.url(2)))


def ended(lease: Lease, status: Status = Status.ISSUED, code: str | None = None, attempts: int = 0) -> Outcome:
    """An outcome of a claim."""
    return outcome_of(lease, End(status, code, None, attempts), lease.claimed_at + 1)


def waits(claim: Lease | NotClaimed) -> bool:
    """True if a claim gave nothing: it is not the job's turn."""
    return isinstance(claim, NotClaimed) and claim.reason in {"waiting", "order"}
