"""The genuine tokens that mutants descend from: those of the golden vectors, and envelopes for every opening key."""

from typing import Generic, NamedTuple, TypeVar

from tests.vectors.jose import SealedCard, SignedRequest
from tests.vectors.make import ACCEPTED
from tests.vectors.recipe import (
    ISSUE_RECORD,
    ONETIME_RECORD,
    OPENING,
    P256_KID,
    UID,
    Record,
    envelope,
    onetime_envelope,
)

Recipe = TypeVar("Recipe", SignedRequest, SealedCard)


class Genuine(NamedTuple, Generic[Recipe]):
    """A signed request or a sealed card, how it was made, and the record that it belongs to."""

    text: str
    recipe: Recipe
    record: Record


Job = Genuine[SignedRequest]
Envelope = Genuine[SealedCard]

STORING = ONETIME_RECORD | {"customer_uid": UID, "sequence": 3}
SEALED: list[tuple[SealedCard, Record]] = [
    *((envelope(kid=kid), ISSUE_RECORD) for kid in OPENING),
    (onetime_envelope(), ONETIME_RECORD),
    (onetime_envelope(kid=P256_KID, customer_uid=UID), STORING),
]
ENVELOPES = [Genuine(how.text(f"genuine {number}"), how, record) for number, (how, record) in enumerate(SEALED)]
JOBS = [
    Genuine(row.recipe.text(row.name), row.recipe, row.record)
    for row in ACCEPTED
    if isinstance(row.recipe, SignedRequest)
]
ALL: list[Job | Envelope] = [*JOBS, *ENVELOPES]
_records: dict[str | bytes, Record] = {text: one.record for one in JOBS for text in (one.text, one.text.encode())}
_records |= {one.text: one.record for one in ENVELOPES}


def is_genuine(data: str | bytes, record: Record) -> bool:
    """Whether it is, byte for byte, a token of that record."""
    return _records.get(data) == record
