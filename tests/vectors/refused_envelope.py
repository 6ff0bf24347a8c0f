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

HEADER, ENCRYPTED_KEY, IV, CIPHERTEXT, TAG = range(5)
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
STRANGER = x25519("a stranger")


X, P = public_jwk(x25519("an ephemeral key")), public_jwk(p256("an ephemeral key"))
POINT_X, POINT_Y = (int.from_bytes(unb64(P[name])) for name in "xy")
LOW_ORDER = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
X25519_PRIME = (2**255 - 19).to_bytes(32, "little")
NOTHING_AGREED = bytes(32)


def _missing(member: str) -> Refusal:
    return Refusal(
        f"without {member}", "the set of members is exact", "wrong_members", envelope(**dict[str, Any]({member: ...}))
    )


def _extra(member: str, value: object, why: str) -> Refusal:
    return Refusal(f"with {member}", why, "wrong_members", envelope(**dict[str, Any]({member: value})))


def _member(name: str, expected: str, why: str, **changes: Any) -> Refusal:
    return Refusal(name, why, expected, envelope(**changes))


def _epk(name: str, expected: str, why: str, epk: object, **changes: Any) -> Refusal:
    return Refusal(name, why, expected, envelope(epk=epk, **changes))


def _card(name: str, why: str, plaintext: bytes) -> Refusal:
    return Refusal(name, why, "invalid_card", envelope(plaintext=plaintext))


_ALG = "an algorithm that the sender chooses is a key used for what it was not made for"
_TIMES = "times bound how long a copy of an envelope is worth anything"
_TRUST = "the header would choose the key, or where to fetch it"
_ONE_TEXT = "two texts for the same bytes would be two envelopes to the once-only check"
_INTACT = "nothing but what was sealed may be opened"
_SMALL = "the shared secret would be known to everyone"

HEADERS = [
    _member("alg none", "wrong_alg", _ALG, alg="none"),
    _member("alg RSA-OAEP", "wrong_alg", _ALG, alg="RSA-OAEP"),
    _member("alg ECDH-ES+A128KW", "wrong_alg", _ALG, alg="ECDH-ES+A128KW"),
    _member("alg dir", "wrong_alg", _ALG, alg="dir"),
    _member("alg in lower case", "wrong_alg", "names are case-sensitive", alg="ecdh-es"),
    _member("alg as a list", "wrong_alg", "only text is a name", alg=["ECDH-ES"]),
    _member("enc A128GCM", "wrong_enc", _ALG, enc="A128GCM"),
    _member("enc A256CBC-HS512", "wrong_enc", _ALG, enc="A256CBC-HS512"),
    _member("another typ", "wrong_typ", "a token of one kind must not pass for another", typ="JWT"),
    _member("typ of a job", "wrong_typ", "a token of one kind must not pass for another", typ="job+jws"),
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
    _member("purpose refund", "wrong_purpose", "no such operation", purpose="refund"),
    _member("purpose in capitals", "wrong_purpose", "names are case-sensitive", purpose="ISSUE"),
    _member("kid of no key here", "unknown_kid", "it may come with the next rotation: the job waits", kid="test-2099"),
    _member(
        "kid of a key on another curve", "wrong_curve", "keys are used on their own curve", kid=P256_KID, to=STRANGER
    ),
    _member("kid that is a path", "bad_member", "a kid may end up in a file name", kid="../x"),
    _member("kid of nothing", "bad_member", "a kid has 1 to 64 characters", kid=""),
    _member("kid of 65 characters", "bad_member", "a kid has 1 to 64 characters", kid="k" * 65),
    _member("kid as a number", "bad_member", "only text is a kid", kid=1),
    _member("kid null", "bad_member", "only text is a kid", kid=None),
]

