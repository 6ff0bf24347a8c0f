"""Where hostile input comes in, and what may come out: nothing but a refusal of ours."""

from typing import NamedTuple

from producer.contract.card import Card
from producer.contract.envelope import Envelope
from producer.contract.errors import InvalidCard, Refused
from producer.contract.identifiers import Operation
from producer.runtime.key_file import WatchedFile
from tests.vectors import HERE, read_keys
from tests.vectors.recipe import IAT, Record
from tests.worker.leases import lease
from worker.errors import UnknownKid
from worker.keys.opening import Opener, OpeningKeys, ProducerKeys

JOB, ENVELOPE, CARD = "job", "envelope", "card"


class Input(NamedTuple):
    """One hostile input.

    Args:
        kind: how it was made.
        door: ``job``, ``envelope`` or ``card``.
        data: bytes, or text for an envelope, which comes out of somebody's JSON.
        record: what the ledger knows of the job.
    """

    kind: str
    door: str
    data: bytes | str
    record: Record


class Doors:
    """The three readers with the golden vectors' keys."""

    def __init__(self) -> None:
        self._keys = OpeningKeys(read_keys("opening.private.jwks.json"))
        producers = ProducerKeys(read_keys("producers.public.jwks.json"))
        ring = HERE / "keyring"
        self._opener = Opener(WatchedFile(ring, lambda _: self._keys), WatchedFile(ring, lambda _: producers))

    def enter(self, one: Input) -> None:
        """Hand it in; returns only if it is accepted."""
        if isinstance(one.data, str):
            self._envelope(one.data, one.record)
        elif one.door == JOB:
            record = one.record | {"operation": Operation(one.record["operation"])}
            self._opener.open(self._opener.verify(one.data, lease(**record, claimed_at=IAT + 1)))
        else:
            Card.from_json(one.data, now=IAT)

    def refusal(self, one: Input) -> str:
        """The code of its refusal; an empty text if it is accepted."""
        try:
            self.enter(one)
        except Refused as refused:
            return refused.code
        except UnknownKid:
            return "unknown_kid"
        except InvalidCard:
            if one.door != CARD:  # it names fields to whoever typed the card; a worker's refusal names nothing
                raise
            return "invalid_card"
        return ""

    def _envelope(self, text: str, record: Record) -> None:
        envelope = Envelope.parse(text)
        envelope.check_bound(Operation(record["operation"]), record["customer_uid"], record["merchant_uid"])
        envelope.check_time(record["accepted_at"])
        self._keys.open_card(envelope, now=record["accepted_at"])
