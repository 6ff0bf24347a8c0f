"""Network: the connection of one delivery, to public addresses only and until its deadline.

The address that is checked is the one that is connected to, so a name that changes its mind in between gains nothing.
"""

import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from ipaddress import IPv4Address, ip_address, ip_network
from ssl import SSLContext
from typing import Any

import httpcore

NAT64 = ip_network("64:ff9b::/96")  # the last 32 bits are an IPv4 address
SPECIAL = tuple(  # beside those that every Python knows
    map(
        ip_network,
        (
            *("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/3"),  # the IETF's, 6to4's relays, multicast and reserved
            *("::/3", "4000::/2", "8000::/1"),  # all that is not 2000::/3: embedded IPv4, private, multicast
            *("2001::/23", "2002::/16", "3fff::/20"),  # Teredo and other protocols, 6to4, documentation
        ),
    )
)


class PrivateAddress(OSError):
    """The host leads to an address that is not public."""


def is_public(address: str) -> bool:
    """True for a plain global unicast address; one that embeds another leads elsewhere, and is not plain.

    Source: IANA's special-purpose address registries; of NAT64 (RFC 6052) the embedded address is judged.
    """
    one = ip_address(address.partition("%")[0])
    if one in NAT64:
        one = IPv4Address(one.packed[-4:])
    return one.is_global and not any(one in network for network in SPECIAL)


class Deadline:
    """The end of a call, however many steps it has.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left_s(self) -> float:
        """Seconds that are left.

        Raises:
            TimeoutError: none are.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class Resolver:
    """Looks names up in threads of its own, since no look-up can be ended: one a name, shared by all who ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, int], Future[list[str]]] = {}

    def addresses(self, host: str, port: int, timeout_s: float) -> list[str]:
        """A host's addresses.

        Raises:
            OSError: it has none, or they did not come in time.
            UnicodeError: it is no name of a host.
        """
        with self._lock:
            asked = self._asked.get((host, port))
            if asked is None or asked.done():
                asked = self._asked[host, port] = Future()
                threading.Thread(target=_look_up, args=(asked, host, port), name="resolver", daemon=True).start()
        return asked.result(timeout_s)


def _look_up(asked: Future[list[str]], host: str, port: int) -> None:
    try:
        asked.set_result([str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
    except Exception as error:  # noqa: BLE001 — told to those who ask
        asked.set_exception(error)


class Network(httpcore.SyncBackend):
    """Connects for one delivery.

    Args:
        resolver: of names.
        deadline: of the look-up, the connection, and all that is read and written.
        allow_private: True if the host may lead to an address that is not public.
    """

    def __init__(self, resolver: Resolver, deadline: Deadline, *, allow_private: bool) -> None:
        self._resolver, self._deadline, self._allow_private = resolver, deadline, allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 — the deadline stands in its place, here and below
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's addresses that answers."""
        addresses = self._resolver.addresses(host, port, self._deadline.left_s())
        if not (self._allow_private or all(map(is_public, addresses))):
            raise PrivateAddress
        while True:
            address, *others = addresses
            share_s = self._deadline.left_s() / len(addresses)  # one that swallows packets leaves time for the others
            try:
                stream = super().connect_tcp(address, port, share_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not others:
                    raise
                addresses = others
            else:
                return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline: a server cannot draw a call out byte by byte."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._deadline.left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._deadline.left_s())

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._deadline.left_s()), self._deadline)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 — httpcore's
        return self._stream.get_extra_info(info)
