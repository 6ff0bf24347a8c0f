"""The account's rate, its pauses and its breaker, shared by all workers through the vault; and waiting for a place.

One script gives a permit and the sealed request together. The rate is a GCRA whose places may be reserved a little
ahead, so that a waiting thread takes exactly its turn; a part of it is kept for interactive jobs. After a 429 everybody
waits as long as i'mport asked, and the rate falls; after a run of failures nobody calls for a while, and then one probe
goes first.

Key: ``billing:permit``; see ``lua/permit.lua``.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

from producer.contract import redis_keys
from producer.runtime.errors import StoreUnavailable
from producer.runtime.redis_store import Script, Stores
from worker import metrics
from worker.iamport.answer import Answer
from worker.model import Mark, NotNow, PermitState, RatePermit, Snooze
from worker.retry import STORE_BACKOFF_ATTEMPT, VAULT_LOST, VAULT_SILENT, backoff_s

PERMIT_SCRIPT, REPORT_SCRIPT = Script("worker", "permit"), Script("worker", "report")
HORIZON_S = 1.0  # a place may be reserved that far ahead; so late may who waits hear of a pause
INTERACTIVE_SHARE = 0.2
FAILURES_LIMIT = 5
CLIMB_PER_S = 0.01  # of the rate, after it fell
COOL_S = 2.0  # nobody calls for that long; then one probe each

TURN_S, ASK_AGAIN_S = 15.0, 1.0
MISSED_S = 0.04  # a place that was missed by more is given up …
MISSES = 2  # … so often

Asking = Callable[[], Callable[[], RatePermit]]


class RateState(NamedTuple):
    """The shared rate at an instant.

    Args:
        per_s: calls a second, as it is after what i'mport throttled.
        pause_s: for how long nobody calls, as i'mport asked.
        is_open: True while the breaker lets only probes through.
    """

    per_s: float
    pause_s: float
    is_open: bool


class SharedRate:
    """The shared rate.

    Args:
        stores: connections to ``VAULT_URL``.
        rate_per_s: ``IMP_RATE_PER_S``.
    """

    def __init__(self, stores: Stores, rate_per_s: float) -> None:
        self._stores, self._rate_per_s = stores, rate_per_s

    def ask(self, job_id: str, *, is_migration: bool, is_look_up: bool = False) -> Callable[[], RatePermit]:
        """Ask for a permit now; the returned function reads the answer."""
        arguments = (
            *(self._rate_per_s, int(is_migration), HORIZON_S),
            *(INTERACTIVE_SHARE, COOL_S, int(is_look_up)),
        )
        keys = [redis_keys.PERMIT, redis_keys.SEALED + job_id, redis_keys.SENT + job_id]
        answer = self._stores.local.send_script(PERMIT_SCRIPT, keys, *arguments)
        use = "look_up" if is_look_up else "migration" if is_migration else "interactive"
        return lambda: _counted(_read(answer), use)

    def state(self) -> RateState:
        """The state now, by the rules of ``permit.lua``.

        Raises:
            StoreUnavailable: the vault does not answer.
        """
        link = self._stores.local
        now = link.time()
        found = link.call("HMGET", redis_keys.PERMIT, "factor", "factor_at", "pause_until", "probe_at")
        factor, factor_at, pause_until, probe_at = (float(one or 0) for one in found)
        climbed = min(1.0, factor + max(0.0, now - factor_at) * CLIMB_PER_S) if found[0] else 1.0
        pause_s = max(pause_until - now, 0.0)
        return RateState(self._rate_per_s * climbed, pause_s, is_open=probe_at > 0 and not pause_s)

    def report(self, permit: RatePermit, answer: Answer) -> None:
        """Report a call's result to the shared rate.

        A normal answer is skipped unless the breaker is counting failures.
        """
        if answer.health == "answered" and not permit.wants_report:
            return
        arguments = (answer.health, answer.retry_after_s or 0, FAILURES_LIMIT, COOL_S)
        try:
            if self._stores.local.run(REPORT_SCRIPT, [redis_keys.PERMIT], *arguments):
                metrics.BREAKER_OPENED.inc()
        except StoreUnavailable:  # a vault that forgets is also a rate that forgets
            return


def _read(answer: Callable[[], list[bytes | None]]) -> RatePermit:
    try:
        state, delay_s, sealed, report, mark = answer()
    except StoreUnavailable:  # no answer, or it refuses to write: memory, replicas, rights
        return RatePermit("store_down")
    word = cast("PermitState", (state or b"").decode())
    return RatePermit(word, float(delay_s or 0), sealed, report == b"1", _mark(mark))


def _counted(permit: RatePermit, use: str) -> RatePermit:
    if permit.state == "granted":
        metrics.PERMITS.labels(use).inc()
    return permit


def _mark(text: bytes | None) -> Mark | None:
    """The mark that :meth:`worker.ledger.Ledger.mark_sent` left."""
    if text is None:
        return None
    attempts, first_sent_at, is_doubtful = text.split()
    return Mark(int(attempts), float(first_sent_at), is_doubtful == b"1")


class Turns:
    """Waits for places in the shared rate.

    Args:
        clock: monotonic seconds.
        pause: waits so many seconds; False, at once, when the process is to stop.
    """

    def __init__(self, clock: Callable[[], float], pause: Callable[[float], bool]) -> None:
        self._clock, self._pause = clock, pause

    def take(self, ask: Asking, first: RatePermit | None = None) -> RatePermit:
        """The permit whose place has come.

        A machine that stalls wakes all who wait at once; a place that was missed is asked for anew, a few times.

        Args:
            ask: asks the shared rate.
            first: its first answer, if it has been asked.

        Raises:
            NotNow: no place within :data:`TURN_S`, the vault is down, the request is gone, or the process stops.
        """
        until = self._clock() + TURN_S
        permit = first or ask()()
        missed = 0
        while missed <= MISSES:
            self._check(permit, until)
            place = self._clock() + permit.delay_s
            self._wait(permit)
            if permit.state == "granted":
                missed += 1
                if self._clock() <= place + MISSED_S:
                    return permit
            if missed <= MISSES:
                permit = ask()()
        return permit

    def _check(self, permit: RatePermit, until: float) -> None:
        if permit.state == "no_request":  # gone meanwhile
            raise NotNow(Snooze(0.0, VAULT_LOST))
        if permit.state == "store_down":
            raise NotNow(Snooze(backoff_s(STORE_BACKOFF_ATTEMPT), VAULT_SILENT))
        if permit.state == "later" and self._clock() >= until:
            raise NotNow(Snooze(max(permit.delay_s, TURN_S), "turn"))

    def _wait(self, permit: RatePermit) -> None:
        delay_s = permit.delay_s if permit.state == "granted" else min(permit.delay_s, ASK_AGAIN_S)
        if delay_s and not self._pause(delay_s):
            raise NotNow(Snooze(0.0, "shutdown"))
