"""Published attacks on JOSE, by name, beyond those that refused_envelope.py and refused_job.py have.

Source: RFC 8725 (best practices, with the attacks that they answer), RFC 7748 section 6.1 (points of small order),
CVE-2022-21449 (psychic signatures), CVE-2017-16007 (invalid curves in ECDH-ES), CVE-2024-21319 (zip bombs in JWE),
CVE-2023-51775 (PBES2 iterations).
"""

import json
from typing import Any

from tests.vectors.jose import b64, p256, public_jwk, to_json, x25519
from tests.vectors.recipe import (
    CARD,
    EXP,
    EXPIRES_AT,
    IAT,
    P256_KID,
    PRODUCER_KID,
    envelope,
    issue,
    plain,
    sealed,
    signed,
)
from tests.vectors.tampering import also, exactly, joined, put

SIGNATURE = 2
X, P = public_jwk(x25519("an ephemeral key")), public_jwk(p256("an ephemeral key"))
X25519_PRIME = 2**255 - 19
# Raw DEFLATE: the head of a Huffman block in which two bits are 258 zeros, so each byte behind it inflates to 1032.
BOMB = bytes.fromhex("ecc101010000008090feafee080a") + bytes(1900)


def _little(number: int) -> bytes:
    return number.to_bytes(32, "little")


SMALL_ORDER = {
    "the other point of order 8": bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    "the prime less one": _little(X25519_PRIME - 1),
    "the prime and one": _little(X25519_PRIME + 1),
    "zero with the unused bit set": _little(2**255),
    "one with the unused bit set": _little(2**255 + 1),
}
KID_TRICKS = {
    "that is an absolute path": "/dev/null",
    "that is a path in percent signs": "..%2f..%2fdev%2fnull",
    "that is a URL": "https://example.com/key",
    "that is a query": "x' UNION SELECT 'key",
    "that is a command": "key|id",
    "cut by NUL": f"{PRODUCER_KID}\0.pem",
    "followed by a new line": f"{PRODUCER_KID}\n",
    "with a lone surrogate": "\ud800",
}


def ascii_json(members: object) -> bytes:
    """JSON that can hold a lone surrogate."""
    return json.dumps(members, separators=(",", ":")).encode()


def stored(data: bytes) -> bytes:
    """A DEFLATE block without compression: the same bytes whatever library reads this."""
    return b"\x01" + len(data).to_bytes(2, "little") + (len(data) ^ 0xFFFF).to_bytes(2, "little") + data


def escaped_twin(member: str, value: object) -> Any:
    """JSON that names a member again, its first letter escaped."""
    twin = f'{{"\\u{ord(member[0]):04x}{member[1:]}":'.encode() + to_json(value) + b","
    return lambda members: twin + to_json(dict(members))[1:]


def _number(number: float, other: bytes) -> Any:
    return lambda members: to_json(dict(members)).replace(str(number).encode(), other)


def _before(mark: bytes) -> Any:
    return lambda members: mark + to_json(dict(members))


def _behind(mark: bytes) -> Any:
    return lambda members: to_json(dict(members)) + mark


def _with_kid(kid: str) -> Any:
    return lambda members: ascii_json(dict(members) | {"kid": kid})


_ALG = "an algorithm that the sender chooses is a key used for what it was not made for"
_CASE = "names are case-sensitive and exact"
_EXACT = "the set of members is exact"
_KID = "a kid is looked up among those we have, nowhere else"
_STRICT = "two readers, two meanings"
_SMALL = "the shared secret would be known to everyone"

