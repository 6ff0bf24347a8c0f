"""A proxy before a port on loopback: it keeps what is sent, byte for byte, and loses or delays answers when told."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self


@dataclass
class Stream:
    """What came over one connection."""

    raw: bytes = b""


class Proxy:
    """Passes everything on, until told otherwise.

    Args:
        port: where it goes.
    """

    def __init__(self, port: int) -> None:
        self.received: list[Stream] = []
        self._to, self._changed, self._ended = port, threading.Condition(), threading.Event()
        self._mode, self._delay_s, self._silent_after, self._is_unplugged = "pass", 0.0, b"", False
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        _hang_up(self._listener, *self._sockets)

    def swallow(self) -> None:
        """From now on answers go nowhere, and connections stay."""
        self._mode = "swallow"

    def cut(self) -> None:
        """From now on a connection is cut when the answer comes."""
        self._mode = "cut"

    def slow_down(self, delay_s: float) -> None:
        """From now on each answer comes late."""
        self._delay_s = delay_s

    def mend(self) -> None:
        """Pass everything again."""
        self._mode, self._delay_s = "pass", 0.0

    @contextlib.contextmanager
    def withholding(self, mark: bytes) -> Iterator[None]:
        """Meanwhile, a connection that has sent that hears nothing any more."""
        self._be_silent_after(mark)
        try:
            yield
        finally:
            self._be_silent_after(b"")

    @contextlib.contextmanager
    def unplugged(self) -> Iterator[None]:
        """Meanwhile, every connection is broken, new ones at once."""
        self._is_unplugged = True
        _hang_up(*self._sockets)
        try:
            yield
        finally:
            self._is_unplugged = False

    def _be_silent_after(self, mark: bytes) -> None:
        with self._changed:
            self._silent_after = mark
            self._changed.notify_all()

    def _accept(self) -> None:
        with self._listener, contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        self._sockets.append(client)
        with client, contextlib.suppress(OSError):
            if self._is_unplugged:
                return
            with socket.create_connection(("127.0.0.1", self._to)) as server:
                self.received.append(stream := Stream())
                answering = threading.Thread(target=self._answer, args=(server, client, stream), daemon=True)
                answering.start()
                for data in _pieces(client):
                    stream.raw += data
                    with contextlib.suppress(OSError):
                        server.sendall(data)
                _hang_up(client, server)
                answering.join()

    def _answer(self, server: socket.socket, client: socket.socket, stream: Stream) -> None:
        with contextlib.suppress(OSError):
            for data in _pieces(server):
                with self._changed:
                    self._changed.wait_for(lambda: not self._silent_after or self._silent_after not in stream.raw)
                self._ended.wait(self._delay_s)
                if self._mode == "cut":
                    break
                if self._mode == "pass":
                    client.sendall(data)
        _hang_up(server, client)


def _pieces(source: socket.socket) -> Iterator[bytes]:
    """What comes, until there is no more."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            yield data


def _hang_up(*sockets: socket.socket) -> None:
    """End both ways; who reads them closes them."""
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
