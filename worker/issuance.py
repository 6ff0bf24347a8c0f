"""The story of a job, from top to bottom, in plain Python: no Celery, no Redis, no HTTP here.

1. *claim* it: one delivery has it, the others leave it alone; its sealed request comes along.
2. What the ledger alone can decide: it may have been sent, it is overdue, it was claimed too often.
   (Order among the jobs of a customer_uid, the shared rate and the breaker have their place here: the next issue.)
3. *open* it: whoever signed it may ask for it, it is bound to this job, the card is readable.
4. Take the shared *token*.
5. *mark sent*, durably; then *call* i'mport, once. A refused token is fetched anew once.
6. *decide*: an outcome, or a wait.
7. *finish*: the outcome is written once, and the sealed request goes. Or *give back* for a while.

A crash anywhere leaves a lease that runs out, and the ledger brings the job back.
"""

import time
from collections.abc import Callable

from producer.contract.card import Card
from producer.contract.errors import Refused
from producer.contract.job import Job
from producer.contract.names import Operation
from producer.contract.outcome import Outcome, Status
from worker.errors import StoreUnavailable, TokenUnavailable, UnknownKid
from worker.iamport.meaning import Kind, Meaning, understand, understand_payment
from worker.lease import Lease, NotClaimed, Sealed
from worker.parts import Held, IamportLike, LedgerLike, OpenerLike, TokensLike
from worker.retry import (
    VAULT_SILENT,
    WAITS_FOR_OTHERS_S,
    End,
    Leave,
    Step,
    Wait,
    after_answer,
    backoff_s,
    before_opening,
)

FINISH_TRIES, FINISH_PAUSE_S = 20, 0.5


class Issuance:
    """Runs jobs. Safe to share between threads.

    Args:
        ledger, opener, tokens, iamport: the parts of the story.
        clock, sleep: monotonic seconds, and waiting.
    """

    def __init__(
        self,
        ledger: LedgerLike,
        opener: OpenerLike,
        tokens: TokensLike,
        iamport: IamportLike,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger, self._opener, self._tokens, self._iamport = ledger, opener, tokens, iamport
        self._clock, self._sleep = clock, sleep

    def run(self, job_id: str, delivery: str) -> Outcome | Wait | Leave | NotClaimed:
        """Take one job as far as it goes now.

        Args:
            job_id: which job.
            delivery: names this delivery, and no other.

        Returns:
            Its outcome, or why there is none yet.

        Raises:
            StoreUnavailable: ledger or vault do not answer; the ledger brings the job back later.
        """
        lease, sealed = self._ledger.claim(job_id, delivery)
        if isinstance(lease, NotClaimed):
            return lease
        step = before_opening(lease) or self._issue(lease, sealed)
        match step:
            case End():
                return self._finish(lease, step) or Leave()
            case Wait():
                return step if self._ledger.wait(lease, step.delay_s, step.reason) else Leave()
        return step

    def _issue(self, lease: Lease, sealed: Sealed) -> Step:
        if isinstance(sealed, StoreUnavailable):
            return Wait(backoff_s(lease.attempts + 1), VAULT_SILENT)
        if sealed is None:
            return End(Status.LOST, "vault_lost")
        try:
            job, card = self._opener.open(sealed, lease)
        except UnknownKid:
            return Wait(WAITS_FOR_OTHERS_S, "unknown_kid")
        except Refused as refusal:
            return End(Status.INVALID, refusal.code)
        try:
            token = self._tokens.get()
            return self._send(lease, job, card, token)
        except TokenUnavailable as error:
            return Wait(error.delay_s or backoff_s(lease.attempts + 1), error.reason)

    def _send(self, lease: Lease, job: Job, card: Card, token: Held) -> Step:
        attempt, meaning = self._call(lease, job, card, token)
        if meaning is not None and meaning.kind is Kind.TOKEN_REFUSED:
            self._tokens.drop(token)
            attempt, meaning = self._call(lease, job, card, self._tokens.get())
        if meaning is None:
            return Leave()
        return after_answer(meaning, job.operation, attempt)

    def _call(self, lease: Lease, job: Job, card: Card, token: Held) -> tuple[int, Meaning | None]:
        attempt = self._ledger.mark_sent(lease)
        if attempt is None:
            return 0, None
        if job.operation is Operation.ONETIME:
            return attempt, understand_payment(self._iamport.onetime(job, card, token.text))
        return attempt, understand(self._iamport.issue(job, card, token.text))

    def _finish(self, lease: Lease, end: End) -> Outcome | None:
        """Write the outcome; what i'mport did is worth waiting for a ledger that restarts."""
        outcome = outcome_of(lease, end, lease.ledger_time(self._clock()))
        for _ in range(FINISH_TRIES):
            try:
                return self._ledger.finish(lease, outcome)
            except StoreUnavailable:
                self._sleep(FINISH_PAUSE_S)
        return self._ledger.finish(lease, outcome)


def outcome_of(lease: Lease, end: End, finished_at: float) -> Outcome:
    """The outcome that an end amounts to."""
    meaning = end.meaning
    annotation = meaning.annotation if meaning else None
    return Outcome(
        job_id=lease.job_id,
        status=end.status,
        operation=lease.operation,
        customer_uid=lease.customer_uid,
        merchant_uid=lease.merchant_uid,
        imp_uid=annotation.imp_uid if annotation else None,
        code=end.code if meaning is None or meaning.code is None else meaning.code,
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
