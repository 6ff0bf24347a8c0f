"""Types of a job's story: no Celery, no Redis, no HTTP."""

import math
from typing import Literal, NamedTuple

from producer.contract.envelope import Envelope
from producer.contract.identifiers import Operation
from producer.contract.job import Job
from producer.contract.outcome import Outcome, Status
from worker.iamport.verdict import Judged

OVERDUE, PAUSED = 0, -1  # what mark_sent gives in place of an attempt once the deadline has passed; during a pause
LastPost = Literal["unsent", "doubt", "presumed"]
PermitState = Literal["granted", "later", "no_request", "store_down"]


class JobName(NamedTuple):
    """A job as people look for it; fields as of :class:`Lease`."""

    operation: str
    customer_uid: str | None
    merchant_uid: str | None
    sequence: int
    accepted_at: float

    def __str__(self) -> str:
        place = f"seq {self.sequence}" if self.sequence else None
        return " · ".join(filter(None, (self.operation, self.merchant_uid, self.customer_uid, place)))


class Lease(NamedTuple):
    """One delivery's hold on a job, and what the stores know of it.

    Args:
        delivery: who holds it; another delivery's hold is another lease.
        operation: an :class:`Operation`, or a word that this version does not know.
        sequence: the job's place among those of its customer_uid.
        accepted_at, expires_at, claimed_at: Unix seconds of the ledger's clock.
        attempts: POSTs that were about to leave.
        claims: claims since the last one that gave the job back, this one included.
        sent_at: set while a POST awaits its look-up; the ledger's clock.
        reason: why it waited last, empty if it never did.
        kid: the key that its card was to be sealed to.
        first_sent_at: when the first of the POSTs left that may have been applied without our knowing; i'mport's clock.
        is_doubtful: True once an unanswered POST was looked up for long enough and found nothing: one more may follow.
        look_ups, look_up_every_s: look-ups since the last POST that found nothing; seconds between those that count.
        answer: of i'mport to the last POST, where only a look-up can tell what that means; None if nobody heard.
        newer_applied: True if a newer card of the same customer_uid is in force.
        known_until: i'mport's records of the customer_uid (of a payment: of its order) up to then are of other jobs.
        order_ended: ``paid`` or ``in_doubt`` if another payment of the order ended so, else empty.
        transients: answers that asked for another try soon.
        digest: of what was asked, all but the card: :meth:`producer.contract.job.Request.digest`.
        is_given_up: True if an operator asked for its end.
        held_since: monotonic seconds of this process at ``claimed_at``.
        as_of: of a row of an export, when that was made; Unix seconds.
        is_unsure: True if the ledger does not remember as far back: i'mport may have a newer card.
        is_request_lost, is_vault_silent: True if the vault has no sealed request; if it did not say.
    """

    job_id: str
    delivery: str
    claimed_at: float
    operation: str
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
    is_doubtful: bool
    look_ups: int
    look_up_every_s: float
    answer: Judged | None
    newer_applied: bool
    known_until: int
    order_ended: str
    transients: int
    digest: str
    held_since: float
    is_given_up: bool = False
    as_of: int | None = None
    is_unsure: bool = False
    is_request_lost: bool = False
    is_vault_silent: bool = False

    def ledger_time(self, monotonic: float) -> float:
        """The ledger's clock at an instant of this process's monotonic clock."""
        return self.claimed_at + monotonic - self.held_since

    def with_vault(self, permit: "RatePermit") -> "Lease":
        """The same with what the vault knows; a ledger that counts fewer POSTs has forgotten some."""
        lease = self._replace(
            is_request_lost=permit.state == "no_request", is_vault_silent=permit.state == "store_down"
        )
        mark = permit.mark
        if mark is None or mark.attempts <= self.attempts:
            return lease
        return lease._replace(
            attempts=mark.attempts,
            sent_at=self.claimed_at,
            first_sent_at=min(mark.first_sent_at, self.first_sent_at or mark.first_sent_at),
            is_doubtful=self.is_doubtful or mark.is_doubtful,
            answer=None,
        )

    def is_same_second(self, imports_now: float) -> bool:
        """True if a key stored now could not be told from the last one: i'mport's instants are whole seconds."""
        return not self.is_payment and 0 < self.known_until + 1 - imports_now <= SAME_SECOND_S

    @property
    def name(self) -> JobName:
        """The job as people look for it."""
        return JobName(self.operation, self.customer_uid, self.merchant_uid, self.sequence, self.accepted_at)

    @property
    def is_payment(self) -> bool:
        """True of a key-in payment."""
        return self.operation == Operation.ONETIME

    @property
    def is_overdue(self) -> bool:
        """True if its deadline had passed when it was claimed."""
        return self.claimed_at >= self.expires_at

    @property
    def is_look_up(self) -> bool:
        """True if i'mport is asked what became of it before anything else."""
        is_last_look = self.is_doubtful and (self.is_overdue or self.is_request_lost)
        return self.sent_at is not None or is_last_look or (self.is_payment and self.is_request_lost)

    @property
    def is_looked_up_enough(self) -> bool:
        """True if a POST that this look-up does not find either counts as not applied."""
        return self.look_ups >= LOOK_UPS + early_look_ups(self.look_up_every_s)

    @property
    def surely_unsent(self) -> bool:
        """True if no store knows of a POST that may have been applied."""
        return self.sent_at is None and not self.is_doubtful


