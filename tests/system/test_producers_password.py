"""A producer's password in the wrong hands: what it writes stops nobody else's job, and makes none wait for ever."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from producer import BillingQueue, Card
from producer.contract import redis_keys
from producer.contract.identifiers import job_id_of
from tests.fake_iamport import CARDS
from tests.fake_iamport.faults import Fault
from tests.servers import wait_until
from tests.stack import Stack

FORGED = job_id_of("forged")


@pytest.fixture
def thief(stack: Stack) -> Iterator[Any]:
    with redis.Redis.from_url(stack.stores("producer")["LEDGER_URL"], protocol=2) as client:
        yield client


def forge(thief: Any, job_id: str | bytes, **fields: str) -> None:
    key = redis_keys.JOB.encode() + (job_id if isinstance(job_id, bytes) else job_id.encode())
    for name, value in {"operation": "issue", "queue": "migration", **fields}.items():
        thief.hsetnx(key, name, value)
    thief.zadd(redis_keys.OPEN, {job_id: 0})


def card(name: str) -> Card:
    return Card(**CARDS[name].fields())


@pytest.mark.parametrize("expires_at", ["nan", " 99999999999", "0xFFFFFFFFFF", "inf", "-inf", "x"])
def test_no_record_that_a_producer_makes_up_stops_the_sweeper(
    stack: Stack, queue: BillingQueue, thief: Any, expires_at: str
) -> None:
    forge(thief, FORGED, expires_at=expires_at)
    forge(thief, b"\xff0", expires_at="0")
    thief.hsetnx(redis_keys.JOB + job_id_of("another"), "queue", b"\xff")
    forge(thief, job_id_of("another"), expires_at="0")
    stack.worker()

    job = queue.issue(customer_uid="gildong", card=card("lost_answer"))  # which needs the sweeper to come back

    assert queue.wait(job.job_id, 60).status == "issued"


@pytest.mark.parametrize(
    "fields",
    [
        {"lease": "x:1", "leased_from": "0", "leased_until": "inf"},
        {"lease": "x:1", "leased_from": "0", "leased_until": "9999999999999"},
        {"waits_from": "0", "next_at": "1e300"},
        {"look_ups": "1.5"},
        {"transients": "abc", "sent_at": "nan"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_no_field_that_a_producer_adds_keeps_a_job_open_for_ever(
    stack: Stack, queue: BillingQueue, thief: Any, fields: dict[str, str]
) -> None:
    job = queue.issue(customer_uid="gildong", card=card("visa"))
    for name, value in fields.items():
        thief.hsetnx(redis_keys.JOB + job.job_id, name, value)
    stack.worker()

    assert queue.wait(job.job_id, 60).status in {"issued", "in_doubt"}


def test_a_record_that_is_none_of_ours_is_not_swept_for_ever(stack: Stack, thief: Any) -> None:
    forge(thief, FORGED, expires_at="1.0", accepted_at="1.0", attempts="0", sequence="0x1")

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
