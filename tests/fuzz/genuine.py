"""The genuine tokens that mutants descend from: those of the golden vectors, and envelopes for every opening key."""

from typing import NamedTuple

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


class GenuineJob(NamedTuple):
    """A signed request, how it was made, and the record that it belongs to."""

    text: str
    recipe: SignedRequest
    record: Record


class GenuineEnvelope(NamedTuple):
    """A sealed card, how it was made, and the record that it belongs to."""

    text: str
    recipe: SealedCard
    record: Record


Genuine = GenuineJob | GenuineEnvelope

STORING = ONETIME_RECORD | {"customer_uid": UID, "sequence": 3}
SEALED: list[tuple[SealedCard, Record]] = [
    *((envelope(kid=kid), ISSUE_RECORD) for kid in OPENING),
    (onetime_envelope(), ONETIME_RECORD),
    (onetime_envelope(kid=P256_KID, customer_uid=UID), STORING),
]
ENVELOPES = [
    GenuineEnvelope(recipe.text(f"genuine {number}"), recipe, record) for number, (recipe, record) in enumerate(SEALED)
]
JOBS = [
    GenuineJob(row.recipe.text(row.name), row.recipe, row.record)
    for row in ACCEPTED
    if isinstance(row.recipe, SignedRequest)
]
ALL: list[Genuine] = [*JOBS, *ENVELOPES]
_records: dict[str | bytes, Record] = {text: one.record for one in JOBS for text in (one.text, one.text.encode())}
_records |= {one.text: one.record for one in ENVELOPES}


def is_genuine(data: str | bytes, record: Record) -> bool:
    """Whether it is, byte for byte, a token of that record."""
    return _records.get(data) == record
