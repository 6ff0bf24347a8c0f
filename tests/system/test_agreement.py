"""Flower, metrics and an operator's list say the same of many jobs as the ledger and the fake i'mport do.

    python -m tests.system.test_agreement [JOBS]

With everything of ``make dev``, 1,000 jobs unless told otherwise, each message delivered three times and more, in any
order. The last line is one JSON object; ends with 1 if any two differ.
"""

import itertools
import json
import random
import sys
import time
from collections import Counter
from typing import Any

import pytest

from producer import BillingQueue, Card, Job, Outcome
from producer.contract import redis_keys
from producer.contract.job import INTERACTIVE, QUEUES
from producer.publisher import Publisher
from tests.dev import Servers, everything
from tests.fake_iamport import CARDS, made_up
from tests.servers import wait_until
from tests.stack import Stack
from tests.system.test_flower import SUCCESSES, Flower
from tests.system.test_metrics import scrape
from tests.system.test_operator import listed

PATIENCE_S = 240
CARDS_OF_ISSUES = (None, None, "bad_number", "wrong_password", "lost_answer", "processing_error_twice", "no_contract")
Counts = dict[str, dict[str, int]]


def accept(queue: BillingQueue, count: int) -> list[Job]:
    """Jobs of all kinds; every tenth is a payment, some customers give a second card at once."""
    jobs, chance = list[Job](), random.Random(1)
    for number in range(count):
        named = chance.choice(CARDS_OF_ISSUES)
        card = Card(**(CARDS[named].fields() if named else made_up(number)))
        if number % 10 == 0:
            paying = Card(**CARDS[chance.choice(("visa", "limit_exceeded"))].fields())
            jobs.append(queue.onetime(merchant_uid=f"order_{number}", amount=1000, name="tea", card=paying))
        else:
            jobs.append(queue.issue(customer_uid=f"customer_{number - number % 20 // 17}", card=card))
    return jobs


def statuses(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(map(str, words)).items()))


def ledgers(stack: Stack) -> list[Outcome]:
    return [Outcome.from_json(fields[b"outcome"]) for _, fields in stack.ledger.xrange(redis_keys.OUTCOMES)]


def of_metrics(port: int) -> dict[str, dict[str, int]]:
    """Outcomes by status, and cards that were sent."""
    ended, sent = Counter[str](), 0
    for (name, *labels), value in scrape(port)[0].items():
        if name == "billing_outcomes_total":
            ended[labels[2]] += int(value)
        sent += int(value) if name == "billing_attempts_total" else 0
    return {"outcomes": dict(sorted(ended.items())), "sent": {"cards": sent}}


def counts(stack: Stack, ports: Servers) -> Counts:
    """What each of them says: outcomes by status, and by what came of it at i'mport."""
    outcomes, fake, metrics = ledgers(stack), stack.fake, of_metrics(ports.metrics)
    tasks = Flower(ports.flower).tasks()
    states = {job_id: task["state"] for job_id, task in tasks.items()}
    done = {"issued": "issue", "paid": "payment"}
    posts = [fake.count("POST", path) for path in ("/subscribe/customers/", "/subscribe/payments/onetime")]
    by_job = {one.job_id: "SUCCESS" if one.status in SUCCESSES else "FAILURE" for one in outcomes}
    return {
        "ledger": statuses(one.status for one in outcomes),
        "flower": statuses(task["result"].partition(" ")[0] for task in tasks.values()),
        "metrics": metrics["outcomes"],
        "worker jobs": statuses(one["state"] for one in listed(stack, "--limit", "1000")),
        "ledger, done": statuses(done[one.status] for one in outcomes if one.status in done),
        "fake, done": statuses(one.kind for one in fake.applied),
        "ledger, sent": {"cards": sum(one.attempts for one in outcomes)},
        "metrics, sent": metrics["sent"],
        "fake, sent": {"cards": sum(posts)},
        "ledger, states": statuses(by_job.values()),
        "flower, states": statuses(state for job_id, state in states.items() if by_job.get(job_id) == state),
    }


def differences(found: Counts) -> list[tuple[str, str]]:
    """Pairs that should say the same, and do not."""
    groups = (
        ("ledger", "flower", "metrics", "worker jobs"),
        ("ledger, done", "fake, done"),
        ("ledger, sent", "metrics, sent", "fake, sent"),
        ("ledger, states", "flower, states"),
    )
    pairs = itertools.chain(*(itertools.combinations(group, 2) for group in groups))
    return [(one, other) for one, other in pairs if found[one] != found[other]]


def run(count: int) -> Counts:
    """All of it."""
    with Stack() as stack, stack.billing_queue() as queue, everything(stack) as ports:
        wait_until(lambda: stack.queue.client().pubsub_numpat(), PATIENCE_S, "Flower's subscription")
        jobs = accept(queue, count)
        messages = [(job.job_id, INTERACTIVE) for job in jobs for _ in range(2)]
        random.Random(2).shuffle(messages)
        publisher = Publisher(stack.stores("producer")["BROKER_URL"])
        publisher.publish(messages, "again", is_late=False)
        wait_until(lambda: len(ledgers(stack)) >= count, PATIENCE_S + count, "all outcomes")
        publisher.publish(messages[:count], "once more", is_late=False)
        wait_until(lambda: not any(stack.queue.client().llen(name) for name in QUEUES), PATIENCE_S, "empty queues")
        end = time.monotonic() + 60
        while (
            differences(found := counts(stack, ports)) and time.monotonic() < end
        ):  # events and files are on their way
            time.sleep(1)
        return found


@pytest.mark.timeout(900)
def test_flower_metrics_and_the_operators_list_agree_with_the_ledger_and_with_iamport() -> None:
    found = run(60)

    assert differences(found) == []
    assert {"issued", "declined", "paid", "misconfigured"} <= found["ledger"].keys()


if __name__ == "__main__":
    told = run(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    print(json.dumps({**told, "differences": differences(told)}))
    sys.exit(bool(differences(told)))
