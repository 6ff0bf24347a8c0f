"""An i'mport that answers by the book: what each job gets is written beforehand."""

import json
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

CARD = "41111111****1111"
NOT_FOUND = {"status": 404, "code": 1, "message": "존재하지 않습니다.", "response": None}


class Case(NamedTuple):
    """One job; see the package."""

    name: str
    op: str
    posts: list[Any]
    status: list[str]
    posts_most: int
    source: str
    find: str = "404"
    find_after: dict[str, str] | None = None
    posts_least: int = 0

    def found(self, posts: int) -> str:
        """What a look-up finds after so many POSTs."""
        if self.find_after is None:
            return self.find
        known = [after for after in self.find_after if int(after) <= posts]
        return self.find_after[max(known, key=int)] if known else "404"


def read_cases(path: Path) -> list[Case]:
    """The cases of a file of JSON Lines."""
    return [Case(**json.loads(line)) for line in path.read_text().splitlines()]


class ScriptedIamport:
    """Serves cases over HTTP, each under its own customer_uid or merchant_uid.

    Args:
        cases: by that name.
    """

    imp_key, imp_secret = "imp_script", "secret-of-the-script-0123456789"

    def __init__(self, cases: dict[str, Case]) -> None:
        self.cases, self.posts = cases, Counter[str]()
        self._lock = threading.Lock()
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Nothing."""

            def do_GET(self) -> None:
                script.look_up(self)

            def do_POST(self) -> None:
                script.post(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def post(self, request: BaseHTTPRequestHandler) -> None:
        """The next answer of a job's script; or a token."""
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        if request.path == "/users/getToken":
            now = int(time.time())
            token = {"access_token": "script-token", "now": now, "expired_at": now + 1800}
            return _envelope(request, {"status": 200, "code": 0, "message": None, "response": token})
        name = body.get("merchant_uid") or unquote(request.path.rpartition("/")[2])
        with self._lock:
            self.posts[name] += 1
            posts = self.cases[name].posts
            answer = posts[min(self.posts[name], len(posts)) - 1]
        if answer == "drop":
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.close_connection = True
            request.connection.close()
            return None
        if isinstance(answer, str) and answer.startswith("html:"):
            return _page(request, int(answer.partition(":")[2]))
        if isinstance(answer, str):
            return _envelope(request, _success(answer, name))
        return _envelope(request, json.loads(json.dumps(answer).replace('"?"', json.dumps(name))))

    def look_up(self, request: BaseHTTPRequestHandler) -> None:
        """What is found; a record only under its own status."""
        parts = [unquote(part) for part in request.path.partition("?")[0].split("/")]
        name = parts[3]
        found = self.cases[name].found(self.posts[name])
        is_payment = parts[1] == "payments"
        if found == "404" or (is_payment and parts[-1] not in {found, name}):
            return _envelope(request, NOT_FOUND)
        answer = _success(found, name)
        if parts[2] == "findAll":
            answer["response"] = {"total": 1, "previous": 0, "next": 0, "list": [answer["response"]]}
        return _envelope(request, answer)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _success(word: str, name: str) -> dict[str, Any]:
    now = int(time.time())
    record: dict[str, Any] = {"card_number": CARD, "card_name": "카드", "pg_provider": "nice"}
    if word == "ok":
        record |= {"customer_uid": name, "inserted": now, "updated": now}
    else:
        record |= {"merchant_uid": name, "imp_uid": "imp_1", "amount": 1000, "status": "paid", "paid_at": now}
    return {"status": 200, "code": 0, "message": None, "response": record}


def _envelope(request: BaseHTTPRequestHandler, answer: dict[str, Any]) -> None:
    body = {name: answer[name] for name in ("code", "message", "response")}
    _send(request, answer["status"], "application/json", json.dumps(body).encode())


def _page(request: BaseHTTPRequestHandler, status: int) -> None:
    _send(request, status, "text/html", b"<html><body>page</body></html>")


def _send(request: BaseHTTPRequestHandler, status: int, kind: str, body: bytes) -> None:
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
