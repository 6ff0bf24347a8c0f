import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from producer.contract.card import PLAINTEXT_LIMIT, Card
from producer.contract.card_rules import KOREA
from producer.contract.envelope import Envelope
from producer.contract.errors import Refused
from producer.contract.identifiers import Operation
from producer.runtime.key_file import LOOK_EVERY_S, KeyFileError, WatchedFile
from producer.sealing import SealingKeys
from tests.vectors import Json, read_keys
from tests.vectors.jose import AnyKey, SignedRequest, ed25519, p256, private_jwk, public_jwk, x25519
from tests.vectors.recipe import (
    ACCEPTED_AT,
    CARD,
    ISSUE_RECORD,
    ISSUER_KID,
    NEWER_KID,
    ONETIME_RECORD,
    P256_KID,
    PRODUCER_KID,
    UID,
    X25519_KID,
    envelope,
    issue,
    onetime,
    plain,
)
from tests.worker.leases import lease
from worker.errors import UnknownKid
from worker.keys.opening import Opener, OpeningKeys, ProducerKeys
from worker.model import Lease

OPENING, PRODUCERS = read_keys("opening.private.jwks.json"), read_keys("producers.public.jwks.json")


def private(key: AnyKey, kid: object = "k", **members: object) -> Json:
    return {**private_jwk(key), "kid": kid, **members}


def public(key: AnyKey, kid: object = "k", **members: object) -> Json:
    return {**public_jwk(key), "kid": kid, **members}


def producer(**members: object) -> Json:
    return public(ed25519(PRODUCER_KID), **({"may": ["issue"]} | members))


def leased(record: Json = ISSUE_RECORD, **changes: Any) -> Lease:
    members = {**record, "operation": Operation(record["operation"])}
    return lease(**(members | changes))


def sealed_by_the_producer(card: Card) -> str:
    sealing, iat = SealingKeys(read_keys("sealing.public.jwks.json")), int(ACCEPTED_AT)
    return sealing.seal(card, purpose=Operation.ISSUE, customer_uid=UID, merchant_uid=None, iat=iat, exp=iat + 1)


class Keyrings:
    """Both key files on a disk, an opener that watches them, and its clock."""

    def __init__(self, folder: Path) -> None:
        self.opening, self.producers, self.now = folder / "opening.json", folder / "producers.json", 0.0
        self.errors = list[KeyFileError]()
        self.write(self.opening, OPENING)
        self.write(self.producers, PRODUCERS)
        watch: Any = {"clock": lambda: self.now, "on_error": self.errors.append}
        self.opener = Opener(
            WatchedFile(self.opening, OpeningKeys.load, **watch),
            WatchedFile(self.producers, ProducerKeys.load, **watch),
        )

    @staticmethod
    def write(path: Path, members: object) -> None:
        path.write_text(json.dumps(members))
        path.chmod(0o600)

    def add(self, path: Path, jwk: Json) -> None:
        members = json.loads(path.read_text())
        self.write(path, {"keys": [*members["keys"], jwk]})

    def open(self, request: SignedRequest, held: Lease | None = None) -> Card:
        return self.opener.open(self.opener.verify(request.text().encode(), held or leased()))

    def a_second_later(self) -> None:
        self.now += LOOK_EVERY_S


@pytest.fixture
def keyrings(tmp_path: Path) -> Keyrings:
    return Keyrings(tmp_path)


def test_kids_are_named_oldest_first(keyrings: Keyrings) -> None:
    assert keyrings.opener.opening_kids == (X25519_KID, P256_KID, NEWER_KID)
    assert keyrings.opener.producer_kids == (PRODUCER_KID, ISSUER_KID)


@pytest.mark.parametrize("kid", [X25519_KID, P256_KID, NEWER_KID])
def test_each_key_opens_what_was_sealed_to_it(keyrings: Keyrings, kid: str) -> None:
    assert keyrings.open(issue(card=envelope(kid=kid))).reveal() == CARD


def test_card_sealed_by_the_producer_opens(keyrings: Keyrings) -> None:
    card = Card.model_validate(CARD, context={"now": ACCEPTED_AT})

    assert card == keyrings.open(issue(envelope=sealed_by_the_producer(card)))


def test_greatest_card_that_the_producer_seals_opens(keyrings: Keyrings) -> None:
    limits = {"customer_email": 200, "buyer_addr": 128, "buyer_email": 64, "customer_name": 20}
    holder = {name: "가" * length for name, length in limits.items()}
    card = Card.model_validate(
        CARD | holder | {"customer_addr": "😀" * 200, "customer_tel": "😀" * 20}, context={"now": ACCEPTED_AT}
    )

    assert PLAINTEXT_LIMIT - 200 < len(card.reveal_json()) <= PLAINTEXT_LIMIT
    assert card == keyrings.open(issue(envelope=sealed_by_the_producer(card)))


