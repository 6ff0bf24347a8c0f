"""Sockets and threads: one thread for each connection, none left after ``stop``."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

from tests.fake_iamport.answers import error_page
from tests.fake_iamport.call import Call
from tests.fake_iamport.exchange import HTML, Cut, Reply
from tests.fake_iamport.wire import MalformedError, Wire

_BAD_REQUEST = Reply(400, error_page(400, "Bad Request"), HTML)
_LISTENS_AGAIN_S = 0.25


class Server:
    """Listens, and hands each request to ``serve``."""

    def __init__(
        self,
        address: tuple[str, int],
        serve: Callable[[Call], Reply | Cut],
        stopping: threading.Event,
        context: ssl.SSLContext | None,
    ) -> None:
        self._serve = serve
        self._stopping = stopping
        self._context = context
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._listener = socket.create_server(address, backlog=1024)
        self._listener.settimeout(_LISTENS_AGAIN_S)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="fake-accept", daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Close everything and wait for all threads; ``stopping`` must be set before."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept on Linux
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            still_open = dict(self._open)
        for sock, thread in still_open.items():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:  # stopping, or out of file descriptors
                self._stopping.wait(_LISTENS_AGAIN_S)
                continue
            with contextlib.suppress(OSError):  # it has gone again
                self._welcome(sock)

    def _welcome(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            # The handshake belongs to the connection's thread: here it would hold up others.
            sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=self._connection, args=(sock,), daemon=True)
        with self._lock:
            self._open[sock] = thread
        thread.start()

    def _connection(self, sock: socket.socket) -> None:
        try:
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            self._exchange(Wire(sock))
        except OSError:
            pass  # a client may break off at any byte, in the handshake too
        finally:
            with self._lock:
                del self._open[sock]
            sock.close()

    def _exchange(self, wire: Wire) -> None:
        while not self._stopping.is_set():
            try:
                call = wire.read()
            except MalformedError:
                wire.write(_BAD_REQUEST, self._stopping.wait)
                return
            if call is None:
                return
            reply = self._serve(call)
            if isinstance(reply, Cut):
                wire.cut(reply)
                return
            wire.write(reply, self._stopping.wait)
            if call.header("Connection").lower() == "close":
                return
