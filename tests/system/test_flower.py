"""Flower: what it shows of jobs, customers and queues, over deliveries of all kinds."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from producer import BillingQueue, Card
from producer.contract.job import INTERACTIVE, TASK_NAME
from producer.publisher import Publisher
from tests.fake_iamport import CARDS
from tests.ports import free_port
from tests.servers import wait_until
from tests.stack import FLOWER, Stack, WorkerProcess

SUCCESSES = {"issued", "paid", "declined", "superseded"}
KINDS = ("visa", "bad_number", "lost_answer", "mastercard", "visa", "bad_number")


class Flower:
    """Flower's API, and its pages."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def page(self, path: str) -> str:
        with suppress(OSError), urllib.request.urlopen(self._url + path, timeout=5) as answer:
            return str(answer.read().decode())
        return ""

    def tasks(self) -> dict[str, dict[str, Any]]:
        return dict(json.loads(self.page("/api/tasks?limit=10000") or "{}"))

    def task(self, job_id: str) -> dict[str, Any]:
        return dict(json.loads(self.page(f"/api/task/info/{job_id}") or "{}"))


@pytest.fixture
def flower(stack: Stack) -> Iterator[Flower]:
    port = free_port()
    with stack.running("flower", stack.flower(port), **FLOWER):
        wait_until(lambda: stack.queue.client().pubsub_numpat(), 240, "Flower's subscription")
        yield Flower(port)


def card(name: str) -> Card:
    return Card(**CARDS[name].fields())


@pytest.mark.timeout(600)
def test_flower_shows_each_job_by_its_customer_and_its_outcome(
    stack: Stack, queue: BillingQueue, flower: Flower
) -> None:
    command = ["-m", "worker", "run", "--processes", "2", "--concurrency", "4", "--events"]
    publisher = Publisher(stack.stores("producer")["BROKER_URL"])
    with WorkerProcess(stack.worker_env, stack.folder / "logs", command=command):
        jobs = [queue.issue(customer_uid=f"uid_{i}", card=card(name)) for i, name in enumerate(KINDS)]
        jobs += [queue.issue(customer_uid="gildong", card=card("visa")) for _ in range(3)]
        jobs += [queue.onetime(merchant_uid=f"order-{i}", amount=1000, name="tea", card=card("visa")) for i in range(2)]
        for _ in range(2):  # each message is delivered three times
            publisher.publish([(job.job_id, INTERACTIVE) for job in jobs], "again", is_late=False)
        outcomes = {job.job_id: queue.wait(job.job_id, 90) for job in jobs}

        def settled() -> bool:
            states = {job_id: one.get("state") for job_id, one in flower.tasks().items()}
            return states == {
                job_id: "SUCCESS" if outcome.status in SUCCESSES else "FAILURE" for job_id, outcome in outcomes.items()
            }

        wait_until(settled, 60, "every job's outcome in Flower")
        assert {str(outcome.status) for outcome in outcomes.values()} >= {"issued", "declined", "paid", "superseded"}
        for job in jobs:
            _check(flower.task(job.job_id), job, outcomes[job.job_id])

        queues = flower.page("/broker")
        assert [name for name in ("recovery", "interactive", "migration") if name not in queues] == []
        assert "No queue data" not in queues


def _check(task: dict[str, Any], job: Any, outcome: Any) -> None:
    words = filter(None, (job.operation, job.merchant_uid, job.customer_uid, job.sequence and f"seq {job.sequence}"))
    assert (task["name"], task["args"]) == (TASK_NAME, " · ".join(words))
    code = outcome.pg_code or outcome.code
    assert task["result"] == " · ".join(str(one) for one in (outcome.status, code, outcome.card_number) if one)
    assert " · -1" not in task["result"]
    assert task["exception"] is None
    assert task["received"] == pytest.approx(outcome.accepted_at, abs=0.01)
