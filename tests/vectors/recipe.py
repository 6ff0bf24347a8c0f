"""What the vectors have in common: one good issuance, one good payment, and how to vary them."""

from typing import Any, NamedTuple

from tests.vectors.jose import OpeningKey, SealedCard, SignedRequest, ed25519, p256, to_json, x25519

IAT, EXP = 1_800_000_000, 1_800_000_900
ACCEPTED_AT, EXPIRES_AT = 1_800_000_000.25, 1_800_000_900.25
JOB_ID = "5ce0e9a5-6015-8fec-aadf-a328ae398115"
UID, ORDER = "gildong_0001_1234", "order-2027-0001"

X25519_KID, P256_KID, NEWER_KID = "test-x25519-older", "test-p-256", "test-x25519-newer"
PRODUCER_KID, ISSUER_KID = "test-producer", "test-issuer"
OPENING: dict[str, OpeningKey] = {X25519_KID: x25519("older"), P256_KID: p256("p-256"), NEWER_KID: x25519("newer")}

CARD = {"card_number": "4242424242424242", "expiry": "2031-07", "birth": "900101", "pwd_2digit": "12"}

Record = dict[str, Any]
TIMES = {"accepted_at": ACCEPTED_AT, "expires_at": EXPIRES_AT}
ISSUE_RECORD: Record = {
    "job_id": JOB_ID,
    "operation": "issue",
    "customer_uid": UID,
    "merchant_uid": None,
    "sequence": 3,
    **TIMES,
}
ONETIME_RECORD: Record = {
    "job_id": JOB_ID,
    "operation": "onetime",
    "customer_uid": None,
    "merchant_uid": ORDER,
    "sequence": 0,
    **TIMES,
}


class Acceptance(NamedTuple):
    """What must be accepted for that record, and the card in it."""

    name: str
    recipe: SealedCard | SignedRequest
    record: Record = ISSUE_RECORD
    card: Record = CARD


class Refusal(NamedTuple):
    """What must be refused, why that matters, and the code with which it is refused for that record."""

    name: str
    why: str
    expected: str
    recipe: SealedCard | SignedRequest
    record: Record = ISSUE_RECORD


def plain(members: object) -> bytes:
    """The plaintext of an envelope."""
    return to_json(members)


def envelope(*, to: OpeningKey | None = None, **changes: Any) -> SealedCard:
    """A good envelope for the issuance, with changes.

    Args:
        to: seal to this key, whatever ``kid`` says.
        changes: members of the header, ``...`` for one to be left out; or arguments of :class:`SealedCard`.
    """
    steps: Record = {name: changes.pop(name) for name in ("plaintext", "agreed", "spell", "tamper") if name in changes}
    header = {
        "alg": "ECDH-ES",
        "enc": "A256GCM",
        "kid": NEWER_KID,
        "typ": "card+jwe",
        "purpose": "issue",
        "customer_uid": UID,
        "iat": IAT,
        "exp": EXP,
    } | changes
    key = to or OPENING.get(str(header["kid"]), OPENING[NEWER_KID])
    steps.setdefault("plaintext", plain(CARD))
    return SealedCard(**steps, header=header, to=key)


def onetime_envelope(**changes: Any) -> SealedCard:
    """A good envelope for the payment, with changes."""
    payment: Record = {"purpose": "onetime", "customer_uid": ..., "merchant_uid": ORDER}
    return envelope(**(payment | changes))


def _job(record: Record, card: SealedCard, fields: Record, changes: Record) -> SignedRequest:
    steps: Record = {
        name: changes.pop(name) for name in ("by", "mac", "spell", "spell_payload", "tamper") if name in changes
    }
    header = {"alg": "Ed25519", "kid": changes.pop("kid", PRODUCER_KID), "typ": "job+jws"}
    header |= changes.pop("header", {})
    steps.setdefault("by", ed25519(str(header["kid"])))
    payload = record | {"envelope": card.text("the envelope of a job")} | fields | changes
    return SignedRequest(
        header={name: value for name, value in header.items() if value is not ...},
        payload={name: value for name, value in payload.items() if value is not ... and value is not None},
        **steps,
    )


def issue(*, card: SealedCard | None = None, record: Record = ISSUE_RECORD, **changes: Any) -> SignedRequest:
    """A good signed issuance, with changes.

    Args:
        card: its envelope.
        record: what the ledger knows of it.
        changes: members of the payload, ``...`` for one to be left out; ``kid`` and ``header`` for the header; or
            arguments of :class:`SignedRequest`.
    """
    return _job(record, card or envelope(), {}, changes)


def onetime(*, card: SealedCard | None = None, record: Record = ONETIME_RECORD, **changes: Any) -> SignedRequest:
    """A good signed payment, with changes."""
    return _job(record, card or onetime_envelope(), {"amount": 9900, "name": "책 한 권"}, changes)


def sealed(name: str, expected: str, why: str, /, **changes: Any) -> Refusal:
    """A good envelope for the issuance, so changed that it must be refused."""
    return Refusal(name, why, expected, envelope(**changes))


def sealed_payment(name: str, expected: str, why: str, /, **changes: Any) -> Refusal:
    """A good envelope for the payment, so changed that it must be refused."""
    return Refusal(name, why, expected, onetime_envelope(**changes), ONETIME_RECORD)


def signed(name: str, expected: str, why: str, /, **changes: Any) -> Refusal:
    """A good signed issuance, so changed that it must be refused."""
    return Refusal(name, why, expected, issue(**changes))


def signed_payment(name: str, expected: str, why: str, /, **changes: Any) -> Refusal:
    """A good signed payment, so changed that it must be refused."""
    return Refusal(name, why, expected, onetime(**changes), ONETIME_RECORD)
