"""The story of a job, from top to bottom, in plain Python: no Celery, no Redis, no HTTP here.

1. *claim* it: one delivery has it, in its place among the jobs of its customer_uid and of its order; a *permit* is
   asked for meanwhile, and the vault tells how often it knows the job to be sent: either store may have forgotten.
2. What the stores alone can decide: a newer card is in force, it is overdue, it was claimed too often.
3. Wait for the *turn* that the shared rate gives, for a while; or give the job back.
4. If it is not sure what became of an earlier POST: *look it up* instead of sending anything.
5. *verify* it: whoever signed it may ask for it, and it is bound to this job. Take the shared *token*.
6. *open* the card: nothing is waited for any more. *mark sent*, durably and in both stores; then *post* it, once. A
   refused token is fetched anew once.
7. *decide*: an outcome, or a wait. The outcome is written once, and the sealed request goes.

A step that cannot be taken now raises NotNow with what happens instead. A crash anywhere leaves a lease that runs out,
and the ledger brings the job back.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import TypeVar

from producer.contract.card import Card
from producer.contract.errors import Refused
from producer.contract.identifiers import Operation
from producer.contract.job import Job
from producer.contract.outcome import Outcome, Status
from producer.runtime.errors import StoreUnavailable
from worker.errors import MarkNotKept, TokenUnavailable, UnknownKid, UnknownProducer
from worker.iamport.answer import NO_ANSWER, Answer
from worker.iamport.codes import Verdict
from worker.iamport.login import LOGIN_THROTTLED
from worker.iamport.verdict import NOTHING, Expected, Judged, judge_issue, judge_onetime
from worker.liveness import LEAVE_WITHIN_S, since_boot
from worker.look_up import Asker, LookUps, SealedCard
from worker.model import (
    OVERDUE,
    PAUSED,
    Delivered,
    End,
    Lease,
    NotClaimed,
    NotNow,
    NotOurs,
    RatePermit,
    SealedRequest,
    SharedToken,
    Snooze,
    Step,
)
from worker.parts import IamportLike, LedgerLike, OpenerLike, SharedRateLike, TokensLike
from worker.rate_limit import Turns
from worker.result import outcome_of
from worker.retry import (
    LOOK_UP,
    TOKEN_REFUSED,
    VAULT_SILENT,
    WAITS_FOR_OTHERS_S,
    after_answer,
    after_first_look,
    after_look_up,
    backoff_s,
    before_sending,
    is_repeatable,
    not_now,
)

WRITE_RETRY_S, WRITE_RETRY_STOPPING_S, WRITE_RETRY_PAUSE_S = 300.0, 15.0, 0.5  # a late word is judged by the ledger
SECOND_S = 1.0  # i'mport's instants are whole seconds
UNKNOWN_PRODUCER_GRACE_S = 300.0  # so long the key of a producer that was just added may take to come here

Written = TypeVar("Written")
Turn = Callable[[], RatePermit]


def pause(seconds: float) -> bool:
    """Wait; True, since nobody asks this process to stop."""
    time.sleep(seconds)
    return True


class Issuance:
    """Runs jobs. Safe to share between threads.

    Args:
        ledger, rate, opener, tokens, iamport: the parts of the story.
        clock: monotonic seconds.
        boot_clock: the same, and it goes on while the machine is suspended.
        pause: waits so many seconds; False, at once, when the process is to stop.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        ledger: LedgerLike,
        rate: SharedRateLike,
        opener: OpenerLike,
        tokens: TokensLike,
        iamport: IamportLike,
        *,
        clock: Callable[[], float] = time.monotonic,
        boot_clock: Callable[[], float] = since_boot,
        pause: Callable[[float], bool] = pause,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger, self._rate, self._opener, self._tokens = ledger, rate, opener, tokens
        self._iamport, self._clock, self._boot_clock = iamport, clock, boot_clock
        self._pause, self._sleep = pause, sleep
        self._turns, self._look_ups = Turns(clock, pause), LookUps(rate, tokens, iamport)

    def run(self, job_id: str, delivery: str, *, is_migration: bool = False) -> Delivered:
        """Take one job as far as it goes now.

        Args:
            job_id: which job.
            delivery: names this delivery, and no other.
            is_migration: True if it leaves room for interactive jobs.

        Raises:
            StoreUnavailable: ledger or vault do not answer; the ledger brings the job back later.
        """
        permit = self._rate.ask(job_id, is_migration=is_migration)
        try:
            lease = self._ledger.claim(job_id, delivery)
        finally:
            first = permit()
        if isinstance(lease, NotClaimed):
            if lease.reason == "finished":  # a repeat may have stored its request while it was being finished
                self._ledger.forget(job_id)
            return Delivered(lease.step, lease.name)
        lease = lease.with_vault(first)
        try:
            step = before_sending(lease) or self._go_on(lease, first, is_migration=is_migration)
        except NotNow as stop:
            step = stop.step
        if isinstance(step, End):
            return Delivered(self._finish(lease, step), lease.name)
        if isinstance(step, Snooze) and not self._write(partial(self._ledger.wait, lease, step)):
            step = NotOurs()
        return Delivered(step, lease.name)

    def _go_on(self, lease: Lease, first: RatePermit, *, is_migration: bool) -> Step:
        turn = partial(self._turn, lease, is_migration=is_migration)
        permit = turn(first if first.state != "no_request" else None)
        return self._look_up(lease, permit, turn) if lease.is_look_up else self._send(lease, permit, turn)

    def _send(self, lease: Lease, permit: RatePermit, turn: Turn) -> Step:
        permit = self._ask_first(lease, permit, turn)
        for is_second in (False, True):
            request = self._verify(lease, permit)
            token = self._token(lease, permit)
            card = self._open(request)
            began = self._boot_clock()
            attempt = self._mark_sent(lease)
            judged = self._post(lease, permit, request.job, card, token.text, began + LEAVE_WITHIN_S)
            if judged.verdict is not Verdict.TOKEN_REFUSED or lease.is_doubtful:
                return after_answer(judged, lease, attempt)
            del card  # nothing was done: once more with a new token, and sealed until its turn
            if not is_second:
                self._tokens.drop(token)
                permit = turn()
        self._rate.report(permit, NO_ANSWER)  # i'mport refuses whatever token it gives: as good as down
        return Snooze(backoff_s(lease.attempts + 1), TOKEN_REFUSED)

    def _look_up(self, lease: Lease, permit: RatePermit, turn: Turn) -> Step:
        """Ask i'mport what became of a POST."""
        card = self._sealed_card(lease, permit)
        amount, fits = (card.request.job.amount, card.fits) if card else (None, None)
        ours = Expected(lease.first_sent_at, lease.known_until, amount, fits, 2 if lease.is_doubtful else 1)
        asker, paid_only = self._asker(lease, permit, turn), is_repeatable(lease.answer, lease)
        found = self._look_ups.of(lease, ours, asker, paid_only=paid_only)
        return after_look_up(*found, lease, has_card=card is not None and not card.is_lost)

    def _asker(self, lease: Lease, permit: RatePermit, turn: Turn) -> Asker:
        def hold() -> None:
            if not self._ledger.hold(lease):
                raise NotNow(NotOurs())

        return Asker(chain((permit,), iter(turn, None)), partial(self._token, lease), hold)

    def _ask_first(self, lease: Lease, permit: RatePermit, turn: Turn) -> RatePermit:
        """A permit, i'mport's clock being known to this process, and that it has no newer card than an old export."""
        if lease.is_unsure or self._iamport.now() is None:
            self._verify(lease, permit)  # nobody asks i'mport for the sake of a forged request
            self._token(lease, permit)
        if not lease.is_unsure and self._iamport.now() is not None:
            return permit
        found = self._look_ups.of(lease, Expected(lease.as_of), self._asker(lease, permit, turn), paid_only=True)
        if step := after_first_look(*found, lease, self._iamport.now()):
            raise NotNow(step)
        return turn()

    def _turn(self, lease: Lease, first: RatePermit | None = None, *, is_migration: bool) -> RatePermit:
        """Wait for the job's place in the shared rate."""
        ask = partial(self._rate.ask, lease.job_id, is_migration=is_migration, is_look_up=lease.is_look_up)
        try:
            return self._turns.take(ask, first)
        except NotNow as stop:
            step = stop.step
        if isinstance(step, Snooze):
            raise not_now(lease, step.delay_s, step.reason)
        raise NotNow(step)

    def _verify(self, lease: Lease, permit: RatePermit) -> SealedRequest:
        """Verify the request; its card stays sealed."""
        try:
            return self._opener.verify(permit.sealed or b"", lease)
        except Refused as refusal:
            raise NotNow(End(Status.INVALID, refusal.code)) from None
        except UnknownProducer:
            is_too_late = lease.claimed_at - lease.accepted_at > UNKNOWN_PRODUCER_GRACE_S
        late, early = End(Status.INVALID, "unknown_producer"), Snooze(WAITS_FOR_OTHERS_S, "unknown_kid")
        raise NotNow(late if is_too_late else early)

    def _open(self, request: SealedRequest) -> Card:
        """Open the card: nothing is waited for any more but the mark, and the answer."""
        try:
            return self._opener.open(request)
        except UnknownKid:
            raise NotNow(Snooze(WAITS_FOR_OTHERS_S, "unknown_kid")) from None
        except Refused as refusal:
            raise NotNow(End(Status.INVALID, refusal.code)) from None

    def _sealed_card(self, lease: Lease, permit: RatePermit) -> SealedCard | None:
        """The card of a job that is looked up, sealed; it does without if the request is gone."""
        try:
            return SealedCard(self._opener, self._opener.verify(permit.sealed or b"", lease))
        except (UnknownKid, Refused):
            return None

    def _token(self, lease: Lease, permit: RatePermit) -> SharedToken:
        """The shared token; a login that failed or was throttled counts for everybody."""
        try:
            return self._tokens.get()
        except TokenUnavailable as error:
            delay_s, reason, is_ours = error.delay_s, error.reason, error.is_first
        if is_ours:
            self._rate.report(permit, Answer.throttled(delay_s) if reason == LOGIN_THROTTLED else NO_ANSWER)
        attempt = lease.attempts if lease.is_look_up else lease.attempts + 1
        raise not_now(lease, delay_s or backoff_s(attempt), reason)

    def _mark_sent(self, lease: Lease) -> int:
        """Mark it sent, durably and in both stores; gives which attempt it is."""
        imports_now = self._iamport.now()
        if imports_now is None:
            raise NotNow(Snooze(backoff_s(lease.attempts + 1), "no_clock"))
        if lease.is_same_second(imports_now):
            raise NotNow(Snooze(SECOND_S, "order"))
        try:
            attempt = self._ledger.mark_sent(lease, imports_now)
        except MarkNotKept:
            raise NotNow(Snooze(backoff_s(lease.attempts + 1), VAULT_SILENT)) from None
        if attempt is None:
            raise NotNow(NotOurs())
        if attempt == PAUSED:  # its next claim waits for the end
            raise NotNow(Snooze(SECOND_S, "paused"))
        if attempt == OVERDUE:  # one that is doubtful is looked up a last time
            too_late = End(Status.EXPIRED, lease.reason or "deadline")
            raise NotNow(Snooze(0.0, LOOK_UP, "presumed") if lease.is_doubtful else too_late)
        return attempt

    def _post(self, lease: Lease, permit: RatePermit, job: Job, card: Card, token: str, leave_by: float) -> Judged:
        """Send it, once, and not too late: it may be in other hands then."""
        if job.operation is Operation.ONETIME:
            job = job.model_copy(update={"customer_uid": None}) if lease.newer_applied else job
            answer = self._iamport.onetime(job, card, token, leave_by)
            judged = judge_onetime(answer, job.merchant_uid)
        else:
            answer = self._iamport.issue(job, card, token, leave_by)
            judged = judge_issue(answer, job.customer_uid)
        self._rate.report(permit, answer)
        return judged

    def _finish(self, lease: Lease, end: End) -> Outcome | NotOurs | NotClaimed:
        """Write the outcome; another delivery may have been quicker."""
        outcome = outcome_of(lease, end, lease.ledger_time(self._clock()))
        found = (end.judged or NOTHING).annotation
        until = found.key_updated if found else None
        if lease.is_payment and outcome.attempts and (now := self._iamport.now()):
            until = int(now) + 1  # what i'mport has of this order by now is not another job's
        written = self._write(partial(self._ledger.finish, lease, outcome, until))
        if written is None:
            return NotOurs()
        return outcome if written is outcome else NotClaimed("finished", lease.name, written)

    def _write(self, write: Callable[[], Written]) -> Written:
        """Write what is known: it is worth waiting for a ledger that restarts, for a while also when stopping."""
        until = self._clock() + WRITE_RETRY_S
        while True:
            try:
                return write()
            except StoreUnavailable:
                if self._clock() >= until:
                    raise
            if not self._pause(WRITE_RETRY_PAUSE_S):
                until = min(until, self._clock() + WRITE_RETRY_STOPPING_S)
                self._sleep(WRITE_RETRY_PAUSE_S)
