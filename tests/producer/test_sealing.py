import gc
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from producer.contract.card import PLAINTEXT_LIMIT, Card
from producer.contract.envelope import ENVELOPE_LIMIT, Envelope
from producer.contract.errors import InvalidCard, Refused
from producer.contract.identifiers import Operation
from producer.contract.job import Job, SignedJob
from producer.runtime.key_file import KeyFileError
from producer.sealing import SealingKeys, SigningKey
from tests.vectors import HERE, Json, read_keys
from tests.vectors.jose import OpeningKey, ed25519, p256, private_jwk, public_jwk, unseal, verified, x25519
from tests.vectors.recipe import CARD, ISSUE_RECORD, ONETIME_RECORD, PRODUCER_KID, UID

IAT = 1_800_000_000
NOW = {"now": float(IAT)}
OLDER, NEWER, P256 = x25519("older"), x25519("newer"), p256("p-256")
SIGNING_RULE = "does not hold a private Ed25519 key"
KID_RULE = "each key needs a kid of 1 to 64 of A-Z a-z 0-9 _ . -"


def key_set(**keys: OpeningKey) -> SealingKeys:
    return SealingKeys({"keys": [public_jwk(key) | {"kid": kid} for kid, key in keys.items()]})


def card(**members: str) -> Card:
    return Card.model_validate(CARD | members, context=NOW)


def seal(keys: SealingKeys, sealed: Card | None = None, **changes: Any) -> str:
    purpose = {"purpose": Operation.ISSUE, "customer_uid": UID, "merchant_uid": None}
    return keys.seal(sealed or card(), **(purpose | {"iat": IAT, "exp": IAT + 1} | changes))


def job(**members: Any) -> Job:
    return Job.model_validate({**ISSUE_RECORD, "envelope": seal(key_set(k=NEWER))} | members)


def signing_key(**changes: Any) -> SigningKey:
    members = private_jwk(ed25519(PRODUCER_KID)) | {"kid": PRODUCER_KID} | changes
    return SigningKey({name: value for name, value in members.items() if value is not ...})


@pytest.mark.parametrize("key", [NEWER, P256], ids=["X25519", "P-256"])
def test_sealed_card_is_opened_as_the_rfc_says(key: OpeningKey) -> None:
    _, plaintext = unseal(seal(key_set(k=key)), key)

    assert card().reveal_json() == plaintext


@pytest.mark.parametrize(
    ("key", "epk"), [(NEWER, {"kty", "crv", "x"}), (P256, {"kty", "crv", "x", "y"})], ids=["X25519", "P-256"]
)
def test_header_of_an_issuance_is_exact(key: OpeningKey, epk: set[str]) -> None:
    header, _ = unseal(seal(key_set(k=key)), key)

    assert set(header.pop("epk")) == epk
    assert header == {
        "alg": "ECDH-ES",
        "enc": "A256GCM",
        "kid": "k",
        "typ": "card+jwe",
        "purpose": "issue",
        "customer_uid": UID,
        "iat": IAT,
        "exp": IAT + 1,
    }


@pytest.mark.parametrize("customer_uid", [None, UID])
def test_header_of_a_payment_names_a_customer_uid_only_if_used(customer_uid: str | None) -> None:
    text = seal(key_set(k=NEWER), purpose=Operation.ONETIME, customer_uid=customer_uid, merchant_uid="order-1")

    header, _ = unseal(text, NEWER)

    used = {} if customer_uid is None else {"customer_uid": customer_uid}
    assert {"alg", "enc", "epk", "kid", "typ", "purpose", "merchant_uid", "iat", "exp", *used} == set(header)
    assert ("onetime", "order-1", customer_uid) == (
        header["purpose"],
        header["merchant_uid"],
        header.get("customer_uid"),
    )


@pytest.mark.parametrize("key", [NEWER, P256], ids=["X25519", "P-256"])
def test_sealed_card_is_one_that_the_contract_reads(key: OpeningKey) -> None:
    envelope = Envelope.parse(seal(key_set(k=key)))

    envelope.check_bound(Operation.ISSUE, UID, None)
    envelope.check_time(IAT + 0.999)


def test_no_two_envelopes_share_a_key_or_a_nonce() -> None:
    one, other = (seal(key_set(k=NEWER)).split(".") for _ in range(2))

    assert not {part for part in one if part} & set(other)


@pytest.mark.parametrize(
    ("keys", "kid"),
    [
        ({"a": OLDER, "b": NEWER}, "b"),
        ({"a": OLDER, "p": P256, "b": NEWER, "q": P256}, "b"),
        ({"a": OLDER, "p": P256}, "a"),
        ({"p": P256, "q": p256("another")}, "q"),
    ],
)
def test_cards_are_sealed_to_the_newest_x25519_key_if_there_is_one(keys: dict[str, OpeningKey], kid: str) -> None:
    found = key_set(**keys)

    assert (kid, kid) == (found.kid, Envelope.parse(seal(found)).kid)


