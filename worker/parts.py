"""The parts of the story as :mod:`worker.issuance` sees them, so that it knows neither Redis nor HTTP.

Each method is documented where it is implemented.
"""

from typing import NamedTuple, Protocol

from producer.contract.card import Card
from producer.contract.job import Job
from producer.contract.outcome import Outcome
from worker.iamport.models import Answer
from worker.lease import Lease, NotClaimed, Sealed


class Held(NamedTuple):
    """A token in hand.

    Args:
        text: the token.
        sealed: its encrypted form in the vault, which tells it from any other even if i'mport gave the same again.
        until: monotonic seconds until which it is good.
    """

    text: str
    sealed: bytes
    until: float

    def __repr__(self) -> str:
        return f"Held(text='***', until={self.until:g})"


class LedgerLike(Protocol):
    """What the story needs of the ledger."""

    def claim(self, job_id: str, delivery: str) -> tuple[Lease | NotClaimed, Sealed]: ...
    def mark_sent(self, lease: Lease) -> int | None: ...
    def wait(self, lease: Lease, delay_s: float, reason: str) -> bool: ...
    def finish(self, lease: Lease, outcome: Outcome) -> Outcome | None: ...


class OpenerLike(Protocol):
    """What the story needs of the keyrings."""

    def open(self, sealed: bytes, lease: Lease) -> tuple[Job, Card]: ...


class TokensLike(Protocol):
    """What the story needs of the token cache."""

    def get(self) -> Held: ...
    def drop(self, refused: Held) -> None: ...


class IamportLike(Protocol):
    """What the story needs of i'mport."""

    def issue(self, job: Job, card: Card, token: str) -> Answer: ...
    def onetime(self, job: Job, card: Card, token: str) -> Answer: ...
