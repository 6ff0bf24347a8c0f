"""Ledger: the worker's part of it. Claim, mark sent, wait, finish; each one script, one round trip, repeatable.

Keys: see :mod:`producer.contract.redis_keys`. Must never be given anything of a card.
"""

import time
from collections.abc import Callable, Iterator

from producer.contract import redis_keys
from producer.contract.job import RECOVERY
from producer.contract.outcome import Outcome, Status
from producer.contract.reconciled import Reconciled
from producer.runtime import tracing
from producer.runtime.errors import StoreUnavailable
from producer.runtime.redis_store import Script, Stores
from worker import metrics
from worker.errors import MarkNotKept
from worker.iamport.verdict import Judged
from worker.model import LOOK_UPS, OVERDUE, PAUSED, Doubtful, JobName, Lease, NotClaimed, Snooze, early_look_ups
from worker.result import KEY_NOT_STORED, celery_result

CLAIM, SENT, HOLD, WAIT, FINISH, KEEP, DOUBTFUL, NOTE_RECONCILED = (
    Script("worker", name) for name in ("claim", "sent", "hold", "wait", "finish", "keep", "doubtful", "reconciled")
)
ASKED_AFTER_S = (600.0, 3600.0, 86_400.0)  # i'mport is asked about a job in doubt so long after its end
CLAIM_LEASE_S = 75.0  # waiting for a turn and for a token, each within its bounds
DOUBT_S = 120.0
CALL_SLACK_S = 10.0  # what a call's lease outlives the call's total deadline by
MARK_KEPT_S = 3600  # the vault keeps the mark of a POST so long beyond the deadline
SURE_ANSWERS = {Status.DECLINED, Status.INVALID, Status.MISCONFIGURED}


CLAIMED_FIELDS = (
    *("now", "operation", "customer_uid", "merchant_uid", "sequence", "accepted_at", "expires_at", "attempts"),
    *("claims", "sent_at", "reason", "kid", "first_sent_at", "doubtful", "look_ups", "answer", "transients", "digest"),
    *("newer_applied", "known_until", "order_ended", "given_up", "as_of", "is_unsure"),
)


