"""HTTP/1.1 on a socket: as much of it as clients of a JSON API use.

Not ``http.server``: reading headers with the email parser costs more than all the rest of a
request, and resets and dribbled bodies need the socket itself.
"""

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import parse_qs

from tests.fake_iamport.call import Call, parse_body
from tests.fake_iamport.exchange import Cut, Reply

MAX_HEAD = 64 * 1024
MAX_BODY = 1024 * 1024
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class MalformedError(Exception):
    """What came is no request that this server reads."""


class Wire:
    """One connection; requests are read from it and answered in turn."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()

    def read(self) -> Call | None:
        """Read the next request.

        Returns:
            The request; None when the client has hung up.

        Raises:
            MalformedError: It is no HTTP/1.1, too large, or chunked.
        """
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD:
                raise MalformedError
            if not self._fill():
                return None
        head = bytes(self._buffer[:end]).decode("latin-1")
        del self._buffer[: end + 4]
        method, target, headers = _parse_head(head)
        path, _, query = target.partition("?")
        call = Call(method, path, parse_qs(query, keep_blank_values=True), headers)
        body = parse_body(call.header("Content-Type"), self._read_body(call))
        if isinstance(body, list):
            return replace(call, items=body)
        return replace(call, body=body) if body else call

    def _read_body(self, call: Call) -> bytes:
        if call.header("Transfer-Encoding"):
            raise MalformedError
        length = call.header("Content-Length") or "0"
        if not length.isdecimal() or int(length) > MAX_BODY:
            raise MalformedError
        while len(self._buffer) < int(length):
            if not self._fill():
                raise MalformedError
        raw = bytes(self._buffer[: int(length)])
        del self._buffer[: int(length)]
        return raw

    def write(self, reply: Reply, wait: Callable[[float], object]) -> None:
        """Send a reply, byte by byte if it says so."""
        head = (
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\n"
            f"Content-Type: {reply.content_type}\r\nContent-Length: {len(reply.body)}\r\n"
        )
        if reply.retry_after is not None:
            head += f"Retry-After: {reply.retry_after}\r\n"
        if reply.date is not None:
            head += f"Date: {reply.date}\r\n"
        raw = f"{head}Connection: keep-alive\r\n{reply.head}\r\n".encode()
        if not reply.drip_s:
            self._sock.sendall(raw + reply.body)
            return
        self._sock.sendall(raw)
        for byte in reply.body:
            self._sock.sendall(bytes([byte]))
            wait(reply.drip_s)

    def cut(self, cut: Cut) -> None:
        """Keep silent, at most until the client hangs up, then close or reset."""
        if cut.silence_s:
            self._wait_for_hangup(cut.silence_s)
        if cut.resets:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self._sock.close()

    def _wait_for_hangup(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while (left_s := until - time.monotonic()) > 0:
            if poll.poll(left_s * 1000) and not self._fill():
                return

    def _fill(self) -> bool:
        chunk = self._sock.recv(65536)
        self._buffer += chunk
        return bool(chunk)


def _parse_head(head: str) -> tuple[str, str, dict[str, str]]:
    request_line, *lines = head.split("\r\n")
    words = request_line.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1" or not words[1].startswith("/"):
        raise MalformedError
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise MalformedError
        headers[name] = value.strip()
    return words[0], words[1], headers
