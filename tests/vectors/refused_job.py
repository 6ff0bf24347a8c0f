"""Signed requests that must be refused."""

from typing import Any

from tests.vectors.jose import ED25519_ORDER, ed25519, public_jwk, to_json, unb64
from tests.vectors.recipe import (
    ACCEPTED_AT,
    EXPIRES_AT,
    ISSUE_RECORD,
    ISSUER_KID,
    ONETIME_RECORD,
    PRODUCER_KID,
    UID,
    Record,
    Refusal,
    issue,
    onetime,
)
from tests.vectors.tampering import (
    bytes_of,
    exactly,
    flipped,
    joined,
    non_canonical,
    on,
    tab_to_return,
    twice,
    with_tab,
)

HEADER, PAYLOAD, SIGNATURE = range(3)
PUBLIC = unb64(public_jwk(ed25519(PRODUCER_KID))["x"])
STRANGER = ed25519("a stranger")
CARD_NUMBER = "4242424242424242"


def _header(name: str, expected: str, why: str, **header: Any) -> Refusal:
    return Refusal(name, why, expected, issue(header=header))


def _payload(name: str, expected: str, why: str, **changes: Any) -> Refusal:
    return Refusal(name, why, expected, issue(**changes))


def _order(name: str, expected: str, why: str, **changes: Any) -> Refusal:
    return Refusal(name, why, expected, onetime(**changes), ONETIME_RECORD)


def _other(member: str, value: object, record: Record = ISSUE_RECORD) -> Refusal:
    name = f"a job for another {member}"
    make = issue if record is ISSUE_RECORD else onetime
    return Refusal(
        name,
        "a signed request runs once, in its place",
        f"other_{member}",
        make(**dict[str, Any]({member: value})),
        record,
    )


def _malleable(signature: bytes) -> bytes:
    """S + L verifies as well where it is not checked (RFC 8032, section 5.1.7)."""
    s = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    return signature[:32] + s.to_bytes(32, "little")


_ALG = "an algorithm that the sender chooses is no signature"
_EXACT = "the set of members is exact"
_TRUST = "the header would choose the key, or where to fetch it"
_ONE_TEXT = "one text for the same bytes"
_INTACT = "nothing but what was signed may run"
_STRICT = "what is signed has one meaning"

HEADERS = [
    Refusal(
        "alg none",
        "a stolen store password must not be enough to send a job",
        "wrong_alg",
        issue(header={"alg": "none"}, tamper=on(SIGNATURE, lambda _: "")),
    ),
    Refusal(
        "alg HS256 with the public key as secret",
        "the public key is no secret",
        "wrong_alg",
        issue(header={"alg": "HS256"}, mac=(PUBLIC, "sha256")),
    ),
    Refusal(
        "HMAC with the public key as secret under our alg",
        "the public key is no secret",
        "bad_signature",
        issue(mac=(PUBLIC, "sha512")),
    ),
    _header("alg EdDSA", "wrong_alg", "the older name is not ours (RFC 9864)", alg="EdDSA"),
    _header("alg ES256", "wrong_alg", _ALG, alg="ES256"),
    _header("alg RS256", "wrong_alg", _ALG, alg="RS256"),
    _header("another typ", "wrong_typ", "a token of one kind must not pass for another", typ="JWT"),
    _header("typ of an envelope", "wrong_typ", "a token of one kind must not pass for another", typ="card+jwe"),
    _header("without alg", "wrong_members", _EXACT, alg=...),
    _header("without typ", "wrong_members", _EXACT, typ=...),
    Refusal("without kid", _EXACT, "wrong_members", issue(header={"kid": ...}, by=ed25519(PRODUCER_KID))),
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
    Refusal(
        "a member of the header twice",
        "two readers, two meanings",
        "duplicate_member",
        issue(spell=twice("alg", "none")),
    ),
    Refusal("a header that is a list", "an object", "bad_json", issue(spell=exactly(b'["Ed25519"]'))),
    Refusal("a header longer than 1 KiB", "bounds the work", "header_too_long", issue(header={"kid": "k" * 1024})),
]

SIGNERS = [
    Refusal("signed by a stranger under a known kid", _INTACT, "bad_signature", issue(by=STRANGER)),
    Refusal("signed by another producer under this kid", _INTACT, "bad_signature", issue(by=ed25519(ISSUER_KID))),
    Refusal(
        "a payment asked for by a producer who may only issue",
        "a producer that is taken over does no more than it may",
        "not_allowed",
        onetime(kid=ISSUER_KID),
        ONETIME_RECORD,
    ),
]

