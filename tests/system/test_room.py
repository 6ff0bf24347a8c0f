"""A ledger at its limit: nothing new is accepted, and what is in flight is finished."""

import pytest

from producer import BillingQueue, BrokerUnavailable, Card
from producer.contract import redis_keys
from tests.fake_iamport import Fault, made_up
from tests.servers import wait_until
from tests.stack import Stack

PAYMENTS = "POST /subscribe/payments/onetime"


def pay(queue: BillingQueue, number: int) -> str:
    card = Card(**made_up(number))
    return queue.onetime(merchant_uid=f"order-{number}", amount=1000, name="x", card=card).job_id


def test_payments_in_flight_end_as_they_should_in_a_ledger_at_its_limit(stack: Stack, queue: BillingQueue) -> None:
    stack.fake.add_fault(Fault("latency", PAYMENTS, latency_s=(5.0, 5.0)))
    stack.worker(processes=2, concurrency=8)
    jobs = [pay(queue, number) for number in range(16)]
    wait_until(lambda: stack.fake.count("POST", "/subscribe/payments/onetime") >= 16, 240, "payments in flight")
    admin = stack.queue.client()

    admin.config_set("maxmemory", admin.info("memory")["used_memory"] // 2)

    with pytest.raises(BrokerUnavailable, match=r"out of memory|nearly full") as caught:
        pay(queue, 100)
    assert caught.value.accepted is False
    assert {queue.wait(job, 240).status for job in jobs} == {"paid"}
    wait_until(lambda: stack.ledger.get(redis_keys.FULL) == b"ledger", 240, "jobs that are refused for want of room")
    with pytest.raises(BrokerUnavailable, match=r"^LEDGER_URL: ledger at .*: is (nearly full|out of memory)") as caught:
        pay(queue, 101)
    assert caught.value.accepted is False

    admin.config_set("maxmemory", "1gb")

    wait_until(lambda: not stack.ledger.exists(redis_keys.FULL), 240, "room")
    assert queue.wait(pay(queue, 102), 240).status == "paid"
    assert len([one for one in stack.fake.applied if one.kind == "payment"]) == 17


def test_jobs_are_refused_before_the_ledger_is_full(stack: Stack, queue: BillingQueue) -> None:
    stack.worker()
    admin = stack.queue.client()

    admin.config_set("maxmemory", int(admin.info("memory")["used_memory"] / 0.85))

    wait_until(lambda: stack.ledger.get(redis_keys.FULL) == b"ledger", 240, "jobs that are refused for want of room")
    with pytest.raises(BrokerUnavailable, match=r"is nearly full: jobs are accepted again when") as caught:
        pay(queue, 1)
    assert caught.value.accepted is False
    assert stack.fake.applied == []
