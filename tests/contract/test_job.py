import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.errors import InvalidRequest, Refused
from producer.contract.job import DEADLINE_LIMIT_S, QUEUES, SIGNED_LIMIT, TASK_NAME, Job, Request, SignedJob
from tests.vectors import Json, label, read_vectors

ISSUE: dict[str, Any] = {"operation": "issue", "customer_uid": "gildong_0001"}
ONETIME: dict[str, Any] = {"operation": "onetime", "merchant_uid": "order-1", "amount": 9900, "name": "책"}
JOB_ID = "5ce0e9a5-6015-8fec-aadf-a328ae398115"
ACCEPTED: dict[str, Any] = {
    "job_id": JOB_ID,
    "sequence": 1,
    "accepted_at": 1_800_000_000.25,
    "expires_at": 1_800_000_900.25,
    "envelope": "e.e.e.e.e",
}
NEED_A_KEY = {"unknown_kid", "bad_signature", "not_allowed", "card_in_open_field"}
REFUSED = [vector for vector in read_vectors("refuse.jsonl") if vector["kind"] == "job"]
GOOD = next(vector["text"] for vector in read_vectors("accept.jsonl") if vector["kind"] == "job")


def each(**values: list[Any]) -> list[tuple[str, Any]]:
    """Each field with each of its values."""
    return [(field, value) for field in values for value in values[field]]


def problems_with(members: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    with pytest.raises(InvalidRequest) as caught:
        Request.model_validate(members)
    return caught.value.problems


def test_task_and_queues_are_named_as_the_wire_has_them() -> None:
    assert TASK_NAME == "billing.run"
    assert QUEUES == ("recovery", "interactive", "migration")


@pytest.mark.parametrize(
    ("field", "value"),
    each(
        customer_uid=["c", "AZaz09_.@:+=~-", "c" * 80, "..."],
        pg=["nice.MID-1_2", "p" * 80],
        channel_key=["channel-key_0" + "k" * 42],
        customer_id=["!~" * 100],
        as_of=[1, 10**11 - 1],
    ),
)
def test_issuance_takes_what_is_within_its_limits(field: str, value: object) -> None:
    assert value == Request.model_validate(ISSUE | {field: value}).fields()[field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *each(merchant_uid=["m" * 40], customer_uid=["gildong_0001"], amount=[1, 10**12], name=["가" * 40]),
        *each(card_quota=[0, 1], vat_amount=[0], tax_free=[10**12], product_type=["real", "digital"]),
        *each(channel_group_id=["channel-group_0"]),
    ],
)
def test_payment_takes_what_is_within_its_limits(field: str, value: object) -> None:
    assert value == Request.model_validate(ONETIME | {field: value}).fields()[field]


@pytest.mark.parametrize(
    ("field", "value"),
    each(
        customer_uid=["", "c" * 81, ".", "..", "a/b", "a b", "a%2Fb", "a\n", "홍길동", "\ud800", 1],
        pg=["", "p" * 81, "nice/MID"],
        channel_key=["k" * 56, "a.b"],
        customer_id=["c" * 201, "a b", "홍"],
        as_of=[0, -1, 10**11, 1.5, "1", True],
        operation=["refund", None],
    ),
)
def test_issuance_refuses_what_is_beyond_its_limits(field: str, value: object) -> None:
    assert [field] == [name for name, _ in problems_with(ISSUE | {field: value})]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *each(merchant_uid=["m" * 41, "..", "a/b"], amount=[0, -1, 10**12 + 1, "9900", 9900.0, True]),
        *each(name=["", "가" * 41, "a\nb", "\x1b[0m", "\ud800"], card_quota=[-1, 61]),
        *each(vat_amount=[-1], tax_free=["0"], product_type=["goods"]),
    ],
)
def test_payment_refuses_what_is_beyond_its_limits(field: str, value: object) -> None:
    assert [field] == [name for name, _ in problems_with(ONETIME | {field: value})]


@pytest.mark.parametrize(
    "field", ["merchant_uid", "amount", "name", "card_quota", "vat_amount", "tax_free", "product_type"]
)
def test_issuance_has_no_use_for_the_fields_of_a_payment(field: str) -> None:
    value = {**ONETIME, "card_quota": 0, "vat_amount": 0, "tax_free": 0, "product_type": "real"}[field]

    assert ((field, "is not used here"),) == problems_with(ISSUE | {field: value})


def test_payment_has_no_use_for_a_customer_id() -> None:
    assert problems_with(ONETIME | {"customer_id": "c"}) == (("customer_id", "is not used here"),)


def test_issuance_needs_a_customer_uid() -> None:
    assert problems_with({"operation": "issue"}) == (("customer_uid", "is required"),)


def test_payment_needs_order_amount_and_name() -> None:
    assert {("merchant_uid", "is required"), ("amount", "is required"), ("name", "is required")} == set(
        problems_with({"operation": "onetime"})
    )


@pytest.mark.parametrize(("amount", "is_taken"), [(49_999, False), (50_000, True)])
def test_instalments_begin_at_50000(amount: int, *, is_taken: bool) -> None:
    members = ONETIME | {"amount": amount, "card_quota": 2}

    found = () if is_taken and Request.model_validate(members) else problems_with(members)

    assert (() if is_taken else (("card_quota", "instalments need an amount of 50000 or more"),)) == found