ENVELOPES = [
    *(
        sealed(f"alg {alg}", "wrong_alg", _ALG, alg=alg)
        for alg in ("ECDH-ES+A256KW", "ECDH-1PU", "A256KW", "A256GCMKW", "RSA1_5", "Ed25519")
    ),
    sealed("alg PBES2 of 2^31 rounds", "wrong_alg", "work of its choice", alg="PBES2-HS256+A128KW", p2c=2**31, p2s=""),
    sealed("alg null", "wrong_alg", _ALG, alg=None),
    sealed("alg with a space behind it", "wrong_alg", _CASE, alg="ECDH-ES "),
    sealed("alg and Alg", "wrong_members", _CASE, Alg="none"),
    sealed("enc null", "wrong_enc", _ALG, enc=None),
    sealed("enc in lower case", "wrong_enc", _CASE, enc="a256gcm"),
    sealed("enc C20P", "wrong_enc", _ALG, enc="C20P"),
    sealed("with crit of nothing", "wrong_members", _EXACT, crit=[]),
    sealed("with b64 false and crit", "wrong_members", "it changes what is authenticated", b64=False, crit=["b64"]),
    *(
        sealed(f"with {name}", "wrong_members", _EXACT, **{name: value})
        for name, value in {"p2c": 2**31, "skid": "x", "x5t": "x", "x5t#S256": "x", "iv": "x", "tag": "x"}.items()
    ),
    sealed("a zip bomb", "wrong_members", "2 KB that inflate to 2 MB", zip="DEF", plaintext=BOMB),
    sealed("a zip bomb that is not announced", "invalid_card", "nothing is inflated", plaintext=BOMB),
    sealed("a compressed card", "wrong_members", "nothing is inflated", zip="DEF", plaintext=stored(plain(CARD))),
    sealed("a compressed card unannounced", "invalid_card", "nothing is inflated", plaintext=stored(plain(CARD))),
    *(sealed(f"kid {trick}", "bad_member", _KID, kid=kid, spell=ascii_json) for trick, kid in KID_TRICKS.items()),
    *(
        sealed(f"epk of {name}", "does_not_open", _SMALL, epk=X | {"x": b64(point)}, agreed=bytes(32))
        for name, point in SMALL_ORDER.items()
    ),
    sealed(
        "epk of order 2 on another curve",
        "does_not_open",
        "an invalid curve gives the private key away bit by bit",
        epk=P | {"x": b64((5).to_bytes(32)), "y": b64(bytes(32))},
        kid=P256_KID,
        agreed=(5).to_bytes(32),
    ),
    sealed("epk on secp256k1", "bad_epk", "two curves only", epk=P | {"crv": "secp256k1"}, kid=P256_KID),
    sealed("epk on X25519 with y", "bad_epk", _EXACT, epk=X | {"y": X["x"]}),
    sealed("epk of 33 bytes that begin with zero", "bad_epk", "32 bytes", epk=P | {"x": b64(bytes(33))}, kid=P256_KID),
    sealed("epk as a list", "bad_epk", "an object", epk=[X]),
    sealed("epk null", "bad_epk", "an object", epk=None),
    sealed("exp beyond a float", "bad_member", "Infinity by the back door", spell=_number(EXP, b"1e400")),
    sealed("iat of 200 digits", "not_yet_valid", "bounds the arithmetic", iat=10**199, exp=10**199 + 1),
    sealed("a byte order mark before the header", "bad_json", _STRICT, spell=_before(b"\xef\xbb\xbf")),
    sealed("something behind the header", "bad_json", _STRICT, spell=_behind(b"{}")),
    sealed("a member twice, once escaped", "duplicate_member", _STRICT, spell=escaped_twin("alg", "none")),
    sealed("a byte order mark before the card", "invalid_card", _STRICT, plaintext=b"\xef\xbb\xbf" + plain(CARD)),
    sealed("two cards", "invalid_card", _STRICT, plaintext=plain(CARD) * 2),
    sealed("a card in UTF-16", "invalid_card", "UTF-8 only", plaintext=plain(CARD).decode().encode("utf-16-le")),
    sealed("a card null", "invalid_card", "an object", plaintext=b"null"),
    sealed(
        "a number of 2000 digits in a card",
        "invalid_card",
        "text only",
        plaintext=b'{"card_number":' + b"4" * 2000 + b"}",
    ),
    sealed(
        "a name of 550 pairs of marks",
        "invalid_card",
        "to normalise them takes the square of their number",
        plaintext=plain(CARD | {"customer_name": "\u0301\u0323" * 550}),
    ),
    sealed(
        "a name that normalises to 13,320 characters",
        "invalid_card",
        "bounds what is kept",
        plaintext=plain(CARD | {"customer_name": "\ufdfa" * 740}),
    ),
    sealed(
        "an envelope in an envelope", "invalid_card", "a token within a token", plaintext=b"eyJhbGciOiJub25lIn0...."
    ),
    sealed(
        "a signed request for an envelope",
        "not_compact",
        "one kind of token",
        tamper=lambda _: issue().text().split("."),
    ),
]

