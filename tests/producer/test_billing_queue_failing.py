"""Requests that are refused, and stores that fail."""

from typing import Any

import pytest

from producer import BillingQueue, BrokerUnavailable, Card, InvalidRequest, SettingsError
from producer.contract.identifiers import job_id_of
from tests.fake_iamport.cards import CARDS
from tests.producer.stage import Stage

WRONG: dict[str, list[object]] = {
    "customer_uid": ["", "a/b", "..", "a" * 81, "a\n", None],
    "pg": ["nice/../x"],
    "channel_key": ["한글"],
    "idempotency_key": ["", "k" * 201],
    "deadline_s": [0, 604_801, float("nan"), "60", [60]],
    "card": [None, CARDS["visa"].fields(), CARDS["visa"].card_number],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in WRONG for value in WRONG[field]])
def test_malformed_request_is_refused_before_anything_is_accepted(
    stage: Stage, queue: BillingQueue, card: Card, field: str, value: object
) -> None:
    arguments: dict[str, Any] = {"customer_uid": "gildong", "card": card, field: value}

    with pytest.raises(InvalidRequest) as caught:
        queue.issue(**arguments)

    assert [name for name, _ in caught.value.problems] == [field]
    assert stage.ledger.keys() == []


@pytest.mark.parametrize("text", ["u4242-4242-4242-4242", "u900101-1234567"])
@pytest.mark.parametrize("field", ["customer_uid", "customer_id"])
def test_issuance_that_shows_its_card_in_an_open_field_is_refused_before_anything_is_accepted(
    stage: Stage, queue: BillingQueue, card: Card, field: str, text: str
) -> None:
    arguments: dict[str, Any] = {"customer_uid": "gildong", "card": card, field: text}

    with pytest.raises(InvalidRequest, match=rf"^{field}: holds the (card number|birth date)"):
        queue.issue(**arguments)

    assert stage.ledger.keys() == []


@pytest.mark.parametrize("field", ["merchant_uid", "name"])
def test_payment_that_shows_its_card_in_an_open_field_is_refused(
    stage: Stage, queue: BillingQueue, card: Card, field: str
) -> None:
    arguments: dict[str, Any] = {"merchant_uid": "m", "name": "tea", "amount": 1, field: "900101-1234567"}

    with pytest.raises(InvalidRequest, match=rf"^{field}: holds the birth date"):
        queue.onetime(card=card, **arguments)

    assert stage.ledger.keys() == []


def test_envelope_for_a_customer_who_is_named_by_a_card_number_is_refused(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    uid = "5555555555554444"

    with pytest.raises(InvalidRequest, match="customer_uid: reads as a card number"):
        queue.issue_sealed(customer_uid=uid, envelope=stage.seal(card, customer_uid=uid))

    assert stage.ledger.keys() == []


def test_payment_wants_a_card_or_an_envelope_and_not_both(stage: Stage, queue: BillingQueue, card: Card) -> None:
    envelope = stage.seal(card, merchant_uid="m")

    both_or_none: tuple[dict[str, Any], ...] = ({}, {"card": card, "envelope": envelope})

    for given in both_or_none:
        with pytest.raises(InvalidRequest, match="card: give a card or an envelope"):
            queue.onetime(merchant_uid="m", amount=1, name="tea", **given)

    assert stage.ledger.keys() == []


@pytest.mark.parametrize("envelope", [b"a.b.c.d.e", 5, ["a.b.c.d.e"]], ids=["bytes", "number", "list"])
def test_envelope_that_is_no_text_is_refused_before_anything_is_accepted(
    stage: Stage, queue: BillingQueue, envelope: Any
) -> None:
    with pytest.raises(InvalidRequest, match="envelope: must be text"):
        queue.issue_sealed(customer_uid="gildong", envelope=envelope)

    assert stage.ledger.keys() == []


def test_idempotency_key_that_is_no_text_is_an_invalid_request(queue: BillingQueue, card: Card) -> None:
    with pytest.raises(InvalidRequest, match="idempotency_key"):
        queue.issue(customer_uid="gildong", card=card, idempotency_key="\ud800")


def test_ledger_out_of_reach_means_nothing_happened(stage: Stage, card: Card) -> None:
    with BillingQueue(stage.settings_with_dead("ledger")) as queue, pytest.raises(BrokerUnavailable) as caught:
        queue.issue(customer_uid="gildong", card=card)

    assert caught.value.accepted is False
    assert caught.value.step == "accept"
    assert stage.sealed_ids() == []


def test_key_that_was_made_for_a_failed_request_completes_it(stage: Stage, queue: BillingQueue, card: Card) -> None:
    with BillingQueue(stage.settings_with_dead("vault")) as failing, pytest.raises(BrokerUnavailable) as caught:
        failing.issue(customer_uid="gildong", card=card)
    accepted = stage.records()

    job = queue.issue(customer_uid="gildong", card=card, idempotency_key=caught.value.idempotency_key)

    assert caught.value.accepted is None
    assert [job.job_id] == accepted == stage.records() == stage.sealed_ids() == stage.published()
    assert job.sequence == 1


def test_full_ledger_accepts_nothing(stage: Stage, queue: BillingQueue, card: Card) -> None:
    stage.ledger.config_set("maxmemory", "1")

    with pytest.raises(BrokerUnavailable) as caught:
        queue.issue(customer_uid="gildong", card=card)

    assert caught.value.accepted is False
    assert stage.ledger.keys() == []


def test_full_vault_leaves_a_job_that_a_repeat_completes(stage: Stage, queue: BillingQueue, card: Card) -> None:
    stage.vault.config_set("maxmemory", "1")
    with pytest.raises(BrokerUnavailable) as caught:
        queue.issue(customer_uid="gildong", card=card, idempotency_key="k")
    stage.vault.config_set("maxmemory", "0")

    job = queue.issue(customer_uid="gildong", card=card, idempotency_key="k")

    assert (caught.value.step, caught.value.accepted) == ("vault", None)
    assert [job.job_id] == stage.records() == stage.sealed_ids() == stage.published()


def test_full_queue_has_accepted_the_job(stage: Stage, card: Card) -> None:
    settings = stage.settings(broker_url=stage.vault_url(1), vault_url=stage.url(2))
    stage.vault.config_set("maxmemory", "1")

    with BillingQueue(settings) as queue, pytest.raises(BrokerUnavailable) as caught:
        queue.issue(customer_uid="gildong", card=card, idempotency_key="k")

    assert (caught.value.step, caught.value.accepted) == ("publish", True)
    assert stage.records() == [job_id_of("k")]


def test_missing_key_file_is_a_settings_error(stage: Stage) -> None:
    missing = stage.keys.folder / "nowhere.json"

    for setting in ("sealing_keys_file", "signing_key_file"):
        with pytest.raises(SettingsError, match=f"^{setting.upper()}: the file cannot be read"):
            BillingQueue(stage.settings(**{setting: missing}))
