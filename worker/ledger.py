"""Ledger: the worker's part of it. Claim, mark sent, wait, finish; each one script, one round trip, repeatable.

Keys: see :mod:`producer.contract.redis_keys`. Must never be given anything of a card.
"""

import contextlib
import time
from collections.abc import Callable, Sequence

import redis

from producer.contract import redis_keys
from producer.contract.identifiers import Operation
from producer.contract.job import QUEUES
from producer.contract.outcome import AFTER_SENDING, Outcome, Status
from producer.runtime.redis_store import Script, Stores
from worker.model import OVERDUE, Lease, NotClaimed, Snooze
from worker.result import celery_result
from worker.room import full_store, memory_of, read_info

CLAIM, SENT, HOLD, WAIT, FINISH, DUE, LOCK, SET_NOTE = (
    Script("worker", name) for name in ("claim", "sent", "hold", "wait", "finish", "due", "lock", "note")
)
CLAIM_LEASE_S = 75.0  # waiting for a turn and for a token, each within its bounds
DOUBT_S = 120.0
CALL_SLACK_S = 10.0  # what a call's lease outlives the call's total deadline by


class Ledger:
    """The ledger.

    Args:
        stores: connections to ``LEDGER_URL``.
        vault: connections to ``VAULT_URL``, for the sealed requests that go with the outcome.
        call_deadline_s: seconds within which a call to i'mport surely ends.
        kept_s: seconds for which a finished job is remembered.
        doubt_s: seconds for which a POST without an answer is looked up before it counts as not applied.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        stores: Stores,
        vault: Stores,
        *,
        call_deadline_s: float,
        kept_s: int = redis_keys.KEPT_S,
        doubt_s: float = DOUBT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores, self._vault, self._clock, self._doubt_s = stores, vault, clock, doubt_s
        self._call_lease_s, self._kept_s = call_deadline_s + CALL_SLACK_S, kept_s

    def claim(self, job_id: str, delivery: str) -> Lease | NotClaimed:
        """Lease a job to this delivery, unless it is not its turn.

        Raises:
            StoreUnavailable: the ledger does not answer; the lease, if there is one, runs out.
        """
        prefixes = (redis_keys.FRESH, redis_keys.CLAIMED, redis_keys.CUSTOMER, redis_keys.JOB)
        keys = [redis_keys.JOB + job_id, redis_keys.OPEN]
        answer = self._stores.local.run(CLAIM, keys, job_id, delivery, CLAIM_LEASE_S, *prefixes, self._doubt_s)
        word = answer[0].decode()
        if word != "claimed":
            return NotClaimed(word, answer[1] if len(answer) > 1 else None)
        return _lease(job_id, delivery, [item.decode() for item in answer[1:]], self._clock())

    def mark_sent(self, lease: Lease) -> int | None:
        """Note, durably, that the POST is about to leave.

        Returns:
            Which attempt it is; None if the job is in other hands, ``OVERDUE`` if its deadline has passed: then it must
            not be sent.
        """
        answer = self._stores.local.run(
            SENT, [redis_keys.JOB + lease.job_id, redis_keys.OPEN], lease.job_id, lease.delivery, self._call_lease_s
        )
        if answer[0] == 1:
            return int(answer[1])
        return OVERDUE if answer[0] else None

    def hold(self, lease: Lease) -> bool:
        """Hold a job beyond the end of a call; False if it is in other hands."""
        keys = [redis_keys.JOB + lease.job_id, redis_keys.OPEN]
        return bool(self._stores.local.run(HOLD, keys, lease.job_id, lease.delivery, self._call_lease_s))

    def wait(self, lease: Lease, wait: Snooze) -> bool:
        """Give a job back for a while; False if another delivery has it."""
        keys = [redis_keys.JOB + lease.job_id, redis_keys.OPEN]
        arguments = (wait.delay_s, wait.reason, wait.last_post, self._doubt_s)
        return bool(self._stores.local.run(WAIT, keys, lease.job_id, lease.delivery, *arguments))

    def now(self) -> float:
        """The ledger's clock, Unix seconds."""
        return self._stores.local.time()

    def finish(self, lease: Lease, outcome: Outcome, key_updated: int | None = None) -> Outcome | None:
        """Write the outcome, once; then the sealed request goes.

        Args:
            key_updated: until when the key that came into force was updated, Unix seconds of i'mport's clock.

        Returns:
            The outcome in force, or None if another delivery has the job and will say.
        """
        is_definite = outcome.status in AFTER_SENDING and outcome.status is not Status.IN_DOUBT
        # In doubt counts as in force: an older card must not go over one that may be there. A payment beside a newer
        # card stored none: it leaves the newer one in force.
        is_in_force = (outcome.succeeded or outcome.status is Status.IN_DOUBT) and not lease.newer_applied
        text = outcome.model_dump_json()
        in_force = self._stores.local.run(
            FINISH,
            [redis_keys.JOB + lease.job_id, redis_keys.OPEN, redis_keys.OUTCOMES, redis_keys.RESULT + lease.job_id],
            lease.job_id,
            lease.delivery,
            text,
            celery_result(outcome, text),
            self._kept_s,
            int(is_definite),
            *(redis_keys.CUSTOMER, redis_keys.JOB),
            int(is_in_force),
            "" if key_updated is None else key_updated,
        )
        if not in_force:
            return None
        self.forget(lease.job_id)
        return outcome if in_force == text.encode() else Outcome.from_json(in_force)

    def forget(self, job_id: str) -> None:
        """Delete the sealed request of a finished job, without waiting for it."""
        self._vault.local.send_unanswered("UNLINK", redis_keys.SEALED + job_id)

    def due(
        self, most: int, most_migration: int, *, guard_s: float, overtaken_s: float, empty_s: Sequence[float]
    ) -> list[tuple[str, str]]:
        """Ids that want a message, each with the queue that it was accepted for; see ``due.lua``.

        Args:
            empty_s: for each of :data:`QUEUES`, how long it has been empty, or -1.
        """
        keys = [redis_keys.OPEN, *(redis_keys.FRESH + q for q in QUEUES), *(redis_keys.CLAIMED + q for q in QUEUES)]
        answer = self._stores.local.run(DUE, keys, most, guard_s, overtaken_s, most_migration, *empty_s, redis_keys.JOB)
        names = [item.decode() for item in answer]
        return list(zip(names[::2], names[1::2], strict=True))

    def hold_sweeper(self, owner: str, life_s: int) -> bool:
        """True if this owner is the one sweeper for the next seconds."""
        return bool(self._stores.local.run(LOCK, [redis_keys.SWEEPER], owner, life_s))

    def refuse_jobs_while_full(self) -> tuple[str, bool]:
        """Have jobs refused while a store is nearly full.

        Returns:
            Which store it is, or empty text; and whether that is new.
        """
        link = self._stores.local
        stores = {"ledger": memory_of(link), "vault": memory_of(self._vault.local)}
        before = (link.call("GET", redis_keys.FULL) or b"").decode()
        full = full_store(stores, int(link.call("ZCARD", redis_keys.OPEN)), before)
        return full, bool(link.run(SET_NOTE, [redis_keys.FULL], full))

    def rewrite_after_restart(self) -> bool:
        """Have the server write its append-only file anew, once after each of its starts; whether it was asked now.

        A power cut may end the file within a script's writes. Servers up to Redis 8.0 and Valkey 8.1 leave them there,
        do without them, and carry out that part of them at their next start but one (measured).
        """
        link = self._stores.local
        if read_info(link, "persistence").get("aof_enabled") != "1":
            return False
        run_id = read_info(link, "server")["run_id"]
        if (link.call("GET", redis_keys.REWRITTEN) or b"").decode() == run_id:
            return False
        with contextlib.suppress(redis.ResponseError):  # one is being written already
            link.call("BGREWRITEAOF")
        return bool(link.run(SET_NOTE, [redis_keys.REWRITTEN], run_id))


def _lease(job_id: str, delivery: str, text: list[str], held_since: float) -> Lease:
    now, operation, customer_uid, merchant_uid, sequence, accepted_at, expires_at = text[:7]
    (
        attempts,
        claims,
        sent_at,
        reason,
        kid,
        first_sent_at,
        doubt_until,
        doubtful,
        newer_applied,
        key_updated,
        transients,
        digest,
    ) = text[7:]
    return Lease(
        job_id=job_id,
        delivery=delivery,
        claimed_at=float(now),
        operation=Operation(operation),
        customer_uid=customer_uid or None,
        merchant_uid=merchant_uid or None,
        sequence=int(sequence),
        accepted_at=float(accepted_at),
        expires_at=float(expires_at),
        attempts=int(attempts),
        claims=int(claims),
        sent_at=float(sent_at) if sent_at else None,
        reason=reason,
        kid=kid,
        first_sent_at=float(first_sent_at) if first_sent_at else None,
        doubt_until=float(doubt_until) if doubt_until else None,
        is_doubtful=bool(doubtful),
        newer_applied=bool(newer_applied),
        key_updated=int(key_updated) if key_updated else None,
        transients=int(transients),
        digest=digest,
        held_since=held_since,
    )
