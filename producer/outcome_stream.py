"""Outcomes as they come: a reader of the ledger's stream, for merchants who would rather listen than ask.

::

    for delivery in OutcomeReader.from_env(group="billing"):
        book(delivery.outcome)          # may come twice after a crash: job_id tells
        delivery.ack()

Each consumer group gets every outcome once, shared among its consumers, from the oldest that is kept (7 days) or from
the moment when the group is made. While a consumer iterates, what it took and did not acknowledge yet stays its own,
however long it takes. After a crash it comes again: to itself when it starts anew, to another one after a minute.

Key: ``billing:outcomes``; see :mod:`producer.contract.redis_keys`.
"""

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import redis

from .contract import redis_keys
from .contract.outcome import Outcome
from .contract.reconciled import Reconciled
from .errors import BrokerUnavailable
from .settings import ProducerSettings
from .store import Store

BATCH, BLOCK_MS, IDLE_MS = 100, 1000, 60_000
RENEWED_MOST = 100_000
RENEW = Path(__file__).parent / "lua" / "stream_renew.lua"

log = logging.getLogger(__name__)


class Delivery(NamedTuple):
    """One outcome in hand.

    Args:
        entry: the stream's id of it.
        ack: call it when the outcome is dealt with; until then it comes again after a crash.
    """

    entry: str
    outcome: Outcome
    ack: Callable[[], None]


class OutcomeReader:
    """An iterator of outcomes, without end.

    Args:
        ledger_url: ``LEDGER_URL``.
        group: the consumer group; made if it is not there.
        consumer: names this process within it; the same name after a crash gets back what it had in hand.
        from_the_oldest: a group that is made now begins with the oldest outcome that is kept.
        block_ms: how long one read waits; 0 not at all, and 1 up to 100, which is how often an idle Redis looks.
    """

    STREAM, FIELD = redis_keys.OUTCOMES, b"outcome"
    KIND: type[Outcome | Reconciled] = Outcome
    RENEWED_EACH_S = 15.0  # so that one that fails does not let go

    def __init__(
        self,
        ledger_url: str,
        group: str,
        consumer: str | None = None,
        *,
        from_the_oldest: bool = True,
        block_ms: int = BLOCK_MS,
    ) -> None:
        self._store = Store("ledger", ledger_url)
        self._script = self._store.client.register_script(RENEW.read_text())
        self._group, self._consumer = group, consumer or f"{socket.gethostname()}-{os.getpid()}"
        self._begin, self._block_ms = "0" if from_the_oldest else "$", block_ms
        self._is_stopped = False

    @classmethod
    def from_env(cls, group: str, consumer: str | None = None, **how: Any) -> Self:  # noqa: ANN401 — those above
        """A reader of the ledger that the environment names.

        Raises:
            SettingsError: one line that names the variable.
        """
        return cls(ProducerSettings.from_env().ledger_url, group, consumer, **how)

    def __iter__(self) -> Iterator[Delivery]:
        """Outcomes left unacknowledged first, then new ones.

        Raises:
            BrokerUnavailable: the ledger cannot be read; iterate again later.
        """
        self._make_group()
        self._renew()  # here, where a right that is missing is told
        ended = threading.Event()
        threading.Thread(target=self._renew_until, args=(ended,), name="claims", daemon=True).start()
        try:
            yield from self.left_over()
            while not self._is_stopped:
                yield from self.read()
        finally:
            ended.set()

    def read(self) -> list[Delivery]:
        """One batch: what others left for a minute, else what is new, waiting a moment for it.

        Raises:
            BrokerUnavailable: the ledger cannot be read.
        """
        with self._store.reading() as ledger:
            claimed: Any = ledger.xautoclaim(self.STREAM, self._group, self._consumer, IDLE_MS, count=BATCH)
            if claimed[1]:
                return self._deliveries(claimed[1])
            answer: Any = ledger.xreadgroup(
                self._group, self._consumer, {self.STREAM: ">"}, count=BATCH, block=self._block_ms or None
            )
            return self._deliveries(_entries(answer))

    def stop(self) -> None:
        """End after the batch in hand; safe to call from a signal handler."""
        self._is_stopped = True

    def close(self) -> None:
        """Give the connection back."""
        self._store.close()

    def _make_group(self) -> None:
        with self._store.reading() as ledger:
            try:
                ledger.xgroup_create(self.STREAM, self._group, id=self._begin, mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def _renew_until(self, ended: threading.Event) -> None:
        while not ended.wait(self.RENEWED_EACH_S):
            with contextlib.suppress(BrokerUnavailable):
                self._renew()

    def _renew(self) -> None:
        with self._store.reading():
            self._script([self.STREAM], [self._group, self._consumer, RENEWED_MOST])

    def left_over(self) -> Iterator[Delivery]:
        """Outcomes that this consumer took before and never acknowledged.

        Raises:
            BrokerUnavailable: the ledger cannot be read.
        """
        self._make_group()
        after = "0"
        while not self._is_stopped:
            with self._store.reading() as ledger:
                answer: Any = ledger.xreadgroup(self._group, self._consumer, {self.STREAM: after}, count=BATCH)
                deliveries = self._deliveries(_entries(answer))
            if not deliveries:
                return
            yield from deliveries
            after = deliveries[-1].entry

    def _deliveries(self, entries: list[Any]) -> list[Delivery]:
        found = []
        for entry, fields in entries:
            said = self._parse(fields or {})
            if said is None:
                self._store.client.xack(self.STREAM, self._group, entry)
            else:
                found.append(Delivery(entry.decode(), said, self._acknowledger(entry)))
        return found

    def _parse(self, fields: dict[bytes, bytes]) -> Any:  # noqa: ANN401 — of the stream's kind
        """An entry's content; None of one that was trimmed meanwhile, or that nobody could ever read."""
        if not fields:
            return None
        try:
            return self.KIND.from_json(fields.get(self.FIELD, b""))
        except ValueError:
            log.warning("an entry of %s is dropped: it cannot be read", self.STREAM)
            return None

    def _acknowledger(self, entry: bytes) -> Callable[[], None]:
        def ack() -> None:
            with self._store.reading() as ledger:
                ledger.xack(self.STREAM, self._group, entry)

        return ack


class ReconciledReader(OutcomeReader):
    """The same for what i'mport said later of jobs that ended in doubt: ``delivery.outcome`` is a Reconciled."""

    STREAM, FIELD = redis_keys.RECONCILED, b"reconciled"
    KIND = Reconciled


def _entries(answer: Any) -> list[Any]:  # noqa: ANN401 — redis-py answers by protocol
    if not answer:
        return []
    (_, entries), *_ = answer.items() if isinstance(answer, dict) else answer
    return list(entries)
