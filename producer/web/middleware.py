"""Guard: what stands before every request and behind every answer: sizes, headers, other sites, and limits."""

from collections.abc import Awaitable, Callable, Mapping

from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producer.contract import redis_keys
from producer.web.answer import Problem

BODY_LIMIT = 16_384
POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:"),
        *("form-action 'none'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"),
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware: bounds a body, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def bounded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"].rpartition("/")[0].endswith("/static"):
                    headers["Cache-Control"] = "no-cache"  # kept, and asked about by its ETag
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            body = await _body(scope, receive)
        except Problem as problem:
            await problem.response()(scope, receive, bounded_send)
            return
        await self._app(scope, _replay(body, receive), bounded_send)


async def _body(scope: Scope, receive: Receive) -> bytes:
    length = Headers(scope=scope).get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > BODY_LIMIT:
        raise Problem("too_large")
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        body += bytes(message.get("body", b""))
        if len(body) > BODY_LIMIT:
            raise Problem("too_large")
        if not message.get("more_body"):
            return body


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def check_site(headers: Mapping[str, str]) -> None:
    """Refuse what a page of another site sends. The ticket is no cookie, so this is a second lock.

    Raises:
        Problem: ``other_site``.
    """
    if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        raise Problem("other_site")


class Limits:
    """How many cards an address, and a customer, may hand in; shared by all processes through the ledger.

    A store that does not answer lets everything pass: the queue behind it will say so.

    Args:
        ledger_url: where the counts are.
        per_address, per_customer: as ``10 per 5 minutes``.
    """

    def __init__(self, ledger_url: str, per_address: str, per_customer: str) -> None:
        storage = RedisStorage(
            ledger_url,
            wrap_exceptions=True,
            key_prefix=redis_keys.LIMITS.rstrip(":"),
            socket_connect_timeout=1.0,
            socket_timeout=1.5,
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._limits = {"address": parse(per_address), "customer": parse(per_customer)}

    def count(self, **who: str | None) -> None:
        """Count one card for each of those named.

        Raises:
            Problem: ``too_many``.
        """
        for kind, name in who.items():
            if name and not self._hit(self._limits[kind], kind, name):
                raise Problem("too_many", retry_after_s=self._limits[kind].get_expiry())

    def _hit(self, limit: RateLimitItem, *names: str) -> bool:
        try:
            return bool(self._limiter.hit(limit, *names))
        except (StorageError, OSError):
            return True
