"""Signed requests that must be refused."""

from collections.abc import Callable
from typing import Any

from tests.vectors.jose import ED25519_ORDER, ed25519, public_jwk, unb64
from tests.vectors.recipe import (
    ACCEPTED_AT,
    EXPIRES_AT,
    ISSUER_KID,
    ONETIME_RECORD,
    PRODUCER_KID,
    UID,
    Refusal,
    issue,
    onetime,
    signed,
    signed_payment,
)
from tests.vectors.tampering import (
    also,
    bytes_of,
    cut,
    exactly,
    flip,
    joined,
    non_canonical,
    on,
    put,
    tab_to_return,
    twice,
    with_tab,
)

HEADER, PAYLOAD, SIGNATURE = range(3)
PUBLIC = unb64(public_jwk(ed25519(PRODUCER_KID))["x"])
STRANGER = ed25519("a stranger")
CARD_NUMBER = "4242424242424242"


def _header(name: str, expected: str, why: str, **header: Any) -> Refusal:
    return signed(name, expected, why, header=header)


def _other(member: str, value: object, bad: Callable[..., Refusal] = signed) -> Refusal:
    why = "a signed request runs once, in its place"
    return bad(f"a job for another {member}", f"other_{member}", why, **{member: value})


def _malleable(signature: bytes) -> bytes:
    """S + L verifies as well where it is not checked (RFC 8032, section 5.1.7)."""
    s = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    return signature[:32] + s.to_bytes(32, "little")


_ALG = "an algorithm that the sender chooses is no signature"
_EXACT = "the set of members is exact"
_TRUST = "the header would choose the key, or where to fetch it"
_ONE_TEXT = "one text for the same bytes"
_TWO = "two readers, two meanings"
_INTACT = "nothing but what was signed may run"
_STRICT = "what is signed has one meaning"
_SEALED = "what is sealed must not stand in clear beside it"

HEADERS = [
    signed(
        "alg none",
        "wrong_alg",
        "a stolen store password must not be enough to send a job",
        header={"alg": "none"},
        tamper=put(SIGNATURE, ""),
    ),
    signed(
        "alg HS256 with the public key as secret",
        "wrong_alg",
        "the public key is no secret",
        header={"alg": "HS256"},
        mac=(PUBLIC, "sha256"),
    ),
    signed(
        "HMAC with the public key as secret under our alg",
        "bad_signature",
        "the public key is no secret",
        mac=(PUBLIC, "sha512"),
    ),
    _header("alg EdDSA", "wrong_alg", "the older name is not ours (RFC 9864)", alg="EdDSA"),
    _header("alg ES256", "wrong_alg", _ALG, alg="ES256"),
    _header("alg RS256", "wrong_alg", _ALG, alg="RS256"),
    _header("another typ", "wrong_typ", "a token of one kind must not pass for another", typ="JWT"),
    _header("typ of an envelope", "wrong_typ", "a token of one kind must not pass for another", typ="card+jwe"),
    _header("without alg", "wrong_members", _EXACT, alg=...),
    _header("without typ", "wrong_members", _EXACT, typ=...),
    signed("without kid", "wrong_members", _EXACT, header={"kid": ...}, by=ed25519(PRODUCER_KID)),
    _header("with crit", "wrong_members", "an extension that a reader does not know", crit=["exp"], exp=0),
    _header("with b64 false", "wrong_members", "it changes what is signed", b64=False, crit=["b64"]),
    _header("with jwk", "wrong_members", _TRUST, jwk=public_jwk(STRANGER)),
    _header("with jku", "wrong_members", _TRUST, jku="https://example.com/keys"),
    _header("with x5c", "wrong_members", _TRUST, x5c=["MIIB"]),
    _header("with cty", "wrong_members", _EXACT, cty="JWT"),
    _header("kid of no producer here", "unknown_kid", "a producer may be added: the job waits", kid="test-2099"),
    _header("kid that is a path", "bad_member", "a kid is looked up among those we have, nowhere else", kid="../x"),
    _header("kid of nothing", "bad_member", "a kid has 1 to 64 characters", kid=""),
    _header("kid as a number", "bad_member", "only text is a kid", kid=7),
    signed("a member of the header twice", "duplicate_member", _TWO, spell=twice("alg", "none")),
    signed("a header that is a list", "bad_json", "an object", spell=exactly(b'["Ed25519"]')),
    signed("a header longer than 1 KiB", "header_too_long", "bounds the work", header={"kid": "k" * 1024}),
]

SIGNERS = [
    signed("signed by a stranger under a known kid", "bad_signature", _INTACT, by=STRANGER),
    signed("signed by another producer under this kid", "bad_signature", _INTACT, by=ed25519(ISSUER_KID)),
    signed_payment(
        "a payment asked for by a producer who may only issue",
        "not_allowed",
        "a producer that is taken over does no more than it may",
        kid=ISSUER_KID,
    ),
]