def test_digest_is_the_same_in_every_release() -> None:
    request = Request.model_validate(ONETIME | {"pg": "nice", "card_quota": 0})

    members = (
        rb'{"amount": 9900, "card_quota": 0, "merchant_uid": "order-1",'
        rb' "name": "\ucc45", "operation": "onetime", "pg": "nice"}'
    )
    assert sha256(members).hexdigest() == request.digest()


def test_digest_of_a_job_is_that_of_its_request() -> None:
    assert Request.model_validate(ISSUE).digest() == Job.model_validate(ISSUE | ACCEPTED).digest()


def test_digest_does_not_depend_on_unset_members() -> None:
    assert Request.model_validate(ISSUE).digest() == Request.model_validate(ISSUE | {"pg": None}).digest()


@pytest.mark.parametrize(
    "change", [{"customer_uid": "gildong_0002"}, {"pg": "nice"}, {"channel_key": "k"}, {"customer_id": "c"}]
)
def test_digest_tells_requests_apart(change: dict[str, str]) -> None:
    assert Request.model_validate(ISSUE).digest() != Request.model_validate(ISSUE | change).digest()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *each(job_id=["../../etc/passwd", JOB_ID.upper(), JOB_ID + "\n"], sequence=[-1, "1", 1.0]),
        *each(accepted_at=[0, "1800000000.25", True, None, float("nan"), float("inf")]),
        *each(expires_at=[1e11, "1800000900.25"], envelope=["", "e" * 4097]),
    ],
)
def test_job_refuses_what_no_ledger_gave(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Job.model_validate(ISSUE | ACCEPTED | {field: value})

    assert [field] == [name for name, _ in caught.value.problems]


def test_shown_job_leaves_its_envelope_out() -> None:
    assert ACCEPTED["envelope"] not in repr(Job.model_validate(ISSUE | ACCEPTED))


@given(st.integers(1, 10**15), st.integers(1, DEADLINE_LIMIT_S))
def test_instants_of_the_ledger_survive_the_wire(microseconds: int, life: int) -> None:
    accepted_at = float(f"{microseconds / 1e6:.6f}")
    job = Job.model_validate(ISSUE | ACCEPTED | {"accepted_at": accepted_at, "expires_at": accepted_at + life})

    again = Job.model_validate(json.loads(job.model_dump_json()))

    assert (job.accepted_at, job.expires_at) == (again.accepted_at, again.expires_at)


def test_greatest_job_is_short_enough_to_be_signed() -> None:
    names = {"customer_uid": "c" * 80, "merchant_uid": "m" * 40, "pg": "p" * 80, "channel_group_id": "k" * 55}
    amounts = dict.fromkeys(("amount", "vat_amount", "tax_free"), 10**12)
    greatest = ONETIME | ACCEPTED | names | amounts
    greatest |= {"name": "😀" * 40, "card_quota": 60, "product_type": "digital", "envelope": "e" * 4096}

    payload = Job.model_validate(greatest).model_dump_json(exclude_none=True)

    assert len(payload) * 4 / 3 + 300 < SIGNED_LIMIT


def is_told_elsewhere(vector: Json) -> bool:
    """By the ledger's record, or by the envelope in the job."""
    expected = str(vector["expected"])
    return expected.startswith("other_") or expected == "not_yet_valid" or vector["name"] == "an envelope that is none"


def refusal_of(vector: Json) -> str:
    """The code with which it is refused without any key, empty if it is not."""
    try:
        signed = SignedJob.parse(vector["text"])
        if vector["expected"] not in NEED_A_KEY:
            signed.job()
    except Refused as refusal:
        return refusal.code
    return ""


def test_form_is_refused_without_any_key_but_where_only_a_key_can_tell() -> None:
    expected = {label(vector): vector["expected"] for vector in REFUSED if not is_told_elsewhere(vector)}

    told = {name: "" if code in NEED_A_KEY else code for name, code in expected.items()}
    assert told == {label(vector): refusal_of(vector) for vector in REFUSED if not is_told_elsewhere(vector)}


@given(st.integers(0, len(GOOD) - 1), st.characters(), st.sampled_from([0, 1]))
def test_mutated_job_is_read_or_refused(place: int, character: str, cut: int) -> None:
    mutated = GOOD[:place] + character + GOOD[place + cut :]

    try:
        text = SignedJob.parse(mutated).text
    except Refused:
        text = mutated

    assert mutated == text


@given(st.binary())
def test_no_payload_raises_anything_but_refused(payload: bytes) -> None:
    with pytest.raises(Refused):
        SignedJob("kid", "text", payload).job()


@given(st.text())
def test_no_text_raises_anything_but_refused(text: str) -> None:
    with pytest.raises(Refused):
        SignedJob.parse(text)


def test_a_payment_by_channel_key_is_refused_with_the_way_out() -> None:
    found = problems_with(ONETIME | {"channel_key": "k"})

    assert found == (("channel_key", "is not used here (i'mport's onetime has none: use pg or channel_group_id)"),)
