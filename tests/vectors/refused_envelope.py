"""Envelopes that must be refused."""

from typing import Any

from tests.vectors.jose import b64, p256, public_jwk, seed_of, to_json, unb64, x25519
from tests.vectors.recipe import (
    CARD,
    EXP,
    IAT,
    NEWER_KID,
    ONETIME_RECORD,
    ORDER,
    P256_KID,
    UID,
    Refusal,
    envelope,
    onetime_envelope,
    plain,
    sealed,
    sealed_payment,
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

HEADER, ENCRYPTED_KEY, IV, CIPHERTEXT, TAG = range(5)
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
STRANGER = x25519("a stranger")


X, P = public_jwk(x25519("an ephemeral key")), public_jwk(p256("an ephemeral key"))
POINT_X, POINT_Y = (int.from_bytes(unb64(P[name])) for name in "xy")
LOW_ORDER = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
X25519_PRIME = (2**255 - 19).to_bytes(32, "little")
NOTHING_AGREED = bytes(32)


def _missing(member: str) -> Refusal:
    return sealed(f"without {member}", "wrong_members", "the set of members is exact", **{member: ...})


def _extra(member: str, value: object, why: str) -> Refusal:
    return sealed(f"with {member}", "wrong_members", why, **{member: value})


def _epk(name: str, expected: str, why: str, epk: object, **changes: Any) -> Refusal:
    return sealed(name, expected, why, epk=epk, **changes)


def _card(name: str, why: str, plaintext: bytes) -> Refusal:
    return sealed(name, "invalid_card", why, plaintext=plaintext)


_ALG = "an algorithm that the sender chooses is a key used for what it was not made for"
_TIMES = "times bound how long a copy of an envelope is worth anything"
_TRUST = "the header would choose the key, or where to fetch it"
_ONE_TEXT = "two texts for the same bytes would be two envelopes to the once-only check"
_TWO = "two readers, two meanings"
_INTACT = "nothing but what was sealed may be opened"
_SMALL = "the shared secret would be known to everyone"

HEADERS = [
    sealed("alg none", "wrong_alg", _ALG, alg="none"),
    sealed("alg RSA-OAEP", "wrong_alg", _ALG, alg="RSA-OAEP"),
    sealed("alg ECDH-ES+A128KW", "wrong_alg", _ALG, alg="ECDH-ES+A128KW"),
    sealed("alg dir", "wrong_alg", _ALG, alg="dir"),
    sealed("alg in lower case", "wrong_alg", "names are case-sensitive", alg="ecdh-es"),
    sealed("alg as a list", "wrong_alg", "only text is a name", alg=["ECDH-ES"]),
    sealed("enc A128GCM", "wrong_enc", _ALG, enc="A128GCM"),
    sealed("enc A256CBC-HS512", "wrong_enc", _ALG, enc="A256CBC-HS512"),
    sealed("another typ", "wrong_typ", "a token of one kind must not pass for another", typ="JWT"),
    sealed("typ of a job", "wrong_typ", "a token of one kind must not pass for another", typ="job+jws"),
    *(_missing(name) for name in ("alg", "enc", "epk", "kid", "typ", "purpose", "customer_uid", "iat", "exp")),
    _extra("zip", "DEF", "compression tells of the plaintext by its length, and bombs"),
    _extra("crit", ["exp"], "an extension that a reader does not know"),
    _extra("apu", b64(b"Alice"), "it changes the key, and libraries let it pass"),
    _extra("apv", b64(b"Bob"), "it changes the key, and libraries let it pass"),
    _extra("jwk", public_jwk(STRANGER), _TRUST),
    _extra("jku", "https://example.com/keys", _TRUST),
    _extra("x5c", ["MIIB"], _TRUST),
    _extra("x5u", "https://example.com/cert", _TRUST),
    _extra("cty", "JWT", "a token within a token"),
    _extra("b64", False, "it changes what is authenticated"),
    _extra("merchant_uid", ORDER, "an issuance has no order; members that mean nothing are refused"),
    sealed("purpose refund", "wrong_purpose", "no such operation", purpose="refund"),
    sealed("purpose in capitals", "wrong_purpose", "names are case-sensitive", purpose="ISSUE"),
    sealed("kid of no key here", "unknown_kid", "it may come with the next rotation: the job waits", kid="test-2099"),
    sealed(
        "kid of a key on another curve", "wrong_curve", "keys are used on their own curve", kid=P256_KID, to=STRANGER
    ),
    sealed("kid that is a path", "bad_member", "a kid may end up in a file name", kid="../x"),
    sealed("kid of nothing", "bad_member", "a kid has 1 to 64 characters", kid=""),
    sealed("kid of 65 characters", "bad_member", "a kid has 1 to 64 characters", kid="k" * 65),
    sealed("kid as a number", "bad_member", "only text is a kid", kid=1),
    sealed("kid null", "bad_member", "only text is a kid", kid=None),
]

BINDINGS = [
    sealed("sealed for another customer_uid", "other_customer_uid", "a card belongs to one customer", customer_uid="x"),
    sealed("customer_uid in other case", "other_customer_uid", "uids are case-sensitive", customer_uid=UID.upper()),
    sealed("customer_uid with a new line", "bad_member", "it would pass for the uid itself", customer_uid=f"{UID}\n"),
    sealed("customer_uid that is a path", "bad_member", "it would name another resource of i'mport", customer_uid=".."),
    sealed("customer_uid null", "bad_member", "an issuance has a customer_uid", customer_uid=None),
    sealed_payment(
        "customer_uid null in a payment", "bad_member", "a member that is not used is left out", customer_uid=None
    ),
    Refusal(
        "a payment's envelope in an issuance",
        "a card for one payment must not become a billing key",
        "other_purpose",
        onetime_envelope(customer_uid=UID),
    ),
    Refusal(
        "an issuance's envelope in a payment",
        "a card for a billing key must not pay",
        "other_purpose",
        envelope(),
        ONETIME_RECORD,
    ),
    sealed_payment(
        "sealed for another merchant_uid",
        "other_merchant_uid",
        "a card pays for one order",
        merchant_uid="order-2027-0002",
    ),
    sealed_payment(
        "a payment's envelope with a customer_uid that was not asked for",
        "other_customer_uid",
        "no key is stored unasked",
        customer_uid=UID,
    ),
    Refusal(
        "a payment's envelope without the customer_uid that was asked for",
        "the holder did not seal the card for storing",
        "other_customer_uid",
        onetime_envelope(),
        ONETIME_RECORD | {"customer_uid": UID, "sequence": 3},
    ),
    sealed_payment(
        "a payment's envelope without merchant_uid", "wrong_members", "it could pay for any order", merchant_uid=...
    ),
]

TIMES = [
    sealed("expired when it was accepted", "envelope_expired", _TIMES, iat=IAT - 900, exp=IAT),
    sealed("issued in the future", "not_yet_valid", _TIMES, iat=IAT + 301, exp=EXP),
    sealed("a life of more than an hour", "too_long_life", _TIMES, exp=IAT + 3601),
    sealed("exp before iat", "too_long_life", _TIMES, exp=IAT - 1),
    sealed("exp at iat", "too_long_life", _TIMES, exp=IAT),
    sealed("iat in half seconds", "bad_member", "instants are whole seconds", iat=IAT + 0.5),
    sealed("iat as a float", "bad_member", "two spellings of a number are two envelopes", iat=float(IAT)),
    sealed("iat as text", "bad_member", "instants are numbers", iat=str(IAT)),
    sealed("iat as a boolean", "bad_member", "True is not 1", iat=True),
    sealed("iat null", "bad_member", "a life without beginning", iat=None),
    sealed("iat below zero", "bad_member", "no such instant", iat=-1),
    sealed("exp null", "bad_member", "a life without end", exp=None),
    sealed("exp as a float", "bad_member", "instants are whole seconds", exp=float(EXP)),
]

FORMS = [
    sealed("four segments", "not_compact", "a JWE has five", tamper=lambda s: s[:4]),
    sealed("six segments", "not_compact", "a JWE has five", tamper=lambda s: [*s, ""]),
    sealed("nothing but dots", "bad_json", "a JWE has a header", tamper=lambda _: [""] * 5),
    sealed(
        "the JSON serialisation",
        "not_compact",
        "one form only",
        tamper=lambda s: [
            to_json(dict(zip(("protected", "iv", "ciphertext", "tag"), s[:1] + s[2:], strict=True))).decode()
        ],
    ),
    sealed("a truncated header", "bad_json", "not the whole", tamper=cut(HEADER)),
    sealed("an encrypted key", "bad_segment", "ECDH-ES wraps none", tamper=put(ENCRYPTED_KEY, b64(bytes(40)))),
    sealed("a bit in the encrypted key", "bad_segment", "ECDH-ES wraps none", tamper=put(ENCRYPTED_KEY, b64(b"\x01"))),
    sealed("a truncated iv", "bad_segment", "12 bytes", tamper=cut(IV)),
    sealed("a longer iv", "bad_segment", "12 bytes", tamper=bytes_of(IV, lambda data: data + b"\0")),
    sealed("a truncated ciphertext", "does_not_open", _INTACT, tamper=cut(CIPHERTEXT)),
    sealed("no ciphertext", "bad_segment", "an empty card is none", plaintext=b""),
    sealed(
        "a tag of 12 bytes",
        "bad_segment",
        "a short tag is guessed: GCM takes it if it is let",
        tamper=bytes_of(TAG, lambda data: data[:12]),
    ),
    sealed("no tag", "bad_segment", "it would open unauthenticated", tamper=put(TAG, "")),
    sealed(
        "a flipped bit in the header",
        "does_not_open",
        "the header is authenticated as text, even where its meaning is the same",
        spell=with_tab,
        tamper=bytes_of(HEADER, tab_to_return),
    ),
    sealed("a flipped bit in the iv", "does_not_open", _INTACT, tamper=flip(IV)),
    sealed("a flipped bit in the ciphertext", "does_not_open", _INTACT, tamper=flip(CIPHERTEXT)),
    sealed("a flipped bit in the tag", "does_not_open", _INTACT, tamper=flip(TAG)),
    sealed("sealed to another key under our kid", "does_not_open", _INTACT, kid=NEWER_KID, to=STRANGER),
    sealed("longer than 4 KiB", "too_long", "bounds the work", plaintext=plain(CARD) + b" " * 3000),
    sealed(
        "a header longer than 1 KiB",
        "header_too_long",
        "bounds the work before any key is used",
        spell=lambda members: to_json(members) + b" " * 700,
    ),
    sealed("padding", "bad_base64", _ONE_TEXT, tamper=on(TAG, lambda text: text + "==")),
    sealed("base64 that is not canonical", "bad_base64", _ONE_TEXT, tamper=on(TAG, non_canonical)),
    sealed("the alphabet of base64", "bad_base64", _ONE_TEXT, tamper=on(TAG, lambda text: "+/" + text[2:])),
    sealed("white space in a segment", "bad_base64", _ONE_TEXT, tamper=on(IV, lambda t: t[:4] + " " + t[4:])),
    sealed("a new line at the end", "bad_base64", _ONE_TEXT, tamper=joined(lambda text: text + "\n")),
    sealed("a space at the beginning", "bad_base64", _ONE_TEXT, tamper=joined(lambda text: " " + text)),
    sealed("letters beyond ASCII", "bad_base64", _ONE_TEXT, tamper=on(IV, lambda t: "가" + t[1:])),
    sealed("a header that is a list", "bad_json", "an object", spell=exactly(b"[]")),
    sealed("a header that is no JSON", "bad_json", "an object", spell=exactly(b"alg=ECDH-ES")),
    sealed("a header in UTF-16", "bad_json", "UTF-8 only", spell=lambda m: to_json(m).decode().encode("utf-16")[:700]),
    sealed("a header with NaN", "bad_json", "no JSON", spell=also(iat=float("nan"))),
    sealed(
        "a deep header", "wrong_alg", "bounds the parser", spell=exactly(b'{"alg":' + b"[" * 370 + b"]" * 370 + b"}")
    ),
    sealed("a member of the header twice", "duplicate_member", _TWO, spell=twice("kid", "x")),
    sealed(
        "a member of epk twice",
        "duplicate_member",
        _TWO,
        spell=lambda m: to_json(m).replace(b'"crv":', b'"crv":"P-256","crv":', 1),
    ),
]

EPKS = [
    _epk("epk of zeros", "does_not_open", _SMALL, X | {"x": b64(bytes(32))}, agreed=NOTHING_AGREED),
    _epk("epk of one", "does_not_open", _SMALL, X | {"x": b64((1).to_bytes(32, "little"))}, agreed=NOTHING_AGREED),
    _epk("epk of order 8", "does_not_open", _SMALL, X | {"x": b64(LOW_ORDER)}, agreed=NOTHING_AGREED),
    _epk(
        "epk of zero spelled as the prime", "does_not_open", _SMALL, X | {"x": b64(X25519_PRIME)}, agreed=NOTHING_AGREED
    ),
    _epk(
        "epk that is not on P-256",
        "does_not_open",
        "an invalid curve gives the private key away bit by bit",
        P | {"y": b64(((POINT_Y + 1) % P256_PRIME).to_bytes(32))},
        kid=P256_KID,
    ),
    _epk(
        "epk of the origin of P-256",
        "does_not_open",
        _SMALL,
        P | {"x": b64(bytes(32)), "y": b64(bytes(32))},
        kid=P256_KID,
        agreed=NOTHING_AGREED,
    ),
    _epk(
        "epk with a coordinate beyond the prime",
        "does_not_open",
        "two spellings of one point",
        P | {"x": b64(b"\xff" * 32)},
        kid=P256_KID,
    ),
    _epk(
        "epk mirrored",
        "does_not_open",
        "the same shared secret under another header",
        P | {"y": b64((P256_PRIME - POINT_Y).to_bytes(32))},
        kid=P256_KID,
    ),
    _epk("epk with a private part", "bad_epk", "a private key has no place here", X | {"d": b64(seed_of("d"))}),
    _epk("epk with a kid", "bad_epk", "the set of members is exact", X | {"kid": "x"}),
    _epk("epk on X448", "bad_epk", "two curves only", X | {"crv": "X448"}),
    _epk("epk on Ed25519", "bad_epk", "a curve for signatures", X | {"crv": "Ed25519"}),
    _epk("epk on P-521", "bad_epk", "two curves only", P | {"crv": "P-521"}),
    _epk("epk of another kty", "bad_epk", "kty and crv belong together", X | {"kty": "EC"}),
    _epk(
        "epk without y",
        "bad_epk",
        "a point has two coordinates",
        {name: P[name] for name in ("kty", "crv", "x")},
        kid=P256_KID,
    ),
    _epk("epk of 31 bytes", "bad_epk", "32 bytes", X | {"x": b64(bytes(31))}),
    _epk("epk of 33 bytes", "bad_epk", "32 bytes", X | {"x": b64(bytes(33))}),
    _epk("epk with padding", "bad_base64", _ONE_TEXT, X | {"x": X["x"] + "="}),
    _epk("epk as text", "bad_epk", "an object", "X25519"),
    _epk("epk with a number", "bad_epk", "coordinates are text", X | {"x": 9}),
]

PLAINTEXTS = [
    _card("a card that is no JSON", "an object", b"card_number=4242424242424242"),
    _card("a card that is a list", "an object", plain([CARD])),
    _card("a card that is text", "an object", plain(CARD["card_number"])),
    _card("a card beyond UTF-8", "UTF-8 only", b'{"card_number":"\xff"}'),
    _card("a card of 2401 bytes", "bounds the parser", plain(CARD) + b" " * (2401 - len(plain(CARD)))),
    _card("a deep card", "bounds the parser", b"[" * 2000),
    _card("a card with a member that is none of ours", "the set of members is closed", plain(CARD | {"pin": "1234"})),
    _card("a card with a member named by a number", "no name is repeated", plain(CARD | {CARD["card_number"]: "x"})),
    _card("a card with a member twice", "two readers, two numbers", twice("card_number", "4012888888881881")(CARD)),
    _card("a card without number", "it is required", plain({"expiry": "2031-07"})),
    _card("a mistyped number", "its check digit does not hold", plain(CARD | {"card_number": "4242424242424241"})),
    _card("a number of 17 digits", "14 to 16", plain(CARD | {"card_number": "42424242424242424"})),
    _card("a number in other digits", "ASCII only, after NFKC", plain(CARD | {"card_number": "٤" * 16})),
    _card("a number as a number", "text only", plain(CARD | {"card_number": 4242424242424242})),
    _card("a card that expired before it was accepted", "no gateway takes it", plain(CARD | {"expiry": "2026-12"})),
    _card("a birth that is no date", "no gateway takes it", plain(CARD | {"birth": "901301"})),
    _card("a password of three digits", "only the first two may be asked", plain(CARD | {"pwd_2digit": "123"})),
    _card("a name of 21 letters", "the limit of i'mport", plain(CARD | {"customer_name": "가" * 21})),
    _card("a name of two lines", "it would break a line of a log", plain(CARD | {"customer_name": "a\nb"})),
    _card("a name that is no Unicode", "it cannot travel", plain(CARD)[:-1] + b',"customer_name":"\\ud800"}'),
    _card("a card with NaN", "no JSON", b'{"card_number":NaN}'),
]

ENVELOPES = [*HEADERS, *BINDINGS, *TIMES, *FORMS, *EPKS, *PLAINTEXTS]
