"""Slow clients at ``python -m producer serve``, and customers beside them.

    python -m tests.web.slow_clients --minutes 5

Of 200 clients some connect and send nothing, some send headers byte by byte, those of their first request or of their
second, some a body, also one that was refused already, and some ask for much and never read the answer. One that the
server has cut is followed by another of its kind. Meanwhile customers
open the page and hand cards in, each on a connection of its own. Whether a client is cut is read from the server's open
files: who never reads does not hear of it.

The last line is one JSON object; ``slowest_own_s`` is without what the machine kept customer and server waiting.
"""

import asyncio
import contextlib
import http.client
import itertools
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from tests.bench.endpoint import UNLIMITED, bodies_for
from tests.ports import free_port
from tests.servers import answers, wait_until
from tests.stack import Stack
from tests.stopwatch import Stopwatch

CLIENTS = 200
DRIP_S, CUSTOMER_S = 0.5, 0.2
PATIENCE_S = 60.0  # of this script: who is not cut by then never is
JSON = {"Content-Type": "application/json"}
HEAD = b"GET /subscription/static/page.js HTTP/1.1\r\nHost: shop.example\r\n"
POST = b"POST /subscription/issue-billing HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\n"
BEGINS = {
    "silent": b"",
    "headers": HEAD + b"X-Slow: ",
    "second": b"GET /healthz HTTP/1.1\r\nHost: shop.example\r\n\r\n" + HEAD + b"X-Slow: ",
    "body": POST + b"Content-Length: 9000\r\n\r\n{",
    "refused": POST + b"Content-Length: 90000\r\n\r\n{",
    "deaf": (HEAD + b"\r\n") * 40,
}
DRIPS = {"headers", "second", "body", "refused"}


@dataclass
class Watch:
    """The server's open connections, and what became of the slow clients.

    Args:
        pid, port: the server's.
        held_s: by kind, the time that each client which was cut had been held.
        answered: by kind and status, the answers that clients had when they were cut.
    """

    pid: int
    port: int
    held_s: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in BEGINS})
    answered: Counter[str] = field(default_factory=Counter)
    first_ones_left: int = CLIENTS
    connected: frozenset[int] = frozenset()

    def look(self) -> None:
        """See which clients' ports the server holds a connection to."""
        files = set()
        for file in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                files.add(str(file.readlink()))
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ours = (row for row in rows if int(row[1].partition(":")[2], 16) == self.port and f"socket:[{row[9]}]" in files)
        self.connected = frozenset(int(row[2].partition(":")[2], 16) for row in ours)

    async def keep_looking(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(DRIP_S / 2)


async def be_slow(kind: str, watch: Watch) -> None:
    """Be one slow client after the other, for ever."""
    for number in itertools.count():
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536
            )  # as of a network: loopback's buffers are huge
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", watch.port))
            began, own = time.monotonic(), client.getsockname()[1]
            with contextlib.suppress(OSError):  # a server that does not read
                client.send(BEGINS[kind])
            async for is_held in _looks(own, watch):
                if is_held and kind in DRIPS:
                    with contextlib.suppress(OSError):
                        client.send(b"x")
            watch.held_s[kind].append(time.monotonic() - began)
            if kind in DRIPS:
                with contextlib.suppress(OSError):
                    watch.answered[f"{kind} {client.recv(12)[9:].decode()}".strip()] += 1
        watch.first_ones_left -= number == 0


async def _looks(own: int, watch: Watch) -> AsyncIterator[bool]:
    """Look again and again at whether the server holds the connection; the end is when it did and does no more."""
    while own not in watch.connected:
        yield False
        await asyncio.sleep(DRIP_S)
    while own in watch.connected:
        yield True
        await asyncio.sleep(DRIP_S)


def be_served(watch: Watch, bodies: Iterator[bytes]) -> Iterator[tuple[int, Stopwatch]]:
    """Be one customer after the other; the answers' statuses, and how long each took."""
    asked: list[tuple[str, str]] = [("GET", "card?ticket=x"), ("GET", "static/page.js"), ("GET", "keys")]
    for method, path in itertools.cycle([*asked, ("POST", "issue-billing")]):
        body = next(bodies) if method == "POST" else None
        with Stopwatch(watch.pid) as stopwatch, contextlib.closing(_connection(watch.port)) as connection:
            try:
                connection.request(method, f"/subscription/{path}", body, JSON if body else {})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                status = 0
        yield status, stopwatch


def _connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)


async def run(watch: Watch, bodies: Iterator[bytes], seconds: float) -> list[tuple[int, Stopwatch]]:
    """Let customers come until the time is over and each of the first slow clients is cut, or never will be."""
    kinds = itertools.islice(itertools.cycle(BEGINS), CLIENTS)
    others = [asyncio.create_task(watch.keep_looking())]
    others += [asyncio.create_task(be_slow(kind, watch)) for kind in kinds]
    customers, served = be_served(watch, bodies), []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds or (watch.first_ones_left and passed < PATIENCE_S):
        served.append(await asyncio.to_thread(next, customers))
        await asyncio.sleep(CUSTOMER_S)
        if failed := [task.exception() for task in others if task.done()]:
            raise RuntimeError(f"a slow client ended: {failed[0]!r}")
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return served


def measure(seconds: float) -> dict[str, Any]:
    """Start stores and page, let both kinds of clients come, and end everything."""
    port = free_port()
    with Stack() as stack:
        bodies = bodies_for(stack, int(max(seconds, PATIENCE_S) / CUSTOMER_S / 4) + 4)
        serve = ["-m", "producer", "serve", f"--port={port}"]
        with stack.running("serve", serve, **stack.producer_env, **UNLIMITED) as server:
            wait_until(lambda: answers(port), what="the page")
            watch = Watch(server.pid, port)
            served = asyncio.run(run(watch, iter(bodies), seconds))
    return {
        "seconds": seconds,
        "slow_clients": CLIENTS,
        "customers": len(served),
        "statuses": Counter(str(status) for status, _ in served),
        "slowest_s": round(max(one.took_s for _, one in served), 3),
        "slowest_own_s": round(max(one.own_s for _, one in served), 3),
        "cut": {kind: len(held) for kind, held in watch.held_s.items()},
        "held_at_most_s": {kind: round(max(held, default=0), 1) for kind, held in watch.held_s.items()},
        "answered": watch.answered,
        "never_cut": watch.first_ones_left,
    }


@click.command()
@click.option("--minutes", type=click.FloatRange(0.1, 30), default=5, show_default=True, metavar="N")
def main(minutes: float) -> None:
    """See how long customers wait while others are slow."""
    click.echo(json.dumps(measure(60 * minutes)))


if __name__ == "__main__":
    main()