BINDINGS = [
    _member(
        "sealed for another customer_uid", "other_customer_uid", "a card belongs to one customer", customer_uid="x"
    ),
    _member("customer_uid in other case", "other_customer_uid", "uids are case-sensitive", customer_uid=UID.upper()),
    _member("customer_uid with a new line", "bad_member", "it would pass for the uid itself", customer_uid=f"{UID}\n"),
    _member(
        "customer_uid that is a path", "bad_member", "it would name another resource of i'mport", customer_uid=".."
    ),
    _member("customer_uid null", "bad_member", "an issuance has a customer_uid", customer_uid=None),
    Refusal(
        "customer_uid null in a payment",
        "a member that is not used is left out",
        "bad_member",
        onetime_envelope(customer_uid=None),
        ONETIME_RECORD,
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
    Refusal(
        "sealed for another merchant_uid",
        "a card pays for one order",
        "other_merchant_uid",
        onetime_envelope(merchant_uid="order-2027-0002"),
        ONETIME_RECORD,
    ),
    Refusal(
        "a payment's envelope with a customer_uid that was not asked for",
        "no key is stored unasked",
        "other_customer_uid",
        onetime_envelope(customer_uid=UID),
        ONETIME_RECORD,
    ),
    Refusal(
        "a payment's envelope without the customer_uid that was asked for",
        "the holder did not seal the card for storing",
        "other_customer_uid",
        onetime_envelope(),
        ONETIME_RECORD | {"customer_uid": UID, "sequence": 3},
    ),
    Refusal(
        "a payment's envelope without merchant_uid",
        "it could pay for any order",
        "wrong_members",
        onetime_envelope(merchant_uid=...),
        ONETIME_RECORD,
    ),
]

TIMES = [
    _member("expired when it was accepted", "envelope_expired", _TIMES, iat=IAT - 900, exp=IAT),
    _member("issued in the future", "not_yet_valid", _TIMES, iat=IAT + 301, exp=EXP),
    _member("a life of more than an hour", "too_long_life", _TIMES, exp=IAT + 3601),
    _member("exp before iat", "too_long_life", _TIMES, exp=IAT - 1),
    _member("exp at iat", "too_long_life", _TIMES, exp=IAT),
    _member("iat in half seconds", "bad_member", "instants are whole seconds", iat=IAT + 0.5),
    _member("iat as a float", "bad_member", "two spellings of a number are two envelopes", iat=float(IAT)),
    _member("iat as text", "bad_member", "instants are numbers", iat=str(IAT)),
    _member("iat as a boolean", "bad_member", "True is not 1", iat=True),
    _member("iat null", "bad_member", "a life without beginning", iat=None),
    _member("iat below zero", "bad_member", "no such instant", iat=-1),
    _member("exp null", "bad_member", "a life without end", exp=None),
    _member("exp as a float", "bad_member", "instants are whole seconds", exp=float(EXP)),
]

FORMS = [
    Refusal("four segments", "a JWE has five", "not_compact", envelope(tamper=lambda s: s[:4])),
    Refusal("six segments", "a JWE has five", "not_compact", envelope(tamper=lambda s: [*s, ""])),
    Refusal("nothing but dots", "a JWE has a header", "bad_json", envelope(tamper=lambda _: [""] * 5)),
    Refusal(
        "the JSON serialisation",
        "one form only",
        "not_compact",
        envelope(
            tamper=lambda s: [
                to_json(dict(zip(("protected", "iv", "ciphertext", "tag"), s[:1] + s[2:], strict=True))).decode()
            ]
        ),
    ),
    Refusal(
        "a truncated header", "not the whole", "bad_json", envelope(tamper=bytes_of(HEADER, lambda data: data[:-1]))
    ),
    Refusal(
        "an encrypted key",
        "ECDH-ES wraps none",
        "bad_segment",
        envelope(tamper=on(ENCRYPTED_KEY, lambda _: b64(bytes(40)))),
    ),
    Refusal(
        "a bit in the encrypted key",
        "ECDH-ES wraps none",
        "bad_segment",
        envelope(tamper=on(ENCRYPTED_KEY, lambda _: b64(b"\x01"))),
    ),
    Refusal("a truncated iv", "12 bytes", "bad_segment", envelope(tamper=bytes_of(IV, lambda data: data[:-1]))),
    Refusal("a longer iv", "12 bytes", "bad_segment", envelope(tamper=bytes_of(IV, lambda data: data + b"\0"))),
    Refusal(
        "a truncated ciphertext",
        _INTACT,
        "does_not_open",
        envelope(tamper=bytes_of(CIPHERTEXT, lambda data: data[:-1])),
    ),
    Refusal("no ciphertext", "an empty card is none", "bad_segment", envelope(plaintext=b"")),
    Refusal(
        "a tag of 12 bytes",
        "a short tag is guessed: GCM takes it if it is let",
        "bad_segment",
        envelope(tamper=bytes_of(TAG, lambda data: data[:12])),
    ),
    Refusal("no tag", "it would open unauthenticated", "bad_segment", envelope(tamper=on(TAG, lambda _: ""))),
    Refusal(
        "a flipped bit in the header",
        "the header is authenticated as text, even where its meaning is the same",
        "does_not_open",
        envelope(spell=with_tab, tamper=bytes_of(HEADER, tab_to_return)),
    ),
    Refusal("a flipped bit in the iv", _INTACT, "does_not_open", envelope(tamper=bytes_of(IV, flipped))),
    Refusal(
        "a flipped bit in the ciphertext", _INTACT, "does_not_open", envelope(tamper=bytes_of(CIPHERTEXT, flipped))
    ),
    Refusal("a flipped bit in the tag", _INTACT, "does_not_open", envelope(tamper=bytes_of(TAG, flipped))),
    Refusal("sealed to another key under our kid", _INTACT, "does_not_open", envelope(kid=NEWER_KID, to=STRANGER)),
    Refusal("longer than 4 KiB", "bounds the work", "too_long", envelope(plaintext=plain(CARD) + b" " * 3000)),
    Refusal(
        "a header longer than 1 KiB",
        "bounds the work before any key is used",
        "header_too_long",
        envelope(spell=lambda members: to_json(members) + b" " * 700),
    ),
    Refusal("padding", _ONE_TEXT, "bad_base64", envelope(tamper=on(TAG, lambda text: text + "=="))),
    Refusal("base64 that is not canonical", _ONE_TEXT, "bad_base64", envelope(tamper=on(TAG, non_canonical))),
    Refusal("the alphabet of base64", _ONE_TEXT, "bad_base64", envelope(tamper=on(TAG, lambda text: "+/" + text[2:]))),
    Refusal(
        "white space in a segment", _ONE_TEXT, "bad_base64", envelope(tamper=on(IV, lambda t: t[:4] + " " + t[4:]))
    ),
    Refusal("a new line at the end", _ONE_TEXT, "bad_base64", envelope(tamper=joined(lambda text: text + "\n"))),
    Refusal("a space at the beginning", _ONE_TEXT, "bad_base64", envelope(tamper=joined(lambda text: " " + text))),
    Refusal("letters beyond ASCII", _ONE_TEXT, "bad_base64", envelope(tamper=on(IV, lambda t: "가" + t[1:]))),
    Refusal("a header that is a list", "an object", "bad_json", envelope(spell=exactly(b"[]"))),
    Refusal("a header that is no JSON", "an object", "bad_json", envelope(spell=exactly(b"alg=ECDH-ES"))),
    Refusal(
        "a header in UTF-16",
        "UTF-8 only",
        "bad_json",
        envelope(spell=lambda m: to_json(m).decode().encode("utf-16")[:700]),
    ),
    Refusal(
        "a header with NaN", "no JSON", "bad_json", envelope(spell=lambda m: to_json(dict(m) | {"iat": float("nan")}))
    ),
    Refusal(
        "a deep header",
        "bounds the parser",
        "wrong_alg",
        envelope(spell=exactly(b'{"alg":' + b"[" * 370 + b"]" * 370 + b"}")),
    ),
    Refusal(
        "a member of the header twice",
        "two readers, two meanings",
        "duplicate_member",
        envelope(spell=twice("kid", "x")),
    ),
    Refusal(
        "a member of epk twice",
        "two readers, two meanings",
        "duplicate_member",
        envelope(spell=lambda m: to_json(m).replace(b'"crv":', b'"crv":"P-256","crv":', 1)),
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
