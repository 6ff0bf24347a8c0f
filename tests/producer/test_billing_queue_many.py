"""Many requests at once."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from producer import (
    BillingQueue,
    BrokerUnavailable,
    Card,
    IdempotencyConflict,
    InvalidRequest,
    IssueRequest,
    Job,
    Refused,
)
from producer.billing_queue import CHUNK
from producer.contract import redis_keys
from producer.contract.identifiers import job_id_of
from tests.fake_iamport.cards import CARDS
from tests.producer.stage import Stage


def requests(count: int, card: Card) -> Iterator[IssueRequest | Mapping[str, Any]]:
    """Requests of both kinds, by turns."""
    for i in range(count):
        members: dict[str, Any] = {"customer_uid": f"customer-{i}", "card": card, "idempotency_key": f"key-{i}"}
        yield members if i % 2 else IssueRequest(**members)


def test_jobs_come_out_in_the_order_of_the_requests(stage: Stage, queue: BillingQueue, card: Card) -> None:
    jobs = list(queue.issue_many(requests(450, card)))

    assert [job.customer_uid for job in jobs] == [f"customer-{i}" for i in range(450)]
    assert [job.job_id for job in jobs] == [job_id_of(f"key-{i}") for i in range(450)]
    assert stage.published("migration") == [job.job_id for job in jobs]
    assert stage.sealed_ids() == stage.records() == sorted(job.job_id for job in jobs)
    assert stage.ledger.zcard(redis_keys.FRESH + "migration") == 450
    assert stage.published("interactive") == []


def test_requests_are_read_a_chunk_at_a_time(stage: Stage, queue: BillingQueue, card: Card) -> None:
    pending = requests(450, card)

    first = next(queue.issue_many(pending))

    assert first.customer_uid == "customer-0"
    assert len(stage.records()) == CHUNK
    assert len(list(pending)) == 450 - CHUNK


def test_no_requests_are_no_jobs(queue: BillingQueue) -> None:
    jobs = list(queue.issue_many([]))

    assert jobs == []


def test_requests_of_one_customer_uid_keep_their_order(queue: BillingQueue, card: Card) -> None:
    same = [IssueRequest(customer_uid="gildong", card=card) for _ in range(250)]

    jobs = list(queue.issue_many(same))

    assert [job.sequence for job in jobs] == list(range(1, 251))


def test_cards_and_envelopes_may_be_mixed(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = stage.seal(card, customer_uid="b")
    mixed = [IssueRequest(customer_uid="a", card=card), IssueRequest(customer_uid="b", envelope=envelope)]

    sealed_here, sealed_elsewhere = queue.issue_many(mixed)

    assert stage.keys.open_card(sealed_here.envelope) == CARDS["visa"].fields()
    assert sealed_elsewhere.envelope == envelope


def test_other_queue_may_be_named(stage: Stage, queue: BillingQueue, card: Card) -> None:
    (job,) = queue.issue_many([{"customer_uid": "a", "card": card}], queue="interactive")

    assert stage.published("interactive") == [job.job_id]
    assert stage.record(job.job_id)["queue"] == "interactive"


@pytest.mark.parametrize("name", ["migrations", "recovery", ""])
def test_queue_that_is_not_for_producers_is_refused_before_anything_is_accepted(
    stage: Stage, queue: BillingQueue, card: Card, name: str
) -> None:
    with pytest.raises(InvalidRequest, match="queue: must be interactive or migration"):
        list(queue.issue_many([{"customer_uid": "a", "card": card}], queue=name))

    assert stage.ledger.keys() == []


def test_conflict_comes_in_its_place(stage: Stage, queue: BillingQueue, card: Card) -> None:
    queue.issue(customer_uid="somebody-else", card=card, idempotency_key="key-230")
    jobs: list[Job] = []

    with pytest.raises(IdempotencyConflict) as caught:
        jobs.extend(queue.issue_many(requests(450, card)))

    assert caught.value.idempotency_key == "key-230"
    assert [job.customer_uid for job in jobs] == [f"customer-{i}" for i in range(230)]
    assert set(stage.published("migration")) >= {job.job_id for job in jobs}
    assert len(stage.records()) == 400  # two chunks, whose 231st request was somebody else's


def test_repeat_after_a_conflict_completes_the_rest_and_doubles_nothing(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    queue.issue(customer_uid="somebody-else", card=card, idempotency_key="key-30")
    with pytest.raises(IdempotencyConflict):
        list(queue.issue_many(requests(60, card)))

    without = (one for i, one in enumerate(requests(60, card)) if i != 30)
    jobs = list(queue.issue_many(without))

    assert [job.customer_uid for job in jobs] == [f"customer-{i}" for i in range(60) if i != 30]
    assert {job.sequence for job in jobs} == {1}
    assert len(stage.records()) == len(stage.sealed_ids()) == 60


def test_refused_envelope_comes_in_its_place(stage: Stage, queue: BillingQueue, card: Card) -> None:
    expired = stage.seal(card, since_s=-600, life_s=60, customer_uid="b")
    given: list[dict[str, Any]] = [{"customer_uid": "a", "card": card}, {"customer_uid": "b", "envelope": expired}]
    jobs = queue.issue_many(given)

    first = next(jobs)
    with pytest.raises(Refused, match="envelope_expired"):
        next(jobs)

    assert stage.records() == stage.sealed_ids() == [first.job_id]


def test_same_key_twice_in_a_chunk_is_one_job(stage: Stage, queue: BillingQueue, card: Card) -> None:
    twice = [{"customer_uid": "a", "card": card, "idempotency_key": "k"}] * 2

    first, second = queue.issue_many(twice)

    assert first.job_id == second.job_id
    assert (first.sequence, first.accepted_at) == (second.sequence, second.accepted_at)
    assert stage.records() == stage.sealed_ids() == [first.job_id]


def test_malformed_request_stops_its_chunk_before_it_is_accepted(stage: Stage, queue: BillingQueue, card: Card) -> None:
    with pytest.raises(InvalidRequest, match="customer_uid"):
        list(queue.issue_many([{"customer_uid": "a", "card": card}, {"customer_uid": "a/b", "card": card}]))

    assert stage.records() == []


def test_dead_vault_names_the_first_key_of_the_chunk(stage: Stage, card: Card) -> None:
    with BillingQueue(stage.settings_with_dead("vault")) as queue, pytest.raises(BrokerUnavailable) as caught:
        list(queue.issue_many(requests(3, card)))

    assert (caught.value.step, caught.value.accepted, caught.value.idempotency_key) == ("vault", None, "key-0")


def test_printed_request_shows_no_card(card: Card) -> None:
    printed = repr(IssueRequest(customer_uid="a", card=card))

    assert "4242424242424242" not in printed
    assert "customer_uid='a'" in printed
