"""One store as a producer's process uses it: bounded waits, no retries of its own, and errors that name the store."""

import contextlib
from collections.abc import Iterator

import redis

from .errors import BrokerUnavailable
from .runtime.redaction import wipe
from .runtime.redis_store import instant, open_client
from .runtime.store_errors import trouble

# For each connection and answer: a store that is down or silent fails a call within 5 s. Stores that answer just in
# time, answer after answer, may take longer.
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 1.0, 1.5
CLIENT_FAILURES = (redis.RedisError, OSError)


class Store:
    """A store and its client. Safe to share between threads.

    Args:
        name: ``ledger`` or ``vault``.
        url: its URL.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url
        self.client = open_client(url, CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S)

    @contextlib.contextmanager
    def reading(self) -> Iterator[redis.Redis]:
        """The client, for calls that enqueue nothing.

        Raises:
            BrokerUnavailable: the store failed.
        """
        try:
            yield self.client
        except CLIENT_FAILURES as error:
            raise self.unavailable(error, "read", accepted=None) from None

    def now(self) -> float:
        """The store's clock, Unix seconds.

        Raises:
            BrokerUnavailable: the store failed.
        """
        with self.reading() as client:
            return instant(client.time())

    def unavailable(
        self, error: BaseException, step: str, *, accepted: bool | None, key: str | None = None
    ) -> BrokerUnavailable:
        """The error for a producer's caller; the failure itself is wiped."""
        words, is_lasting = trouble(self.name, self.url, error)
        wipe(error)
        return BrokerUnavailable(step, accepted=accepted, idempotency_key=key, trouble=words, is_lasting=is_lasting)

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()
