"""The story of a job, from top to bottom, in plain Python: no Celery, no Redis, no HTTP here.

1. *claim* it: one delivery has it, in its order among the jobs of its customer_uid; a *permit* is asked for meanwhile.
2. What the ledger alone can decide: a newer card is in force, it is overdue, it was claimed too often.
3. Wait for the *turn* that the shared rate gives, for a while; or give the job back.
4. If an earlier POST stayed unanswered: *look it up* instead of sending anything.
5. *open* it: whoever signed it may ask for it, it is bound to this job, the card is readable.
6. Take the shared *token*; *mark sent*, durably; then *call* i'mport, once. A refused token is fetched anew once.
7. *decide*: an outcome, or a wait. The outcome is written once, and the sealed request goes.

A crash anywhere leaves a lease that runs out, and the ledger brings the job back.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from producer.contract.card import Card
from producer.contract.errors import Refused
from producer.contract.identifiers import Operation
from producer.contract.job import Job
from producer.contract.outcome import AFTER_SENDING, Outcome, Status
from worker.errors import StoreUnavailable, TokenUnavailable, UnknownKid, UnknownProducer
from worker.iamport.answer import Answer
from worker.iamport.verdict import Verdict, judge, judge_customer, judge_payment, judge_payment_answer
from worker.lease import Lease, NotClaimed
from worker.parts import (
    OVERDUE,
    IamportLike,
    LedgerLike,
    OpenerLike,
    RatePermit,
    SharedRateLike,
    SharedToken,
    TokensLike,
)
from worker.retry import (
    LOGIN_FAILED,
    LOGIN_THROTTLED,
    LOOK_UP,
    LOOK_UP_FIRST_S,
    TOKEN_REFUSED,
    WAITS_FOR_OTHERS_S,
    End,
    NotOurs,
    Snooze,
    Step,
    after_answer,
    after_look_up,
    backoff_s,
    before_sending,
)
from worker.turn import Asking, Turns

MARK_SLACK_S = 5.0  # a call's lease outlives its deadline by more than this
WRITE_RETRY_S, WRITE_RETRY_STOPPING_S, WRITE_RETRY_PAUSE_S = 300.0, 15.0, 0.5
UNKNOWN_PRODUCER_GRACE_S = 300.0  # so long the key of a producer that was just added may take to come here
NOT_AUTHORIZED = 401
NO_ANSWER = Answer(0, was_sent=False)

Written = TypeVar("Written")


def pause(seconds: float) -> bool:
    """Wait; True, since nobody asks this process to stop."""
    time.sleep(seconds)
    return True


class Issuance:
    """Runs jobs. Safe to share between threads.

    Args:
        ledger, throttle, opener, tokens, iamport: the parts of the story.
        clock: monotonic seconds.
        pause: waits so many seconds; False, at once, when the process is to stop.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        ledger: LedgerLike,
        throttle: SharedRateLike,
        opener: OpenerLike,
        tokens: TokensLike,
        iamport: IamportLike,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], bool] = pause,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger, self._throttle, self._opener, self._tokens = ledger, throttle, opener, tokens
        self._iamport, self._clock, self._pause, self._sleep = iamport, clock, pause, sleep
        self._turns = Turns(clock, pause)

    def run(self, job_id: str, delivery: str, *, is_migration: bool = False) -> Outcome | Snooze | NotOurs | NotClaimed:
        """Take one job as far as it goes now.

        Args:
            job_id: which job.
            delivery: names this delivery, and no other.
            is_migration: whether it leaves room for interactive jobs.

        Returns:
            Its outcome, or why there is none yet.

        Raises:
            StoreUnavailable: ledger or vault do not answer; the ledger brings the job back later.
        """
        permit = self._throttle.ask(job_id, is_migration=is_migration)
        try:
            lease = self._ledger.claim(job_id, delivery)
        finally:
            first = permit()
        if isinstance(lease, NotClaimed):
            if lease.word == "finished":  # a repeat may have laid its request down while it was being finished
                self._ledger.forget(job_id)
            return lease
        step = before_sending(lease) or self._in_turn(lease, first, is_migration=is_migration)
        if isinstance(step, End):
            return self._finish(lease, step)
        if isinstance(step, Snooze):
            return step if self._insist(partial(self._ledger.wait, lease, step)) else NotOurs()
        return step

    def _in_turn(self, lease: Lease, permit: RatePermit, *, is_migration: bool) -> Step:
        """Wait for the job's turn, then send it or look it up."""
        is_look_up = lease.sent_at is not None
        ask = partial(self._throttle.ask, lease.job_id, is_migration=is_migration, is_look_up=is_look_up)
        turn = self._turns.take(ask, permit, needs_request=not is_look_up)
        if isinstance(turn, RatePermit):
            return self._look_up(lease, turn, ask) if is_look_up else self._send(lease, turn, ask)
        return self._again(lease, turn.delay_s) if is_look_up and isinstance(turn, Snooze) else turn

    def _send(self, lease: Lease, permit: RatePermit, ask: Asking, *, is_second: bool = False) -> Step:
        try:
            job, card = self._opener.open(permit.sealed or b"", lease)
        except UnknownKid as error:
            is_stranger = (
                isinstance(error, UnknownProducer) and lease.claimed_at - lease.accepted_at > UNKNOWN_PRODUCER_GRACE_S
            )
            return End(Status.INVALID, "unknown_producer") if is_stranger else Snooze(WAITS_FOR_OTHERS_S, "unknown_kid")
        except Refused as refusal:
            return End(Status.INVALID, refusal.code)
        try:
            token = self._tokens.get()
            step = self._call(lease, permit, job, card, token)
        except TokenUnavailable as error:
            self._report_login(permit, error)
            return Snooze(error.delay_s or backoff_s(lease.attempts + 1), error.reason)
        if step is not None:
            return step
        del card  # the token was refused, so nothing was done: once more with a new one, and sealed until its turn
        if is_second:
            self._throttle.report(permit, NO_ANSWER)  # i'mport refuses whatever token it gives: as good as down
            return Snooze(backoff_s(lease.attempts + 1), TOKEN_REFUSED)
        self._tokens.drop(token)
        again = self._turns.take(ask)
        return self._send(lease, again, ask, is_second=True) if isinstance(again, RatePermit) else again

    def _call(self, lease: Lease, permit: RatePermit, job: Job, card: Card, token: SharedToken) -> Step | None:
        """Send it, once; None if i'mport refused the token."""
        began = self._clock()
        attempt = self._ledger.mark_sent(lease)
        if attempt is None or self._clock() - began > MARK_SLACK_S:  # it may be in other hands when this would arrive
            return NotOurs()
        if attempt == OVERDUE:
            return End(Status.EXPIRED, lease.reason or "deadline")
        if job.operation is Operation.ONETIME:
            stores_key = not lease.newer_applied
            answer = self._iamport.onetime(job if stores_key else _without_key(job), card, token.text)
            meaning = judge_payment_answer(answer)
        else:
            answer = self._iamport.issue(job, card, token.text)
            meaning = judge(answer)
        self._throttle.report(permit, answer)
        return None if meaning.verdict is Verdict.TOKEN_REFUSED else after_answer(meaning, lease, attempt)

    def _look_up(self, lease: Lease, permit: RatePermit, ask: Asking) -> Step:
        """Ask i'mport what became of a POST that nobody heard of."""
        job, card = self._opened(lease, permit)
        try:
            token = self._tokens.get()
            answer = self._find(lease, permit, token)
            if answer is not None and answer.status == NOT_AUTHORIZED:
                self._tokens.drop(token)
                again = self._turns.take(ask, needs_request=False)
                if not isinstance(again, RatePermit):
                    return self._again(lease, LOOK_UP_FIRST_S)
                token = self._tokens.get()
                answer = self._find(lease, again, token)
        except TokenUnavailable as error:
            self._report_login(permit, error)
            return self._again(lease, error.delay_s or backoff_s(lease.attempts))
        if answer is None:
            return NotOurs()
        sent_at = (lease.first_sent_at or lease.claimed_at) + token.imp_ahead_s
        if lease.operation is Operation.ONETIME:
            sight, meaning = judge_payment(answer, sent_at, job.amount if job else None)
        else:
            sight, meaning = judge_customer(answer, sent_at, card.fits if card else None, lease.key_updated)
        return after_look_up(sight, meaning, lease, has_card=card is not None)

    def _find(self, lease: Lease, permit: RatePermit, token: SharedToken) -> Answer | None:
        """One look-up; None if the job is in other hands."""
        if not self._ledger.hold(lease):
            return None
        if lease.operation is Operation.ONETIME:
            answer = self._iamport.find_payment(lease.merchant_uid or "", token.text)
        else:
            answer = self._iamport.find_customer(lease.customer_uid or "", token.text)
        self._throttle.report(permit, answer)
        return answer

    def _report_login(self, permit: RatePermit, error: TokenUnavailable) -> None:
        """A login that failed or was throttled counts for everybody."""
        if error.reason == LOGIN_FAILED:
            self._throttle.report(permit, NO_ANSWER)
        elif error.reason == LOGIN_THROTTLED:
            self._throttle.report(permit, Answer(429, retry_after_s=error.delay_s))

    def _again(self, lease: Lease, delay_s: float) -> Step:
        return End(Status.IN_DOUBT, "no_answer") if lease.is_overdue else Snooze(delay_s, LOOK_UP, "doubt")

    def _opened(self, lease: Lease, permit: RatePermit) -> tuple[Job | None, Card | None]:
        """The request of a job that is looked up; it does without if that is gone."""
        try:
            return self._opener.open(permit.sealed or b"", lease)
        except (UnknownKid, Refused):
            return None, None

    def _finish(self, lease: Lease, end: End) -> Outcome | NotOurs | NotClaimed:
        """Write the outcome; another delivery may have been quicker."""
        outcome = outcome_of(lease, end, lease.ledger_time(self._clock()))
        found = end.meaning.annotation if end.meaning else None
        written = self._insist(partial(self._ledger.finish, lease, outcome, found.key_updated if found else None))
        if written is None:
            return NotOurs()
        return outcome if written is outcome else NotClaimed("finished")

    def _insist(self, write: Callable[[], Written]) -> Written:
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


