"""Writes the golden vectors: ``python -m tests.vectors.make``.

The same code writes the same files, byte for byte: keys, ephemeral keys and nonces are derived from words. A test holds
the committed files against it, so a change here is seen as a change of vectors. Add vectors; a vector that changes or
goes is a change of the wire format.
"""

import json
from typing import Any

from tests.vectors import HERE, attacks
from tests.vectors.jose import AnyKey, SealedCard, SignedRequest, ed25519, p256, private_jwk, public_jwk, x25519
from tests.vectors.recipe import (
    CARD,
    IAT,
    ISSUE_RECORD,
    ISSUER_KID,
    NEWER_KID,
    ONETIME_RECORD,
    P256_KID,
    PRODUCER_KID,
    UID,
    X25519_KID,
    Acceptance,
    Record,
    envelope,
    issue,
    onetime,
    onetime_envelope,
    plain,
)
from tests.vectors.refused_envelope import ENVELOPES
from tests.vectors.refused_job import JOBS

NOTE = "TEST KEYS, derived from public words. Never use them elsewhere."
KOREAN = CARD | {"customer_name": "홍길동", "customer_addr": "서울특별시 강남구 테헤란로 1 (역삼동)"}
PERSONAL = KOREAN | {
    "customer_tel": "010-1234-5678",
    "customer_email": "gildong@example.com",
    "customer_postcode": "06236",
}
BUYER = CARD | {
    "buyer_name": "홍길동",
    "buyer_tel": "010-1234-5678",
    "buyer_email": "gildong@example.com",
    "buyer_addr": "서울특별시 강남구",
    "buyer_postcode": "06236",
}
CORPORATE = {"card_number": "4012888888881881", "expiry": "2027-01", "birth": "1234567891"}
WITH_CVC = CARD | {"cvc": "123"}
STORING = onetime_envelope(customer_uid=UID)
STORING_RECORD = ONETIME_RECORD | {"customer_uid": UID, "sequence": 3}
ROW_RECORD = ISSUE_RECORD | {"as_of": IAT - 86400}

ACCEPTED = [
    Acceptance("an issuance on X25519", issue()),
    Acceptance("an issuance on an older key", issue(card=envelope(kid=X25519_KID))),
    Acceptance("an issuance on P-256", issue(card=envelope(kid=P256_KID))),
    Acceptance("an issuance by a producer who may only issue", issue(kid=ISSUER_KID)),
    Acceptance(
        "an issuance with every request field", issue(pg="nice.MID_1", channel_key="channel-key-1", customer_id="c-1")
    ),
    Acceptance("a Korean name and address", issue(card=envelope(plaintext=plain(KOREAN))), card=KOREAN),
    Acceptance("all of the holder's data", issue(card=envelope(plaintext=plain(PERSONAL))), card=PERSONAL),
    Acceptance("a corporate card in its last month", issue(card=envelope(plaintext=plain(CORPORATE))), card=CORPORATE),
    Acceptance("a card of 2400 bytes", issue(card=envelope(plaintext=plain(CARD).ljust(2400)))),
    Acceptance("a card with cvc", issue(card=envelope(plaintext=plain(WITH_CVC))), card=WITH_CVC),
    Acceptance("accepted as early as clocks may differ", issue(card=envelope(iat=IAT + 300, exp=IAT + 400))),
    Acceptance("accepted an hour after it was sealed", issue(card=envelope(iat=IAT - 3599, exp=IAT + 1))),
    Acceptance("a payment that stores no key", onetime(), ONETIME_RECORD),
    Acceptance("a payment that stores a key", onetime(card=STORING, record=STORING_RECORD), STORING_RECORD),
    Acceptance(
        "a payment with every request field and the buyer's data",
        onetime(
            card=onetime_envelope(plaintext=plain(BUYER)),
            amount=50_000,
            card_quota=3,
            vat_amount=4545,
            tax_free=0,
            product_type="digital",
        ),
        ONETIME_RECORD,
        BUYER,
    ),
    Acceptance("an envelope of the customer's browser", envelope(kid=P256_KID)),
    Acceptance("a payment's envelope", STORING, STORING_RECORD),
    Acceptance("a row of an export", issue(record=ROW_RECORD), ROW_RECORD),
]

Vector = dict[str, Any]


def kind_of(recipe: SealedCard | SignedRequest) -> str:
    return "envelope" if isinstance(recipe, SealedCard) else "job"


def members_of(recipe: SealedCard | SignedRequest) -> Record:
    """What a reader must find: the payload of a job, or the header of an envelope."""
    if isinstance(recipe, SignedRequest):
        return dict(recipe.payload)
    return {name: recipe.header[name] for name in recipe.header if recipe.header[name] is not ...}


def key_files() -> dict[str, Any]:
    """The four files of an installation, by name."""
    opening: list[tuple[str, AnyKey]] = [
        (X25519_KID, x25519("older")),
        (P256_KID, p256("p-256")),
        (NEWER_KID, x25519("newer")),
    ]
    signing = [(PRODUCER_KID, ["issue", "onetime"]), (ISSUER_KID, ["issue"])]
    return {
        "opening.private.jwks.json": {"note": NOTE, "keys": [private_jwk(key) | {"kid": kid} for kid, key in opening]},
        "sealing.public.jwks.json": {"note": NOTE, "keys": [public_jwk(key) | {"kid": kid} for kid, key in opening]},
        "producers.public.jwks.json": {
            "note": NOTE,
            "keys": [public_jwk(ed25519(kid)) | {"kid": kid, "may": may} for kid, may in signing],
        },
        "signing.private.jwk.json": {"note": NOTE} | private_jwk(ed25519(PRODUCER_KID)) | {"kid": PRODUCER_KID},
    }


def accepted() -> list[Vector]:
    """What must be accepted."""
    return [
        {
            "name": row.name,
            "kind": kind_of(row.recipe),
            "text": row.recipe.text(row.name),
            "record": row.record,
            "job": members_of(row.recipe),
            "plaintext": row.card,
        }
        for row in ACCEPTED
    ]


def refused() -> list[Vector]:
    """What must be refused."""
    return [
        {
            "name": row.name,
            "why": row.why,
            "kind": kind_of(row.recipe),
            "text": row.recipe.text(row.name),
            "record": row.record,
            "expected": row.expected,
        }
        for row in [*ENVELOPES, *JOBS, *attacks.ENVELOPES, *attacks.JOBS]
    ]


def files() -> dict[str, str]:
    """Every file that this writes, by its path in this folder."""
    keys = {f"keyring/{name}": json.dumps(members, indent=1) + "\n" for name, members in key_files().items()}
    vectors = {"accept.jsonl": accepted(), "refuse.jsonl": refused()}
    return keys | {name: "".join(map(line_of, rows)) for name, rows in vectors.items()}


def line_of(vector: Vector) -> str:
    return json.dumps(vector, ensure_ascii=False) + "\n"


def main() -> None:
    """Write them."""
    for name, text in files().items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
