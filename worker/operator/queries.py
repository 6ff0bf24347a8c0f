"""Queries: which jobs there are, and why one waits. Reads indexes and records of single jobs, never all jobs.

Keys: see :mod:`producer.contract.redis_keys`. Writes nothing.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from producer.contract import redis_keys
from producer.contract.outcome import Outcome
from producer.runtime.redis_store import Link

PAGE, EXAMINED_MOST = 200, 5000
OPEN = "open"  # beside the statuses of outcomes
RECORD = (
    *("operation", "customer_uid", "merchant_uid", "queue", "sequence", "accepted_at", "expires_at", "attempts"),
    *("lease", "leased_from", "leased_until", "sent_at", "doubtful", "look_ups", "waits_from", "next_at", "reason"),
)
WHY = {
    "order": "another job of the same customer or order goes first",
    "turn": "the shared rate has no place for it yet",
    "look_up": "i'mport is asked what became of its last call",
    "send_again": "looked up for long enough, it is sent once more",
    "throttled": "i'mport asks for a pause (429)",
    "unsent": "i'mport cannot be reached",
    "edge_page": "something before i'mport answered with a page",
    "gateway_trouble": "trouble at the gateway or the bank",
    "token_refused": "i'mport refuses every token",
    "token_awaited": "another worker is logging in",
    "login_refused": "i'mport refuses IMP_KEY and IMP_SECRET",
    "login_failed": "i'mport does not answer the login",
    "login_throttled": "i'mport asks for a pause before the next login (429)",
    "vault_silent": "the vault does not answer",
    "vault_lost": "the vault has no request for it",
    "unknown_kid": "no worker has the key that it is sealed or signed with",
    "no_clock": "i'mport's clock is not known yet",
    "paused": "an operator paused all POSTs",
    "shutdown": "its worker was stopped",
}


class Seen(NamedTuple):
    """A job as the ledger knows it.

    Args:
        record: fields of the record, as texts; those that it has not are left out.
        outcome: None while it is open.
    """

    job_id: str
    record: dict[str, str]
    outcome: Outcome | None

    def at(self, name: str) -> float:
        """An instant of the record; 0 if it has none."""
        return float(self.record.get(name) or 0)

    @property
    def accepted_at(self) -> float:
        """When it was accepted."""
        return self.outcome.accepted_at if self.outcome else self.at("accepted_at")

    @property
    def newest_at(self) -> float:
        """When it ended, or was accepted."""
        return self.outcome.finished_at if self.outcome else self.accepted_at

    @property
    def about(self) -> tuple[str, str, str]:
        """Operation, customer_uid and merchant_uid; empty text where there is none."""
        known = self.outcome.to_dict() if self.outcome else self.record
        return known.get("operation") or "", known.get("customer_uid") or "", known.get("merchant_uid") or ""

    def in_hand(self, now: float) -> bool:
        """True while a worker has it."""
        return "lease" in self.record and self.at("leased_from") <= now < self.at("leased_until")

    def waits(self, now: float) -> bool:
        """True while it waits for an instant that lies ahead."""
        is_open = self.outcome is None and not self.in_hand(now)
        return is_open and self.at("waits_from") <= now < self.at("next_at")

    def state(self, now: float) -> str:
        """A word: an outcome's status, ``in_hand``, ``waits``, ``due`` or ``queued``."""
        if self.outcome is not None:
            return str(self.outcome.status)
        if self.in_hand(now):
            return "in_hand"
        if self.waits(now):
            return "waits"
        return "due" if self.record.get("next_at") or self.record.get("lease") else "queued"

    def until(self, now: float) -> float:
        """Until when it stays as it is, unless something else happens; its deadline if nothing is planned."""
        planned = {"waits": "next_at", "in_hand": "leased_until"}
        return self.at(planned.get(self.state(now), "expires_at"))

    def why(self, now: float) -> str:
        """Plain words for people; of a finished one its code."""
        if self.outcome is not None:
            return str(self.outcome.code or "")
        reason = self.record.get("reason", "")
        return {
            "waits": WHY.get(reason, reason),
            "in_hand": f"{self._doing}, in process {self.record.get('lease', '').partition(':')[0]}",
            "due": "is on its way back to a worker",
            "queued": f"in the queue {self.record.get('queue')}, no worker has taken it yet",
        }[self.state(now)]

    @property
    def _doing(self) -> str:
        return "its call is under way" if "sent_at" in self.record else "waits for its turn and a token"


