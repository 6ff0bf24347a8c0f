"""One delivery over HTTP, signed, on a connection of its own.

Redirects are not followed, cookies and proxies not used, and an answer's body is not read.
"""

import base64
import hmac
import ssl
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

import httpcore
from pydantic import SecretStr

from .network import Deadline, Network, PrivateAddress, Resolver

GONE, RETRY_LIMIT_S = 410, 3600.0
FAILURES = (OSError, ValueError, httpcore.NetworkError, httpcore.ProtocolError)


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
        timeout_s: seconds for a whole delivery, from the look-up of the name to the answer.
        allow_private: True if the host may lead to a private or loopback address.
    """

    def __init__(self, url: str, secrets: SecretStr, *, timeout_s: float = 10, allow_private: bool = False) -> None:
        self._url, self._secrets, self._host = url, secrets, urlsplit(url).netloc
        self._timeout_s, self._allow_private = timeout_s, allow_private
        self._tls, self._resolver = ssl.create_default_context(), Resolver()

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
        network = Network(self._resolver, Deadline(self._timeout_s), allow_private=self._allow_private)
        try:
            url = httpcore.URL(self._url.encode("ascii"))
            with (
                httpcore.HTTPConnection(url.origin, self._tls, network_backend=network) as connection,
                connection.stream("POST", url, headers=headers, content=body) as response,
            ):
                return _read(response)
        except PrivateAddress:
            word = "private address"
        except UnicodeError:
            word = "no host name"
        except (TimeoutError, httpcore.TimeoutException):
            word = "timeout"
        except FAILURES as error:
            word = type(error).__name__
        return PostResult(is_delivered=False, is_final=False, word=word)


def _read(response: httpcore.Response) -> PostResult:
    headers = {name.lower(): value for name, value in response.headers}
    after = headers.get(b"retry-after", b"").decode("ascii", "replace")
    return PostResult(
        is_delivered=200 <= response.status < 300,
        is_final=response.status == GONE,
        word=str(response.status),
        retry_after_s=min(float(after), RETRY_LIMIT_S) if after.isdecimal() else 0.0,
    )
