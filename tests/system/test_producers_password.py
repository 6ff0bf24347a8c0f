"""A producer's password in the wrong hands: what it writes stops nobody else's job, and makes none wait for ever."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from producer import BillingQueue, Card, Job
from producer.contract import redis_keys
from producer.contract.identifiers import job_id_of
from tests.fake_iamport import CARDS
from tests.fake_iamport.faults import Fault
from tests.servers import wait_until
from tests.stack import Stack

INSTANTS = ("nan", " 99999999999", "0xFFFFFFFFFF", "inf", "-inf", "x")
FIELDS = {
    "lease_without_end": {"lease": "x:1", "leased_from": "0", "leased_until": "inf"},
    "lease_for_long": {"lease": "x:1", "leased_from": "0", "leased_until": "9999999999999"},
    "waits": {"waits_from": "0", "next_at": "1e300"},
    "look_ups": {"look_ups": "1.5"},
    "transients": {"transients": "abc", "sent_at": "nan"},
}
FOREIGN = job_id_of("foreign")


def forge(thief: Any, job_id: str | bytes, **fields: str) -> None:
    key = redis_keys.JOB.encode() + (job_id if isinstance(job_id, bytes) else job_id.encode())
    for name, value in {"operation": "issue", "queue": "migration", **fields}.items():
        thief.hsetnx(key, name, value)
    thief.zadd(redis_keys.OPEN, {job_id: 0})


def card(name: str) -> Card:
    return Card(**CARDS[name].fields())


def issue(queue: BillingQueue, uid: str, name: str = "visa") -> Job:
    return queue.issue(customer_uid=uid, card=card(name))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as one:
        yield one


@pytest.fixture(scope="module")
def queue(stack: Stack) -> Iterator[BillingQueue]:
    with stack.billing_queue() as one:
        yield one


@pytest.fixture(scope="module")
def thief(stack: Stack) -> Iterator[Any]:
    with redis.Redis.from_url(stack.stores("producer")["LEDGER_URL"], protocol=2) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def jobs(stack: Stack, queue: BillingQueue, thief: Any) -> dict[str, Job]:
    """All that is there, good and forged, when workers start; a job by its customer."""
    found = {}
    for number, expires_at in enumerate(INSTANTS):
        forge(thief, job_id_of(f"forged {number}"), expires_at=expires_at)
    forge(thief, b"\xff0", expires_at="0")
    thief.hsetnx(redis_keys.JOB + job_id_of("another"), "queue", b"\xff")
    forge(thief, job_id_of("another"), expires_at="0")
    forge(thief, FOREIGN, expires_at="1.0", accepted_at="1.0", attempts="0", sequence="0x1")
    moved = found["moved"] = issue(queue, "moved")
    stack.queue.client().delete("interactive")  # its message is lost
    thief.zadd(redis_keys.OPEN, {moved.job_id: "inf"})
    thief.zadd(redis_keys.FRESH + "interactive", {moved.job_id: "inf"})
    for name, fields in FIELDS.items():
        job = found[name] = issue(queue, name)
        for field, value in fields.items():
            thief.hsetnx(redis_keys.JOB + job.job_id, field, value)
    found["swept"] = issue(queue, "swept", "lost_answer")
    stack.worker(concurrency=8)
    return found


def test_no_record_that_a_producer_makes_up_stops_the_sweeper(queue: BillingQueue, jobs: dict[str, Job]) -> None:
    assert queue.wait(jobs["swept"].job_id, 60).status == "issued"  # it needs the sweeper to come back


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_that_a_producer_adds_keeps_a_job_open_for_ever(
    queue: BillingQueue, jobs: dict[str, Job], name: str
) -> None:
    assert queue.wait(jobs[name].job_id, 60).status in {"issued", "in_doubt"}


def test_a_record_that_is_none_of_ours_is_not_swept_for_ever(stack: Stack) -> None:
    wait_until(lambda: stack.ledger.zscore(redis_keys.OPEN, FOREIGN) is None, 60, "its end")


def test_a_job_whose_places_a_producer_moves_is_swept_all_the_same(queue: BillingQueue, jobs: dict[str, Job]) -> None:
    assert queue.wait(jobs["moved"].job_id, 60).status == "issued"


def test_an_order_goes_one_after_another_whatever_place_a_producer_gives_a_payment(
    stack: Stack, queue: BillingQueue, thief: Any
) -> None:
    stack.fake.add_fault(Fault("latency", "POST /subscribe/", latency_s=2.0))
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
