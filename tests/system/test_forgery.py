"""A producer that cheats with its own, genuine keys: nothing of it reaches i'mport."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from producer import BillingQueue, Card, Job, Outcome
from producer.contract import redis_keys
from producer.contract.identifiers import Operation
from producer.contract.job import INTERACTIVE
from producer.publisher import Publisher
from producer.sealing import SealingKeys, SigningKey
from producer.settings import ProducerSettings
from tests.fake_iamport import CARDS
from tests.servers import environment, wait_until
from tests.stack import Stack
from worker.keys import generate as keygen

CARD, PATIENCE_S = Card(**CARDS["visa"].fields()), 240


class Cheat:
    """Accepts jobs as usual, and lays down what it likes in their place; a worker then takes them up."""

    def __init__(self, stack: Stack, queue: BillingQueue) -> None:
        self.stack, self.queue = stack, queue
        self.sealing = SealingKeys.load(Path(stack.producer_env["SEALING_KEYS_FILE"]))
        self.signing = SigningKey.load(Path(stack.producer_env["SIGNING_KEY_FILE"]))

    def lay(self, job: Job, text: str) -> None:
        self.stack.vault.client().set(redis_keys.SEALED + job.job_id, text, keepttl=True)

    def sealed(self, purpose: Operation, at: float, **names: str) -> str:
        both: dict[str, Any] = {"customer_uid": None, "merchant_uid": None, **names}
        return self.sealing.seal(CARD, purpose=purpose, iat=int(at), exp=int(at) + 1, **both)

    def run(self, *jobs: Job) -> list[Outcome]:
        self.stack.worker(concurrency=2)
        return [self.queue.wait(job.job_id, PATIENCE_S) for job in jobs]

    @property
    def calls(self) -> int:
        return len([one for one in self.stack.fake.requests if "getToken" not in one.path])


@pytest.fixture
def cheat(stack: Stack, queue: BillingQueue) -> Cheat:
    return Cheat(stack, queue)


def test_a_job_that_is_readdressed_is_invalid_whoever_signs_it(cheat: Cheat) -> None:
    job = cheat.queue.issue(customer_uid="gildong", card=CARD)
    cheat.lay(job, cheat.signing.sign(job.model_copy(update={"customer_uid": "younghee"})))
    other = cheat.queue.issue(customer_uid="minsu", card=CARD)
    envelope = cheat.sealed(Operation.ISSUE, other.accepted_at, customer_uid="younghee")
    cheat.lay(other, cheat.signing.sign(other.model_copy(update={"envelope": envelope})))

    outcomes = cheat.run(job, other)

    assert [one.status for one in outcomes] == ["invalid", "invalid"]
    assert outcomes[0].code == "other_customer_uid"
    assert cheat.calls == 0


def test_an_envelope_for_a_payment_does_not_issue_a_key(cheat: Cheat) -> None:
    job = cheat.queue.issue(customer_uid="gildong", card=CARD)
    envelope = cheat.sealed(Operation.ONETIME, job.accepted_at, customer_uid="gildong", merchant_uid="order-1")
    cheat.lay(job, cheat.signing.sign(job.model_copy(update={"envelope": envelope})))

    (outcome,) = cheat.run(job)

    assert outcome.status == "invalid"
    assert cheat.calls == 0


def test_a_producer_that_may_only_issue_cannot_pay(stack: Stack) -> None:
    keygen.add_producer(stack.folder / "keys", "shop", ["issue"])
    shop = {
        "SIGNING_KEY_FILE": str(stack.folder / "keys/producer-shop/signing.private.jwk.json"),
        "SEALING_KEYS_FILE": str(stack.folder / "keys/producer-shop/sealing.public.jwks.json"),
    }
    with environment({**stack.producer_env, **shop}), BillingQueue(ProducerSettings.from_env()) as queue:
        allowed = queue.issue(customer_uid="gildong", card=CARD)
        payment = queue.onetime(merchant_uid="order-1", amount=1000, name="x", card=CARD)
        stack.worker(concurrency=2)

        assert queue.wait(allowed.job_id, PATIENCE_S).status == "issued"
        outcome = queue.wait(payment.job_id, PATIENCE_S)
    assert (outcome.status, outcome.code) == ("invalid", "not_allowed")
    assert stack.fake.count("POST", "/subscribe/payments/onetime") == 0


@pytest.fixture
def publisher(stack: Stack) -> Iterator[Publisher]:
    one = Publisher(stack.queue.url(0))
    yield one
    one.close()


def test_a_finished_job_that_is_replayed_is_answered_from_the_ledger(cheat: Cheat, publisher: Publisher) -> None:
    job = cheat.queue.issue(customer_uid="gildong", card=CARD, idempotency_key="k")
    text = cheat.stack.vault.client().get(redis_keys.SEALED + job.job_id)
    (first,) = cheat.run(job)
    vault, queue = cheat.stack.vault.client(), cheat.stack.queue.client(0)
    wait_until(lambda: not vault.exists(redis_keys.SEALED + job.job_id), what="the sealed request gone")

    for _ in range(5):
        vault.set(redis_keys.SEALED + job.job_id, text or b"")
        publisher.publish([(job.job_id, INTERACTIVE)], "")
        wait_until(lambda: not queue.llen(INTERACTIVE), what="the replay taken")
        wait_until(lambda: not vault.exists(redis_keys.SEALED + job.job_id), what="the replayed request gone, too")

    again = cheat.queue.issue(customer_uid="gildong", card=CARD, idempotency_key="k")
    assert again.job_id == job.job_id
    assert cheat.queue.outcome(job.job_id) == first
    assert len(cheat.stack.fake.applied) == cheat.calls == 1
    entries: Any = cheat.stack.queue.client(1).xrange(redis_keys.OUTCOMES)
    assert [json.loads(entry[b"outcome"])["job_id"] for _, entry in entries] == [job.job_id]
