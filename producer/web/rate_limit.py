"""Limits against card testing: the cards that an address, and a customer, may hand in."""

from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address

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
        per_address, per_customer: as ``10 per 5 minutes``; an order that names no customer counts like one.
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
        self._limits = {"address": parse(per_address), "customer": parse(per_customer), "order": parse(per_customer)}

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

    def count(self, *, address: str | None = None, customer: str | None = None, order: str | None = None) -> None:
        """Count one card for each of those named. Their keys have digests: of one length, and of no name.

        Raises:
            EndpointError: ``too_many``, with the seconds after which to come back.
        """
        named = {"address": address and network_of(address), "customer": customer, "order": order}
        for kind, name in named.items():
            if name and not self._hit(self._limits[kind], kind, sha256(name.encode()).hexdigest()):
                raise EndpointError("too_many", headers={"Retry-After": str(self._limits[kind].get_expiry())})

    def _hit(self, limit: RateLimitItem, *names: str) -> bool:
        try:
            return bool(self._limiter.hit(limit, *names))
        except (StorageError, OSError):
            return True


def network_of(address: str) -> str:
    """Those who count as one address: the /64 of an IPv6 one, since whoever has one has all of these."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return address
    return str(ip.ipv4_mapped or IPv6Network((int(ip), 64), strict=False))
