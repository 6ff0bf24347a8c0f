"""Store errors in words: which store, where, as whom, and why. The one place that reads what Redis' clients raise.

A text holds the store's name, host, port and user, and a reason of our own making: never a password, and nothing of
what a server or library wrote but the name of a command.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import redis

COMMAND = re.compile(r"(?:run|run the) '([A-Za-z_|]{1,40})'")
WRONG_LOGIN = re.compile(
    r"WRONGPASS|invalid username-password|NOAUTH|Authentication required|ACCESS_REFUSED", re.IGNORECASE
)
RIGHT = re.compile(r"NOPERM|ACL failure|no permissions|can't (?:run|access)", re.IGNORECASE)
WORDS = {  # the first word of an error reply
    "READONLY": "is read-only (a replica?)",
    "OOM": "is out of memory (maxmemory)",
    "LOADING": "is loading its data",
    "MISCONF": "cannot write to its disk",
    "MASTERDOWN": "has lost its primary",
    "NOREPLICAS": "has too few replicas",
    "CLUSTERDOWN": "belongs to a cluster that is down",
    "TRYAGAIN": "belongs to a cluster that is moving data",
    "BUSY": "is busy with a script",
}
KINDS = {  # redis-py takes the first word away from some
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.BusyLoadingError: "LOADING",
    redis.exceptions.MasterDownError: "MASTERDOWN",
}
PASSING = re.compile(rf"(?:^|\s)({'|'.join(WORDS)}) ")


class Reason(NamedTuple):
    """Why a store could not be used.

    Args:
        words: what stands after the store's name.
        is_lasting: whether only a person can mend it: waiting does not help.
    """

    words: str
    is_lasting: bool = False


SILENT = Reason("does not answer in time")
CLOSED = Reason("closed the connection (if it speaks TLS, the URL must begin with rediss://)")
CONNECTION: tuple[tuple[type[BaseException], Reason], ...] = (  # the special ones first
    (
        ssl.SSLCertVerificationError,
        Reason("shows a certificate that does not hold (authority, name or date)", is_lasting=True),
    ),
    (ssl.SSLError, Reason("does not speak TLS (the URL begins with rediss://)", is_lasting=True)),
    (socket.gaierror, Reason("cannot be found: no such host")),
    (ConnectionRefusedError, Reason("refuses the connection: nobody listens there")),
    (ConnectionResetError, CLOSED),
    (BrokenPipeError, CLOSED),
    (redis.TimeoutError, SILENT),
    (TimeoutError, SILENT),
)


def reason_of(error: BaseException) -> Reason:
    """The reason behind what a client of Redis or kombu raised; ask before the error is wiped."""
    for one in _chain(error):
        found = _connection(one) or _refusal(one)
        if found is not None:
            return found
    return CLOSED if isinstance(error, redis.ConnectionError) else SILENT


def is_passing(error: redis.ResponseError) -> bool:
    """True if a command was refused for the store's state, and not for the command."""
    return type(error) in KINDS or bool(PASSING.search(str(error)) or RIGHT.search(str(error)))


def trouble(name: str, url: str, error: BaseException) -> Reason:
    """A whole line: which store, where, as whom, and why."""
    words, is_lasting = reason_of(error)
    if words == SILENT.words and url.startswith("rediss"):
        words += " (does it speak TLS? the URL begins with rediss://)"
    return Reason(f"{place(name, url)}: {words}", is_lasting)


def place(name: str, url: str) -> str:
    """A store's name, with the host, port and user of its URL."""
    parts = urlsplit(url)
    port = parts.port or 6379
    return f"{name} at {parts.hostname}:{port}, user {parts.username or 'default'}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it was raised from, the innermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return reversed(found)


def _connection(error: BaseException) -> Reason | None:
    for kind, reason in CONNECTION:
        if isinstance(error, kind):
            return reason
    if isinstance(error, OSError) and error.strerror:
        return Reason(f"cannot be reached: {error.strerror}")
    return None


def _refusal(error: BaseException) -> Reason | None:
    text = str(error)
    if WRONG_LOGIN.search(text):
        return Reason("wrong user or password", is_lasting=True)
    if RIGHT.search(text):
        command = COMMAND.search(text)
        right = f"to run {command[1].upper()}" if command else "to a key or channel"
        return Reason(f"no right {right} (python -m worker acl gives it)", is_lasting=True)
    if word := KINDS.get(type(error)) or next(iter(PASSING.findall(text)), None):
        return Reason(WORDS[word])
    return Reason("refuses a command") if isinstance(error, redis.ResponseError) else None