FORMS = [
    signed("unsigned", "bad_segment", "no signature", tamper=put(SIGNATURE, "")),
    signed("two segments", "not_compact", "a JWS has three", tamper=lambda s: s[:2]),
    signed("four segments", "not_compact", "a JWS has three", tamper=lambda s: [*s, ""]),
    signed("a truncated header", "bad_json", "not the whole", tamper=cut(HEADER)),
    signed("a truncated payload", "bad_signature", _INTACT, tamper=cut(PAYLOAD)),
    signed("no payload", "bad_signature", _INTACT, tamper=put(PAYLOAD, "")),
    signed("a truncated signature", "bad_segment", "64 bytes", tamper=cut(SIGNATURE)),
    signed(
        "a flipped bit in the header",
        "bad_signature",
        "the header is signed as text, even where its meaning is the same",
        spell=with_tab,
        tamper=bytes_of(HEADER, tab_to_return),
    ),
    signed("a flipped bit in the payload", "bad_signature", _INTACT, tamper=flip(PAYLOAD)),
    signed("a flipped bit in the signature", "bad_signature", _INTACT, tamper=flip(SIGNATURE)),
    signed(
        "a signature of another text",
        "bad_signature",
        "one signature for a job",
        tamper=bytes_of(SIGNATURE, _malleable),
    ),
    signed(
        "the signature of another job",
        "bad_signature",
        _INTACT,
        tamper=on(SIGNATURE, lambda _: issue(sequence=4).text().rpartition(".")[2]),
    ),
    signed("longer than 8 KiB", "too_long", "bounds the work", customer_id="c" * 6000),
    signed("padding", "bad_base64", _ONE_TEXT, tamper=on(SIGNATURE, lambda text: text + "==")),
    signed("base64 that is not canonical", "bad_base64", _ONE_TEXT, tamper=on(SIGNATURE, non_canonical)),
    signed("a new line at the end", "bad_base64", _ONE_TEXT, tamper=joined(lambda text: text + "\n")),
    signed("letters beyond ASCII", "bad_base64", _ONE_TEXT, tamper=on(PAYLOAD, lambda text: "가" + text[1:])),
]

PAYLOADS = [
    signed("a payload that is no JSON", "bad_json", _STRICT, spell_payload=exactly(b"job")),
    signed("an empty payload", "bad_json", _STRICT, spell_payload=exactly(b"")),
    signed("a payload that is a list", "bad_json", _STRICT, spell_payload=exactly(b"[]")),
    signed("a member of the payload twice", "duplicate_member", _TWO, spell_payload=twice("customer_uid", "another")),
    signed("a deep payload", "bad_json", "bounds the parser", spell_payload=exactly(b"[" * 5000)),
    signed(
        "a number of 5000 digits",
        "bad_json",
        "bounds the parser",
        spell_payload=exactly(b'{"sequence":' + b"9" * 5000 + b"}"),
    ),
    signed("a payload with NaN", "bad_json", "no JSON", spell_payload=also(accepted_at=float("nan"))),
    signed("a payload with a member that is none of ours", "bad_member", _EXACT, priority=1),
    signed("a card number in clear", "bad_member", "a card travels sealed only", card_number=CARD_NUMBER),
    signed("a payload without sequence", "bad_member", "order needs it", sequence=...),
    signed("a payload without envelope", "bad_member", "no card", envelope=...),
    signed("sequence as text", "bad_member", _STRICT, sequence="3"),
    signed("sequence below zero", "bad_member", _STRICT, sequence=-1),
    signed("sequence as a float", "bad_member", _STRICT, sequence=3.0),
    signed("an operation that is none", "bad_member", "a closed list", operation="refund"),
    signed("a job id that is none", "bad_member", "it becomes part of a key", job_id="../../x"),
    signed("accepted_at as text", "bad_member", _STRICT, accepted_at=str(ACCEPTED_AT)),
    signed("expires_at as text", "bad_member", _STRICT, expires_at=str(EXPIRES_AT)),
    signed("accepted_at as a boolean", "bad_member", _STRICT, accepted_at=True),
    signed("accepted_at beyond all time", "bad_member", _STRICT, accepted_at=1e12),
    signed("an amount in an issuance", "bad_member", "an issuance charges nothing", amount=1000),
    signed_payment("a payment without amount", "bad_member", "a payment names its amount", amount=...),
    signed_payment("a payment of nothing", "bad_member", "a payment names its amount", amount=0),
    signed_payment("an order name of two lines", "bad_member", "it would break a line of a log", name="a\nb"),
    signed_payment("an amount as text", "bad_member", _STRICT, amount="9900"),
    signed_payment("an amount with a fraction", "bad_member", "KRW has none", amount=99.5),
    signed("an envelope that is none", "not_compact", "what is signed may be wrong all the same", envelope="x"),
]

BINDINGS = [
    _other("job_id", "5ce0e9a5-6015-8fec-aadf-a328ae398116"),
    Refusal("an issuance on the record of a payment", _INTACT, "other_operation", issue(), ONETIME_RECORD),
    Refusal("a payment on the record of an issuance", "a replayed payment charges", "other_operation", onetime()),
    _other("customer_uid", "gildong_0002_1234"),
    _other("merchant_uid", "order-2027-0002", signed_payment),
    signed_payment(
        "a customer_uid where the record has none", "other_customer_uid", "no key is stored unasked", customer_uid=UID
    ),
    _other("sequence", 4),
    _other("accepted_at", ACCEPTED_AT + 1e-6),
    _other("expires_at", EXPIRES_AT + 86400),
    _other("as_of", int(ACCEPTED_AT)),
    signed("as_of as text", "bad_member", _STRICT, as_of="1767225600"),
]

OPEN_FIELDS = [
    signed("the card's number in an open field", "card_in_open_field", _SEALED, customer_id="c:4242-4242-4242-4242"),
    signed_payment(
        "the card's birth date and seven digits in an open field",
        "card_in_open_field",
        _SEALED,
        name="회원 900101-1234567",
    ),
]

JOBS = [*HEADERS, *SIGNERS, *FORMS, *PAYLOADS, *BINDINGS, *OPEN_FIELDS]
