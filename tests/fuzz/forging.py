"""Jobs and envelopes with wrong contents, validly signed and sealed with real keys.

A producer that is taken over can sign, and anybody can seal to a public key: what they make opens, so only its contents
may stop it. What must hold: every member of both headers, every member of a job that the record or the envelope
repeats, and that a card is a card.
"""

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from math import inf, nextafter
from random import Random
from typing import Any
from uuid import UUID

from tests.fuzz.doors import ENVELOPE, JOB, Input
from tests.fuzz.genuine import ENVELOPES, JOBS, STORING, Envelope, Job
from tests.fuzz.spelling import ANY, MANY, meaning, respelled
from tests.vectors.attacks import BOMB, SMALL_ORDER, stored
from tests.vectors.jose import b64, ed25519, public_jwk, unb64
from tests.vectors.recipe import (
    CARD,
    EXP,
    IAT,
    ISSUE_RECORD,
    ISSUER_KID,
    NEWER_KID,
    ONETIME_RECORD,
    P256_KID,
    PRODUCER_KID,
    UID,
    Record,
    issue,
    onetime,
    onetime_envelope,
    plain,
)
from tests.vectors.tampering import exactly

Forgery = Callable[[Random], tuple[str, str, Record]]
"""Makes the door, the text and the record that it is offered for."""

HELD = frozenset({*ISSUE_RECORD, "envelope"})
HELD_OF_CARD = frozenset({"card_number", "expiry"})
BOUND_ONLY = [one for one in JOBS if set(one.recipe.payload) <= HELD]
STRANGER = ed25519("a stranger")
PLAIN = plain(CARD)
NO_CARDS = (
    BOMB, stored(PLAIN), zlib.compress(PLAIN), zlib.compress(bytes(10**6)), ENVELOPES[0].text.encode(), b"\0" * 2400,
    b"[" * 2400, b'{"a":' * 450, b"{" + b'"":0,' * 470 + b"}", PLAIN[:-1] + b',"birth":null}', MANY[:2393] + b"}",
)  # fmt: skip


def _bytes_damaged(rng: Random, text: bytes) -> bytes:
    """A few bytes changed, put in, or left out, until it means something else."""
    damaged = text
    while meaning(damaged) == meaning(text):
        changed = bytearray(damaged)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(changed))
            changed[at : at + rng.randrange(2)] = rng.choice((b"", rng.randbytes(1), bytes([changed[at] ^ 1])))
        damaged = bytes(changed)
    return damaged


def _signed(one: Job, **changes: Any) -> tuple[str, str, Record]:
    return JOB, replace(one.recipe, **changes).text(), one.record


def header_signed(rng: Random) -> tuple[str, str, Record]:
    one = rng.choice(JOBS)
    return _signed(one, spell=exactly(respelled(rng, one.recipe.header, ANY, is_signed=True)))


def header_damaged_and_signed(rng: Random) -> tuple[str, str, Record]:
    one = rng.choice(JOBS)
    return _signed(one, spell=exactly(_bytes_damaged(rng, one.recipe.spell(one.recipe.header))))


def payload_signed(rng: Random) -> tuple[str, str, Record]:
    one = rng.choice(JOBS)
    held = HELD & set(one.recipe.payload)
    return _signed(one, spell_payload=exactly(respelled(rng, one.recipe.payload, held, is_signed=True)))


def payload_damaged_and_signed(rng: Random) -> tuple[str, str, Record]:
    """Only jobs all of whose members are bound: in others a changed byte may be another lawful request."""
    one = rng.choice(BOUND_ONLY)
    return _signed(one, spell_payload=exactly(_bytes_damaged(rng, one.recipe.spell_payload(one.recipe.payload))))


