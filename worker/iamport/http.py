"""Connections under watch: they know whether a request left, and are cut when a call's total deadline has passed.

requests' timeouts are per socket operation, so an answer that drips a byte a minute would hold a slot for ever; and its
exceptions cannot tell a failed handshake from an answer that was cut off. Both are known exactly where bytes are sent.
"""

import contextlib
import heapq
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPMessage
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from worker.liveness import since_boot

IDLE_S = 4.0  # a connection that was idle for longer may have been forgotten on its way; 5 s is a common keep-alive

_current = threading.local()


class Call:
    """One call, and whether any byte of the request may have left.

    Args:
        deadline: monotonic seconds; it is cut then.
        clock: monotonic seconds.
        leave_by: seconds of ``boot_clock``; what has not left by then does not leave.
        boot_clock: goes on while the machine is suspended.
    """

    def __init__(
        self,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
        leave_by: float = math.inf,
        boot_clock: Callable[[], float] = since_boot,
    ) -> None:
        self.deadline, self._clock = deadline, clock
        self._leave_by, self._boot_clock = leave_by, boot_clock
        self.has_left = False
        self.is_over = False
        self._handle: socket.socket | None = None
        self._is_handle_ours = False
        self._lock = threading.Lock()

    def uses(self, connection: socket.socket) -> None:
        """Note the connection that the call is on.

        Raises:
            TimeoutError: too late; it could not be cut any more.
        """
        if self._clock() >= self.deadline:
            raise TimeoutError
        self._handle = connection

    def keeps(self, connection: socket.socket) -> bool:
        """True if the call is on this connection: it is closed at the call's end, not before, since it may be cut."""
        self._is_handle_ours = self._handle is connection
        return self._is_handle_ours

    def leaves(self) -> None:
        """Note that the request is about to leave.

        Raises:
            TimeoutError: too late; it has not left, and it must not.
        """
        if not self.has_left and self._is_late():
            raise TimeoutError
        self.has_left = True

    def _is_late(self) -> bool:
        if self._clock() >= self.deadline:
            return True
        return self._leave_by < math.inf and self._boot_clock() >= self._leave_by

    def cut(self) -> None:
        """End the call from another thread: its read or write fails at once."""
        with self._lock, contextlib.suppress(OSError):
            if self._handle is not None:
                self._handle.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """The call is over."""
        with self._lock:
            self.is_over, handle, self._handle = True, self._handle, None
        if handle is not None and self._is_handle_ours:
            handle.close()


class Watchdog:
    """Cuts calls whose deadline has passed, from one thread for the whole process.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._calls: list[tuple[float, int, Call]] = []
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watching(self, call: Call) -> Iterator[Call]:
        """Watch a call of this thread until it is over."""
        with self._condition:
            heapq.heappush(self._calls, (call.deadline, id(call), call))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="iamport-watchdog", daemon=True)
                self._thread.start()
        _current.call = call
        try:
            yield call
        finally:
            call.end()
            _current.call = None

    def cut_overdue(self) -> float:
        """Cut what is overdue, forget what is over; returns how many seconds there are until the next deadline."""
        now = self._clock()
        with self._condition:
            while self._calls and (self._calls[0][2].is_over or self._calls[0][0] <= now):
                heapq.heappop(self._calls)[2].cut()
            return min(self._calls[0][0] - now, 1.0) if self._calls else 1.0

    def _run(self) -> None:
        while True:
            time.sleep(max(self.cut_overdue(), 0.05))


class _Watched:
    """A connection that notes on the current call when the request leaves, headers and body in one send.

    A process that is stopped between two sends would leave its half of a request behind, and send the rest years later.
    """

    sock: socket.socket
    handle: socket.socket | None = None  # of our own: TLS takes the first one over, and its state is not ours
    is_ready = False
    _parts: list[bytes] | None = None
    used_at = 0.0
    debuglevel = 0  # http.client would print requests, card and all, if somebody switched that on for everybody

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.is_ready = True  # connected, through the proxy and the handshake

    @property
    def is_connected(self) -> bool:
        """False of one that was idle for too long: urllib3 opens another one."""
        return since_boot() - self.used_at <= IDLE_S and bool(super().is_connected)  # type: ignore[misc]

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 — as http.client
        response = super().getresponse(*args, **kwargs)  # type: ignore[misc]
        self.used_at = since_boot()
        # http.client holds its last response while the connection is idle: without its words, which urllib3 has copied.
        held = response._original_response  # noqa: SLF001
        held.headers, held.msg, held.reason = HTTPMessage(), HTTPMessage(), ""
        return response

    def close(self) -> None:
        self.is_ready = False
        super().close()  # type: ignore[misc]
        handle, self.handle = self.handle, None
        call: Call | None = getattr(_current, "call", None)
        if handle is not None and not (call is not None and call.keeps(handle)):
            handle.close()

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 — as urllib3
        if getattr(self, "sock", None) is None:
            self.connect()
        parts: list[bytes] = []
        self._parts = parts
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._parts = None
        self.send(b"".join(parts))

    def send(self, data: Any) -> None:  # noqa: ANN401 — as http.client
        if self._parts is not None:
            self._parts.append(data)
            return
        if getattr(self, "sock", None) is None:
            self.connect()
        call: Call | None = getattr(_current, "call", None)
        if call is not None and self.is_ready:
            if self.handle is not None:
                call.uses(self.handle)
            call.leaves()
        super().send(data)  # type: ignore[misc]

    def _new_conn(self) -> socket.socket:
        connection: socket.socket = super()._new_conn()  # type: ignore[misc]
        self.handle = socket.socket(fileno=os.dup(connection.fileno()))
        call: Call | None = getattr(_current, "call", None)
        if call is not None:
            call.uses(self.handle)
        return connection


class _HTTPConnection(_Watched, HTTPConnection):
    pass


class _HTTPSConnection(_Watched, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class WatchedAdapter(HTTPAdapter):
    """One connection, no retries, no redirects; a connection that was cut is not used again."""

    errors = (urllib3.exceptions.HTTPError,)

    def __init__(self) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:  # noqa: ANN401, ARG002 — as requests
        """An answer as the client reads it; nothing else of it is parsed or kept: no cookies, no ``Location``."""
        response = requests.Response()
        response.status_code, response.headers, response.raw = resp.status, resp.headers, resp
        return response

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 — as requests
        """As requests, with watched connections."""
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.ProxyManager:  # noqa: ANN401 — as requests
        """As requests, with watched connections."""
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **kwargs)
        self._watch(manager)
        return manager

    @staticmethod
    def _watch(manager: urllib3.PoolManager) -> None:
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
