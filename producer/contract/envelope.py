"""Envelope: the sealed card, as anyone may read it: a JWE whose protected header says for whom and for what.

Owns the header's members and limits. Holds no key and opens nothing: the producer seals (:mod:`producer.sealing`), only
the worker opens. Reading is strict and happens before any key work, since JOSE libraries let members such as ``apu``,
``jwk`` or ``zip`` pass, and each has been an attack.

Source: RFC 7516 (JWE), RFC 7518 section 4.6 (ECDH-ES), RFC 8037 (X25519).
"""

from hashlib import sha256
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import Refused
from .identifiers import CustomerUid, Kid, MerchantUid, Operation
from .jose import header_of, split, unb64url

ENVELOPE_LIMIT = 4096  # bytes of the compact text
LIFE_LIMIT_S = 3600
CLOCK_SKEW_S = 300
SEAL_ALG, ENC, SEAL_TYP = "ECDH-ES", "A256GCM", "card+jwe"
IV_LENGTH, TAG_LENGTH = 12, 16

ISSUE_MEMBERS = frozenset({"alg", "enc", "epk", "kid", "typ", "purpose", "customer_uid", "iat", "exp"})
ONETIME_MEMBERS = (ISSUE_MEMBERS - {"customer_uid"}) | {"merchant_uid"}
MEMBERS = {
    Operation.ISSUE: (ISSUE_MEMBERS,),
    Operation.ONETIME: (ONETIME_MEMBERS, ONETIME_MEMBERS | {"customer_uid"}),
}
EPK_LENGTHS = {("OKP", "X25519"): {"x": 32}, ("EC", "P-256"): {"x": 32, "y": 32}}


class Envelope(BaseModel):
    """A sealed card: the text, and what its protected header says.

    Args:
        kid: which of the worker's keys it is sealed to.
        crv: ``X25519`` or ``P-256``.
        purpose: the one operation that it may be used for.
        customer_uid: None only in a onetime payment that stores no key.
        merchant_uid: None in an issuance.
        iat: Unix seconds, from which it may be accepted (with 300 s for clocks).
        exp: Unix seconds, until which it may be accepted; at most an hour after ``iat``.
        text: the compact serialisation, at most 4 KiB.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    kid: Kid
    crv: Literal["X25519", "P-256"]
    purpose: Operation
    customer_uid: CustomerUid | None = None
    merchant_uid: MerchantUid | None = None
    iat: int
    exp: int
    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an envelope without any key.

        Raises:
            Refused: ``too_long``, ``not_compact``, ``bad_base64``, ``bad_json``, ``duplicate_member``,
                ``wrong_members``, ``wrong_alg``, ``wrong_enc``, ``wrong_typ``, ``wrong_purpose``, ``bad_epk``,
                ``bad_segment``, ``bad_member`` or ``too_long_life``.
        """
        head, wrapped_key, iv, ciphertext, tag = split(text, 5, ENVELOPE_LIMIT)
        header = header_of(head)
        _check_header(header)
        if wrapped_key or len(unb64url(iv)) != IV_LENGTH or len(unb64url(tag)) != TAG_LENGTH:
            raise Refused("bad_segment")
        if not unb64url(ciphertext):
            raise Refused("bad_segment")
        return cls._from_header(header, text)

    @classmethod
    def _from_header(cls, header: dict[str, Any], text: str) -> Self:
        if None in header.values():
            raise Refused("bad_member")
        try:
            envelope = cls(
                kid=header["kid"],
                crv=header["epk"]["crv"],
                purpose=Operation(header["purpose"]),
                customer_uid=header.get("customer_uid"),
                merchant_uid=header.get("merchant_uid"),
                iat=header["iat"],
                exp=header["exp"],
                text=text,
            )
        except ValidationError:
            envelope = None
        if envelope is None or envelope.iat < 0:
            raise Refused("bad_member")
        if not 0 < envelope.exp - envelope.iat <= LIFE_LIMIT_S:
            raise Refused("too_long_life")
        return envelope

    def check_time(self, accepted_at: float) -> None:
        """Check that the envelope could be accepted at an instant of the ledger's clock.

        Raises:
            Refused: ``not_yet_valid`` or ``envelope_expired``.
        """
        if accepted_at < self.iat - CLOCK_SKEW_S:
            raise Refused("not_yet_valid")
        if accepted_at > self.exp:
            raise Refused("envelope_expired")

    def check_bound(self, purpose: Operation, customer_uid: str | None, merchant_uid: str | None) -> None:
        """Check that the envelope was sealed for this request and no other.

        Raises:
            Refused: ``other_purpose``, ``other_customer_uid`` or ``other_merchant_uid``.
        """
        for name, is_same in (
            ("purpose", self.purpose == purpose),
            ("customer_uid", self.customer_uid == customer_uid),
            ("merchant_uid", self.merchant_uid == merchant_uid),
        ):
            if not is_same:
                raise Refused(f"other_{name}")

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hex: an envelope is accepted once."""
        return sha256(self.text.encode()).hexdigest()


def _check_header(header: dict[str, Any]) -> None:
    for member, values in (("alg", (SEAL_ALG,)), ("enc", (ENC,)), ("typ", (SEAL_TYP,)), ("purpose", tuple(MEMBERS))):
        if member in header and header[member] not in values:
            raise Refused(f"wrong_{member}")
    if frozenset(header) not in MEMBERS.get(header.get("purpose", ""), ()):
        raise Refused("wrong_members")
    _check_epk(header["epk"])


def _check_epk(epk: object) -> None:
    """Exactly the public members of one of our two curves, each coordinate 32 bytes."""
    if not isinstance(epk, dict) or not all(isinstance(value, str) for value in epk.values()):
        raise Refused("bad_epk")
    lengths = EPK_LENGTHS.get((epk.get("kty", ""), epk.get("crv", "")))
    if lengths is None or epk.keys() != {"kty", "crv", *lengths}:
        raise Refused("bad_epk")
    if any(len(unb64url(epk[name])) != length for name, length in lengths.items()):
        raise Refused("bad_epk")