@pytest.mark.parametrize(
    ("record", "member", "value"),
    [
        (ISSUE_RECORD, "job_id", "00000000-0000-8000-8000-000000000001"),
        (ISSUE_RECORD, "operation", Operation.ONETIME),
        (ISSUE_RECORD, "customer_uid", "another"),
        (ISSUE_RECORD, "customer_uid", None),
        (ISSUE_RECORD, "merchant_uid", "order-1"),
        (ISSUE_RECORD, "sequence", 2),
        (ISSUE_RECORD, "accepted_at", ACCEPTED_AT - 1e-6),
        (ISSUE_RECORD, "expires_at", ACCEPTED_AT + 901),
        (ISSUE_RECORD, "as_of", int(ACCEPTED_AT)),
        (ONETIME_RECORD, "merchant_uid", "order-2"),
        (ONETIME_RECORD, "merchant_uid", None),
        (ONETIME_RECORD, "customer_uid", UID),
    ],
)
def test_job_that_is_not_the_one_in_the_ledger_is_refused(
    keyrings: Keyrings, record: Json, member: str, value: object
) -> None:
    request = issue() if record is ISSUE_RECORD else onetime()

    with pytest.raises(Refused, match=rf"^other_{member}$"):
        keyrings.open(request, leased(record, **{member: value}))


def test_binding_is_checked_before_the_envelope(keyrings: Keyrings) -> None:
    with pytest.raises(Refused, match=r"^other_sequence$"):
        keyrings.open(issue(envelope="x", sequence=4))


def test_signature_is_checked_before_the_payload_is_read(keyrings: Keyrings) -> None:
    with pytest.raises(Refused, match=r"^bad_signature$"):
        keyrings.open(issue(by=ed25519("a stranger"), sequence="x"))


@pytest.mark.parametrize("sealed", [b"", b"..", b"\xff\xfe.\x00.\x80", b"a" * 10_000])
def test_whatever_lay_in_the_vault_is_refused(keyrings: Keyrings, sealed: bytes) -> None:
    with pytest.raises(Refused):
        keyrings.opener.verify(sealed, leased())


@pytest.mark.parametrize(("expiry", "is_good"), [("2027-01", True), ("2026-12", False)])
def test_card_must_be_good_when_it_was_accepted(keyrings: Keyrings, expiry: str, *, is_good: bool) -> None:
    request = issue(card=envelope(plaintext=plain(CARD | {"expiry": expiry})))

    try:
        found: object = keyrings.open(request).reveal()["expiry"]
    except Refused as refusal:
        found = refusal.code

    assert (expiry if is_good else "invalid_card") == found


@pytest.mark.parametrize("text", ["c-4242.4242.4242.4242", "900101-1234567"])
def test_job_that_shows_its_sealed_card_in_an_open_field_is_refused(keyrings: Keyrings, text: str) -> None:
    with pytest.raises(Refused, match=r"^card_in_open_field$") as caught:
        keyrings.open(issue(customer_id=text))

    assert caught.value.__context__ is None


def test_job_with_another_persons_numbers_in_an_open_field_opens(keyrings: Keyrings) -> None:
    assert keyrings.open(issue(customer_id="5555555555554444")).reveal() == CARD


def test_card_that_expires_while_its_job_waits_still_opens(keyrings: Keyrings) -> None:
    last_second = datetime(2027, 1, 31, 23, 59, 59, tzinfo=KOREA).timestamp()
    times: Json = {"accepted_at": last_second, "expires_at": last_second + 900}
    sealed = envelope(plaintext=plain(CARD | {"expiry": "2027-01"}), iat=int(last_second), exp=int(last_second) + 1)

    card = keyrings.open(issue(card=sealed, **times), leased(claimed_at=last_second + 800, **times))

    assert card.reveal()["expiry"] == "2027-01"


def test_producer_may_ask_only_for_what_is_written_beside_its_key(keyrings: Keyrings) -> None:
    with pytest.raises(Refused, match=r"^not_allowed$"):
        keyrings.open(onetime(kid=ISSUER_KID), leased(ONETIME_RECORD))


def test_unknown_opening_key_is_awaited(keyrings: Keyrings) -> None:
    with pytest.raises(UnknownKid):
        keyrings.open(issue(card=envelope(kid="k-2099")))


def test_new_opening_key_comes_into_force_within_a_second(keyrings: Keyrings) -> None:
    key = x25519("the next")
    keyrings.add(keyrings.opening, private(key, "k-2099"))
    keyrings.a_second_later()

    assert keyrings.open(issue(card=envelope(kid="k-2099", to=key))).reveal() == CARD
    assert keyrings.opener.opening_kids[-1] == "k-2099"


def test_new_producer_comes_into_force_within_a_second(keyrings: Keyrings) -> None:
    with pytest.raises(UnknownKid):
        keyrings.open(issue(kid="shop-2"))
    keyrings.add(keyrings.producers, public(ed25519("shop-2"), "shop-2", may=["issue"]))
    keyrings.a_second_later()

    assert keyrings.open(issue(kid="shop-2")).reveal() == CARD


