from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.envelope import Envelope
from producer.contract.errors import Refused
from producer.contract.identifiers import Operation
from producer.contract.jose import b64url, unb64url
from tests.vectors import Json, label, read_vectors

NEED_A_KEY = {"unknown_kid", "wrong_curve", "does_not_open", "invalid_card"}
ACCEPTED = [vector for vector in read_vectors("accept.jsonl") if vector["kind"] == "envelope"]
REFUSED = [vector for vector in read_vectors("refuse.jsonl") if vector["kind"] == "envelope"]
GOOD, STORING = (vector["text"] for vector in ACCEPTED)
UID, IAT, EXP = "gildong_0001_1234", 1_800_000_000, 1_800_000_900


def check(vector: Json) -> Envelope:
    """All that can be told without a key."""
    record = vector["record"]
    envelope = Envelope.parse(vector["text"])
    envelope.check_bound(Operation(record["operation"]), record["customer_uid"], record["merchant_uid"])
    envelope.check_time(record["accepted_at"])
    return envelope


@pytest.mark.parametrize("vector", ACCEPTED, ids=label)
def test_header_is_read_as_it_was_sealed(vector: Json) -> None:
    envelope = check(vector)

    read = envelope.model_dump(mode="json", exclude={"crv", "text"}, exclude_none=True)
    assert {name: vector["job"][name] for name in vector["job"] if name not in {"alg", "enc", "typ"}} == read


def refusal_of(vector: Json) -> str:
    """The code with which it is refused without any key, empty if it is not."""
    try:
        check(vector)
    except Refused as refusal:
        return refusal.code
    return ""


def test_refusals_need_no_key_but_where_only_a_key_can_tell() -> None:
    expected = {label(vector): vector["expected"] for vector in REFUSED}

    told = {name: "" if code in NEED_A_KEY else code for name, code in expected.items()}
    assert told == {label(vector): refusal_of(vector) for vector in REFUSED}


@pytest.mark.parametrize("text", [GOOD, STORING], ids=["issue", "onetime"])
def test_digest_is_that_of_the_text(text: str) -> None:
    assert sha256(text.encode()).hexdigest() == Envelope.parse(text).digest


@pytest.mark.parametrize("accepted_at", [IAT - 300, IAT, EXP - 0.001, EXP])
def test_envelope_may_be_accepted_within_its_times(accepted_at: float) -> None:
    Envelope.parse(GOOD).check_time(accepted_at)


@pytest.mark.parametrize(("accepted_at", "code"), [(IAT - 300.001, "not_yet_valid"), (EXP + 0.001, "envelope_expired")])
def test_envelope_is_refused_outside_its_times(accepted_at: float, code: str) -> None:
    with pytest.raises(Refused, match=rf"^{code}$"):
        Envelope.parse(GOOD).check_time(accepted_at)


@pytest.mark.parametrize(
    ("purpose", "customer_uid", "merchant_uid", "code"),
    [
        (Operation.ONETIME, UID, None, "other_purpose"),
        (Operation.ISSUE, "another", None, "other_customer_uid"),
        (Operation.ISSUE, None, None, "other_customer_uid"),
        (Operation.ISSUE, UID, "order-1", "other_merchant_uid"),
    ],
)
def test_envelope_is_bound_to_its_request(
    purpose: Operation, customer_uid: str | None, merchant_uid: str | None, code: str
) -> None:
    with pytest.raises(Refused, match=rf"^{code}$"):
        Envelope.parse(GOOD).check_bound(purpose, customer_uid, merchant_uid)


@given(st.integers(0, len(GOOD) - 1), st.characters(), st.sampled_from(["replace", "insert", "cut"]))
def test_mutated_envelope_is_read_or_refused(place: int, character: str, how: str) -> None:
    rest = {"replace": GOOD[place + 1 :], "insert": GOOD[place:], "cut": ""}[how]
    mutated = GOOD[:place] + character + rest

    try:
        text = Envelope.parse(mutated).text
    except Refused:
        text = mutated

    assert mutated == text


HEADER, REST = GOOD.partition(".")[0], GOOD.partition(".")[2]


@given(st.integers(0, len(unb64url(HEADER)) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_mutated_header_is_read_or_refused(place: int, inserted: bytes, cut: int) -> None:
    header = unb64url(HEADER)
    mutated = b64url(header[:place] + inserted + header[place + cut :]) + "." + REST

    try:
        text = Envelope.parse(mutated).text
    except Refused:
        text = mutated

    assert mutated == text


@given(st.text())
def test_no_text_raises_anything_but_refused(text: str) -> None:
    with pytest.raises(Refused):
        Envelope.parse(text)