JOBS = [
    *(
        signed(f"alg {alg}", "wrong_alg", _ALG, header={"alg": alg})
        for alg in ("nOnE", "HS512", "PS256", "Ed448", "ECDH-ES")
    ),
    signed("alg of nothing", "wrong_alg", _ALG, header={"alg": ""}),
    signed("alg null", "wrong_alg", _ALG, header={"alg": None}),
    signed("alg as a list", "wrong_alg", "only text is a name", header={"alg": ["Ed25519"]}),
    signed("alg in lower case", "wrong_alg", _CASE, header={"alg": "ed25519"}),
    signed("alg and Alg", "wrong_members", _CASE, header={"Alg": "none"}),
    signed("with crit of nothing", "wrong_members", _EXACT, header={"crit": []}),
    *(
        signed(f"with {name}", "wrong_members", _EXACT, header={name: value})
        for name, value in {
            "b64": True,
            "zip": "DEF",
            "x5u": "https://example.com/x",
            "x5t#S256": "x",
            "epk": X,
        }.items()
    ),
    signed(
        "a payload that is not encoded",
        "wrong_members",
        "b64 false changes what is signed, and how the text is cut",
        header={"b64": False, "crit": ["b64"]},
        tamper=put(1, '{"a":1}'),
    ),
    *(signed(f"kid {trick}", "bad_member", _KID, spell=_with_kid(kid)) for trick, kid in KID_TRICKS.items()),
    signed("kid of 65 characters", "bad_member", "a kid has 1 to 64 characters", kid="k" * 65),
    signed("a signature of zeros", "bad_signature", "psychic signatures", tamper=put(SIGNATURE, b64(bytes(64)))),
    signed(
        "a signature of the neutral point",
        "bad_signature",
        "it holds for every text under a key of small order",
        tamper=put(SIGNATURE, b64(b"\x01" + bytes(63))),
    ),
    signed(
        "the JSON serialisation",
        "not_compact",
        "one form only",
        tamper=lambda s: [to_json(dict(zip(("protected", "payload", "signature"), s, strict=True))).decode()],
    ),
    signed(
        "an envelope for a job", "not_compact", "one kind of token", tamper=lambda _: envelope().text("x").split(".")
    ),
    signed(
        "a space at the beginning", "bad_base64", "one text for the same bytes", tamper=joined(lambda text: " " + text)
    ),
    signed("a byte order mark before the header", "bad_json", _STRICT, spell=_before(b"\xef\xbb\xbf")),
    signed("a header member twice, once escaped", "duplicate_member", _STRICT, spell=escaped_twin("alg", "none")),
    signed("a byte order mark before the payload", "bad_json", _STRICT, spell_payload=_before(b"\xef\xbb\xbf")),
    signed("something behind the payload", "bad_json", _STRICT, spell_payload=_behind(b"{}")),
    signed(
        "a member twice, once escaped", "duplicate_member", _STRICT, spell_payload=escaped_twin("customer_uid", "x")
    ),
    signed("a payload null", "bad_json", "an object", spell_payload=exactly(b"null")),
    signed("a job in a job", "bad_json", "a token within a token", spell_payload=exactly(b"eyJhbGciOiJub25lIn0..")),
    signed(
        "a member with a lone surrogate",
        "bad_member",
        _STRICT,
        spell_payload=lambda m: ascii_json(dict(m) | {"\ud800": 1}),
    ),
    signed("an envelope of a lone surrogate", "bad_member", _STRICT, envelope="\ud800", spell_payload=ascii_json),
    signed(
        "expires_at beyond a float",
        "bad_member",
        "Infinity by the back door",
        spell_payload=_number(EXPIRES_AT, b"1e400"),
    ),
    signed("sequence of 4000 digits", "other_sequence", "bounds the arithmetic", sequence=10**3999),
    signed("accepted_at null", "bad_member", "order needs it", spell_payload=also(accepted_at=None)),
    signed(
        "a sealed card that is another customer's",
        "other_customer_uid",
        "a card belongs to one customer",
        card=envelope(customer_uid="x"),
    ),
    signed(
        "a sealed card from the future", "not_yet_valid", "times bound a copy's worth", card=envelope(iat=IAT + 301)
    ),
]