class Ledger:
    """The ledger.

    Args:
        stores: connections to ``LEDGER_URL``.
        vault: connections to ``VAULT_URL``, for the sealed requests that go with the outcome.
        call_deadline_s: seconds within which a call to i'mport surely ends.
        kept_s: seconds for which a finished job is remembered.
        applied_kept_s: seconds for which it is remembered when a customer's card was applied: ``APPLIED_KEPT_DAYS``.
        doubt_s: seconds for which a POST without an answer is looked up before it counts as not applied:
            ``LOOK_UP_FOR_S``.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        stores: Stores,
        vault: Stores,
        *,
        call_deadline_s: float,
        kept_s: int = redis_keys.KEPT_S,
        applied_kept_s: int = redis_keys.APPLIED_KEPT_S,
        doubt_s: float = DOUBT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores, self._vault, self._clock, self._doubt_s = stores, vault, clock, doubt_s
        self._call_lease_s, self._kept_s = call_deadline_s + CALL_SLACK_S, kept_s
        self._applied_kept_s = applied_kept_s

    def claim(self, job_id: str, delivery: str) -> Lease | NotClaimed:
        """Lease a job to this delivery, unless it is not its turn.

        Raises:
            StoreUnavailable: the ledger does not answer; the lease, if there is one, runs out.
        """
        prefixes = (redis_keys.FRESH, redis_keys.PASSED, redis_keys.CUSTOMER, redis_keys.JOB)
        orders = (redis_keys.ORDER, redis_keys.ORDER_OPEN)
        others = (RECOVERY, redis_keys.CUSTOMER_OPEN, redis_keys.PAUSE, redis_keys.PAUSED, redis_keys.REQUEST)
        keys = [redis_keys.JOB + job_id, redis_keys.OPEN, redis_keys.FRONT, redis_keys.OUTCOME + job_id]
        keys.append(redis_keys.TRACE + job_id)
        every_s = self._doubt_s / LOOK_UPS
        arguments = (
            job_id,
            delivery,
            CLAIM_LEASE_S,
            *prefixes,
            every_s,
            *orders,
            *others,
            redis_keys.REMEMBERED,
            redis_keys.KIDS,
        )
        answer = self._stores.local.run(CLAIM, keys, *arguments)
        word = answer[0].decode()
        if word != "claimed":
            return _not_claimed(word, answer[1:])
        *known, traceparent = (item.decode() for item in answer[1:])
        lease = _lease(job_id, delivery, known, every_s, self._clock())
        tracing.delivery().begin(traceparent, lease.operation)
        return lease

    def mark_sent(self, lease: Lease, now: float) -> int | None:
        """Note, durably and in both stores, that the POST is about to leave.

        Args:
            now: i'mport's clock, Unix seconds, not ahead of it.

        Returns:
            Which attempt it is; None if the job is in other hands, ``OVERDUE`` if its deadline has passed, ``PAUSED``
            during a pause: then it must not be sent.

        Raises:
            MarkNotKept: the vault did not take it; it must not be sent.
        """
        keys = [redis_keys.JOB + lease.job_id, redis_keys.OPEN, redis_keys.TRACE + lease.job_id]
        arguments = (lease.job_id, lease.delivery, self._call_lease_s, f"{now:.3f}", lease.attempts, redis_keys.PAUSE)
        word, *rest = self._stores.local.run(SENT, keys, *arguments)
        if word != 1:
            return {2: OVERDUE, 3: PAUSED}.get(word)
        attempt, first_sent_at, left_s = int(rest[0]), rest[1].decode(), float(rest[2])
        mark = f"{attempt} {first_sent_at} {int(lease.is_doubtful)}"
        try:
            kept_ms = (int(left_s) + MARK_KEPT_S) * 1000
            self._vault.local.run(KEEP, [redis_keys.SENT + lease.job_id], mark, kept_ms)
        except StoreUnavailable:
            raise MarkNotKept("the vault does not take marks") from None
        tracing.delivery().tell(attempt=attempt)
        metrics.ATTEMPTS.labels(lease.operation, "first" if attempt == 1 else "again").inc()
        if attempt == 1:
            began_at = lease.ledger_time(self._clock())
            metrics.START_SECONDS.labels(lease.operation).observe(began_at - lease.accepted_at)
        return attempt

    def hold(self, lease: Lease) -> bool:
        """Hold a job beyond the end of a call; False if it is in other hands."""
        keys = [redis_keys.JOB + lease.job_id, redis_keys.OPEN, redis_keys.TRACE + lease.job_id]
        first = f"{lease.first_sent_at:.3f}" if lease.first_sent_at is not None else ""
        known = (lease.attempts, first, int(lease.is_doubtful))
        return bool(self._stores.local.run(HOLD, keys, lease.job_id, lease.delivery, self._call_lease_s, *known))

    def wait(self, lease: Lease, wait: Snooze) -> bool:
        """Give a job back for a while; False if another delivery has it."""
        keys = [redis_keys.JOB + lease.job_id, redis_keys.OPEN, redis_keys.TRACE + lease.job_id]
        answer = wait.answer.to_json() if wait.answer else ""
        told = (wait.delay_s, wait.reason, wait.last_post, int(wait.found_nothing), answer)
        arguments = (*told, redis_keys.CUSTOMER, redis_keys.ORDER)
        return bool(self._stores.local.run(WAIT, keys, lease.job_id, lease.delivery, *arguments))

    def now(self) -> float:
        """The ledger's clock, Unix seconds."""
        return self._stores.local.time()

    def finish(self, lease: Lease, outcome: Outcome, known_until: int | None = None) -> Outcome | None:
        """Write the outcome, once; then the sealed request goes.

        Args:
            known_until: i'mport's records up to this instant are this job's or older ones, Unix seconds of its clock.

        Returns:
            The outcome in force, or None if another delivery has the job and will say.
        """
        text = outcome.model_dump_json()
        in_force = self._stores.local.run(
            FINISH,
            [
                *(redis_keys.JOB + lease.job_id, redis_keys.OPEN, redis_keys.OUTCOMES),
                *(redis_keys.RESULT + lease.job_id, redis_keys.IN_DOUBT, redis_keys.OUTCOME + lease.job_id),
                *(redis_keys.ENDED + outcome.status, redis_keys.TRACE + lease.job_id),
            ],
            *(lease.job_id, lease.delivery, text, celery_result(outcome, text), self._kept_s),
            *(_counts_from(outcome), outcome.attempts),
            *(redis_keys.CUSTOMER, redis_keys.JOB, redis_keys.ORDER, redis_keys.ORDER_OPEN),
            int(_is_in_force(lease, outcome)),
            "" if known_until is None else known_until,
            str(outcome.status) if outcome.status in {Status.PAID, Status.IN_DOUBT} else "",
            *(LOOK_UPS + early_look_ups(self._doubt_s / LOOK_UPS), self._doubt_s / LOOK_UPS),
            *(ASKED_AFTER_S[0], redis_keys.CUSTOMER_OPEN, redis_keys.ACCEPTED),
            *(redis_keys.CUSTOMER_ENDED, redis_keys.ORDER_ENDED, redis_keys.ENDED_OF_ONE, redis_keys.ENDED_OF_STATUS),
            *(redis_keys.CUSTOMER_SEQUENCE, redis_keys.ORDER_SEQUENCE, redis_keys.REQUEST, self._applied_kept_s),
        )
        if not in_force:
            return None
        self.forget(lease.job_id)
        return outcome if in_force == text.encode() else Outcome.from_json(in_force)

    def take_in_doubt(self, guard_s: float) -> Doubtful | None:
        """A job that ended in doubt and is to be asked about now; again after ``guard_s`` if nothing is noted."""
        found = self._stores.local.run(DOUBTFUL, [redis_keys.IN_DOUBT], redis_keys.JOB, guard_s)
        return _doubtful([item.decode() for item in found]) if found else None

    def in_doubt(self) -> Iterator[Doubtful]:
        """All jobs that ended in doubt and are still asked about."""
        link = self._stores.local
        names = ("operation", "customer_uid", "merchant_uid", "first_sent_at", "asked")
        for job_id in link.call("ZRANGE", redis_keys.IN_DOUBT, 0, -1):
            found = link.call("HMGET", redis_keys.JOB + job_id.decode(), *names)
            if found[0]:
                yield _doubtful([job_id.decode(), *((item or b"").decode() for item in found)])

    def note_reconciled(self, said: Reconciled, again: str) -> None:
        """Note what i'mport says of a job that ended in doubt.

        Args:
            again: seconds until it is asked again; empty: never; ``keep``: as planned.
        """
        keys = [redis_keys.JOB + said.job_id, redis_keys.IN_DOUBT, redis_keys.RECONCILED]
        self._stores.local.run(NOTE_RECONCILED, keys, said.job_id, said.model_dump_json(), again, self._kept_s)

    def forget(self, job_id: str) -> None:
        """Delete the sealed request of a finished job, without waiting for it."""
        self._vault.local.send_unanswered("UNLINK", redis_keys.SEALED + job_id)


