"""Actions: what an operator asks for. Each leaves an entry in the stream ``billing:audit``, before it is done.

An operator writes no record of a job: *retry* and *expire* leave a mark that the sweeper carries out once the job is in
no worker's hands; *pause* is a span in a key of its own, which claims and marks of POSTs heed.

Keys: ``billing:pause``, ``billing:asked``, ``billing:audit``.
"""

from collections.abc import Callable
from typing import NamedTuple

from producer.contract import redis_keys
from producer.runtime.redis_store import Link, Script
from worker.errors import NotPossible
from worker.operator.queries import Jobs
from worker.operator.seen import Seen

RETRY, EXPIRE = "retry", "expire"
DEADLINES = Script("worker", "deadlines")
CARRIED_OUT_S, LOOK_EVERY_S = 5.0, 0.1  # the sweeper looks twice a second
PAGE = 2000  # the server does nothing else meanwhile


class Pausing(NamedTuple):
    """A pause in the making.

    Args:
        open_jobs: that there are.
        will_expire: those of them whose deadline comes within it, while they wait for it.
    """

    open_jobs: int
    will_expire: int


class Operator:
    """A person who asks.

    Args:
        link: a connection to the ledger.
        who: the person.
        sleep: waits so many seconds.
    """

    def __init__(self, link: Link, who: str, sleep: Callable[[float], None]) -> None:
        self._link, self._who, self._sleep = link, who, sleep
        self.jobs = Jobs(link)

    def examine_pause(self, seconds: float) -> Pausing:
        """The jobs that a pause will hold up."""
        until, first, count = self._link.time() + seconds, 0, 0
        while True:
            looked_at, found = self._link.run(DEADLINES, [], redis_keys.OPEN, redis_keys.JOB, until, first, PAGE)
            first, count = first + looked_at, count + found
            if looked_at < PAGE:
                return Pausing(int(self._link.call("ZCARD", redis_keys.OPEN)), count)

    def pause(self, seconds: float, held_up: int) -> float:
        """Stop all POSTs for a while; look-ups go on. Gives until when, the ledger's clock."""
        self.note("pause", count=held_up)
        now = self._link.time()
        self._link.call("HSET", redis_keys.PAUSE, "from", now, "until", now + seconds, "by", self._who)
        return now + seconds

    def resume(self, held_up: int) -> None:
        """End the pause: the sweeper wakes what waits for it."""
        self.note("resume", count=held_up)
        self._link.call("HSET", redis_keys.PAUSE, "until", 0)

    def ask(self, what: str, job_id: str) -> bool:
        """Have a job taken up now, or ended.

        Args:
            what: ``retry`` or ``expire``.

        Returns:
            True once a sweeper did it; False if none has done it within 5 s: it will.

        Raises:
            NotPossible: there is no such job, it is finished, or it is in a worker's hands.
        """
        self._check(self.jobs.get(job_id))
        self.note(what, job=job_id)
        self._link.call("HSET", redis_keys.ASKED, job_id, what)
        for _ in range(int(CARRIED_OUT_S / LOOK_EVERY_S)):
            self._sleep(LOOK_EVERY_S)
            if not self._link.call("HEXISTS", redis_keys.ASKED, job_id):
                return True
        return False

    def _check(self, job: Seen) -> None:
        if job.outcome is not None:
            raise NotPossible(f"the job is finished ({job.outcome.status}) and its card is gone: submit it again")
        now = self._link.time()
        if job.in_hand(now):
            raise NotPossible(f"the job is in hand: {job.why(now)}; ask again when it is not")

    def note(self, what: str, *, job: str = "", count: int = 1) -> None:
        """Leave an entry in the audit."""
        entry = ("who", self._who, "what", what, "job", job, "count", count)
        self._link.call("XADD", redis_keys.AUDIT, "MAXLEN", "~", redis_keys.AUDIT_LENGTH, "*", *entry)
