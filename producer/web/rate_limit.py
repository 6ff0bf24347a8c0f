"""Limits against card testing: the cards that an address, and a customer, may hand in."""

from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from ..contract import redis_keys
from ..errors import SettingsError
from ..runtime.store_errors import trouble
from .schema import EndpointError

CHECK = parse("1 per 1 second")


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
        self._url, self._limiter = ledger_url, SlidingWindowCounterRateLimiter(storage)
        self._limits = {"address": parse(per_address), "customer": parse(per_customer)}

    def check(self) -> None:
        """Count for once, so that a user who may not is known before any card comes.

        Raises:
            SettingsError: only a person can mend it. A store that is away may come back.
        """
        try:
            self._limiter.hit(CHECK, "check")
        except StorageError as error:
            words, is_lasting = trouble("ledger", self._url, error.storage_error)
            if is_lasting:
                raise SettingsError(
                    f"LIMITS_URL: {words}; cards would not be limited: give it the URL of the user limits"
                ) from None

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
