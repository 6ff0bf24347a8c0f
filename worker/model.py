"""Types of a job's story, and the parts that it needs: no Celery, no Redis, no HTTP.

::

    Step
    ├── End      an outcome is written
    ├── Snooze   given back to the ledger for a while; waiting is not a failure
    └── NotOurs  another delivery has the job
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from producer.contract.card import Card
from producer.contract.identifiers import Operation
from producer.contract.job import Job
from producer.contract.outcome import Outcome, Status
from worker.iamport.answer import Answer
from worker.iamport.verdict import Judged

OVERDUE = 0  # what mark_sent gives in place of an attempt once the deadline has passed
LastPost = Literal["unsent", "doubt", "presumed"]
PermitState = Literal["granted", "later", "no_request", "store_down"]


class Lease(NamedTuple):
    """One delivery's hold on a job.

    Args:
        delivery: who holds it; another delivery's hold is another lease.
        sequence: the job's place among those of its customer_uid.
        accepted_at, expires_at, claimed_at: Unix seconds of the ledger's clock.
        attempts: POSTs that were about to leave.
        claims: claims since the last one that gave the job back, this one included.
        sent_at: set while an earlier POST may have been applied without our knowing.
        reason: why it waited last, empty if it never did.
        kid: the key that its card was to be sealed to.
        first_sent_at: when the first of the POSTs left that may have been applied without our knowing.
        doubt_until: until when a POST without an answer is looked up before it counts as not applied.
        is_doubtful: True once a POST counted as not applied without proof.
        newer_applied: True if a newer card of the same customer_uid is in force.
        key_updated: until when the key was updated that we last saw come into force for the customer_uid; Unix seconds
            of i'mport's clock.
        transients: answers that asked for another try soon.
        digest: of what was asked, all but the card: :meth:`producer.contract.job.Request.digest`.
        held_since: monotonic seconds of this process at ``claimed_at``.
    """

    job_id: str
    delivery: str
    claimed_at: float
    operation: Operation
    customer_uid: str | None
    merchant_uid: str | None
    sequence: int
    accepted_at: float
    expires_at: float
    attempts: int
    claims: int
    sent_at: float | None
    reason: str
    kid: str
    first_sent_at: float | None
    doubt_until: float | None
    is_doubtful: bool
    newer_applied: bool
    key_updated: int | None
    transients: int
    digest: str
    held_since: float

    def ledger_time(self, monotonic: float) -> float:
        """The ledger's clock at an instant of this process's monotonic clock."""
        return self.claimed_at + monotonic - self.held_since

    @property
    def is_overdue(self) -> bool:
        """True if its deadline had passed when it was claimed."""
        return self.claimed_at >= self.expires_at

    @property
    def is_look_up(self) -> bool:
        """True if a POST is looked up before anything else is sent."""
        return self.sent_at is not None

    @property
    def is_looked_up_enough(self) -> bool:
        """True if a POST that no look-up finds counts as not applied."""
        return self.doubt_until is not None and self.claimed_at >= self.doubt_until


class NotClaimed(NamedTuple):
    """No lease: ``reason`` is ``unknown``, ``finished`` or ``waiting``."""

    reason: str
    outcome: bytes | None = None


class End(NamedTuple):
    """The job is finished. ``code`` is set when i'mport gave none."""

    status: Status
    code: str | None = None
    judged: Judged | None = None
    attempts: int = 0


class Snooze(NamedTuple):
    """The job waits.

    Args:
        delay_s: seconds.
        reason: one word.
        last_post: what became of its last POST: ``unsent`` (surely not applied, or there was none), ``doubt`` (no
            answer yet), ``presumed`` (looked up for long enough: it counts as not applied, without proof).
    """

    delay_s: float
    reason: str
    last_post: LastPost = "unsent"


class NotOurs(NamedTuple):
    """Another delivery has the job."""


Step = End | Snooze | NotOurs


class NotNow(Exception):
    """The job goes no further in this delivery; ``step`` is what happens instead."""

    def __init__(self, step: Step) -> None:
        self.step = step
        super().__init__(type(step).__name__)


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
        return f"SharedToken(text='***', until={self.until:g})"


class RatePermit(NamedTuple):
    """The vault's answer for a job.

    Args:
        state: ``granted``, ``later`` (ask again), ``no_request`` (the sealed request is gone) or ``store_down``.
        delay_s: seconds until the reserved place, or until it is worth asking again.
        sealed: the signed request, if there is one.
        wants_report: True if a normal answer is reported, too: there were failures, or this is the probe.
    """

    state: PermitState
    delay_s: float = 0.0
    sealed: bytes | None = None
    wants_report: bool = False


class LedgerLike(Protocol):
    """The ledger, as the story needs it. Each method is documented where it is implemented."""

    def claim(self, job_id: str, delivery: str) -> Lease | NotClaimed: ...
    def mark_sent(self, lease: Lease) -> int | None: ...
    def hold(self, lease: Lease) -> bool: ...
    def wait(self, lease: Lease, wait: Snooze) -> bool: ...
    def finish(self, lease: Lease, outcome: Outcome, key_updated: int | None) -> Outcome | None: ...
    def forget(self, job_id: str) -> None: ...


class SharedRateLike(Protocol):
    """The shared rate."""

    def ask(self, job_id: str, *, is_migration: bool, is_look_up: bool = False) -> Callable[[], RatePermit]: ...
    def report(self, permit: RatePermit, answer: Answer) -> None: ...


class OpenerLike(Protocol):
    """The keyrings."""

    def open(self, sealed: bytes, lease: Lease) -> tuple[Job, Card]: ...


class TokensLike(Protocol):
    """The token cache."""

    def get(self) -> SharedToken: ...
    def drop(self, refused: SharedToken) -> None: ...


class IamportLike(Protocol):
    """I'mport's client."""

    def issue(self, job: Job, card: Card, token: str) -> Answer: ...
    def onetime(self, job: Job, card: Card, token: str) -> Answer: ...
    def find_customer(self, customer_uid: str, token: str) -> Answer: ...
    def find_payment(self, merchant_uid: str, token: str) -> Answer: ...
