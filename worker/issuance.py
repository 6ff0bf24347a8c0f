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

from producer.contract.card import Card
from producer.contract.errors import Refused
from producer.contract.job import Job
from producer.contract.names import Operation
from producer.contract.outcome import AFTER_SENDING, Outcome, Status
from worker.errors import StoreUnavailable, TokenUnavailable, UnknownKid
from worker.iamport.meaning import Kind, Meaning, see_customer, see_payment, understand, understand_payment
from worker.iamport.models import Answer
from worker.lease import Lease, NotClaimed
from worker.parts import Held, IamportLike, LedgerLike, OpenerLike, Permit, ThrottleLike, TokensLike
from worker.retry import (
    LOGIN_FAILED,
    LOOK_UP,
    VAULT_SILENT,
    WAITS_FOR_OTHERS_S,
    End,
    LastPost,
    Leave,
    Step,
    Wait,
    after_answer,
    after_look_up,
    backoff_s,
    before_sending,
)

TURN_S, ASK_AGAIN_S = 15.0, 1.0
MISSED_S = 0.04  # a place in the shared rate that was missed by more is given up …
MISSES = 2  # … so often
FINISH_TRIES, FINISH_PAUSE_S = 20, 0.5


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
        throttle: ThrottleLike,
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

    def run(self, job_id: str, delivery: str, *, is_migration: bool = False) -> Outcome | Wait | Leave | NotClaimed:
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
            return self._finish(lease, step) or Leave()
        if isinstance(step, Wait):
            return step if self._ledger.wait(lease, step) else Leave()
        return step

    def _in_turn(self, lease: Lease, permit: Permit, *, is_migration: bool) -> Step:
        """Wait for the job's turn, then send it or look it up."""
        is_look_up = lease.sent_at is not None
        last_post: LastPost = "doubt" if is_look_up else "unsent"
        until, missed = self._clock() + TURN_S, 0
        while True:
            if permit.word == "none" and not is_look_up:
                return End(Status.LOST, "vault_lost")
            if permit.word == "silent":
                return Wait(backoff_s(lease.attempts + 1), VAULT_SILENT, last_post)
            if permit.word == "wait" and self._clock() >= until:
                return Wait(max(permit.delay_s, TURN_S), "turn", last_post)
            place = self._clock() + permit.delay_s
            pause_s = permit.delay_s if permit.word == "go" else min(permit.delay_s, ASK_AGAIN_S)
            if pause_s and not self._pause(pause_s):
                return Wait(0.0, "shutdown", last_post)
            # A machine that stalls wakes all who wait at once; a place that was missed is asked for anew, a few times.
            if permit.word == "go":
                missed += 1
                if self._clock() <= place + MISSED_S or missed > MISSES:
                    break
            permit = self._throttle.ask(lease.job_id, is_migration=is_migration, is_look_up=is_look_up)()
        return self._look_up(lease, permit) if is_look_up else self._send(lease, permit)

    def _send(self, lease: Lease, permit: Permit) -> Step:
        try:
            job, card = self._opener.open(permit.sealed or b"", lease)
        except UnknownKid:
            return Wait(WAITS_FOR_OTHERS_S, "unknown_kid")
        except Refused as refusal:
            return End(Status.INVALID, refusal.code)
        try:
            token = self._tokens.get()
            attempt, meaning = self._call(lease, permit, job, card, token)
            if meaning is not None and meaning.kind is Kind.TOKEN_REFUSED:
                self._tokens.drop(token)
                attempt, meaning = self._call(lease, permit, job, card, self._tokens.get())
        except TokenUnavailable as error:
            if error.reason == LOGIN_FAILED:
                self._throttle.report(permit, Answer(0, was_sent=False))
            return Wait(error.delay_s or backoff_s(lease.attempts + 1), error.reason)
        return Leave() if meaning is None else after_answer(meaning, lease, attempt)

    def _call(self, lease: Lease, permit: Permit, job: Job, card: Card, token: Held) -> tuple[int, Meaning | None]:
        attempt = self._ledger.mark_sent(lease)
        if attempt is None:
            return 0, None
        if job.operation is Operation.ONETIME:
            stores_key = not lease.newer_applied
            answer = self._iamport.onetime(job if stores_key else _without_key(job), card, token.text)
            meaning = understand_payment(answer)
        else:
            answer = self._iamport.issue(job, card, token.text)
            meaning = understand(answer)
        self._throttle.report(permit, answer)
        return attempt, meaning

    def _look_up(self, lease: Lease, permit: Permit) -> Step:
        """Ask i'mport what became of a POST that nobody heard of."""
        job, card = self._opened(lease, permit)
        try:
            token = self._tokens.get()
        except TokenUnavailable as error:
            return self._again(lease, error.delay_s or backoff_s(lease.attempts))
        sent_at = (lease.first_sent_at or lease.claimed_at) + token.imp_ahead_s
        if lease.operation is Operation.ONETIME:
            answer = self._iamport.find_payment(lease.merchant_uid or "", token.text)
            sight, meaning = see_payment(answer, sent_at, job.amount if job else None)
        else:
            answer = self._iamport.find_customer(lease.customer_uid or "", token.text)
            last4 = card.last4.get_secret_value() if card else None
            sight, meaning = see_customer(answer, sent_at, last4, lease.key_updated)
        self._throttle.report(permit, answer)
        if answer.status == 401:
            self._tokens.drop(token)
        return after_look_up(sight, meaning, lease, has_card=card is not None)

    def _again(self, lease: Lease, delay_s: float) -> Step:
        return End(Status.IN_DOUBT, "no_answer") if lease.is_overdue else Wait(delay_s, LOOK_UP, "doubt")

    def _opened(self, lease: Lease, permit: Permit) -> tuple[Job | None, Card | None]:
        """The request of a job that is looked up; it does without if that is gone."""
        try:
            return self._opener.open(permit.sealed or b"", lease)
        except (UnknownKid, Refused):
            return None, None

    def _finish(self, lease: Lease, end: End) -> Outcome | None:
        """Write the outcome; what i'mport did is worth waiting for a ledger that restarts."""
        outcome = outcome_of(lease, end, lease.ledger_time(self._clock()))
        found = end.meaning.annotation if end.meaning else None
        key_updated = found.key_updated if found else None
        for _ in range(FINISH_TRIES):
            try:
                return self._ledger.finish(lease, outcome, key_updated)
            except StoreUnavailable:
                self._sleep(FINISH_PAUSE_S)
        return self._ledger.finish(lease, outcome, key_updated)


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
