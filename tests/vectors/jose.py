"""Just enough JOSE to make good tokens and bad ones.

Written apart from the code under test, so that a misreading of an RFC is not made twice, and deterministic: ephemeral
keys and nonces are derived from the vector's name. That is fit for test vectors and for nothing else.

Source: RFC 7515, RFC 7516, RFC 7518 section 4.6.2 (Concat KDF), RFC 8037, RFC 9864.
"""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Json = Mapping[str, Any]
OpeningKey = X25519PrivateKey | ec.EllipticCurvePrivateKey
AnyKey = OpeningKey | Ed25519PrivateKey
Segments = list[str]

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def seed_of(words: str) -> bytes:
    """32 bytes that are the same for the same words."""
    return sha256(f"billing key test vectors: {words}".encode()).digest()


def x25519(words: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(seed_of(words))


def p256(words: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(seed_of(words)) % (P256_ORDER - 1) + 1, ec.SECP256R1())


def ed25519(words: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed_of(words))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def to_json(members: object) -> bytes:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def public_jwk(key: AnyKey) -> dict[str, str]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": b64(point.x.to_bytes(32)), "y": b64(point.y.to_bytes(32))}
    crv = "Ed25519" if isinstance(key, Ed25519PrivateKey) else "X25519"
    return {"kty": "OKP", "crv": crv, "x": b64(key.public_key().public_bytes_raw())}


def private_jwk(key: AnyKey) -> dict[str, str]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return public_jwk(key) | {"d": b64(key.private_numbers().private_value.to_bytes(32))}
    return public_jwk(key) | {"d": b64(key.private_bytes_raw())}


def agree(mine: OpeningKey, theirs: OpeningKey) -> bytes:
    """Z, the shared secret of ECDH."""
    if isinstance(mine, X25519PrivateKey):
        assert isinstance(theirs, X25519PrivateKey)
        return mine.exchange(theirs.public_key())
    assert isinstance(theirs, ec.EllipticCurvePrivateKey)
    return mine.exchange(ec.ECDH(), theirs.public_key())


def content_key(agreed: bytes, header: Json) -> bytes:
    """The key of A256GCM: one round of Concat KDF."""
    parts = (b"A256GCM", unb64(header.get("apu", "")), unb64(header.get("apv", "")))
    other_info = b"".join(len(part).to_bytes(4) + part for part in parts) + (256).to_bytes(4)
    return sha256((1).to_bytes(4) + agreed + other_info).digest()


def unseal(text: str, key: OpeningKey) -> tuple[dict[str, Any], bytes]:
    """The protected header of a compact JWE and its plaintext, the plain way of the RFC and without our own rules."""
    protected, _, iv, ciphertext, tag = text.split(".")
    header = json.loads(unb64(protected))
    agreed = _agree_with(key, header["epk"])
    opened = AESGCM(content_key(agreed, header)).decrypt(unb64(iv), unb64(ciphertext) + unb64(tag), protected.encode())
    return header, opened


def _agree_with(key: OpeningKey, epk: Mapping[str, str]) -> bytes:
    if isinstance(key, X25519PrivateKey):
        return key.exchange(X25519PublicKey.from_public_bytes(unb64(epk["x"])))
    x, y = (int.from_bytes(unb64(epk[name])) for name in "xy")
    return key.exchange(ec.ECDH(), ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key())


def verified(text: str, key: Ed25519PrivateKey) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the payload of a compact JWS whose signature holds; raises InvalidSignature otherwise."""
    protected, payload, signature = text.split(".")
    key.public_key().verify(unb64(signature), f"{protected}.{payload}".encode())
    return json.loads(unb64(protected)), json.loads(unb64(payload))


def unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class SealedCard:
    """How to make an envelope, each step open to tampering.

    Args:
        header: members of the protected header; ``epk`` is put in, unless it is there.
        plaintext: the card JSON.
        to: whose key it is sealed to.
        agreed: the shared secret; the true one by default.
        spell: writes the header's JSON.
        tamper: changes the five segments in the end.
    """

    header: Json
    plaintext: bytes
    to: OpeningKey
    agreed: bytes | None = None
    spell: Callable[[Any], bytes] = to_json
    tamper: Callable[[Segments], Segments] = unchanged

    def text(self, name: str) -> str:
        """The compact JWE; the same name makes the same text."""
        ephemeral = x25519(f"{name}, epk") if isinstance(self.to, X25519PrivateKey) else p256(f"{name}, epk")
        header = {"epk": public_jwk(ephemeral)} | dict(self.header)
        header = {member: value for member, value in header.items() if value is not ...}
        protected = b64(self.spell(header))
        key = content_key(self.agreed or agree(ephemeral, self.to), header)
        iv = seed_of(f"{name}, iv")[:12]
        sealed = AESGCM(key).encrypt(iv, self.plaintext, protected.encode())
        return ".".join(self.tamper([protected, "", b64(iv), b64(sealed[:-16]), b64(sealed[-16:])]))


@dataclass(frozen=True, kw_only=True)
class SignedRequest:
    """How to make a signed request, each step open to tampering.

    Args:
        header: members of the protected header.
        payload: members of the job.
        by: whose key it is signed with.
        mac: sign with HMAC under this secret instead.
        spell, spell_payload: write the JSON.
        tamper: changes the three segments in the end.
    """

    header: Json
    payload: Json
    by: Ed25519PrivateKey
    mac: tuple[bytes, str] | None = None
    spell: Callable[[Any], bytes] = to_json
    spell_payload: Callable[[Any], bytes] = to_json
    tamper: Callable[[Segments], Segments] = unchanged

    def text(self, _name: str = "") -> str:
        """The compact JWS; nothing in it is random."""
        protected, payload = b64(self.spell(dict(self.header))), b64(self.spell_payload(self.payload))
        signed = f"{protected}.{payload}".encode()
        signature = hmac.digest(self.mac[0], signed, self.mac[1]) if self.mac else self.by.sign(signed)
        return ".".join(self.tamper([protected, payload, b64(signature)]))
