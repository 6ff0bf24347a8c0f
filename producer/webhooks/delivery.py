"""Delivery: from the stream into lines, and from the lines to the merchant's server.

1. What is new in the stream is put in line, behind the others of its customer_uid, and acknowledged.
2. The first of each line that is due is posted, several lines at once.
3. Delivered: the next of the line is due. Refused or silent: once more later, for 24 h; then it is given up, listed as
   failed, and the line goes on.

At least once: a crash between a post and its note posts again, with the same ``webhook-id``.
"""

import json
import random
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from producer.errors import BrokerUnavailable
from producer.outcome_stream import OutcomeReader
from producer.webhooks.delivery_queue import Due, WebhookLedger
from producer.webhooks.http import Answer, WebhookClient

BACKOFF_S = (5, 30, 120, 600, 1800, 3600, 7200)  # the last one again and again
GIVEN_UP_AFTER_S = 86_400.0
BATCH, IDLE_S, AWAY_S = 32, 0.2, 1.0
GROUP = "webhooks"


def backoff_s(attempts: int, jitter: Callable[[], float] = random.random) -> float:
    """Seconds until the next attempt, with a tenth of jitter.

    Args:
        attempts: how many there were.
        jitter: uniform in [0, 1).
    """
    return BACKOFF_S[min(attempts, len(BACKOFF_S)) - 1] * (0.95 + 0.1 * jitter())


class Deliverer:
    """Delivers outcomes until it is stopped.

    Args:
        reader: the stream's reader, in the group of the webhooks; every courier has the same consumer's name, and one
            at a time takes in.
        ledger: what waits.
        poster: posts one.
        clock: Unix seconds; the ledger's by default.
        tell: told of each attempt that failed: job id, answer, whether it was given up.
        tell_trouble: told of a ledger that cannot be used, once for each reason.
        alive: called each time the loop went round.
    """

    def __init__(
        self,
        reader: OutcomeReader,
        ledger: WebhookLedger,
        poster: WebhookClient,
        *,
        clock: Callable[[], float] | None = None,
        tell: Callable[[str, str, bool], None] = lambda _id, _word, _given_up: None,
        tell_trouble: Callable[[str], None] = lambda _words: None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader, self._ledger, self._poster, self._tell = reader, ledger, poster, tell
        self._clock = clock or ledger.now
        self._stopping, self._owner, self._has_begun = threading.Event(), secrets.token_hex(8), False
        self._tell_trouble, self._alive = tell_trouble, alive
        self._trouble: str | None = None
        self._fatal: BrokerUnavailable | None = None

    def run(self) -> None:
        """Take in and deliver until :meth:`stop`; a ledger that is away is waited for.

        Raises:
            BrokerUnavailable: the ledger refuses this user: waiting would deliver nothing for ever.
        """
        taking = threading.Thread(target=self._take_in_always, name="webhooks-intake", daemon=True)
        taking.start()
        with ThreadPoolExecutor(BATCH, thread_name_prefix="webhooks") as pool:
            while not self._stopping.is_set():
                self._alive()
                self._stopping.wait(0 if self.deliver(pool) else IDLE_S)
        taking.join(timeout=3)
        if self._fatal is not None:
            raise self._fatal

    def stop(self) -> None:
        """End after what is in hand; safe to call from a signal handler."""
        self._stopping.set()

    def deliver(self, pool: ThreadPoolExecutor) -> int:
        """Post what is due now; how many."""
        try:
            due = self._ledger.due(self._clock(), BATCH)
            list(pool.map(self._deliver_one, due))
        except BrokerUnavailable as error:
            self._wait_for_ledger(error)
            return 0
        return len(due)

    def take_in(self) -> int:
        """Put one batch of the stream in line, if this is the one that does; how many."""
        if not self._ledger.holds_intake(self._owner):
            self._has_begun = False
            return 0
        batch = [] if self._has_begun else list(self._reader.left_over())
        self._has_begun = True
        batch = batch or self._reader.read()
        for delivery in batch:
            self._ledger.take_in(delivery.outcome, self._clock())
            delivery.ack()
        return len(batch)

    def _take_in_always(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self.take_in():
                    self._stopping.wait(IDLE_S)
                self._trouble = None
            except BrokerUnavailable as error:
                self._has_begun = False
                self._wait_for_ledger(error)

    def _wait_for_ledger(self, error: BrokerUnavailable) -> None:
        """Say why, once, and wait; what only a person can mend ends the courier."""
        if error.is_lasting:
            self._fatal = error
            self._stopping.set()
        elif self._trouble != str(error):
            self._trouble = str(error)
            self._tell_trouble(self._trouble)
        self._stopping.wait(AWAY_S)

    def _deliver_one(self, due: Due) -> None:
        job_id, now = due.outcome.job_id, self._clock()
        body = json.dumps(
            {"type": "billing.outcome", "timestamp": due.outcome.finished_at, "data": due.outcome.to_dict()},
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        answer = self._poster.post(job_id, int(now), body)
        self._note(due, answer, self._clock())

    def _note(self, due: Due, answer: Answer, now: float) -> None:
        job_id = due.outcome.job_id
        if answer.is_delivered:
            self._ledger.settle(job_id, "delivered", now, answer.word)
            return
        given_up = answer.is_final or now - due.since >= GIVEN_UP_AFTER_S
        again_at = now + max(backoff_s(due.attempts + 1), answer.retry_after_s)
        self._ledger.settle(job_id, "failed" if given_up else "waiting", now, answer.word, again_at=again_at)
        self._tell(job_id, answer.word, given_up)
