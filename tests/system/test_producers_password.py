"""A producer's password in the wrong hands: what it writes stops nobody else's job, and makes none wait for ever."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from producer import BillingQueue, Card
from producer.contract import redis_keys
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.job import Request
from tests.fake_iamport import CARDS
from tests.fake_iamport.faults import Fault
from tests.servers import run_python, wait_until
from tests.stack import Stack

FORGED = job_id_of("forged")


@pytest.fixture
def thief(stack: Stack) -> Iterator[Any]:
    with redis.Redis.from_url(stack.stores("producer")["LEDGER_URL"], protocol=2) as client:
        yield client


def forge(thief: Any, job_id: str | bytes, **fields: str) -> None:
    key = redis_keys.REQUEST.encode() + (job_id if isinstance(job_id, bytes) else job_id.encode())
    names = {"operation": "issue", "customer_uid": "gildong", "merchant_uid": "", "envelope": "", "queue": "migration"}
    others = {"kid": "k", "digest": "0", "sequence": "1", "accepted_at": "1.0", "expires_at": "1.0"}
    thief.setnx(key, json.dumps({**names, **others, **fields}, ensure_ascii=False).encode(errors="surrogateescape"))
    thief.zadd(redis_keys.OPEN, {job_id: 0})


def card(name: str) -> Card:
    return Card(**CARDS[name].fields())


def test_no_request_that_a_producer_makes_up_stops_the_sweeper(stack: Stack, queue: BillingQueue, thief: Any) -> None:
    for expires_at in ("nan", " 99999999999", "0xFFFFFFFFFF", "inf", "-inf", "99999999999.0"):
        forge(thief, job_id_of(f"until {expires_at}"), expires_at=expires_at)
    forge(thief, b"\xff0", expires_at="0")
    for number, text in enumerate([b"\xff", b"[" * 5000, b"{}", b"[]", b"9" * 5000, b'{"queue": 1}']):
        thief.setnx(redis_keys.REQUEST + job_id_of(f"another {number}"), text)
        forge(thief, job_id_of(f"another {number}"))
    stack.worker()

    job = queue.issue(customer_uid="gildong", card=card("lost_answer"))  # which needs the sweeper to come back

    assert queue.wait(job.job_id, 60).status == "issued"


def test_what_a_producer_asked_for_is_changed_by_nobody(stack: Stack, queue: BillingQueue, thief: Any) -> None:
    job = queue.issue(customer_uid="gildong", card=card("visa"))
    forge(thief, job.job_id, customer_uid="another", sent_at="1.0", answer="{}", doubtful="1")
    for command in (
        ("HSETNX", redis_keys.JOB + job.job_id, "sent_at", "1.0"),
        ("HINCRBY", redis_keys.CUSTOMER + "gildong", "applied", -2),
        ("DECR", redis_keys.CUSTOMER_SEQUENCE + "gildong"),
        ("PERSIST", redis_keys.CUSTOMER + "gildong"),
        ("HSET", redis_keys.KIDS, "kid", "0"),
        ("PSUBSCRIBE", redis_keys.RESULT + "*"),
        ("SADD", "_kombu.binding_deadlines", "x"),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            thief.execute_command(*command)
    stack.worker()

    outcome = queue.wait(job.job_id, 60)

    assert (outcome.status, outcome.customer_uid, outcome.attempts) == ("issued", "gildong", 1)
    forge(thief, job.job_id, customer_uid="another")  # there is a record: this one counts for nothing
    assert queue.outcome(job.job_id) == outcome


@pytest.mark.parametrize(
    "fields",
    [
        {"customer_uid": "\udcff"},
        {"customer_uid": "[/red]"},
        {"merchant_uid": "x" * 3500},
        {"accepted_at": "9" * 400 + ".0"},
        {"expires_at": "9" * 13 + ".0"},
        {"sequence": "9" * 20},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_request_of_another_form_counts_for_nothing(stack: Stack, thief: Any, fields: dict[str, str]) -> None:
    environ = {"LEDGER_URL": stack.stores("operator")["LEDGER_URL"]}
    now = f"{time.time():.6f}"
    forge(thief, FORGED, **{"accepted_at": now, "expires_at": now, **fields})
    thief.zadd(redis_keys.OPEN, {b"\xff": 1e11, "[/red]": 1e11})

    assert run_python("-m", "worker", "jobs", environ=environ).returncode == 0
    assert run_python("-m", "worker", "trace", FORGED, environ=environ).stderr.startswith("worker: no job of that id")


def test_a_sequence_that_a_producer_makes_up_supersedes_no_later_job(
    stack: Stack, queue: BillingQueue, thief: Any
) -> None:
    digest = Request(operation=Operation.ISSUE, customer_uid="gildong").digest()
    now = time.time()
    times = {"accepted_at": f"{now:.6f}", "expires_at": f"{now + 900:.6f}"}
    forge(thief, job_id_of("guessed"), digest=digest, sequence="999999999", queue="interactive", **times)
    stack.worker()

    first = queue.issue(customer_uid="gildong", card=card("visa"), idempotency_key="guessed")
    assert queue.wait(first.job_id, 60).status in {"issued", "invalid"}
    later = queue.issue(customer_uid="gildong", card=card("mastercard"))

    assert queue.wait(later.job_id, 60).status == "issued"


def test_a_request_that_is_none_of_ours_is_not_swept_for_ever(stack: Stack, thief: Any) -> None:
    forge(thief, FORGED, sequence="0x1")

    stack.worker()

    admin = stack.queue.client(1)
    wait_until(lambda: admin.zscore(redis_keys.OPEN, FORGED) is None, 60, "its end")


def test_a_job_whose_places_a_producer_moves_is_swept_all_the_same(
    stack: Stack, queue: BillingQueue, thief: Any
) -> None:
    job = queue.issue(customer_uid="gildong", card=card("visa"))
    stack.queue.client().delete("interactive")  # its message is lost
    thief.zadd(redis_keys.OPEN, {job.job_id: "inf"})
    thief.zadd(redis_keys.FRESH + "interactive", {job.job_id: "inf"})
    stack.worker()

    assert queue.wait(job.job_id, 60).status == "issued"


def test_an_order_goes_one_after_another_whatever_place_a_producer_gives_a_payment(
    stack: Stack, queue: BillingQueue, thief: Any
) -> None:
    stack.fake.add_fault(Fault("latency", "POST /subscribe/", latency_s=2.0))
    stack.worker(concurrency=8)
    first = queue.onetime(merchant_uid="order-1", amount=1000, name="tea", card=card("visa"))
    admin = stack.queue.client(1)
    wait_until(lambda: admin.hexists(redis_keys.JOB + first.job_id, "sent_at"), what="the first call")

    thief.zadd(redis_keys.ORDER_OPEN + "order-1", {first.job_id: 1e9})
    second = queue.onetime(merchant_uid="order-1", amount=1000, name="tea", card=card("mastercard"))

    began = time.monotonic()
    assert queue.wait(first.job_id, 60).status == "paid"
    outcome = queue.wait(second.job_id, 90)
    assert (outcome.status, outcome.code) == ("invalid", "duplicate_merchant_uid")
    assert time.monotonic() - began < 90