def test_producer_that_is_taken_out_is_known_no_more(keyrings: Keyrings) -> None:
    keyrings.write(keyrings.producers, {"keys": PRODUCERS["keys"][1:]})
    keyrings.a_second_later()

    with pytest.raises(UnknownKid):
        keyrings.open(issue())


@pytest.mark.parametrize("content", ["", '{"keys":', {"keys": []}, {"keys": ["x"]}, {"keys": [{"kid": "k"}]}])
def test_unusable_change_leaves_the_keys_in_force(keyrings: Keyrings, content: object) -> None:
    keyrings.write(keyrings.opening, content)
    keyrings.write(keyrings.producers, content)
    keyrings.a_second_later()

    assert keyrings.open(issue()).reveal() == CARD
    assert [str(error).split(":")[0] for error in keyrings.errors] == ["PRODUCER_KEYS_FILE", "OPENING_KEYS_FILE"]


def test_envelope_on_another_curve_than_its_key_is_refused() -> None:
    keys = OpeningKeys({"keys": [private(p256("p"), NEWER_KID)]})

    with pytest.raises(Refused, match=r"^wrong_curve$"):
        keys.open_card(Envelope.parse(envelope(kid=NEWER_KID).text("x")), now=ACCEPTED_AT)


X, NEXT_X, P, E = x25519("x"), x25519("the next"), p256("p"), ed25519("e")
SECRET = private_jwk(P)["d"]
KID_RULE = "each key needs a kid of 1 to 64 of A-Z a-z 0-9 _ . -"
NO_KEY, UNREAD = "holds a key that is not a private X25519 or P-256 key", "holds a key that cannot be read"
ODD_MAY: tuple[object, ...] = (
    *(None, [], "issue", {"issue": 1}, ["issue", "refund"], ["ISSUE"], [["issue"]], [{"issue": 1}], [5]),
)


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        (None, "holds no keys"),
        (["k"], "holds no keys"),
        ([private(X, None)], KID_RULE),
        ([private(X, "a b")], KID_RULE),
        ([private(X), private(P)], "two keys have the same kid"),
        ([public(X)], NO_KEY),
        ([private(E)], NO_KEY),
        ([{"kty": "oct", "k": SECRET, "kid": "k"}], NO_KEY),
        ([private(P, crv="P-384")], NO_KEY),
        ([private(X, crv=["X25519"])], NO_KEY),
        ([private(X, d="c2VjcmV0")], UNREAD),
        ([private(X, x=public_jwk(NEXT_X)["x"])], UNREAD),
        ([private(X, x=5)], UNREAD),
        ([private(P, x=public_jwk(p256("q"))["x"])], UNREAD),
        ([private(P, d=5)], UNREAD),
        ([private(P, d=private_jwk(p256("q"))["d"])], UNREAD),
        ([{"crv": "P-256", "kty": "EC", "d": SECRET, "kid": "k"}], UNREAD),
    ],
)
def test_opening_keys_that_cannot_be_used_are_refused(keys: object, rule: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        OpeningKeys({"keys": keys})

    assert f"OPENING_KEYS_FILE: {rule}" == str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("jwk", "rule"),
    [
        *((producer(may=may), "each key needs 'may', a list of issue, onetime") for may in ODD_MAY),
        (private(E, may=["issue"]), "holds a key that is not a public Ed25519 key"),
        (public(X, may=["issue"]), "holds a key that is not a public Ed25519 key"),
        (producer(x="c2VjcmV0"), UNREAD),
        (producer(x=5), UNREAD),
        (producer(kid=""), KID_RULE),
    ],
)
def test_producer_keys_that_cannot_be_used_are_refused(jwk: Json, rule: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        ProducerKeys({"keys": [jwk]})

    assert f"PRODUCER_KEYS_FILE: {rule}" == str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_opening_keys_that_others_can_read_are_refused(
    keyrings: Keyrings, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setattr(os, "getegid", lambda: 65_534)
    monkeypatch.setattr(os, "getgroups", list)
    keyrings.opening.chmod(mode)

    with pytest.raises(KeyFileError, match=r"^OPENING_KEYS_FILE: the file can be read by others; chmod 600 it$"):
        OpeningKeys.load(keyrings.opening)


def test_producer_keys_may_be_read_by_others(keyrings: Keyrings) -> None:
    keyrings.producers.chmod(0o644)

    assert ProducerKeys.load(keyrings.producers).kids == (PRODUCER_KID, ISSUER_KID)


def test_shown_keys_hold_no_private_part() -> None:
    keys = OpeningKeys(OPENING)

    shown = f"{keys!r} {vars(keys)}"

    assert not [jwk["d"] for jwk in OPENING["keys"] if jwk["d"] in shown]
