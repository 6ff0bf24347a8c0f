"""Cards that were sealed elsewhere, in a customer's browser for one."""

from typing import Any

import pytest

from producer import BillingQueue, Card, Refused
from producer.contract import redis_keys
from producer.contract.envelope import Envelope
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.job import Request
from producer.stores import Acceptance, NewJob
from tests.fake_iamport.cards import CARDS
from tests.producer.stage import Stage


def asked_again(key: str, envelope: Envelope) -> NewJob:
    """The issuance for gildong, on its way in, with an envelope whose times may be others than it was sealed with."""
    request = Request(operation=Operation.ISSUE, customer_uid="gildong")
    return NewJob(job_id_of(key), key, request, "interactive", 900.0, envelope.kid, envelope)


def test_envelope_is_accepted_and_travels_as_it_is(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = stage.seal(card, customer_uid="gildong")

    job = queue.issue_sealed(customer_uid="gildong", envelope=envelope, pg="nice", idempotency_key="k")

    signed = stage.keys.verified(stage.sealed(job.job_id))
    assert signed.envelope == envelope
    assert signed.pg == "nice"
    assert stage.keys.open_card(envelope) == CARDS["visa"].fields()
    assert stage.published() == [job.job_id] == [job_id_of("k")]


def test_accepted_envelope_is_remembered_until_it_expires(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = Envelope.parse(stage.seal(card, life_s=600, customer_uid="gildong"))

    job = queue.issue_sealed(customer_uid="gildong", envelope=envelope.text)

    mark = redis_keys.ENVELOPE + envelope.digest
    assert stage.ledger.get(mark) == job.job_id
    assert 595 < stage.ledger.ttl(mark) <= 602
    assert stage.record(job.job_id)["envelope"] == mark


def test_envelope_is_not_accepted_twice(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = stage.seal(card, customer_uid="gildong")
    first = queue.issue_sealed(customer_uid="gildong", envelope=envelope, idempotency_key="first")

    with pytest.raises(Refused) as caught:
        queue.issue_sealed(customer_uid="gildong", envelope=envelope, idempotency_key="second")

    assert caught.value.code == "replayed"
    assert stage.records() == stage.sealed_ids() == stage.published() == [first.job_id]
    assert stage.ledger.get(redis_keys.CUSTOMER_SEQUENCE + "gildong") == "1"


def test_envelope_is_not_accepted_again_after_its_job_is_finished(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    envelope = stage.seal(card, customer_uid="gildong")
    stage.finish(queue.issue_sealed(customer_uid="gildong", envelope=envelope))

    with pytest.raises(Refused, match="replayed"):
        queue.issue_sealed(customer_uid="gildong", envelope=envelope)


def test_same_key_and_envelope_are_the_same_job(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = stage.seal(card, customer_uid="gildong")
    first = queue.issue_sealed(customer_uid="gildong", envelope=envelope, idempotency_key="k")

    second = queue.issue_sealed(customer_uid="gildong", envelope=envelope, idempotency_key="k")

    assert second == first.again()
    assert stage.records() == stage.sealed_ids() == [first.job_id]


@pytest.mark.parametrize("is_finished", [False, True], ids=["open", "finished"])
@pytest.mark.parametrize("is_forgotten", [False, True], ids=["remembered", "forgotten"])
def test_same_key_and_envelope_are_the_same_job_after_the_envelope_expired(
    stage: Stage, queue: BillingQueue, card: Card, *, is_finished: bool, is_forgotten: bool
) -> None:
    text = stage.seal(card, customer_uid="gildong")
    job = queue.issue_sealed(customer_uid="gildong", envelope=text, idempotency_key="k")
    if is_finished:
        stage.finish(job)
    envelope = Envelope.parse(text)
    expired = envelope.model_copy(update={"iat": envelope.iat - 3600, "exp": envelope.iat - 3000})
    if is_forgotten:
        stage.ledger.delete(redis_keys.ENVELOPE + envelope.digest)

    (again,) = Acceptance(stage.url(1), stage.vault_url()).accept([asked_again("k", expired)])

    assert not isinstance(again, Exception)
    assert again.open is not is_finished
    assert (again.sequence, again.accepted_at, again.expires_at) == (job.sequence, job.accepted_at, job.expires_at)


@pytest.mark.parametrize(
    ("since_s", "life_s", "code"),
    [(-600, 590, "envelope_expired"), (-3600, 3599, "envelope_expired"), (310, 600, "not_yet_valid")],
)
def test_envelope_outside_its_times_is_refused(
    stage: Stage, queue: BillingQueue, card: Card, since_s: int, life_s: int, code: str
) -> None:
    envelope = stage.seal(card, since_s=since_s, life_s=life_s, customer_uid="gildong")

    with pytest.raises(Refused) as caught:
        queue.issue_sealed(customer_uid="gildong", envelope=envelope)

    assert caught.value.code == code
    assert stage.ledger.keys() == []


def test_clock_that_is_five_minutes_ahead_is_borne(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = stage.seal(card, since_s=290, customer_uid="gildong")

    job = queue.issue_sealed(customer_uid="gildong", envelope=envelope)

    assert stage.sealed_ids() == [job.job_id]


def test_refused_envelope_may_be_handed_in_again_once_it_is_valid(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    early = Envelope.parse(stage.seal(card, since_s=310, customer_uid="gildong"))
    with pytest.raises(Refused, match="not_yet_valid"):
        queue.issue_sealed(customer_uid="gildong", envelope=early.text, idempotency_key="k")
    valid_now = early.model_copy(update={"iat": early.iat - 310, "exp": early.exp - 310})

    (accepted,) = Acceptance(stage.url(1), stage.vault_url()).accept([asked_again("k", valid_now)])

    assert not isinstance(accepted, Exception)
    assert accepted.sequence == 1


def test_envelope_for_another_customer_uid_is_refused(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = stage.seal(card, customer_uid="gildong")

    with pytest.raises(Refused) as caught:
        queue.issue_sealed(customer_uid="younghee", envelope=envelope)

    assert caught.value.code == "other_customer_uid"
    assert stage.ledger.keys() == []


def test_envelope_for_a_payment_does_not_issue(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = stage.seal(card, merchant_uid="order-1", customer_uid="gildong")

    with pytest.raises(Refused, match="other_purpose"):
        queue.issue_sealed(customer_uid="gildong", envelope=envelope)


def test_envelope_for_an_issuance_does_not_pay(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = stage.seal(card, customer_uid="gildong")

    with pytest.raises(Refused, match="other_purpose"):
        queue.onetime(merchant_uid="order-1", amount=1, name="tea", customer_uid="gildong", envelope=envelope)


@pytest.mark.parametrize(
    ("bound", "code"),
    [
        ({"merchant_uid": "order-2", "customer_uid": "gildong"}, "other_merchant_uid"),
        ({"merchant_uid": "order-1", "customer_uid": "younghee"}, "other_customer_uid"),
        ({"merchant_uid": "order-1"}, "other_customer_uid"),
    ],
)
def test_envelope_for_another_payment_is_refused(
    stage: Stage, queue: BillingQueue, card: Card, bound: dict[str, Any], code: str
) -> None:
    envelope = stage.seal(card, **bound)

    with pytest.raises(Refused) as caught:
        queue.onetime(merchant_uid="order-1", amount=1, name="tea", customer_uid="gildong", envelope=envelope)

    assert caught.value.code == code


def test_sealed_payment_is_accepted(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = stage.seal(card, merchant_uid="order-1")

    job = queue.onetime(merchant_uid="order-1", amount=1, name="tea", envelope=envelope)

    assert stage.keys.verified(stage.sealed(job.job_id)).envelope == envelope


@pytest.mark.parametrize("text", ["", "no envelope", "a.b.c.d.e", "é.b.c.d.e", "A" * 4097])
def test_text_that_is_no_envelope_is_refused(stage: Stage, queue: BillingQueue, text: str) -> None:
    with pytest.raises(Refused) as caught:
        queue.issue_sealed(customer_uid="gildong", envelope=text)

    assert len(text) < 5 or text not in str(caught.value)
    assert stage.ledger.keys() == []


def test_another_envelope_under_the_key_of_an_open_job_changes_nothing_and_the_first_is_still_its_own(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    first, second = (stage.seal(card, customer_uid="gildong") for _ in range(2))
    job = queue.issue_sealed(customer_uid="gildong", envelope=first, idempotency_key="k")

    queue.issue_sealed(customer_uid="gildong", envelope=second, idempotency_key="k")

    assert stage.keys.verified(stage.sealed(job.job_id)).envelope == first
    assert stage.records() == [job.job_id]
    assert queue.issue_sealed(customer_uid="gildong", envelope=first, idempotency_key="k") == job.again()


def test_envelope_out_of_a_stolen_signed_request_cannot_be_handed_in(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    job = queue.issue(customer_uid="gildong", card=card)
    envelope = Envelope.parse(job.envelope)
    two_seconds_on = envelope.model_copy(update={"iat": envelope.iat - 2, "exp": envelope.exp - 2})

    (answer,) = Acceptance(stage.url(1), stage.vault_url()).accept([asked_again("thief", two_seconds_on)])

    assert isinstance(answer, Refused)
    assert answer.code == "envelope_expired"