def _without_key(job: Job) -> Job:
    return job.model_copy(update={"customer_uid": None})


def outcome_of(lease: Lease, end: End, finished_at: float) -> Outcome:
    """The outcome that an end amounts to; one that may have been sent never ends as though it had not been."""
    meaning = end.meaning
    annotation = meaning.annotation if meaning else None
    is_in_doubt = lease.is_doubtful and end.status not in AFTER_SENDING
    paid_beside_newer = end.status is Status.PAID and lease.newer_applied
    code = meaning.code if meaning is not None and end.code is None else end.code
    return Outcome(
        job_id=lease.job_id,
        status=Status.IN_DOUBT if is_in_doubt else end.status,
        operation=lease.operation,
        customer_uid=lease.customer_uid,
        merchant_uid=lease.merchant_uid,
        imp_uid=annotation.imp_uid if annotation else None,
        code="newer_card" if paid_beside_newer else code,
        message=meaning.message if meaning else None,
        pg_code=meaning.pg_code if meaning else None,
        card_name=annotation.card_name if annotation else None,
        card_number=annotation.card_number if annotation else None,
        pg_provider=annotation.pg_provider if annotation else None,
        inserted=annotation.inserted if annotation else None,
        updated=annotation.updated if annotation else None,
        attempts=max(lease.attempts, end.attempts),
        accepted_at=round(lease.accepted_at, 3),
        finished_at=round(finished_at, 3),
    )