SAME_SECOND_S = 3.0  # what i'mport's clock as we know it may lie behind, and a little
LOOK_UPS = 8  # so many must find nothing, one interval apart: a clock that steps costs one interval


def early_look_ups(every_s: float) -> int:
    """The number of look-ups that come sooner after each other than the interval, and do not count."""
    return max(math.ceil(math.log2(every_s)), 0) if every_s > 0 else 0


class Doubtful(NamedTuple):
    """A job that ended in doubt.

    Args:
        first_sent_at: as of :class:`Lease`; None if only an answer of i'mport's made it doubtful.
        asked: how often i'mport was asked about it since.
    """

    job_id: str
    operation: str
    customer_uid: str | None
    merchant_uid: str | None
    first_sent_at: float | None
    asked: int


class NotClaimed(NamedTuple):
    """No lease.

    Args:
        reason: ``unknown``, ``finished``, ``waiting`` (not due, or in other hands); from now on ``order``, ``paused``.
        name, outcome: of one that is finished; the name also of one that waits from now on.
        delay_s: seconds for which it waits, at most.
    """

    reason: str
    name: JobName | None = None
    outcome: Outcome | None = None
    delay_s: float = 0.0

    @property
    def step(self) -> "Snooze | NotClaimed":
        """The end of the delivery."""
        return Snooze(self.delay_s, self.reason) if self.reason in {"order", "paused"} else self


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
        last_post: what became of its last POST: ``unsent`` (surely not applied, or there was none), ``doubt`` (only a
            look-up can tell), ``presumed`` (looked up for long enough: it counts as not applied, without proof).
        found_nothing: True after a look-up that found nothing.
        answer: what was answered to the last POST, if the look-up is to judge by it.
    """

    delay_s: float
    reason: str
    last_post: LastPost = "unsent"
    found_nothing: bool = False
    answer: Judged | None = None


class NotOurs(NamedTuple):
    """Another delivery has the job."""


Step = End | Snooze | NotOurs


class Delivered(NamedTuple):
    """All that a delivery came to.

    Args:
        step: the outcome, or why there is none yet.
        name: of the job, if the ledger told.
    """

    step: Outcome | Snooze | NotOurs | NotClaimed
    name: JobName | None


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
    """

    text: str
    sealed: bytes
    until: float

    def __repr__(self) -> str:
        return f"SharedToken(text='***', until={self.until:g})"


class Mark(NamedTuple):
    """The vault's own note of a job's POSTs, in case the ledger forgets.

    Args:
        attempts: how many were about to leave.
        first_sent_at: as of :class:`Lease`.
        is_doubtful: as of :class:`Lease`.
    """

    attempts: int
    first_sent_at: float
    is_doubtful: bool


class RatePermit(NamedTuple):
    """The vault's answer for a job.

    Args:
        state: ``granted``, ``later`` (ask again), ``no_request`` (the sealed request is gone) or ``store_down``.
        delay_s: seconds until the reserved place, or until it is worth asking again.
        sealed: the signed request, if there is one.
        wants_report: True if a normal answer is reported, too: there were failures, or this is the probe.
        mark: the vault's note of the job's POSTs, if there is one.
    """

    state: PermitState
    delay_s: float = 0.0
    sealed: bytes | None = None
    wants_report: bool = False
    mark: Mark | None = None


class SealedRequest(NamedTuple):
    """A request whose signature and bonds hold, and its card, sealed."""

    job: Job
    envelope: Envelope
