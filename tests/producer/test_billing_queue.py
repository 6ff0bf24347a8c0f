"""Jobs that are accepted: what of them lies where, and how they are ordered."""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from producer import BillingQueue, Card, Job
from producer.contract import redis_keys
from producer.contract.card import PLAINTEXT_LIMIT
from producer.contract.identifiers import job_id_of
from tests.fake_iamport.cards import CARDS
from tests.producer.stage import Stage, soon


def test_accepted_job_has_record_sealed_request_and_message(stage: Stage, queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card, pg="nice", idempotency_key="signup-1", deadline_s=120)

    assert stage.records() == [job.job_id]
    assert stage.record(job.job_id) == {
        "digest": job.digest(),
        "operation": "issue",
        "customer_uid": "gildong",
        "merchant_uid": "",
        "queue": "interactive",
        "kid": "sealing-x25519",
        "sequence": "1",
        "accepted_at": f"{job.accepted_at:.6f}",
        "expires_at": f"{job.expires_at:.6f}",
        "as_of": "",
        "envelope": "",
    }
    assert stage.open_jobs() == {job.job_id: pytest.approx(job.expires_at, abs=1e-5)}
    assert stage.sealed_ids() == [job.job_id]
    assert stage.published() == [job.job_id]
    assert job.job_id == job_id_of("signup-1")
    assert job.expires_at - job.accepted_at == pytest.approx(120)


def test_never_claimed_job_is_noted_as_fresh_in_its_queue(stage: Stage, queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card)

    fresh = stage.ledger.zrange(redis_keys.FRESH + "interactive", 0, -1, withscores=True)

    assert fresh == [(job.job_id, pytest.approx(job.accepted_at, abs=1e-5))]


def test_sealed_request_expires_a_minute_past_the_deadline(stage: Stage, queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card, deadline_s=100)

    left_s = stage.vault.pttl(redis_keys.SEALED + job.job_id) / 1000

    assert 150 < left_s <= 160


def test_deadline_is_the_settings_unless_given(stage: Stage, card: Card) -> None:
    with BillingQueue(stage.settings(job_deadline_s=33)) as queue:
        job = queue.issue(customer_uid="gildong", card=card)

    assert job.expires_at - job.accepted_at == pytest.approx(33)


def test_vault_holds_the_signed_job_with_the_card_sealed_inside(stage: Stage, queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card, pg="nice", channel_key="channel-1", customer_id="toss-1")

    signed = stage.keys.verified(stage.sealed(job.job_id))

    assert signed == job
    assert stage.keys.open_card(signed.envelope) == CARDS["visa"].fields()


def test_message_carries_nothing_but_the_job_id(stage: Stage, queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card, pg="nice", idempotency_key="signup-1")

    (message,) = stage.messages()

    assert message["body"][:2] == [[job.job_id], {}]
    assert not any(message["body"][2].values())
    assert message["headers"]["task"] == "billing.run"
    assert message["headers"]["id"] == job.job_id
    assert message["headers"]["ignore_result"] is True
    whole = json.dumps(message)
    assert not [word for word in ("gildong", "nice", "signup-1", job.envelope) if word in whole]


def test_no_card_data_lies_anywhere_and_no_envelope_outside_the_vault(stage: Stage, queue: BillingQueue) -> None:
    # With a business number: six digits of a birth date may stand in an instant, a digest or a job id by chance.
    secrets = {"customer_name": "홍길동이라는이름", "customer_tel": "010-9876-5432", "birth": "1234567891"}
    card = Card(**(CARDS["visa"].fields() | secrets))

    job = queue.issue(customer_uid="uid-1", card=card)
    payment = queue.onetime(merchant_uid="order-1", amount=100, name="tea", card=card)

    everything, outside = stage.everything(), stage.everything(but_sealed=True)
    assert job.job_id in outside
    assert job.envelope in everything  # the search looks below the base64 of a signed request
    assert not [value for value in (card.card_number.get_secret_value(), *secrets.values()) if value in everything]
    assert not [name for name in card.reveal() if re.search(rf"{name}[\\\"'=:]", everything)]
    assert not [one.envelope for one in (job, payment) if one.envelope in outside]
    assert not [one.envelope for one in (job, payment) if one.envelope.split(".")[3] in outside]


def test_longest_card_under_the_longest_names_is_enqueued(stage: Stage, tmp_path: Path) -> None:
    point = ECKey.generate_key("P-256", {"kid": "k" * 64})  # the longest header that there is
    file = tmp_path / "sealing.json"
    file.write_text(json.dumps({"keys": [point.as_dict(private=False)]}))
    limits = {"customer_addr": 200, "customer_email": 200, "buyer_addr": 128, "customer_name": 20}
    data = {name: "가" * limit for name, limit in limits.items()}
    shorter = Card(**CARDS["visa"].fields(), **data, buyer_email="a")
    left = min(64, PLAINTEXT_LIMIT - len(shorter.reveal_json()))
    card = Card(**CARDS["visa"].fields(), **data, buyer_email="a" * left)

    with BillingQueue(stage.settings(sealing_keys_file=file)) as queue:
        names = {"customer_uid": "c" * 80, "pg": "p" * 80, "channel_group_id": "h" * 55}
        amounts = dict.fromkeys(("amount", "vat_amount", "tax_free"), 10**12)
        job = queue.onetime(merchant_uid="m" * 40, name="한" * 40, card=card, **names, **amounts)  # type: ignore[arg-type]

    assert stage.keys.verified(stage.sealed(job.job_id)) == job
    assert stage.published() == [job.job_id]