def test_key_set_is_kept_for_browsers_as_it_was_given() -> None:
    members = read_keys("sealing.public.jwks.json")

    assert members is SealingKeys(members).jwks


@pytest.mark.parametrize("key", [NEWER, P256], ids=["X25519", "P-256"])
def test_greatest_card_fits_into_the_envelope_with_the_longest_header(key: OpeningKey) -> None:
    limits = {"buyer_addr": 128, "buyer_email": 64, "customer_name": 20}
    holder = {"customer_addr": "😀" * 200} | {name: "가" * length for name, length in limits.items()}
    rest = PLAINTEXT_LIMIT - len(card(**holder, customer_email="a").reveal_json()) + 1
    greatest = card(**holder, customer_email="😀" * (rest // 4) + "a" * (rest % 4))

    text = seal(
        key_set(**{"k" * 64: key}),
        greatest,
        purpose=Operation.ONETIME,
        customer_uid="c" * 80,
        merchant_uid="m" * 40,
        iat=9_999_999_999,
        exp=9_999_999_999 + 3600,
    )

    assert len(greatest.reveal_json()) == PLAINTEXT_LIMIT
    assert Envelope.parse(text).merchant_uid == "m" * 40


def test_envelope_is_never_longer_than_readers_take() -> None:
    with pytest.raises(InvalidCard) as caught:
        seal(key_set(k=NEWER), customer_uid="c" * ENVELOPE_LIMIT)

    assert caught.value.problems == (("card", "is too long to be sealed"),)


@pytest.mark.parametrize("key", [NEWER, P256, ed25519("x")], ids=["X25519", "P-256", "Ed25519"])
def test_private_key_has_no_place_among_sealing_keys(key: Any) -> None:
    members = {"keys": [public_jwk(OLDER) | {"kid": "a"}, private_jwk(key) | {"kid": "b"}]}

    with pytest.raises(KeyFileError, match=r"^SEALING_KEYS_FILE: holds a private key; producers get the public set"):
        SealingKeys(members)


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({}, "holds no keys"),
        ({"keys": ["x"]}, "holds no keys"),
        ({"keys": [public_jwk(NEWER)]}, KID_RULE),
        ({"keys": [public_jwk(NEWER) | {"kid": "a b"}]}, KID_RULE),
        ({"keys": [public_jwk(NEWER) | {"kid": "k"}] * 2}, "two keys have the same kid"),
        ({"keys": [public_jwk(ed25519("x")) | {"kid": "k"}]}, "holds a key that is not X25519 or P-256"),
        ({"keys": [public_jwk(NEWER) | {"kid": "k", "crv": ["X25519"]}]}, "holds a key that is not X25519 or P-256"),
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k"}]}, "holds a key that is not X25519 or P-256"),
        ({"keys": [public_jwk(NEWER) | {"kid": "k", "x": "c2VjcmV0"}]}, "holds a key that cannot be read"),
        ({"keys": [public_jwk(NEWER) | {"kid": "k", "x": 5}]}, "holds a key that cannot be read"),
        ({"keys": [public_jwk(P256) | {"kid": "k", "y": public_jwk(P256)["x"]}]}, "holds a key that cannot be read"),
        ({"keys": [{"kty": "OKP", "crv": "X25519", "kid": "k"}]}, "holds a key that cannot be read"),
    ],
)
def test_key_set_that_cannot_be_used_is_refused(members: Json, rule: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        SealingKeys(members)

    assert f"SEALING_KEYS_FILE: {rule}" == str(caught.value)
    assert caught.value.__context__ is None


def test_golden_key_files_are_read(tmp_path: Path) -> None:
    signing = tmp_path / "signing.private.jwk.json"
    signing.write_bytes((HERE / "keyring" / signing.name).read_bytes())
    signing.chmod(0o600)
    signed = job()

    sealing_kid = SealingKeys.load(HERE / "keyring" / "sealing.public.jwks.json").kid
    text = SigningKey.load(signing).sign(signed)

    assert ("test-x25519-newer", signing_key().sign(signed)) == (sealing_kid, text)


def test_signing_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing.json"
    path.write_text(json.dumps(read_keys("signing.private.jwk.json")))
    path.chmod(0o644)

    with pytest.raises(KeyFileError, match=r"^SIGNING_KEY_FILE: the file can be read by others"):
        SigningKey.load(path)


def test_signed_request_has_the_exact_header() -> None:
    header, _ = verified(signing_key().sign(job()), ed25519(PRODUCER_KID))

    assert header == {"alg": "Ed25519", "kid": PRODUCER_KID, "typ": "job+jws"}


def test_payload_is_the_job_without_unset_members() -> None:
    signed = job(pg="nice", channel_key="k", customer_id="c")

    _, payload = verified(signing_key().sign(signed), ed25519(PRODUCER_KID))

    used = {name: value for name, value in ISSUE_RECORD.items() if value is not None}
    assert {**used, "pg": "nice", "channel_key": "k", "customer_id": "c", "envelope": signed.envelope} == payload


def test_payload_of_a_payment_holds_its_order() -> None:
    order = {"amount": 50_000, "name": "책 한 권", "card_quota": 2, "vat_amount": 0, "tax_free": 0}
    order["product_type"] = "real"
    signed = Job.model_validate({**ONETIME_RECORD, **order, "envelope": "e"})

    _, payload = verified(signing_key().sign(signed), ed25519(PRODUCER_KID))

    assert order == {name: payload[name] for name in order}


def test_signed_request_is_one_that_the_contract_reads() -> None:
    signed = job()

    parsed = SignedJob.parse(signing_key().sign(signed))

    assert (PRODUCER_KID, signed) == (parsed.kid, parsed.job())


def test_signature_is_that_of_the_key() -> None:
    with pytest.raises(InvalidSignature):
        verified(signing_key().sign(job()), ed25519("a stranger"))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        *(({"d": value}, SIGNING_RULE) for value in (..., "c2VjcmV0", 5)),
        *(({"x": value}, SIGNING_RULE) for value in (..., 5, public_jwk(ed25519("a stranger"))["x"])),
        *(({"crv": value}, SIGNING_RULE) for value in ("X25519", "Ed448", ...)),
        *(({"kid": value}, KID_RULE) for value in (..., 5, "k" * 65)),
    ],
)
def test_signing_key_that_cannot_be_used_is_refused(changes: Json, rule: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        signing_key(**changes)

    assert f"SIGNING_KEY_FILE: {rule}" == str(caught.value)
    assert caught.value.__context__ is None


FORMER = public_jwk(ed25519("former")) | {"kid": "former", "exp": 1000}
FORMER_RULE = "holds a former key that is not a public Ed25519 key with an exp"


def test_former_key_verifies_until_its_end_and_never_signs() -> None:
    text = SigningKey(private_jwk(ed25519("former")) | {"kid": "former"}).sign_as("ticket+jws", b"{}")
    key = signing_key(former=[FORMER])

    assert key.verify_as("ticket+jws", text, now=999) == b"{}"
    assert verified(key.sign_as("ticket+jws", b"{}"), ed25519(PRODUCER_KID))[0]["kid"] == PRODUCER_KID
    for now, typ, code in ((1000, "ticket+jws", "wrong_members"), (999, "other+jws", "wrong_members")):
        with pytest.raises(Refused, match=code):
            key.verify_as(typ, text, now=now)


def test_what_another_key_signed_in_a_former_ones_name_does_not_hold() -> None:
    text = SigningKey(private_jwk(ed25519("a stranger")) | {"kid": "former"}).sign_as("ticket+jws", b"{}")

    with pytest.raises(Refused, match=r"^bad_signature$"):
        signing_key(former=[FORMER]).verify_as("ticket+jws", text, now=999)


@pytest.mark.parametrize(
    ("former", "rule"),
    [
        (["x"], "holds no keys"),
        ({"keys": []}, "holds no keys"),
        ([FORMER | {"kid": "a b"}], KID_RULE),
        ([FORMER, FORMER], "two keys have the same kid"),
        ([FORMER | private_jwk(ed25519("former"))], FORMER_RULE),
        ([FORMER | {"crv": "X25519"}], FORMER_RULE),
        ([FORMER | {"x": "c2VjcmV0"}], FORMER_RULE),
        ([FORMER | {"exp": "never"}], FORMER_RULE),
        ([public_jwk(ed25519("former")) | {"kid": "former"}], FORMER_RULE),
    ],
)
def test_former_keys_that_cannot_be_used_are_refused(former: object, rule: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        signing_key(former=former)

    assert f"SIGNING_KEY_FILE: {rule}" == str(caught.value)
    assert caught.value.__context__ is None


def test_shown_keys_hold_no_private_part() -> None:
    secret = private_jwk(ed25519(PRODUCER_KID))["d"]

    assert secret not in f"{signing_key()!r} {vars(signing_key())}"


def test_signing_key_does_not_travel() -> None:
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(signing_key())


def test_no_plaintext_outlives_the_sealing() -> None:
    keys = key_set(k=NEWER)
    gc.collect()
    gc.disable()
    try:
        seal(keys)
        left = [one for one in gc.get_objects() if type(one).__name__ == "CompactEncryption"]
    finally:
        gc.enable()

    assert left == []
