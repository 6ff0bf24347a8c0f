"""Ledger: the worker's part of it. Claim, mark sent, wait, finish; each one script, one round trip, repeatable.

Keys: see :mod:`producer.contract.record`. Must never be given anything of a card.
"""

import time
from collections.abc import Callable, Sequence

import redis

from producer.contract import record
from producer.contract.job import QUEUES
from producer.contract.names import Operation
from producer.contract.outcome import AFTER_SENDING, Outcome, Status
from worker.errors import StoreUnavailable
from worker.lease import Lease, NotClaimed, Sealed
from worker.link import Links, Script
from worker.result import celery_result

CLAIM, SENT, WAIT, FINISH, DUE = (Script(name) for name in ("claim", "sent", "wait", "finish", "due"))
CLAIM_LEASE_S = 45.0  # opening, and fetching a token within its bounds
CALL_SLACK_S = 10.0  # what a call's lease outlives the call's total deadline by


class Ledger:
    """The ledger.

    Args:
        links: connections to ``LEDGER_URL``.
        vault: connections to ``VAULT_URL``, for the sealed requests.
        call_deadline_s: seconds within which a call to i'mport surely ends.
        kept_s: seconds for which a finished job is remembered.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        links: Links,
        vault: Links,
        *,
        call_deadline_s: float,
        kept_s: int = record.KEPT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._links, self._vault, self._clock = links, vault, clock
        self._call_lease_s, self._kept_s = call_deadline_s + CALL_SLACK_S, kept_s

    def claim(self, job_id: str, delivery: str) -> tuple[Lease | NotClaimed, Sealed]:
        """Lease a job to this delivery, and fetch its sealed request; both stores work at once.

        Raises:
            StoreUnavailable: the ledger does not answer; the lease, if there is one, runs out.
        """
        answer_of_vault = self._vault.mine.begin("GET", record.SEALED + job_id)
        keys = [record.JOB + job_id, record.OPEN]
        try:
            answer = self._links.mine.run(CLAIM, keys, job_id, delivery, CLAIM_LEASE_S, record.FRESH, record.CLAIMED)
        finally:
            sealed = _sealed(answer_of_vault)
        if answer[0] == b"finished":  # a repeat may have laid the request down while the job was being finished
            self._vault.mine.tell("UNLINK", record.SEALED + job_id)
        return self._read_claim(job_id, delivery, answer), sealed

    def _read_claim(self, job_id: str, delivery: str, answer: list[bytes]) -> Lease | NotClaimed:
        word = answer[0].decode()
        if word != "claimed":
            return NotClaimed(word, answer[1] if len(answer) > 1 else None)
        text = [item.decode() for item in answer[1:]]
        now, operation, customer_uid, merchant_uid, sequence, accepted_at, expires_at = text[:7]
        attempts, claims, sent_at, reason, kid = text[7:]
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
            held_since=self._clock(),
        )

    def mark_sent(self, lease: Lease) -> int | None:
        """Note, durably, that the POST is about to leave.

        Returns:
            Which attempt it is, or None if the job is in other hands: then it must not be sent.
        """
        answer = self._links.mine.run(
            SENT, [record.JOB + lease.job_id, record.OPEN], lease.job_id, lease.delivery, self._call_lease_s
        )
        return int(answer[1]) if answer[0] else None

    def wait(self, lease: Lease, delay_s: float, reason: str) -> bool:
        """Give a job back for a while; only one that was surely not applied."""
        keys = [record.JOB + lease.job_id, record.OPEN]
        return bool(self._links.mine.run(WAIT, keys, lease.job_id, lease.delivery, delay_s, reason))

    def finish(self, lease: Lease, outcome: Outcome) -> Outcome | None:
        """Write the outcome, once; then the sealed request goes.

        Returns:
            The outcome in force, or None if another delivery has the job and will say.
        """
        is_definite = outcome.status in AFTER_SENDING and outcome.status is not Status.IN_DOUBT
        text = outcome.model_dump_json()
        in_force = self._links.mine.run(
            FINISH,
            [record.JOB + lease.job_id, record.OPEN, record.OUTCOMES, record.RESULT + lease.job_id],
            lease.job_id,
            lease.delivery,
            text,
            celery_result(outcome, text),
            self._kept_s,
            int(is_definite),
            record.CUSTOMER,
        )
        if not in_force:
            return None
        self._vault.mine.tell("UNLINK", record.SEALED + lease.job_id)
        return outcome if in_force == text.encode() else Outcome.from_json(in_force)

    def due(self, most: int, *, guard_s: float, overtaken_s: float, empty_s: Sequence[float]) -> list[str]:
        """Ids that want a message; see ``due.lua``.

        Args:
            empty_s: for each of :data:`QUEUES`, how long it has been empty, or -1.
        """
        keys = [record.OPEN, *(record.FRESH + q for q in QUEUES), *(record.CLAIMED + q for q in QUEUES)]
        return [one.decode() for one in self._links.mine.run(DUE, keys, most, guard_s, overtaken_s, *empty_s)]

    def hold_sweeper(self, owner: str, life_s: int) -> bool:
        """Whether this owner is the one sweeper for the next seconds."""
        link = self._links.mine
        if link.call("SET", record.SWEEPER, owner, "NX", "EX", life_s):
            return True
        if link.call("GET", record.SWEEPER) != owner.encode():
            return False
        link.call("EXPIRE", record.SWEEPER, life_s)
        return True


def _sealed(answer: Callable[[], bytes | None]) -> Sealed:
    try:
        return answer()
    except StoreUnavailable as error:
        return error
    except redis.ResponseError:  # something else lies under that key: nothing that a producer signed
        return b""
