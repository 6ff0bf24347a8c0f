"""An upstream that costs as little as possible: canned answers of i'mport after a constant latency.

    python -m tests.bench.upstream --port 8090 --latency-ms 200

It neither checks nor remembers anything, and names the customer_uid of the path; the faithful fake is
:mod:`tests.fake_iamport`.
"""

import asyncio
import json
import time
from email.utils import formatdate
from typing import Any

import click

from producer.runtime.lockdown import end_with_parent

LOGIN = b"POST /users/getToken "
CUSTOMERS = b"/subscribe/customers/"
CUSTOMER = {
    "pg_provider": "nice",
    "pg_id": "nictest04m",
    "customer_id": None,
    "card_name": "비씨카드",
    "card_code": "361",
    "card_number": "400002******0000",
    "card_type": "0",
    "customer_name": None,
    "customer_tel": None,
    "customer_email": None,
    "customer_addr": None,
    "customer_postcode": None,
    "inserted": 1_760_000_000,
    "updated": 1_760_000_000,
}


def _answer(response: dict[str, Any]) -> bytes:
    body = json.dumps({"code": 0, "message": None, "response": response}, ensure_ascii=False).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Date: {formatdate(usegmt=True)}\r\n\r\n".encode() + body


def answer_to(request: bytes) -> bytes:
    """The answer to a request, by its first line."""
    if request.startswith(LOGIN):
        now = int(time.time())
        return _answer({"access_token": f"{now:040x}", "now": now, "expired_at": now + 1800})
    uid = request.partition(CUSTOMERS)[2].partition(b" ")[0].decode()
    return _answer({"customer_uid": uid, **CUSTOMER})


class Upstream(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            _, _, tail = self._buffer[:end].lower().partition(b"content-length:")
            length = end + 4 + int(tail.split(b"\r", 1)[0] or 0)
            if len(self._buffer) < length:
                return
            self._write(answer_to(bytes(self._buffer[:end])))
            del self._buffer[:length]

    def _write(self, answer: bytes) -> None:
        if self._latency_s:
            asyncio.get_running_loop().call_later(self._latency_s, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def serve(port: int, latency_s: float) -> None:
    """Answer until the process ends."""
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(latency_s), "127.0.0.1", port)
    await server.serve_forever()


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--latency-ms", type=click.FloatRange(min=0), default=0, show_default=True)
def main(port: int, latency_ms: float) -> None:
    """Answer every POST with a canned success."""
    end_with_parent()
    asyncio.run(serve(port, latency_ms / 1000))


if __name__ == "__main__":
    main()
