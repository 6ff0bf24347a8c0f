"""The parts of the story as :mod:`worker.issuance` sees them, so that it knows neither Redis nor HTTP.

Each method is documented where it is implemented.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from producer.contract.card import Card
from producer.contract.job import Job
from producer.contract.outcome import Outcome
from worker.iamport.answer import Answer
from worker.lease import Lease, NotClaimed
from worker.retry import Snooze


class SharedToken(NamedTuple):
    """A token in hand.

    Args:
        text: the token.
        sealed: its encrypted form in the vault, which tells it from any other even if i'mport gave the same again.
        until: monotonic seconds until which it is good.
        imp_ahead_s: how many seconds i'mport's clock is ahead of the ledger's.
    """

    text: str
    sealed: bytes
    until: float
    imp_ahead_s: float = 0.0

    def __repr__(self) -> str:
        return f"Held(text='***', until={self.until:g})"


OVERDUE = 0  # what mark_sent gives in place of an attempt once the deadline has passed


class LedgerLike(Protocol):
    """What the story needs of the ledger."""

    def claim(self, job_id: str, delivery: str) -> Lease | NotClaimed: ...
    def mark_sent(self, lease: Lease) -> int | None: ...
    def hold(self, lease: Lease) -> bool: ...
    def wait(self, lease: Lease, wait: Snooze) -> bool: ...
    def finish(self, lease: Lease, outcome: Outcome, key_updated: int | None) -> Outcome | None: ...
    def forget(self, job_id: str) -> None: ...


class RatePermit(NamedTuple):
    """What the vault says about a job.

    Args:
        word: ``go``, ``wait`` (ask again), ``none`` (no sealed request) or ``silent`` (the vault does not answer).
        delay_s: seconds until the reserved place, or until it is worth asking again.
        sealed: the signed request, if there is one.
        wants_report: whether an ordinary answer should be reported, too: there were failures, or this is the probe.
    """

    word: str
    delay_s: float = 0.0
    sealed: bytes | None = None
    wants_report: bool = False


class SharedRateLike(Protocol):
    """What the story needs of the shared throttle."""

    def ask(self, job_id: str, *, is_migration: bool, is_look_up: bool = False) -> Callable[[], RatePermit]: ...
    def report(self, permit: RatePermit, answer: Answer) -> None: ...


class OpenerLike(Protocol):
    """What the story needs of the keyrings."""

    def open(self, sealed: bytes, lease: Lease) -> tuple[Job, Card]: ...


class TokensLike(Protocol):
    """What the story needs of the token cache."""

    def get(self) -> SharedToken: ...
    def drop(self, refused: SharedToken) -> None: ...


class IamportLike(Protocol):
    """What the story needs of i'mport."""

    def issue(self, job: Job, card: Card, token: str) -> Answer: ...
    def onetime(self, job: Job, card: Card, token: str) -> Answer: ...
    def find_customer(self, customer_uid: str, token: str) -> Answer: ...
    def find_payment(self, merchant_uid: str, token: str) -> Answer: ...
