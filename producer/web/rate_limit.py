"""Limits against card testing: the cards that an address, and a customer, may hand in."""

from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from ..contract import redis_keys
from .schema import EndpointError


class Limits:
    """Counts of cards, shared by all processes through the ledger.

    A store that does not answer lets everything pass: the queue behind it will say so.

    Args:
        ledger_url: where the counts are.
        per_address, per_customer: as ``10 per 5 minutes``.
    """

    def __init__(self, ledger_url: str, per_address: str, per_customer: str) -> None:
        storage = RedisStorage(
            ledger_url,
            wrap_exceptions=True,
            key_prefix=redis_keys.LIMITS.rstrip(":"),
            socket_connect_timeout=1.0,
            socket_timeout=1.5,
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._limits = {"address": parse(per_address), "customer": parse(per_customer)}

    def count(self, **who: str | None) -> None:
        """Count one card for each of those named.

        Raises:
            EndpointError: ``too_many``, with the seconds after which to come back.
        """
        for kind, name in who.items():
            if name and not self._hit(self._limits[kind], kind, name):
                raise EndpointError("too_many", headers={"Retry-After": str(self._limits[kind].get_expiry())})

    def _hit(self, limit: RateLimitItem, *names: str) -> bool:
        try:
            return bool(self._limiter.hit(limit, *names))
        except (StorageError, OSError):
            return True
