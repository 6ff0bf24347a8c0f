"""Opening: verify that a producer asked for this job, and open the card in it.

Owns the private opening keys and the producers' public keys. The only place where a sealed card becomes plaintext.
Every refusal is a :class:`Refused` with a code and nothing else; an unknown kid is no refusal, since keys rotate.

Source: RFC 7515, RFC 7516, RFC 9864.
"""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from joserfc.registry import HeaderParameter

from producer.contract import envelope as sealed_card
from producer.contract import job as signed_job
from producer.contract.card import Card
from producer.contract.envelope import Envelope
from producer.contract.errors import InvalidCard, Refused
from producer.contract.identifiers import Operation
from producer.contract.job import Job, SignedJob
from producer.contract.jose import b64url
from producer.contract.open_fields import own_data_in
from producer.runtime.key_file import KeyFileError, WatchedFile, keys_of, read_jwk
from worker import metrics
from worker.errors import UnknownKid, UnknownProducer
from worker.model import Lease, SealedRequest

OPENING_CURVES: dict[str, type[OKPKey | ECKey]] = {"X25519": OKPKey, "P-256": ECKey}


def _anything(_value: object) -> None:
    """Envelope.parse has checked the member already."""


_members = {name: HeaderParameter("", _anything) for name in ("purpose", "customer_uid", "merchant_uid", "iat", "exp")}
_jwe_registry = jwe.JWERegistry(header_registry=_members, algorithms=[sealed_card.SEAL_ALG, sealed_card.ENC])
_jws_registry = jws.JWSRegistry(algorithms=[signed_job.SIGNATURE_ALG])


class OpeningKeys:
    """The private keys that cards are opened with, by kid.

    Args:
        members: a JWKS of X25519 and P-256 private keys.

    Raises:
        KeyFileError: it is no such set.
    """

    setting = "OPENING_KEYS_FILE"

    def __init__(self, members: dict[str, Any]) -> None:
        self._keys: dict[str, tuple[str, OKPKey | ECKey]] = {}
        for jwk in keys_of(self.setting, members):
            kind = OPENING_CURVES.get(str(jwk.get("crv")))
            if kind is None or "d" not in jwk:
                raise KeyFileError(f"{self.setting}: holds a key that is not a private X25519 or P-256 key")
            names = {"kty", "crv", "x", "y", "d", "kid"}
            self._keys[jwk["kid"]] = jwk["crv"], _import(self.setting, kind, jwk, names)

    @classmethod
    def load(cls, path: Path) -> "OpeningKeys":
        """Read ``OPENING_KEYS_FILE``; it must be readable by its owner only."""
        return cls(read_jwk(cls.setting, path, private=True))

    @property
    def kids(self) -> tuple[str, ...]:
        """The ids of the keys, oldest first."""
        return tuple(self._keys)

    def open_card(self, envelope: Envelope, *, now: float) -> Card:
        """The card in an envelope.

        Args:
            envelope: one that was parsed, and belongs to a job whose signature holds.
            now: Unix seconds at which the card's expiry must not lie in the past.

        Raises:
            UnknownKid: no such key here.
            Refused: ``wrong_curve``, ``does_not_open`` or ``invalid_card``.
        """
        if envelope.kid not in self._keys:
            raise UnknownKid(envelope.kid)
        curve, key = self._keys[envelope.kid]
        if curve != envelope.crv:
            raise Refused("wrong_curve")
        code = "does_not_open"
        try:
            opened = jwe.decrypt_compact(envelope.text, key, registry=_jwe_registry)
            # joserfc's object refers to itself: what it holds would live until the garbage collector comes by.
            plaintext, opened.plaintext = opened.plaintext, None
            code = "invalid_card"
            return Card.from_json(plaintext or b"", now=now)
        except (JoseError, ValueError, TypeError, InvalidCard):
            pass
        # Outside the except block: what was caught may quote plaintext, and must not live on as __context__.
        raise Refused(code)


class _Producer(NamedTuple):
    key: OKPKey
    may: frozenset[str]


