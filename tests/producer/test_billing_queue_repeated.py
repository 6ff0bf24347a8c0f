"""The same idempotency key is the same job, and a repeat completes it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from producer import BillingQueue, Card, IdempotencyConflict, Job
from producer.contract import redis_keys
from tests.fake_iamport.cards import CARDS
from tests.producer.stage import Stage


def place(job: Job) -> tuple[str, int, float, float]:
    """What the ledger gave a job."""
    return job.job_id, job.sequence, job.accepted_at, job.expires_at


def test_same_key_is_the_same_job(stage: Stage, queue: BillingQueue, card: Card) -> None:
    first = queue.issue(customer_uid="gildong", card=card, idempotency_key="k")
    sealed = stage.sealed(first.job_id)

    second = queue.issue(customer_uid="gildong", card=card, idempotency_key="k", deadline_s=5)

    assert (first.repeated, second.repeated) == (False, True)
    assert place(second) == place(first)
    assert stage.records() == [first.job_id]
    assert list(stage.open_jobs()) == [first.job_id]
    assert stage.sealed_ids() == [first.job_id]
    assert stage.sealed(first.job_id) == sealed
    assert set(stage.published()) == {first.job_id}


def test_same_key_is_the_same_job_for_another_process(stage: Stage, queue: BillingQueue, card: Card) -> None:
    first = queue.issue(customer_uid="gildong", card=card, idempotency_key="k")

    with BillingQueue(stage.settings()) as other:
        second = other.issue(customer_uid="gildong", card=card, idempotency_key="k")

    assert place(second) == place(first)


def test_requests_without_a_key_are_jobs_of_their_own(stage: Stage, queue: BillingQueue, card: Card) -> None:
    first = queue.issue(customer_uid="gildong", card=card)
    second = queue.issue(customer_uid="gildong", card=card)

    assert first.job_id != second.job_id
    assert len(stage.records()) == 2


@pytest.mark.parametrize(
    "changed",
    [{"customer_uid": "other"}, {"pg": "other"}, {"channel_key": "other"}, {"customer_id": "other"}],
    ids=lambda changed: next(iter(changed)),
)
def test_other_content_under_the_same_key_is_a_conflict(
    stage: Stage, queue: BillingQueue, card: Card, changed: dict[str, str]
) -> None:
    arguments: dict[str, Any] = {"customer_uid": "gildong", "card": card, "pg": "nice", "idempotency_key": "k"}
    first = queue.issue(**arguments)

    with pytest.raises(IdempotencyConflict) as caught:
        queue.issue(**arguments | changed)

    assert caught.value.idempotency_key == "k"
    assert stage.records() == [first.job_id]
    assert stage.published() == [first.job_id]
    assert not stage.ledger.exists(redis_keys.CUSTOMER_SEQUENCE + "other")


def test_payment_under_the_key_of_an_issuance_is_a_conflict(queue: BillingQueue, card: Card) -> None:
    queue.issue(customer_uid="gildong", card=card, idempotency_key="k")

    with pytest.raises(IdempotencyConflict):
        queue.onetime(merchant_uid="m", amount=1, name="tea", customer_uid="gildong", card=card, idempotency_key="k")


def test_conflict_is_known_after_the_job_is_finished(stage: Stage, queue: BillingQueue, card: Card) -> None:
    stage.finish(queue.issue(customer_uid="gildong", card=card, idempotency_key="k"))

    with pytest.raises(IdempotencyConflict):
        queue.issue(customer_uid="other", card=card, idempotency_key="k")


def test_repeat_lays_down_a_sealed_request_that_is_missing(stage: Stage, queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card, idempotency_key="k", deadline_s=100)
    stage.vault.flushall()

    queue.issue(customer_uid="gildong", card=card, idempotency_key="k")

    again = stage.keys.verified(stage.sealed(job.job_id))
    assert place(again) == place(job)
    assert stage.keys.open_card(again.envelope) == CARDS["visa"].fields()
    assert 100 < stage.vault.ttl(redis_keys.SEALED + job.job_id) <= 160


def test_repeat_publishes_a_message_that_is_missing(stage: Stage, queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card, idempotency_key="k")
    stage.broker.flushdb()

    queue.issue(customer_uid="gildong", card=card, idempotency_key="k")

    assert stage.published() == [job.job_id]


def test_finished_job_is_recognised_and_its_card_not_laid_down_again(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    job = queue.issue(customer_uid="gildong", card=card, idempotency_key="k")
    outcome = stage.finish(job)
    stage.broker.flushdb()

    again = queue.issue(customer_uid="gildong", card=card, idempotency_key="k")

    assert place(again) == place(job)
    assert queue.outcome(again.job_id) == outcome
    assert stage.sealed_ids() == []
    assert stage.published() == []
    assert stage.open_jobs() == {}


def test_same_key_from_many_threads_is_one_job(stage: Stage, queue: BillingQueue, card: Card) -> None:
    with ThreadPoolExecutor(16) as threads:
        jobs = list(threads.map(lambda _: queue.issue(customer_uid="a", card=card, idempotency_key="k"), range(40)))

    assert len({place(job) for job in jobs}) == 1
    assert stage.records() == stage.sealed_ids() == [jobs[0].job_id]
