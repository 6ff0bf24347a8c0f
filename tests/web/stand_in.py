"""A stand-in for the card page's endpoint: speaks the contract, opens what it gets with the test keys, can be held.

Holds what it opened and what came over the wire, byte for byte, so that tests can look for a card where none may be.
"""

import base64
import hmac
import html
import json
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from producer.contract.card import Card
from producer.contract.envelope import Envelope
from producer.contract.errors import Refused
from producer.contract.identifiers import Operation, job_id_of
from tests.servers import ROOT
from worker.keys.opening import OpeningKeys

STATIC = ROOT / "producer" / "web" / "static"
KEYRING = ROOT / "tests" / "vectors" / "keyring"
BASE = "/subscription"
TYPES = {".js": "text/javascript", ".css": "text/css"}
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'"
)
DECLINED = {"4000000001130105": "F113", "4000000001180001": "F118"}
REASONS = {"F113": "password", "F118": "not_usable"}
ENDS = {  # of numbers that the fake i'mport does not know, by what they end in
    "4000000000000101": ("in_doubt", "look_up"),
    "4000000000000119": ("expired", "resubmit"),
    "4000000000000127": ("misconfigured", "fix_configuration"),
    "4000000000000135": ("failed", "contact_operator"),
    "4000000000000143": ("superseded", "none"),
}
REFUSALS = {
    "ticket_invalid": 401,
    "ticket_of_another_session": 403,
    "ticket_used": 409,
    "ticket_expired": 410,
    "refused": 422,
    "too_many": 429,
    "too_slow": 408,
    "unavailable": 503,
}

Json = dict[str, Any]


@dataclass
class Job:
    """One accepted card."""

    job_id: str
    claims: Json
    card: Card
    held: bool
    posted: int = 1


@dataclass
class Received:
    """One request as it came."""

    method: str
    path: str
    raw: bytes