def test_sequence_grows_for_each_customer_uid(stage: Stage, queue: BillingQueue, card: Card) -> None:
    sequences = [queue.issue(customer_uid=uid, card=card).sequence for uid in ("a", "b", "a", "b", "a")]

    assert sequences == [1, 1, 2, 2, 3]
    assert stage.ledger.get(redis_keys.CUSTOMER_SEQUENCE + "a") == "3"


def test_open_jobs_of_a_customer_uid_are_known_in_order(stage: Stage, queue: BillingQueue, card: Card) -> None:
    jobs = [queue.issue(customer_uid="a", card=card) for _ in range(3)]

    in_order = stage.ledger.zrange(f"{redis_keys.CUSTOMER_OPEN}a", 0, -1, withscores=True)

    assert in_order == [(job.job_id, job.sequence) for job in jobs]


def test_times_are_the_ledgers(stage: Stage, queue: BillingQueue, card: Card) -> None:
    before = stage.ledger.time()

    job = queue.issue(customer_uid="a", card=card)

    after = stage.ledger.time()
    assert before[0] + before[1] / 1e6 <= job.accepted_at <= after[0] + after[1] / 1e6


def test_payment_carries_its_fields_signed_and_seals_for_its_order(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    order: dict[str, Any] = {"merchant_uid": "order-1", "amount": 60_000, "name": "차 한 잔", "customer_uid": "gildong"}
    order |= {"pg": "nice", "card_quota": 3, "vat_amount": 5_000, "tax_free": 100, "product_type": "digital"}

    job = queue.onetime(card=card, **order)

    signed = stage.keys.verified(stage.sealed(job.job_id))
    assert signed == job
    assert signed.fields() == order | {
        "operation": "onetime",
        "job_id": job.job_id,
        "sequence": 1,
        "accepted_at": job.accepted_at,
        "expires_at": job.expires_at,
        "envelope": job.envelope,
    }
    assert stage.record(job.job_id)["merchant_uid"] == "order-1"


def test_payment_without_customer_uid_takes_no_place_in_an_order(stage: Stage, queue: BillingQueue, card: Card) -> None:
    jobs = [queue.onetime(merchant_uid=f"order-{i}", amount=100, name="tea", card=card) for i in range(2)]

    assert [job.sequence for job in jobs] == [0, 0]
    assert stage.ledger.keys(redis_keys.CUSTOMER_SEQUENCE + "*") == []


def test_sequences_hold_when_many_threads_enqueue(stage: Stage, queue: BillingQueue, card: Card) -> None:
    with ThreadPoolExecutor(16) as threads:
        jobs = list(threads.map(lambda _: queue.issue(customer_uid="gildong", card=card), range(120)))

    assert sorted(job.sequence for job in jobs) == list(range(1, 121))
    assert stage.sealed_ids() == sorted(job.job_id for job in jobs) == sorted(stage.published())
    in_order = sorted(jobs, key=lambda job: job.sequence)
    assert all(earlier.accepted_at <= later.accepted_at for earlier, later in pairwise(in_order))


def test_asyncio_variants_do_the_same(stage: Stage, queue: BillingQueue, card: Card) -> None:
    async def both() -> tuple[Job, ...]:
        return await asyncio.gather(
            queue.aissue(customer_uid="a", card=card, idempotency_key="issued"),
            queue.aonetime(merchant_uid="order-1", amount=100, name="tea", card=card, idempotency_key="paid"),
            queue.aissue_sealed(
                customer_uid="b", envelope=stage.seal(card, customer_uid="b"), idempotency_key="sealed"
            ),
        )

    jobs = asyncio.run(both())

    assert [job.job_id for job in jobs] == [job_id_of(key) for key in ("issued", "paid", "sealed")]
    assert stage.sealed_ids() == stage.records() == sorted(job.job_id for job in jobs) == sorted(stage.published())


def test_printed_job_shows_no_envelope(queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card)

    for printed in (repr(job), str(job), f"{job}", f"{[job]}"):
        assert job.job_id in printed
        assert job.envelope not in printed
        assert "4242424242424242" not in printed


def test_closed_queue_has_given_its_connections_back(stage: Stage, card: Card) -> None:
    def connections() -> set[tuple[str, str]]:
        return {(name, one["id"]) for name, store in stores.items() for one in store.client_list()}

    stores = {"ledger": stage.ledger, "vault": stage.vault}
    of_others = connections()
    queue = BillingQueue(stage.settings())
    queue.issue(customer_uid="gildong", card=card)
    assert len(connections() - of_others) >= 3

    queue.close()

    assert soon(lambda: connections() <= of_others)


def test_queue_that_was_never_used_can_be_closed_and_closed_again(stage: Stage) -> None:
    queue = BillingQueue(stage.settings())

    queue.close()
    queue.close()


def test_record_names_the_key_that_the_card_is_sealed_to(stage: Stage, card: Card, tmp_path: Path) -> None:
    file = tmp_path / "sealing.json"
    file.write_text(json.dumps({"keys": [stage.keys.opening[1].as_dict(private=False)]}))

    with BillingQueue(stage.settings(sealing_keys_file=file)) as queue:
        job = queue.issue(customer_uid="gildong", card=card)

    assert stage.record(job.job_id)["kid"] == "sealing-p256"