class Asked(NamedTuple):
    """Which jobs.

    Args:
        status: of an outcome, or ``open``.
        waiting: only those that wait, the ones that are due next first.
        since: accepted or ended since then, Unix seconds; before 0: so many seconds ago.
        limit: how many at most.
    """

    customer_uid: str | None = None
    merchant_uid: str | None = None
    status: str | None = None
    waiting: bool = False
    since: float | None = None
    limit: int = 50

    def begin(self, now: float) -> float:
        """``since`` as Unix seconds, 0 without one."""
        since = self.since or 0.0
        return now + since if since < 0 else since

    def fits(self, job: Seen, now: float) -> bool:
        """True if the job is one of these."""
        _, customer_uid, merchant_uid = job.about
        if self.customer_uid not in {None, customer_uid} or self.merchant_uid not in {None, merchant_uid}:
            return False
        return job.newest_at >= self.begin(now) and self._is_state(job, now)

    def _is_state(self, job: Seen, now: float) -> bool:
        status = str(job.outcome.status) if job.outcome else OPEN
        return self.status in {None, status} and (not self.waiting or job.waits(now))


class Found(NamedTuple):
    """Jobs, the newest first.

    Args:
        now: the ledger's clock, Unix seconds.
        is_all: False if there may be more.
    """

    jobs: list[Seen]
    now: float
    is_all: bool


class Jobs:
    """The jobs of a ledger.

    Args:
        link: a connection to it.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    def find(self, asked: Asked) -> Found:
        """Jobs, the newest first.

        Where neither customer nor order is named and there are more open jobs than asked for, these are the ones that
        were accepted last and were not taken up yet, and those that are due next.
        """
        now, found, is_all = self._link.time(), dict[str, Seen](), True
        for ids in self._sources(asked, now):
            matching = (job for job in self._each(ids) if asked.fits(job, now))
            found |= {job.job_id: job for job in islice(matching, asked.limit + 1)}
            is_all = is_all and len(ids) < EXAMINED_MOST
        newest = sorted(found.values(), key=lambda job: job.at("next_at") if asked.waiting else -job.accepted_at)
        return Found(newest[: asked.limit], now, is_all and len(newest) <= asked.limit)

    def read(self, job_ids: list[str]) -> list[Seen]:
        """Those of some jobs that are known."""
        asked = [
            (
                job_id,
                self._link.send("HMGET", redis_keys.JOB + job_id, *RECORD),
                self._link.send("GET", redis_keys.OUTCOME + job_id),
            )
            for job_id in job_ids
        ]
        seen = [_seen(job_id, record(), outcome()) for job_id, record, outcome in asked]
        return [job for job in seen if job.record or job.outcome]

    def _each(self, ids: list[str]) -> Iterator[Seen]:
        for at in range(0, len(ids), PAGE):
            yield from self.read(ids[at : at + PAGE])

    def _sources(self, asked: Asked, now: float) -> Iterator[list[str]]:
        """Where to look: lists of ids, each bounded."""
        most = EXAMINED_MOST - 1
        if asked.customer_uid is not None or asked.merchant_uid is not None:
            yield from self._of_name(asked, most)
        elif asked.waiting:
            yield self._ids("ZRANGE", redis_keys.OPEN, 0, most)
        elif asked.status == OPEN:
            yield self._ids("ZRANGE", redis_keys.OPEN, 0, most, "REV")
        elif asked.status is not None:
            yield self._ids("LRANGE", redis_keys.ENDED + asked.status, 0, asked.limit if asked.since is None else -1)
        else:
            yield self._ids("ZRANGE", redis_keys.OPEN, 0, asked.limit, "REV")
            yield self._ids("ZRANGE", redis_keys.OPEN, 0, asked.limit)
            yield self._ended(asked, now)

    def _of_name(self, asked: Asked, most: int) -> Iterator[list[str]]:
        if asked.merchant_uid is not None:
            name, still_open, ended = asked.merchant_uid, redis_keys.ORDER_OPEN, redis_keys.ORDER_ENDED
        else:
            name, still_open, ended = asked.customer_uid or "", redis_keys.CUSTOMER_OPEN, redis_keys.CUSTOMER_ENDED
        yield self._ids("ZRANGE", still_open + name, 0, most, "REV")
        yield self._ids("LRANGE", ended + name, 0, -1)

    def _ended(self, asked: Asked, now: float) -> list[str]:
        begin = int(1000 * asked.begin(now))
        entries = self._link.call("XREVRANGE", redis_keys.OUTCOMES, "+", begin, "COUNT", asked.limit + 1)
        return [Outcome.from_json(fields[1]).job_id for _, fields in entries]

    def _ids(self, *command: str | int) -> list[str]:
        return [one.decode() for one in self._link.call(*command)]


def _seen(job_id: str, record: list[bytes | None], outcome: bytes | None) -> Seen:
    known = {name: value.decode() for name, value in zip(RECORD, record, strict=True) if value}
    return Seen(job_id, known, Outcome.from_json(outcome) if outcome else None)
