"""Delivery of outcomes: from the stream into lines, and from the lines to the merchant's server.

1. A new outcome of the stream is put in line, behind the others of its customer_uid, and acknowledged.
2. The first of each line that is due is posted, several lines at once.
3. Delivered: the next of the line is due. Refused or silent: once more later, for 24 h; then it is given up and listed
   as failed.
4. One that was tried for ``WEBHOOK_LINE_S`` leaves its line: the next is due, and it is tried beside the line, marked
   late, in places of its own, so that many of them hold up nobody either.

At least once: a crash between a post and its note posts again, with the same ``webhook-id``.
"""

import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ..errors import BrokerUnavailable
from ..outcome_stream import OutcomeReader
from .delivery_queue import Due, Event, WebhookLedger
from .http import PostResult, WebhookClient
from .metrics import GIVEN_UP, POSTS, result_of
from .stillness import Stillness

RETRIES_AFTER_S = (5, 30, 120, 600, 1800, 3600, 7200)  # the last one again and again
GIVEN_UP_AFTER_S = 86_400.0
AT_ONCE, LATE_AT_ONCE = 32, 8
IDLE_S, AWAY_S = 0.2, 1.0


def group_of(name: str) -> str:
    """The consumer group of a destination; it begins with the oldest outcome that is kept.

    Args:
        name: ``WEBHOOK_NAME``.
    """
    return f"webhooks-{name}"


def retry_after_s(attempts: int, jitter: Callable[[], float] = random.random) -> float:
    """Seconds until the next attempt, with a tenth of jitter.

    Args:
        attempts: their number so far.
        jitter: uniform in [0, 1).
    """
    return RETRIES_AFTER_S[min(attempts, len(RETRIES_AFTER_S)) - 1] * (0.95 + 0.1 * jitter())


class Deliverer:
    """Delivers outcomes until it is stopped.

    Args:
        readers: of the streams, in the destination's group; all its deliverers share one consumer's name, and one at a
            time takes in.
        ledger: the outcomes that wait for it.
        client: posts one.
        clock: Unix seconds; the ledger's by default.
        tell: called for each attempt that failed: job id, answer in a word, True if it was given up.
        tell_trouble: called when the ledger cannot be used, once for each reason; and while nothing is delivered.
        alive: called each time a loop goes round.
        reading: called each time the streams were read, here or by another one.
    """

    def __init__(
        self,
        readers: Sequence[OutcomeReader],
        ledger: WebhookLedger,
        client: WebhookClient,
        *,
        clock: Callable[[], float] | None = None,
        tell: Callable[[str, str, bool], None] = lambda _id, _word, _given_up: None,
        tell_trouble: Callable[[str], None] = lambda _words: None,
        alive: Callable[[], None] = lambda: None,
        reading: Callable[[], None] = lambda: None,
    ) -> None:
        self._readers, self._ledger, self._client, self._tell = readers, ledger, client, tell
        self._clock = clock or ledger.now
        self._stopping, self._owner, self._has_begun = threading.Event(), secrets.token_hex(8), False
        self._tell_trouble, self._alive, self._reading = tell_trouble, alive, reading
        self._trouble: str | None = None
        self._fatal: BrokerUnavailable | None = None
        self._stillness, self._takes_in = Stillness(tell_trouble, ledger.waiting), False
        self._in_hand: dict[bool, set[Future[None]]] = {False: set(), True: set()}  # by whether it is late

    def run(self) -> None:
        """Take in and deliver until :meth:`stop`; a ledger that is away is waited for.

        Raises:
            BrokerUnavailable: the ledger refuses this user: waiting would deliver nothing for ever.
        """
        with ThreadPoolExecutor(1 + AT_ONCE + LATE_AT_ONCE, thread_name_prefix="webhooks") as pool:
            taking = pool.submit(self._take_in_always)
            while not (self._stopping.is_set() or taking.done()):
                self._alive()
                self._stillness.look(takes_in=self._takes_in)
                if not self.begin(pool):
                    wait({taking, *self._in_hand[False], *self._in_hand[True]}, IDLE_S, FIRST_COMPLETED)
            self._stopping.set()
        taking.result()
        if self._fatal is not None:
            raise self._fatal

    def stop(self) -> None:
        """End after the deliveries in hand; safe to call from a signal handler."""
        self._stopping.set()

    def begin(self, pool: ThreadPoolExecutor) -> list[Future[None]]:
        """Post what is due, as far as there are places; a delivery that is slow keeps no other waiting."""
        try:
            due = self._ledger.due(self._clock(), self._free(AT_ONCE, late=False), self._free(LATE_AT_ONCE, late=True))
        except BrokerUnavailable as error:
            self._wait_for_ledger(error)
            return []
        begun = [pool.submit(self._deliver_one, one) for one in due]
        for one, post in zip(due, begun, strict=True):
            self._in_hand[one.is_late].add(post)
        return begun

    def _free(self, places: int, *, late: bool) -> int:
        """Places that no post takes any more; an error of ours in one ends the deliverer."""
        ended = {post for post in self._in_hand[late] if post.done()}
        self._in_hand[late] -= ended
        for post in ended:
            post.result()
        return places - len(self._in_hand[late])

    def take_in(self) -> int:
        """Put one batch of the stream in line, if this is the deliverer that does; gives its size."""
        self._takes_in = self._ledger.holds_intake(self._owner)
        if not self._takes_in:
            self._has_begun = False
            return 0
        batch = [] if self._has_begun else [one for reader in self._readers for one in reader.left_over()]
        self._has_begun = True
        batch = batch or [one for reader in self._readers for one in reader.read()]
        for delivery in batch:
            self._ledger.take_in(Event.of(delivery.outcome), self._clock())
            delivery.ack()
        return len(batch)

    def _take_in_always(self) -> None:
        while not self._stopping.is_set():
            self._alive()  # also while a slow receiver holds the other loop
            try:
                is_idle = not self.take_in()
                self._reading()
                if is_idle:
                    self._stopping.wait(IDLE_S)
                self._trouble = None
            except BrokerUnavailable as error:
                self._has_begun = False
                self._wait_for_ledger(error)

    def _wait_for_ledger(self, error: BrokerUnavailable) -> None:
        """Say why, once, and wait; a trouble that only a person can mend ends the deliverer."""
        if error.is_lasting:
            self._fatal = error
            self._stopping.set()
        elif self._trouble != str(error):
            self._trouble = str(error)
            self._tell_trouble(self._trouble)
        self._stopping.wait(AWAY_S)

    def _deliver_one(self, due: Due) -> None:
        try:
            began = time.perf_counter()
            result = self._client.post(due.event.id, int(self._clock()), due.to_json().encode())
            POSTS.labels(result_of(result)).observe(time.perf_counter() - began)
            self._note(due, result, self._clock())
        except BrokerUnavailable as error:
            self._wait_for_ledger(error)

    def _note(self, due: Due, result: PostResult, now: float) -> None:
        job_id = due.event.id
        if result.is_delivered:
            self._stillness.delivered()
            self._ledger.settle(job_id, "delivered", now, result.word)
            return
        self._stillness.refused(result.word)
        given_up = result.is_final or now - due.since >= GIVEN_UP_AFTER_S
        GIVEN_UP.inc(int(given_up))
        again_at = now + max(retry_after_s(due.attempts + 1), result.retry_after_s)
        self._ledger.settle(job_id, "failed" if given_up else "waiting", now, result.word, again_at=again_at)
        self._tell(job_id, result.word, given_up)
