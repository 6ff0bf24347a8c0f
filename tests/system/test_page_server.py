"""``python -m producer serve`` as the network sees it: slow clients, bytes that are no HTTP, errors of its own."""

import socket
from collections.abc import Iterator

import pytest

from producer.web.middleware import HEADERS
from tests.ports import free_port
from tests.servers import answers, wait_until
from tests.stack import Stack
from tests.web.slow_clients import CLIENTS, measure


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = free_port()
    with Stack() as stack, stack.running("serve", ["-m", "producer", "serve", f"--port={port}"], **stack.producer_env):
        wait_until(lambda: answers(port), what="the page")
        yield port


def ask(port: int, sent: bytes) -> tuple[int, dict[str, str]]:
    """The status and the headers of what is answered to these bytes."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(sent)
        received = b""
        while b"\r\n\r\n" not in received and (data := client.recv(65_536)):
            received += data
    first, *lines = received.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert len(headers) == len(lines)  # none twice
    return int(first.split()[1]), headers


@pytest.mark.parametrize(
    ("status", "request_line"),
    [
        (200, "GET /healthz"),
        (200, "GET /subscription/card"),
        (404, "GET /"),
        (404, "GET /subscription"),
        (404, "GET /subscription/static"),
        (404, "GET /healthz/"),
        (405, "DELETE /healthz"),
        (400, "GET / /"),
    ],
)
def test_every_answer_of_the_server_has_the_headers_and_no_redirect(port: int, status: int, request_line: str) -> None:
    found, headers = ask(port, f"{request_line} HTTP/1.1\r\nHost: thief.example\r\n\r\n".encode())

    assert (found, headers.get("location")) == (status, None)
    assert {name: headers.get(name.lower()) for name in HEADERS} == {k: v.lower() for k, v in HEADERS.items()}


def test_headers_beyond_their_limit_are_answered_and_their_connection_ended(port: int) -> None:
    status, headers = ask(port, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000)

    assert (status, headers["connection"]) == (400, "close")


def test_slow_clients_are_cut_and_others_served_within_a_second() -> None:
    found = measure(12)

    assert (found["slow_clients"], found["never_cut"]) == (CLIENTS, 0)
    assert set(found["statuses"]) == {"200", "202"}
    assert found["slowest_own_s"] < 1
    assert found["answered"]["body 408"] > 0
