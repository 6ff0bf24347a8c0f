"""Redis, as our own processes open it: a connection for each thread, a client that never insists, scripts, the clock.

A pool costs a tenth of a job, and a job's thread needs one connection all the time. Commands may be sent before earlier
answers are read, so two stores can work at once. Every command that goes through here is repeatable by design (scripts
recognise their own delivery), so one that fails with its connection is sent once more on a new one.
"""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from .celery_transport import SOCKET
from .errors import StoreUnavailable
from .redaction import wipe
from .store_errors import is_passing, trouble

Argument = str | bytes | int | float
UNANSWERED_LIMIT = 100
LINK_FAILURES = (redis.ConnectionError, redis.TimeoutError, redis.exceptions.BusyLoadingError, OSError)


def open_client(url: str, connect_timeout_s: float, answer_timeout_s: float) -> redis.Redis:
    """A client with bounded waits and no retries of its own; safe to share between threads."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=answer_timeout_s,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        health_check_interval=0,
    )


def instant(time: Sequence[bytes | int]) -> float:
    """Unix seconds of a store's answer to ``TIME``."""
    seconds, microseconds = time
    return float(seconds) + float(microseconds) / 1e6


INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)


class Script:
    """A Lua script: ``lua/NAME.lua`` of a package.

    A line ``-- include NAME`` stands for that file, of the same package or of this one.
    """

    def __init__(self, package: str, name: str) -> None:
        self.source = _lua(package, name).encode()
        self.sha = sha1(self.source).hexdigest()  # noqa: S324 — how EVALSHA names a script


def _lua(package: str, name: str) -> str:
    own, shared = (files(one).joinpath(f"lua/{name}.lua") for one in (package, __package__))
    text = (own if own.is_file() else shared).read_text("utf-8")
    return INCLUDE.sub(lambda line: _lua(package, line[1]).rstrip("\n"), text)


class Link:
    """One connection; never shared between threads.

    Args:
        url: the store's URL.
        name: what it is called in errors: ``queue``, ``ledger`` or ``vault``.
        took: told how many seconds each :meth:`call` took.
    """

    def __init__(self, url: str, name: str = "store", took: Callable[[float], None] = lambda _s: None) -> None:
        self._url, self._name, self._took = url, name, took
        pool = redis.ConnectionPool.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0), **SOCKET)
        self._connection = pool.make_connection()
        self._unanswered: list[tuple[Argument, ...]] = []  # commands whose answers nobody waits for, oldest first …
        self._unread = 0  # … and how many of them were sent on this connection

    def call(self, *command: Argument) -> Any:  # noqa: ANN401 — Redis answers are any of these
        """Send a repeatable command and read its answer.

        Raises:
            StoreUnavailable: twice no connection, or no answer in time; or the store refuses it for the state it is in.
            redis.ResponseError: the store refuses the command for what it is.
        """
        began = time.perf_counter()
        try:
            return self._call(command)
        finally:
            self._took(time.perf_counter() - began)

    def _call(self, command: tuple[Argument, ...]) -> Any:  # noqa: ANN401 — as call
        try:
            self._write(command)
            return self._read()
        except LINK_FAILURES as error:
            self._drop(error)
        try:
            self._write(command)
            return self._read()
        except LINK_FAILURES as error:
            reason = trouble(self._name, self._url, error)
            self._drop(error)
        raise StoreUnavailable(reason.words, is_lasting=reason.is_lasting)  # no local of ours: it would hold its frame

    def time(self) -> float:
        """The store's clock, Unix seconds; see :meth:`call`."""
        return instant(self.call("TIME"))

    def run(self, script: Script, keys: list[str], *arguments: Argument) -> Any:  # noqa: ANN401 — as call
        """Run a repeatable script; see :meth:`call`."""
        tail = (len(keys), *keys, *arguments)
        try:
            return self.call("EVALSHA", script.sha, *tail)
        except NoScriptError:
            return self.call("EVAL", script.source, *tail)

    def send_script(self, script: Script, keys: list[str], *arguments: Argument) -> Callable[[], Any]:
        """A :meth:`send` for a script; see :meth:`run`."""
        begun = self.send("EVALSHA", script.sha, len(keys), *keys, *arguments)

        def answer() -> Any:  # noqa: ANN401 — as call
            try:
                return begun()
            except NoScriptError:
                return self.run(script, keys, *arguments)

        return answer

    def send(self, *command: Argument) -> Callable[[], Any]:
        """Send a repeatable command now; the returned function reads the answer, or does it all again if that fails."""
        try:
            self._write(command)
        except LINK_FAILURES as error:
            self._drop(error)
            return lambda: self.call(*command)

        def answer() -> Any:  # noqa: ANN401 — as call
            try:
                return self._read()
            except LINK_FAILURES as error:
                self._drop(error)
                return self.call(*command)

        return answer

    def send_unanswered(self, *command: Argument) -> None:
        """Send an idempotent command without waiting for its reply.

        It is resent if the connection drops before the reply is read.
        """
        if len(self._unanswered) >= UNANSWERED_LIMIT:
            self._drop()
            del self._unanswered[0]
        self._unanswered.append(command)
        try:
            self._write_unanswered()
        except LINK_FAILURES as error:
            self._drop(error)

    def _write(self, command: tuple[Argument, ...]) -> None:
        self._write_unanswered()
        self._connection.send_command(*command)

    def _write_unanswered(self) -> None:
        for command in self._unanswered[self._unread :]:
            self._connection.send_command(*command)
            self._unread += 1

    def _read(self) -> Any:  # noqa: ANN401 — as call
        while self._unread:
            with contextlib.suppress(redis.ResponseError):
                self._connection.read_response()
            self._unread -= 1
            del self._unanswered[0]
        try:
            return self._connection.read_response()
        except redis.ResponseError as error:
            if not is_passing(error):
                raise
            reason = trouble(self._name, self._url, error)
            wipe(error)
        raise StoreUnavailable(reason.words, is_lasting=reason.is_lasting)

    def _drop(self, error: BaseException | None = None) -> None:
        self._unread = 0
        self._connection.disconnect()
        if error is not None:
            wipe(error)


class Stores:
    """A link to one store for each thread that asks.

    Args:
        url: the store's URL.
        name: what it is called in errors.
        took: as for :class:`Link`.
    """

    def __init__(self, url: str, name: str = "store", took: Callable[[float], None] = lambda _s: None) -> None:
        self._url, self._name, self._took, self._locals = url, name, took, threading.local()

    @property
    def local(self) -> Link:
        """This thread's link."""
        link: Link | None = getattr(self._locals, "link", None)
        if link is None:
            link = self._locals.link = Link(self._url, self._name, self._took)
        return link
