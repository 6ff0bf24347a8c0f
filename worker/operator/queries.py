"""Queries: which jobs there are, and why one waits. Reads indexes and records of single jobs, never all jobs.

Keys: see :mod:`producer.contract.redis_keys`. Writes nothing.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from producer.contract import redis_keys
from producer.contract.outcome import Outcome
from producer.runtime.redis_store import Link
from worker.errors import NotPossible
from worker.operator.seen import RECORD, Seen, Step
from worker.records import PAGE, read_records

EXAMINED_MOST = 5000
JOB_ID = re.compile(r"[0-9a-f-]{36}")
OPEN = "open"  # beside the statuses of outcomes


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

    def now(self) -> float:
        """The ledger's clock, Unix seconds."""
        return self._link.time()

    def paused_until(self) -> float | None:
        """Until when POSTs are stopped; None if they are not."""
        now, (begin, end) = self._link.time(), self._link.call("HMGET", redis_keys.PAUSE, "from", "until")
        return float(end) if end and float(begin) <= now < float(end) else None

    def get(self, job_id: str) -> Seen:
        """A job.

        Raises:
            NotPossible: the ledger knows none of that id.
        """
        for job in self.read([job_id]):
            return job
        raise NotPossible("no job of that id is known: never accepted, or finished more than 7 days ago")

    def read(self, job_ids: list[str]) -> list[Seen]:
        """Those of some jobs that are known."""
        job_ids = [one for one in job_ids if JOB_ID.fullmatch(one)]  # producers may write anything into an index
        records = list(read_records(self._link, job_ids, RECORD))
        outcomes = [self._link.send("GET", redis_keys.OUTCOME + job_id) for job_id in job_ids]
        seen = zip(job_ids, records, (_outcome(answer()) for answer in outcomes), strict=True)
        return [Seen(*job) for job in seen if any(job[1:])]

    def steps(self, job_id: str) -> list[Step]:
        """The newest :data:`STEPS_KEPT` steps of a job's life."""
        return [Step.read(line) for line in self._ids("LRANGE", redis_keys.TRACE + job_id, 0, -1)]

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
        return [one.decode(errors="replace") for one in self._link.call(*command)]


def _outcome(text: bytes | None) -> Outcome | None:
    return Outcome.from_json(text) if text else None
