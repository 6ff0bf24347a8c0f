"""One delivery over HTTP, signed, to public addresses only.

The address is checked where the connection is made, so a name that changes its mind in between gains nothing. Redirects
are not followed, cookies and proxies not used, and an answer's body is not read.
"""

import base64
import hmac
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpcore
from pydantic import SecretStr

GONE, CONNECTIONS, RETRY_LIMIT_S = 410, 32, 3600.0
NETWORK_FAILURES = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


class PostResult(NamedTuple):
    """Result of posting one delivery.

    Args:
        is_delivered: the server took it (2xx).
        is_final: it wants no more of it (410).
        word: for the list: the HTTP status, or the failure in a word.
        retry_after_s: the server's wish, at most an hour.
    """

    is_delivered: bool
    is_final: bool
    word: str
    retry_after_s: float = 0.0


class PrivateAddress(OSError):
    """The host leads to an address that is not public."""


def signatures(secrets: SecretStr, message_id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` header: one signature for each secret."""
    content = f"{message_id}.{timestamp}.".encode() + body
    keys = (base64.b64decode(one.removeprefix("whsec_")) for one in secrets.get_secret_value().split())
    return " ".join("v1," + base64.b64encode(hmac.digest(key, content, sha256)).decode() for key in keys)


class WebhookClient:
    """Delivers to one URL. Safe to share between threads.

    Args:
        url: of the merchant's server.
        secrets: keys of the signatures, with spaces between.
        timeout_s: seconds for connecting, and for an answer.
        allow_private: True if the host may lead to a private or loopback address.
    """

    def __init__(self, url: str, secrets: SecretStr, *, timeout_s: float = 10, allow_private: bool = False) -> None:
        self._url, self._secrets, self._host = url, secrets, urlsplit(url).netloc
        self._timeout = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=CONNECTIONS,
            network_backend=httpcore.SyncBackend() if allow_private else _PublicOnly(),
        )

    def post(self, message_id: str, timestamp: int, body: bytes) -> PostResult:
        """Post one delivery; a failure is a result, too."""
        headers: dict[bytes | str, bytes | str] = {
            "Host": self._host,
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
            "User-Agent": "billing-key-worker",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures(self._secrets, message_id, timestamp, body),
        }
        try:
            with self._pool.stream(
                "POST", self._url, headers=headers, content=body, extensions={"timeout": self._timeout}
            ) as response:
                return _read(response)
        except PrivateAddress:
            return PostResult(is_delivered=False, is_final=False, word="private address")
        except (OSError, *NETWORK_FAILURES) as error:
            return PostResult(is_delivered=False, is_final=False, word=type(error).__name__)

    def close(self) -> None:
        """Give the connections back."""
        self._pool.close()


def _read(response: httpcore.Response) -> PostResult:
    headers = {name.lower(): value for name, value in response.headers}
    after = headers.get(b"retry-after", b"").decode("ascii", "replace")
    return PostResult(
        is_delivered=200 <= response.status < 300,
        is_final=response.status == GONE,
        word=str(response.status),
        retry_after_s=min(float(after), RETRY_LIMIT_S) if after.isdecimal() else 0.0,
    )


class _PublicOnly(httpcore.SyncBackend):
    """Connects to public addresses only: the one that is checked is the one that is used."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(one[4][0]) for one in found]
        public = [one for one in addresses if ipaddress.ip_address(one.partition("%")[0]).is_global]
        if not public or len(public) < len(addresses):
            raise PrivateAddress
        return super().connect_tcp(public[0], port, timeout, local_address, socket_options)