FORMS = [
    Refusal("unsigned", "no signature", "bad_segment", issue(tamper=on(SIGNATURE, lambda _: ""))),
    Refusal("two segments", "a JWS has three", "not_compact", issue(tamper=lambda s: s[:2])),
    Refusal("four segments", "a JWS has three", "not_compact", issue(tamper=lambda s: [*s, ""])),
    Refusal("a truncated header", "not the whole", "bad_json", issue(tamper=bytes_of(HEADER, lambda data: data[:-1]))),
    Refusal("a truncated payload", _INTACT, "bad_signature", issue(tamper=bytes_of(PAYLOAD, lambda data: data[:-1]))),
    Refusal("no payload", _INTACT, "bad_signature", issue(tamper=on(PAYLOAD, lambda _: ""))),
    Refusal(
        "a truncated signature", "64 bytes", "bad_segment", issue(tamper=bytes_of(SIGNATURE, lambda data: data[:-1]))
    ),
    Refusal(
        "a flipped bit in the header",
        "the header is signed as text, even where its meaning is the same",
        "bad_signature",
        issue(spell=with_tab, tamper=bytes_of(HEADER, tab_to_return)),
    ),
    Refusal("a flipped bit in the payload", _INTACT, "bad_signature", issue(tamper=bytes_of(PAYLOAD, flipped))),
    Refusal("a flipped bit in the signature", _INTACT, "bad_signature", issue(tamper=bytes_of(SIGNATURE, flipped))),
    Refusal(
        "a signature of another text",
        "one signature for a job",
        "bad_signature",
        issue(tamper=bytes_of(SIGNATURE, _malleable)),
    ),
    Refusal(
        "the signature of another job",
        _INTACT,
        "bad_signature",
        issue(tamper=on(SIGNATURE, lambda _: issue(sequence=4).text().rpartition(".")[2])),
    ),
    Refusal("longer than 8 KiB", "bounds the work", "too_long", issue(customer_id="c" * 6000)),
    Refusal("padding", _ONE_TEXT, "bad_base64", issue(tamper=on(SIGNATURE, lambda text: text + "=="))),
    Refusal("base64 that is not canonical", _ONE_TEXT, "bad_base64", issue(tamper=on(SIGNATURE, non_canonical))),
    Refusal("a new line at the end", _ONE_TEXT, "bad_base64", issue(tamper=joined(lambda text: text + "\n"))),
    Refusal("letters beyond ASCII", _ONE_TEXT, "bad_base64", issue(tamper=on(PAYLOAD, lambda text: "가" + text[1:]))),
]

PAYLOADS = [
    Refusal("a payload that is no JSON", _STRICT, "bad_json", issue(spell_payload=exactly(b"job"))),
    Refusal("an empty payload", _STRICT, "bad_json", issue(spell_payload=exactly(b""))),
    Refusal("a payload that is a list", _STRICT, "bad_json", issue(spell_payload=exactly(b"[]"))),
    Refusal(
        "a member of the payload twice",
        "two readers, two meanings",
        "duplicate_member",
        issue(spell_payload=twice("customer_uid", "another")),
    ),
    Refusal("a deep payload", "bounds the parser", "bad_json", issue(spell_payload=exactly(b"[" * 5000))),
    Refusal(
        "a number of 5000 digits",
        "bounds the parser",
        "bad_json",
        issue(spell_payload=exactly(b'{"sequence":' + b"9" * 5000 + b"}")),
    ),
    Refusal(
        "a payload with NaN",
        "no JSON",
        "bad_json",
        issue(spell_payload=lambda m: to_json(dict(m) | {"accepted_at": float("nan")})),
    ),
    _payload("a payload with a member that is none of ours", "bad_member", _EXACT, priority=1),
    _payload("a card number in clear", "bad_member", "a card travels sealed only", card_number=CARD_NUMBER),
    _payload("a payload without sequence", "bad_member", "order needs it", sequence=...),
    _payload("a payload without envelope", "bad_member", "no card", envelope=...),
    _payload("sequence as text", "bad_member", _STRICT, sequence="3"),
    _payload("sequence below zero", "bad_member", _STRICT, sequence=-1),
    _payload("sequence as a float", "bad_member", _STRICT, sequence=3.0),
    _payload("an operation that is none", "bad_member", "a closed list", operation="refund"),
    _payload("a job id that is none", "bad_member", "it becomes part of a key", job_id="../../x"),
    _payload("accepted_at as text", "bad_member", _STRICT, accepted_at=str(ACCEPTED_AT)),
    _payload("expires_at as text", "bad_member", _STRICT, expires_at=str(EXPIRES_AT)),
    _payload("accepted_at as a boolean", "bad_member", _STRICT, accepted_at=True),
    _payload("accepted_at beyond all time", "bad_member", _STRICT, accepted_at=1e12),
    _payload("an amount in an issuance", "bad_member", "an issuance charges nothing", amount=1000),
    _order("a payment without amount", "bad_member", "a payment names its amount", amount=...),
    _order("a payment of nothing", "bad_member", "a payment names its amount", amount=0),
    Refusal(
        "an order name of two lines",
        "it would break a line of a log",
        "bad_member",
        onetime(name="a\nb"),
        ONETIME_RECORD,
    ),
    _order("an amount as text", "bad_member", _STRICT, amount="9900"),
    _order("an amount with a fraction", "bad_member", "KRW has none", amount=99.5),
    _payload("an envelope that is none", "not_compact", "what is signed may be wrong all the same", envelope="x"),
]

BINDINGS = [
    _other("job_id", "5ce0e9a5-6015-8fec-aadf-a328ae398116"),
    Refusal("an issuance on the record of a payment", _INTACT, "other_operation", issue(), ONETIME_RECORD),
    Refusal("a payment on the record of an issuance", "a replayed payment charges", "other_operation", onetime()),
    _other("customer_uid", "gildong_0002_1234"),
    _other("merchant_uid", "order-2027-0002", ONETIME_RECORD),
    Refusal(
        "a customer_uid where the record has none",
        "no key is stored unasked",
        "other_customer_uid",
        onetime(customer_uid=UID),
        ONETIME_RECORD,
    ),
    _other("sequence", 4),
    _other("accepted_at", ACCEPTED_AT + 1e-6),
    _other("expires_at", EXPIRES_AT + 86400),
]

JOBS = [*HEADERS, *SIGNERS, *FORMS, *PAYLOADS, *BINDINGS]