class ProducerKeys:
    """The public keys of the producers, and which operations each may ask for.

    Args:
        members: a JWKS of Ed25519 public keys, each with ``kid`` and ``may``, a list of operations.

    Raises:
        KeyFileError: it is no such set.
    """

    setting = "PRODUCER_KEYS_FILE"

    def __init__(self, members: dict[str, Any]) -> None:
        self._producers: dict[str, _Producer] = {}
        for jwk in keys_of(self.setting, members):
            may = jwk.get("may")
            if jwk.get("crv") != "Ed25519" or "d" in jwk:
                raise KeyFileError(f"{self.setting}: holds a key that is not a public Ed25519 key")
            if not isinstance(may, list) or not may or not all(one in list(Operation) for one in may):
                raise KeyFileError(f"{self.setting}: each key needs 'may', a list of {', '.join(Operation)}")
            key = _import(self.setting, OKPKey, jwk, {"kty", "crv", "x", "kid"})
            assert isinstance(key, OKPKey)  # noqa: S101 — for the type checker
            self._producers[jwk["kid"]] = _Producer(key, frozenset(may))

    @classmethod
    def load(cls, path: Path) -> "ProducerKeys":
        """Read ``PRODUCER_KEYS_FILE``."""
        return cls(read_jwk(cls.setting, path, private=False))

    @property
    def kids(self) -> tuple[str, ...]:
        """The ids of the keys, oldest first."""
        return tuple(self._producers)

    def verify(self, text: str) -> Job:
        """The job that a producer signed.

        Raises:
            UnknownKid: no such producer here.
            Refused: what :meth:`SignedJob.parse` and :meth:`SignedJob.job` raise, ``bad_signature``, or
                ``not_allowed`` when this producer may not ask for the operation.
        """
        signed = SignedJob.parse(text)
        producer = self._producers.get(signed.kid)
        if producer is None:
            raise UnknownProducer(signed.kid)
        try:
            jws.deserialize_compact(signed.text, producer.key, registry=_jws_registry)
            holds = True
        except (JoseError, ValueError, TypeError):
            holds = False
        if not holds:
            raise Refused("bad_signature")
        job = signed.job()
        if job.operation not in producer.may:
            raise Refused("not_allowed")
        return job


class OpeningSource(Protocol):
    """Where the opening keys come from: a watched file, or a command."""

    def get(self) -> OpeningKeys:
        """The keys in force."""

    def look(self) -> None:
        """Look for newer ones now."""


class Opener:
    """Both keyrings at work on one job.

    Args:
        opening, producers: the keyrings; read again when their files change.
    """

    def __init__(self, opening: OpeningSource, producers: WatchedFile[ProducerKeys]) -> None:
        self._opening, self._producers = opening, producers

    @property
    def opening_kids(self) -> tuple[str, ...]:
        """The kids that cards can be opened with."""
        return self._opening.get().kids

    @property
    def producer_kids(self) -> tuple[str, ...]:
        """The kids that jobs may be signed with."""
        return self._producers.get().kids

    def verify(self, sealed: bytes, lease: Lease) -> SealedRequest:
        """Verify everything that a job is bound to; its card stays sealed.

        Args:
            sealed: what lay in the vault under the job's id.
            lease: what the ledger knows of the job.

        Raises:
            UnknownProducer: its key is not here yet.
            Refused: with the reason as its code; ``other_…`` when signature, envelope and ledger do not agree.
        """
        if len(sealed) > signed_job.SIGNED_LIMIT:  # before a copy is made of it
            raise Refused("too_long")
        job = self._signed_by_a_producer(sealed.decode("ascii", "replace"))
        places = ("sequence", "accepted_at", "expires_at", "as_of")
        for name in ("job_id", "operation", "customer_uid", "merchant_uid", *places):
            if getattr(job, name) != getattr(lease, name):
                raise Refused(f"other_{name}")
        if lease.digest and job.digest() != lease.digest:
            raise Refused("other_request")
        envelope = Envelope.parse(job.envelope)
        envelope.check_bound(job.operation, job.customer_uid, job.merchant_uid)
        envelope.check_time(job.accepted_at)
        return SealedRequest(job, envelope)

    def open(self, request: SealedRequest) -> Card:
        """Open the card of a request that was verified.

        Raises:
            UnknownKid: its key is not here yet.
            Refused: as :meth:`OpeningKeys.open_card`; ``card_in_open_field`` when the request shows in clear what its
                envelope seals.
        """
        job, envelope = request
        try:
            card = self._opening.get().open_card(envelope, now=job.accepted_at)
        except UnknownKid:  # its key may just have come
            self._opening.look()
            card = self._opening.get().open_card(envelope, now=job.accepted_at)
        metrics.OPENS.labels(envelope.kid).inc()  # one of ours: it opened the card
        if own_data_in(dict(job), card):
            raise Refused("card_in_open_field")
        return card

    def _signed_by_a_producer(self, text: str) -> Job:
        try:
            return self._producers.get().verify(text)
        except UnknownProducer:  # its key may just have come; nothing else is run for what nobody has signed
            self._producers.look()
            return self._producers.get().verify(text)


def _import(setting: str, kind: type[OKPKey | ECKey], jwk: dict[str, Any], names: set[str]) -> OKPKey | ECKey:
    try:
        key = kind.import_key({name: jwk[name] for name in jwk if name in names})
        # joserfc takes an "x" on trust that does not belong to "d": such a key opens nothing.
        if not isinstance(key, OKPKey) or b64url(key.public_key.public_bytes_raw()) == jwk["x"]:
            return key
    except (JoseError, ValueError, TypeError, KeyError):
        pass
    raise KeyFileError(f"{setting}: holds a key that cannot be read")
