"""Throttle: the account's rate, its pauses and its breaker, shared by all workers through the vault.

One script gives a permit and the sealed request together. The rate is a GCRA whose places may be reserved a little
ahead, so that a waiting thread takes exactly its turn; a part of it is kept for interactive jobs. After a 429 everybody
waits as long as i'mport asked, and the rate falls; after a run of failures nobody calls for a while, and then one probe
goes first.

Key: ``billing:permit``; see ``lua/permit.lua``.
"""

from collections.abc import Callable

from producer.contract import redis_keys
from worker.errors import StoreUnavailable
from worker.iamport.answer import Answer
from worker.parts import RatePermit
from worker.redis_store import Script, Stores

PERMIT, REPORT = Script("permit"), Script("report")
HORIZON_S = 1.0  # a place may be reserved that far ahead; so late may who waits hear of a pause
INTERACTIVE_SHARE = 0.2
FAILURES_LIMIT = 5
COOL_S = 2.0  # nobody calls for that long; then one probe each


class SharedRate:
    """The shared throttle.

    Args:
        links: connections to ``VAULT_URL``.
        rate_per_s: ``IMP_RATE_PER_S``.
    """

    def __init__(self, links: Stores, rate_per_s: float) -> None:
        self._links, self._rate_per_s = links, rate_per_s

    def ask(self, job_id: str, *, is_migration: bool, is_look_up: bool = False) -> Callable[[], RatePermit]:
        """Ask for a permit now; the returned function reads the answer."""
        arguments = (
            *(self._rate_per_s, int(is_migration), HORIZON_S),
            *(INTERACTIVE_SHARE, COOL_S, int(is_look_up)),
        )
        answer = self._links.mine.begin_script(PERMIT, [redis_keys.PERMIT, redis_keys.SEALED + job_id], *arguments)
        return lambda: _read(answer)

    def report(self, permit: RatePermit, answer: Answer) -> None:
        """Tell what became of a call that had a permit; ordinary answers are not worth a word."""
        word = _word_for(answer)
        if word == "answered" and not permit.wants_report:
            return
        arguments = (word, answer.retry_after_s or 0, FAILURES_LIMIT, COOL_S)
        try:
            self._links.mine.run(REPORT, [redis_keys.PERMIT], *arguments)
        except StoreUnavailable:  # a vault that forgets is also a throttle that forgets
            return


def _word_for(answer: Answer) -> str:
    if answer.status == 429:
        return "throttled"
    if answer.status == 0:
        return "timeout" if answer.was_sent else "failed"
    return "failed" if answer.status >= 500 else "answered"


def _read(answer: Callable[[], list[bytes | None]]) -> RatePermit:
    try:
        word, delay_s, sealed, *report = answer()
    except StoreUnavailable:  # no answer, or it refuses to write: memory, replicas, rights
        return RatePermit("silent")
    return RatePermit((word or b"").decode(), float(delay_s or 0), sealed, report == [b"1"])
