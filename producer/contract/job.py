"""Job: what a producer signs, and how it is named on the queue.

Owns the non-card members of a request, their limits, and the strict reading of a signed request (JWS). Holds no key:
the producer signs (:mod:`producer.sealing`), the worker verifies (:mod:`worker.keys.opening`).

Source: RFC 7515 (JWS), RFC 9864 (``Ed25519``); limits as i'mport's schema of the two calls has them.
"""

import json
from hashlib import sha256
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from .envelope import ENVELOPE_LIMIT
from .errors import InvalidRequest, Refused, problems_of
from .identifiers import KID, CustomerUid, JobId, MerchantUid, Operation, printable
from .jose import header_of, json_object, split, unb64url

TASK_NAME = "billing.run"
RECOVERY, INTERACTIVE, MIGRATION = "recovery", "interactive", "migration"
QUEUES = (RECOVERY, INTERACTIVE, MIGRATION)  # in the order in which workers take from them

SIGNED_LIMIT = 8192  # bytes of the compact text
SIGNATURE_ALG, JOB_TYP = "Ed25519", "job+jws"
SIGNATURE_LENGTH = 64
DEADLINE_LIMIT_S = 7 * 86400
TICKET_LIFE_LIMIT_S = 86400  # of a card page's ticket; so long the key that signed it must be known

Pg = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,80}$")]
ChannelKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,55}$")]
Amount = Annotated[int, Field(strict=True, ge=0, le=10**12)]
OrderName = Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(printable)]
AsOf = Annotated[int, Field(strict=True, gt=0, lt=10**11)]
CustomerId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]


class Request(BaseModel):
    """A merchant's request, all but the card.

    Args:
        operation: ``issue`` or ``onetime``.
        customer_uid: the merchant's handle of the billing key; needed to issue.
        merchant_uid: the merchant's order; needed to pay, and new for each payment.
        pg: ``{provider}`` or ``{provider}.{MID}``; one that is not found falls back to the account's default.
        channel_key: the console's key of a channel; of an issue, since i'mport's onetime has none.
        channel_group_id: the console's group of channels, of a payment.
        customer_id: the gateway's customer id (Toss Payments).
        amount, name: KRW and order name of a payment.
        card_quota: months of instalments, 0 for none; 2 or more only from 50,000 KRW.
        vat_amount, tax_free: KRW.
        product_type: ``real`` or ``digital`` (KSNET requires it).
        as_of: of a row of an export, when that was made; Unix seconds. A card that was applied since wins.

    Raises:
        InvalidRequest: a field breaks its rule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    operation: Operation
    customer_uid: CustomerUid | None = None
    merchant_uid: MerchantUid | None = None
    pg: Pg | None = None
    channel_key: ChannelKey | None = None
    channel_group_id: ChannelKey | None = None
    customer_id: CustomerId | None = None
    amount: Annotated[Amount, Field(gt=0)] | None = None
    name: OrderName | None = None
    card_quota: Annotated[int, Field(strict=True, ge=0, le=60)] | None = None
    vat_amount: Amount | None = None
    tax_free: Amount | None = None
    product_type: Literal["real", "digital"] | None = None
    as_of: AsOf | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _raise_our_own(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 — pydantic's
        try:
            request = handler(data)
        except ValidationError as error:
            problems = problems_of(error)
        else:
            problems = tuple(_misfits(request))
            if not problems:
                return request
        raise InvalidRequest(problems)

    def fields(self) -> dict[str, Any]:
        """The members that are set, as they travel."""
        return self.model_dump(mode="json", exclude_none=True)

    def digest(self) -> str:
        """SHA-256 of the non-card content, in hex: the same idempotency key must mean the same request."""
        members = {name: value for name, value in self.fields().items() if name in Request.model_fields}
        return sha256(json.dumps(members, sort_keys=True).encode()).hexdigest()


NEEDED = {Operation.ISSUE: ("customer_uid",), Operation.ONETIME: ("merchant_uid", "amount", "name")}
UNUSED = {
    Operation.ISSUE: (
        *("merchant_uid", "amount", "name", "channel_group_id"),
        *("card_quota", "vat_amount", "tax_free", "product_type"),
    ),
    Operation.ONETIME: ("customer_id", "channel_key", "as_of"),
}
INSTEAD = {"channel_key": "is not used here (i'mport's onetime has none: use pg or channel_group_id)"}
INSTALMENTS_FROM = 50_000  # KRW


def _misfits(request: Request) -> list[tuple[str, str]]:
    """Fields that the operation needs and that are missing, or that it has no use for."""
    needed, unused = NEEDED[request.operation], UNUSED[request.operation]
    found = [(name, "is required") for name in needed if getattr(request, name) is None]
    found += [(name, INSTEAD.get(name, "is not used here")) for name in unused if getattr(request, name) is not None]
    if (request.card_quota or 0) > 1 and (request.amount or 0) < INSTALMENTS_FROM:
        found.append(("card_quota", "instalments need an amount of 50000 or more"))
    return found


class Job(Request):
    """An accepted request: what the producer signs.

    Args:
        job_id: made of the idempotency key.
        sequence: the job's place among those of its customer_uid, 0 where there is none.
        accepted_at, expires_at: Unix seconds of the ledger's clock.
        envelope: the sealed card, a compact JWE of at most 4 KiB.
    """

    _repeated: bool = PrivateAttr(default=False)

    job_id: JobId
    sequence: Annotated[int, Field(strict=True, ge=0)]
    accepted_at: Annotated[float, Field(strict=True, gt=0, lt=1e11)]
    expires_at: Annotated[float, Field(strict=True, gt=0, lt=1e11)]
    envelope: Annotated[str, StringConstraints(min_length=1, max_length=ENVELOPE_LIMIT)] = Field(repr=False)

    @property
    def repeated(self) -> bool:
        """True if its idempotency key was known and the card that came first counts. Not part of what is signed."""
        return self._repeated

    def again(self) -> Self:
        """The same, repeated."""
        job = self.model_copy()
        job._repeated = True  # noqa: SLF001 — of its own class
        return job


class SignedJob(NamedTuple):
    """A signed request, read but not yet verified."""

    kid: str
    text: str
    payload: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the outer form without any key.

        Raises:
            Refused: ``too_long``, ``not_compact``, ``bad_base64``, ``bad_json``, ``duplicate_member``,
                ``wrong_members``, ``wrong_alg``, ``wrong_typ``, ``bad_segment`` or ``bad_member``.
        """
        head, payload, signature = split(text, 3, SIGNED_LIMIT)
        header = header_of(head)
        for member, value in (("alg", SIGNATURE_ALG), ("typ", JOB_TYP)):
            if member in header and header[member] != value:
                raise Refused(f"wrong_{member}")
        if header.keys() != {"alg", "kid", "typ"}:
            raise Refused("wrong_members")
        if len(unb64url(signature)) != SIGNATURE_LENGTH:
            raise Refused("bad_segment")
        kid = str(header["kid"])
        if kid != header["kid"] or not KID.fullmatch(kid):
            raise Refused("bad_member")
        return cls(kid, text, unb64url(payload))

    def job(self) -> Job:
        """The payload as a job; call it once the signature holds.

        Raises:
            Refused: ``bad_json``, ``duplicate_member`` or ``bad_member``.
        """
        members = json_object(self.payload)
        if not members.keys() <= Job.model_fields.keys():  # pydantic would word an error for each
            raise Refused("bad_member")
        try:
            return Job.model_validate(members)
        except InvalidRequest:
            pass
        raise Refused("bad_member")