@dataclass
class StandIn:
    """The endpoint, until the ``with`` ends.

    Args:
        curves: of the sealing keys that it shows.
        slots: what is filled into the page, beside the ticket.
    """

    curves: tuple[str, ...] = ("X25519", "P-256")
    slots: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    opened: list[Card] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    holds: bool = False
    is_cut: bool = False
    renews: bool = True

    def __enter__(self) -> Self:
        self._secret = secrets.token_bytes(32)
        self._keys = OpeningKeys(json.loads((KEYRING / "opening.private.jwks.json").read_text()))
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"at": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}{BASE}"

    def mint(self, purpose: str = "issue", *, life_s: float = 900, **bound: str) -> str:
        """A ticket; ``customer_uid`` and ``merchant_uid`` as keywords."""
        claims: Json = {"purpose": purpose, **(bound or {"customer_uid": "gildong_0001_1234"})}
        claims |= {"exp": int(time.time() + life_s), "jti": secrets.token_hex(8)}
        text = f"{_b64({'alg': 'HS256'})}.{_b64(claims)}"
        return f"{text}.{self._mac(text)}"

    def page_url(self, ticket: str) -> str:
        return f"{self.base_url}/card?ticket={ticket}"

    def hold(self) -> None:
        """Leave jobs open from now on."""
        self.holds = True

    def release(self) -> None:
        """Let all jobs end."""
        with self._changed:
            self.holds = False
            for job in self.jobs.values():
                job.held = False
            self._changed.notify_all()

    def cut(self) -> None:
        """Break every connection that asks for an outcome, until :meth:`mend`."""
        with self._changed:
            self.is_cut = True
            self._changed.notify_all()

    def mend(self) -> None:
        """Answer again."""
        self.is_cut = False

    def posts(self) -> list[Received]:
        """The requests that handed a card in."""
        return [one for one in self.received if one.method == "POST"]

    def claims_of(self, ticket: str) -> Json | None:
        """What a ticket says, if it is ours and not expired."""
        text, _, mac = ticket.rpartition(".")
        if not hmac.compare_digest(mac, self._mac(text)):
            return None
        payload = text.split(".")[1]
        claims: Json = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims if claims["exp"] >= time.time() else None

    def accept(self, ticket: str, text: str) -> Job:
        """The job of a ticket; begun, if it is its first.

        Raises:
            Refused: what the real endpoint or the worker would refuse.
        """
        claims = self.claims_of(ticket)
        if claims is None:
            raise Refused("ticket_expired")
        job_id = job_id_of(ticket)
        with self._changed:
            if job_id in self.jobs:
                self.jobs[job_id].posted += 1
                return self.jobs[job_id]
            envelope = Envelope.parse(text)
            envelope.check_bound(Operation(claims["purpose"]), claims.get("customer_uid"), claims.get("merchant_uid"))
            envelope.check_time(time.time())
            card = self._keys.open_card(envelope, now=time.time())
            self.opened.append(card)
            self.envelopes.append(envelope)
            self.jobs[job_id] = Job(job_id, claims, card, held=self.holds)
            return self.jobs[job_id]

    def answer(self, job: Job, wait_s: float) -> tuple[int, Json]:
        """Status and body for a job, at once or when it ends."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_cut or not self.holds or not job.held, timeout=wait_s)
            if job.held:
                return 202, {"job_id": job.job_id, "status_url": f"{BASE}/jobs/{job.job_id}"}
        outcome = outcome_of(job)
        body: Json = {"job_id": job.job_id, "status": outcome["status"], "outcome": outcome}
        if self.renews and outcome["next_step"] in {"ask_customer", "resubmit"}:
            bound = {name: job.claims[name] for name in ("customer_uid", "merchant_uid") if name in job.claims}
            body["ticket"] = self.mint(job.claims["purpose"], **bound)
        return 200, body

    def jwks(self) -> Json:
        """The sealing keys and the time."""
        keys = json.loads((KEYRING / "sealing.public.jwks.json").read_text())["keys"]
        shown = [key | {"use": "enc", "alg": "ECDH-ES"} for key in keys if key["crv"] in self.curves]
        return {"keys": shown, "now": time.time()}

    def page(self, ticket: str, lang: str) -> str:
        """page.html, filled."""
        slots = {
            "lang": lang,
            "ticket": ticket,
            "job": job_id_of(ticket) if job_id_of(ticket) in self.jobs else "",
            "base": BASE,
            "terms_url": "https://merchant.example/terms",
            "privacy_url": "https://merchant.example/privacy",
            "merchant_name": "무지개 서점",
            **dict.fromkeys(("amount_text", "order_name", "return_url", "parents", "colour", "ink"), ""),
            "logo": "data:,",
        } | self.slots
        text = (STATIC / "page.html").read_text()
        for name, value in slots.items():
            text = text.replace(f"{{{{{name}}}}}", html.escape(value))
        return text

    def _mac(self, text: str) -> str:
        return base64.urlsafe_b64encode(hmac.digest(self._secret, text.encode(), "sha256")).rstrip(b"=").decode()


def outcome_of(job: Job) -> Json:
    """How a card ends, by its number."""
    number = job.card.reveal()["card_number"]
    done = "issued" if job.claims["purpose"] == "issue" else "paid"
    status, next_step = ENDS.get(number, (done, "none"))
    if number in DECLINED:
        status, next_step = "declined", "ask_customer"
    is_done = status == done
    return {
        "status": status,
        "next_step": next_step,
        "card_name": "신한카드" if is_done else None,
        "card_number": f"{number[:6]}{'*' * (len(number) - 10)}{number[-4:]}" if is_done else None,
        "pg_code": DECLINED.get(number),
        "reason": REASONS.get(DECLINED.get(number, "")),
    }


def _b64(members: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    """HTTP, and nothing of the contract's meaning."""

    protocol_version = "HTTP/1.1"
    at: StandIn

    def do_GET(self) -> None:
        url = self._note(b"")
        route, query = url.path.removeprefix(BASE), {name: values[0] for name, values in parse_qs(url.query).items()}
        if route == "/card":
            self._page(query["ticket"], self.headers.get("Accept-Language", "ko")[:2])
        elif route == "/keys":
            self._json(200, self.at.jwks())
        elif route.startswith("/jobs/"):
            self._job(route.removeprefix("/jobs/"), float(query.get("wait", "0")))
        elif route.startswith("/static/") and (STATIC / Path(route).name).is_file():
            self._send(200, (STATIC / Path(route).name).read_bytes(), TYPES[Path(route).suffix])
        elif route == "/elsewhere":
            self._send(200, b"<!doctype html><title>elsewhere</title><input id=plain>", "text/html; charset=utf-8")
        else:
            self._json(404, {"error": "unknown", "message": ""})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._note(body)
        fault = self.at.faults.pop(0) if self.at.faults else None
        if fault == "half_answer":
            self._break(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
        elif fault in REFUSALS:
            self._json(REFUSALS[fault], {"error": fault, "message": ""})
        elif fault == "gateway":
            self._send(502, b"<html>Bad Gateway", "text/html")
        else:
            self._accept(json.loads(body), fault)

    def _accept(self, request: Json, fault: str | None) -> None:
        try:
            job = self.at.accept(request["ticket"], request["envelope"])
        except Refused as refused:
            code = refused.code if refused.code in REFUSALS else "refused"
            self._json(REFUSALS[code], {"error": code, "message": refused.code})
            return
        if fault == "lost_answer":
            self._break(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
        elif fault == "reset":  # without a byte of an answer: the browser repeats by itself
            self._break()
        else:
            status, body = self.at.answer(job, wait_s=0)
            self._json(status, body | ({"repeated": True} if job.posted > 1 else {}))

    def _job(self, job_id: str, wait_s: float) -> None:
        job, ticket = self.at.jobs.get(job_id), self.headers.get("X-Ticket", "")
        if job is None or job_id_of(ticket) != job_id:
            self._json(404, {"error": "unknown", "message": ""})
            return
        answer = self.at.answer(job, wait_s)
        if self.at.is_cut:
            self._break()
        else:
            self._json(*answer)

    def _break(self, first: bytes = b"") -> None:
        self.close_connection = True
        self.wfile.write(first)
        self.connection.shutdown(socket.SHUT_RDWR)

    def _page(self, ticket: str, lang: str) -> None:
        self._send(200, self.at.page(ticket, lang).encode(), "text/html; charset=utf-8")

    def _json(self, status: int, body: Json) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", CSP),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _note(self, body: bytes) -> Any:
        raw = f"{self.requestline}\r\n{self.headers}".encode() + body
        self.at.received.append(Received(self.command, self.path, raw))
        return urlsplit(self.path)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the base class's name
        """Quiet: ``received`` holds it all."""