def _counts_from(outcome: Outcome) -> str:
    """Whose word counts: anybody's that a card is in force or paid; that it is refused, if nothing was sent since."""
    if outcome.succeeded:
        return "anybody"
    return "last" if outcome.status in SURE_ANSWERS and outcome.attempts else "holder"


def _is_in_force(lease: Lease, outcome: Outcome) -> bool:
    """True if the job's card is now in force or may be: an older card must not go over it.

    A payment beside a newer card stored none: it leaves the newer one in force.
    """
    may_be = outcome.status is Status.IN_DOUBT and outcome.attempts > 0
    is_stored = outcome.succeeded and outcome.code != KEY_NOT_STORED
    return (is_stored or may_be) and not lease.newer_applied


def _not_claimed(word: str, rest: list[bytes]) -> NotClaimed:
    if not rest:
        return NotClaimed(word)
    *about, last = rest
    operation, customer_uid, merchant_uid, sequence, accepted_at, traceparent = (item.decode() for item in about)
    name = JobName(operation, customer_uid or None, merchant_uid or None, int(sequence), float(accepted_at))
    if word == "finished":
        return NotClaimed(word, name, Outcome.from_json(last))
    tracing.delivery().begin(traceparent, operation)
    return NotClaimed(word, name, delay_s=float(last))


def _lease(job_id: str, delivery: str, text: list[str], every_s: float, held_since: float) -> Lease:
    known = dict(zip(CLAIMED_FIELDS, text, strict=True))
    return Lease(
        job_id=job_id,
        delivery=delivery,
        claimed_at=float(known["now"]),
        operation=known["operation"],
        customer_uid=known["customer_uid"] or None,
        merchant_uid=known["merchant_uid"] or None,
        sequence=int(known["sequence"]),
        accepted_at=float(known["accepted_at"]),
        expires_at=float(known["expires_at"]),
        attempts=int(known["attempts"]),
        claims=int(known["claims"]),
        sent_at=_instant(known["sent_at"]),
        reason=known["reason"],
        kid=known["kid"],
        first_sent_at=_instant(known["first_sent_at"]),
        is_doubtful=bool(known["doubtful"]),
        look_ups=int(known["look_ups"] or 0),
        look_up_every_s=every_s,
        answer=Judged.from_json(known["answer"]) if known["answer"] else None,
        newer_applied=bool(known["newer_applied"]),
        known_until=int(known["known_until"] or 0),
        order_ended=known["order_ended"],
        transients=int(known["transients"] or 0),
        digest=known["digest"],
        is_given_up=bool(known["given_up"]),
        as_of=int(known["as_of"]) if known["as_of"] else None,
        is_unsure=bool(known["is_unsure"]),
        held_since=held_since,
    )


def _doubtful(text: list[str]) -> Doubtful:
    job_id, operation, customer_uid, merchant_uid, first_sent_at, asked = text
    uids = (customer_uid or None, merchant_uid or None)
    return Doubtful(job_id, operation, *uids, _instant(first_sent_at), int(asked or 0))


def _instant(text: str) -> float | None:
    return float(text) if text else None
