"""A middlebox that forgets connections that were idle, on the way to i'mport."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from producer import BillingQueue, Card
from tests.fake_iamport import made_up
from tests.stack import Stack

IDLE_S, SOON_S = 6.0, 15.0
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Middlebox:
    """Passes everything on, until a connection was idle for 6 s.

    Args:
        port: where it goes.
        how: ``fin``, ``rst`` or ``silence``: what is sent over a connection that it forgot meets this.
    """

    def __init__(self, port: int, how: str) -> None:
        self._port, self._how, self.forgot = port, how, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        used_at = time.monotonic()
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                if time.monotonic() - used_at >= IDLE_S:
                    self.forgot += 1
                    return self._forget(client)
                server.sendall(data)
                used_at = time.monotonic()
        server.close()
        return None

    def _forget(self, client: socket.socket) -> None:
        if self._how == "silence":
            return
        if self._how == "rst":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        client.close()

    @staticmethod
    def _back(server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                client.sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(params=["fin", "rst", "silence"])
def middlebox(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Middlebox]:
    one = Middlebox(urlsplit(stack.fake.url).port or 0, request.param)
    yield one
    one.close()


def test_a_job_after_a_pause_ends_soon_although_its_old_connection_is_forgotten(
    stack: Stack, queue: BillingQueue, middlebox: Middlebox
) -> None:
    stack.worker(concurrency=1, IMP_API_URL=middlebox.url)
    took = []
    for number in range(3):
        began = time.monotonic()
        job = queue.issue(customer_uid=f"uid_{number}", card=Card(**made_up(number)))
        assert queue.wait(job.job_id, timeout_s=60).succeeded
        took.append(time.monotonic() - began)
        time.sleep(IDLE_S + 0.5 if number < 2 else 0)

    assert max(took) < SOON_S, took
    assert middlebox.forgot == 0
