"""Sealing and signing: the two things a producer does with keys, and it can undo neither.

Owns the public sealing keys and the producer's own signing key. Must never hold an opening key.

Source: RFC 7516 (JWE compact, ECDH-ES, A256GCM), RFC 7515 (JWS compact), RFC 9864 (``Ed25519``).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from joserfc.registry import HeaderParameter

from .contract import envelope as sealed_card
from .contract import job as signed_job
from .contract.card import Card
from .contract.errors import InvalidCard, Refused
from .contract.identifiers import Operation
from .contract.job import Job
from .contract.jose import b64url, header_of, split, unb64url
from .runtime.key_file import KeyFileError, keys_of, kid_of, read_jwk

CURVES: dict[str, type[OKPKey | ECKey]] = {"X25519": OKPKey, "P-256": ECKey}

_text, _number = (
    HeaderParameter("", validate) for validate in (lambda value: _expect(value, str), lambda value: _expect(value, int))
)


def _expect(value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError


# Registries and keys are made once: building them for each job costs more than the cryptography.
_jwe_registry = jwe.JWERegistry(
    header_registry={
        "purpose": _text,
        "customer_uid": _text,
        "merchant_uid": _text,
        "iat": _number,
        "exp": _number,
    },
    algorithms=[sealed_card.SEAL_ALG, sealed_card.ENC],
)
_jws_registry = jws.JWSRegistry(algorithms=[signed_job.SIGNATURE_ALG])


class SealingKeys:
    """The public keys that cards are sealed to; the last of the set is the newest.

    Args:
        members: a JWKS of X25519 and P-256 public keys, each with a ``kid``.

    Raises:
        KeyFileError: a key is private, unknown or has no ``kid``, or there is none.
    """

    def __init__(self, members: dict[str, Any]) -> None:
        self.jwks = members
        keys = [self._public(jwk) for jwk in keys_of("SEALING_KEYS_FILE", members)]
        preferred = [key for key in keys if isinstance(key, OKPKey)] or keys
        self._newest = preferred[-1]
        self.kid = str(self._newest.kid)

    @classmethod
    def load(cls, path: Path) -> "SealingKeys":
        """Read the key set of ``SEALING_KEYS_FILE``."""
        return cls(read_jwk("SEALING_KEYS_FILE", path, private=False))

    @staticmethod
    def _public(jwk: dict[str, Any]) -> OKPKey | ECKey:
        kind = CURVES.get(str(jwk.get("crv")))
        if "d" in jwk:
            raise KeyFileError("SEALING_KEYS_FILE: holds a private key; producers get the public set only")
        if kind is None:
            raise KeyFileError("SEALING_KEYS_FILE: holds a key that is not X25519 or P-256")
        try:
            return kind.import_key({name: jwk[name] for name in jwk if name in {"kty", "crv", "x", "y", "kid"}})
        except (JoseError, ValueError, TypeError, KeyError):
            pass
        raise KeyFileError("SEALING_KEYS_FILE: holds a key that cannot be read")

    def seal(
        self,
        card: Card,
        *,
        purpose: Operation,
        customer_uid: str | None,
        merchant_uid: str | None,
        iat: int,
        exp: int,
    ) -> str:
        """Seal a card for one purpose.

        Args:
            card: the card; its plaintext exists only inside this call.
            purpose: the operation that the envelope may be used for.
            customer_uid, merchant_uid: whom and what it is for; bound into the seal.
            iat, exp: Unix seconds between which it may be accepted.

        Returns:
            A compact JWE, at most 4 KiB.

        Raises:
            InvalidCard: the holder's data is too long to be sealed.
        """
        header = {
            "alg": sealed_card.SEAL_ALG,
            "enc": sealed_card.ENC,
            "kid": self.kid,
            "typ": sealed_card.SEAL_TYP,
            "purpose": str(purpose),
            "customer_uid": customer_uid,
            "merchant_uid": merchant_uid,
            "iat": iat,
            "exp": exp,
        }
        used = {name: value for name, value in header.items() if value is not None}
        recipients: list[Any] = []
        text = jwe.encrypt_compact(used, card.reveal_json(), self._key_for(recipients), registry=_jwe_registry)
        # joserfc's objects refer to each other: the plaintext would live until the garbage collector comes by.
        recipients.pop().__dict__.clear()
        if len(text) > sealed_card.ENVELOPE_LIMIT:
            raise InvalidCard([("card", "is too long to be sealed")])
        return text

    def _key_for(self, recipients: list[Any]) -> Callable[[Any], OKPKey | ECKey]:
        """The newest key, as joserfc asks for it with the recipient that it makes."""

        def key(recipient: Any) -> OKPKey | ECKey:  # noqa: ANN401 — joserfc's
            recipients.append(recipient)
            return self._newest

        return key


class SigningKey:
    """This producer's private signing key, and the public halves of those that it replaced.

    Args:
        jwk: an Ed25519 private JWK with a ``kid``; ``former`` may list public ones, each with a ``kid`` and an ``exp``,
            the Unix second until which what it signed for this producer itself holds. They sign nothing.

    Raises:
        KeyFileError: it is no such key.
    """

    def __init__(self, jwk: dict[str, Any]) -> None:
        kid = kid_of("SIGNING_KEY_FILE", jwk)
        self._former = _former_keys(jwk)
        try:
            key = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "d")})
            # A key whose halves do not belong together would sign what nobody can verify.
            is_right = jwk["crv"] == "Ed25519" and b64url(key.public_key.public_bytes_raw()) == jwk["x"]
        except (JoseError, ValueError, TypeError, KeyError):
            is_right = False
        if not is_right:
            raise KeyFileError("SIGNING_KEY_FILE: does not hold a private Ed25519 key")
        self._key = key
        self._header = {"alg": signed_job.SIGNATURE_ALG, "kid": kid, "typ": signed_job.JOB_TYP}

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Read the key of ``SIGNING_KEY_FILE``."""
        return cls(read_jwk("SIGNING_KEY_FILE", path, private=True))

    def sign(self, job: Job) -> str:
        """The job as a compact JWS: the signed request that lies in the vault."""
        payload = job.model_dump_json(exclude_none=True)
        return jws.serialize_compact(self._header, payload, self._key, registry=_jws_registry)

    def sign_as(self, typ: str, payload: bytes) -> str:
        """Something else of this producer's own as a compact JWS; ``typ`` tells it from a signed request."""
        return jws.serialize_compact({**self._header, "typ": typ}, payload, self._key, registry=_jws_registry)

    def verify_as(self, typ: str, text: str, *, now: float) -> bytes:
        """The payload of what :meth:`sign_as` made, with this key or with one that it replaced not long ago.

        Args:
            typ, text: as there.
            now: Unix seconds.

        Raises:
            Refused: ``bad_signature``, or what its form breaks.
        """
        head, payload, _ = split(text, 3, signed_job.SIGNED_LIMIT)
        header = header_of(head)
        known = {kid: key for kid, (key, exp) in self._former.items() if now < exp} | {self._header["kid"]: self._key}
        kid = str(header.get("kid"))
        if kid not in known or header != {**self._header, "kid": kid, "typ": typ}:
            raise Refused("wrong_members")
        try:
            jws.deserialize_compact(text, known[kid], registry=_jws_registry)
        except (JoseError, ValueError, TypeError):
            pass
        else:
            return unb64url(payload)
        raise Refused("bad_signature")


def _former_keys(jwk: dict[str, Any]) -> dict[str, tuple[OKPKey, float]]:
    """Public keys and their ends, by kid."""
    former = jwk.get("former")
    return dict(map(_former_key, keys_of("SIGNING_KEY_FILE", {"keys": former}))) if former else {}


def _former_key(jwk: dict[str, Any]) -> tuple[str, tuple[OKPKey, float]]:
    try:
        if jwk["crv"] == "Ed25519" and "d" not in jwk:
            key = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x")})
            return jwk["kid"], (key, float(int(jwk["exp"])))  # which refuses infinity, too
    except (JoseError, ValueError, TypeError, KeyError, OverflowError):
        pass
    raise KeyFileError("SIGNING_KEY_FILE: holds a former key that is not a public Ed25519 key with an exp")