def _another(rng: Random, name: str, value: Any) -> Any:
    if isinstance(value, float):
        return rng.choice((nextafter(value, inf), nextafter(value, 0), value + rng.randrange(1, 10**6), int(value)))
    if isinstance(value, int):
        return rng.choice((value + 1, value + rng.randrange(1, 10**9), float(value), bool(value)))
    if name == "operation":
        return "onetime" if value == "issue" else "issue"
    if name == "job_id":
        return rng.choice((str(UUID(int=rng.getrandbits(128))), value.replace("-", ""), value.upper()))
    return rng.choice((f"{value}x", value[1:], value.swapcase(), f"{value}\n", f"{rng.getrandbits(64):x}", "..", None))


def contents_of_another(rng: Random) -> tuple[str, str, Record]:
    """One member of the payload is another job's."""
    one = rng.choice(JOBS)
    name = rng.choice(sorted((HELD & set(one.recipe.payload)) - {"envelope"}))
    return _signed(one, payload=dict(one.recipe.payload) | {name: _another(rng, name, one.recipe.payload[name])})


def record_of_another(rng: Random) -> tuple[str, str, Record]:
    """A genuine job for the record of another: a replay."""
    one = rng.choice(JOBS)
    name = rng.choice(("job_id", "customer_uid", "merchant_uid", "sequence", "accepted_at", "expires_at"))
    value = one.record[name]
    other = "x" if value is None or isinstance(value, str) else value + rng.choice((-1, 1, 60))
    return JOB, one.text, one.record | {name: other}


def envelope_of_another(rng: Random) -> tuple[str, str, Record]:
    """A genuine envelope, sealed for another purpose, customer or order, in a job of its own signed well."""
    one = rng.choice(BOUND_ONLY)
    foreign = [sealed.text for sealed in ENVELOPES if sealed.record != ISSUE_RECORD]
    text = rng.choice((*foreign, one.text, "", "x" * rng.randrange(1, 5000)))
    return _signed(one, payload=dict(one.recipe.payload) | {"envelope": text})


def signed_by_another(rng: Random) -> tuple[str, str, Record]:
    one = rng.choice(JOBS)
    kid = one.recipe.header["kid"]
    other = ISSUER_KID if kid == PRODUCER_KID else PRODUCER_KID
    public = unb64(public_jwk(ed25519(kid))["x"])
    changes: list[dict[str, Any]] = [
        {"by": STRANGER},
        {"by": ed25519(other)},
        {"header": dict(one.recipe.header) | {"kid": other}},
        {"mac": (public, rng.choice(("sha256", "sha384", "sha512")))},
        {"mac": (public, "sha512"), "header": dict(one.recipe.header) | {"alg": "HS512"}},
    ]
    return _signed(one, **rng.choice(changes))


def not_allowed(rng: Random) -> tuple[str, str, Record]:
    """A payment by a producer that may only issue."""
    sealed, record = rng.choice(((onetime_envelope(), ONETIME_RECORD), (onetime_envelope(customer_uid=UID), STORING)))
    return JOB, onetime(kid=ISSUER_KID, card=sealed, record=record, amount=rng.randrange(1, 10**6)).text(), record


def card_in_clear(rng: Random) -> tuple[str, str, Record]:
    """The sealed card's number, or its birth date as a resident number begins, in an open field as well."""
    number = rng.choice(("", "-", ".", "_")).join(CARD["card_number"][at : at + 4] for at in range(0, 16, 4))
    text = rng.choice((number, f"u{number}", f"{CARD['birth']}-{rng.randrange(10**6, 9 * 10**6)}"))
    if rng.random() < 0.5:
        return JOB, issue(customer_id=text).text(), ISSUE_RECORD
    return JOB, onetime(name=text).text(), ONETIME_RECORD


def _sealed(rng: Random, one: Envelope, **changes: Any) -> tuple[str, str, Record]:
    """Sealed, and in half of the cases inside a job that is signed well."""
    text = replace(one.recipe, **changes).text(f"fuzz {rng.randrange(50)}")
    if rng.random() < 0.5:
        return ENVELOPE, text, one.record
    make = issue if one.record["operation"] == "issue" else onetime
    return JOB, make(record=one.record, envelope=text).text(), one.record


def header_sealed(rng: Random) -> tuple[str, str, Record]:
    one = rng.choice(ENVELOPES)
    return _sealed(rng, one, spell=lambda members: respelled(rng, members, ANY, is_signed=True))


def binding_sealed(rng: Random) -> tuple[str, str, Record]:
    """Another customer, order, purpose, or a life that is too long, over, or not begun."""
    one = rng.choice(ENVELOPES)
    uid = "customer_uid" if one.record["customer_uid"] else "merchant_uid"
    span = rng.randrange(1, 3600)
    changes: list[dict[str, Any]] = [
        {uid: _another(rng, uid, one.recipe.header[uid])},
        {"purpose": "onetime" if one.record["operation"] == "issue" else "issue"},
        {"kid": rng.choice(("", "../x", "k" * 65, "test-2099", "\ud800", 0))},
        {"exp": IAT + 3600 + span},
        {"iat": IAT - 2 * span, "exp": IAT - span},
        {"iat": IAT + 300 + span, "exp": IAT + 301 + span},
        {"iat": EXP, "exp": IAT},
    ]
    header = dict(one.recipe.header) | rng.choice(changes)
    return _sealed(rng, one, header=header, spell=lambda members: json.dumps(members).encode())


def wrongly_agreed(rng: Random) -> tuple[str, str, Record]:
    """To another key, under a point of small order or on no curve, or with other parties in the key derivation."""
    one = rng.choice(ENVELOPES)
    curve, zeros, header = public_jwk(one.recipe.to), bytes(32), dict(one.recipe.header)
    if one.recipe.header["kid"] == P256_KID:
        x, y = rng.choice((bytes(32), rng.randbytes(32))), rng.choice((bytes(32), rng.randbytes(32)))
        epk, agreed = curve | {"x": b64(x), "y": b64(y)}, rng.choice((x, zeros))
    else:
        epk, agreed = curve | {"x": b64(rng.choice((*SMALL_ORDER.values(), zeros)))}, zeros
    changes: list[dict[str, Any]] = [
        {"header": header | {"epk": epk}, "agreed": agreed},
        {"agreed": rng.randbytes(32)},
        {"header": header | {rng.choice(("apu", "apv")): b64(rng.randbytes(8))}},
        {"header": header | {"kid": P256_KID if header["kid"] == NEWER_KID else NEWER_KID}},
    ]
    return _sealed(rng, one, **rng.choice(changes))


def plaintext_sealed(rng: Random) -> tuple[str, str, Record]:
    """What is no card: JSON of all sorts, compressed, large, nested, random."""
    one = rng.choice(ENVELOPES)
    return _sealed(rng, one, plaintext=no_card(rng) or b"0")


def no_card(rng: Random) -> bytes:
    """What no reader may take for a card."""
    if rng.random() < 0.7:
        return respelled(rng, CARD | {"customer_name": "홍길동"}, HELD_OF_CARD, is_signed=True)
    return rng.choice((*NO_CARDS, rng.randbytes(rng.randrange(1, 2400)), PLAIN + b" " * rng.randrange(2400, 2900)))


FORGERIES: dict[str, Forgery] = {
    "signed header": header_signed,
    "signed damaged header": header_damaged_and_signed,
    "signed payload": payload_signed,
    "signed damaged payload": payload_damaged_and_signed,
    "signed for another": contents_of_another,
    "replayed": record_of_another,
    "signed envelope of another": envelope_of_another,
    "signed by another": signed_by_another,
    "signed but not allowed": not_allowed,
    "signed with its card in clear": card_in_clear,
    "sealed header": header_sealed,
    "sealed for another": binding_sealed,
    "wrongly agreed": wrongly_agreed,
    "sealed no card": plaintext_sealed,
}


def forged(kind: str, rng: Random) -> Input:
    door, text, record = FORGERIES[kind](rng)
    return Input(kind, door, text.encode() if door == JOB else text, record)
