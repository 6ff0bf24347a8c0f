"""Middleware before every request and behind every answer: a body's size and time, headers, pages of other sites."""

import asyncio
import re
from collections.abc import Iterator, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .schema import EndpointError

REQUEST_LIMIT = 16_384  # bytes of a body
BODY_S = 10.0  # for all of it
EMBED = "/static/embed.js"  # the one file that pages of the shop's load
CSP = "Content-Security-Policy"


def policy(frame_ancestors: str = "'none'") -> str:
    """The Content-Security-Policy of an answer that pages of these origins may hold in a frame."""
    return "; ".join(
        (
            *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"),
            *("img-src 'self' data:", "form-action 'none'", f"frame-ancestors {frame_ancestors}", "base-uri 'none'"),
            "require-trusted-types-for 'script'",
        )
    )


HEADERS = {
    CSP: policy(),
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
    """ASGI middleware around a whole app: bounds a body, and puts the headers on every answer, that to a bug too.

    Args:
        app: the app.
        body_s: seconds that a body may take, from its request's headers to its end.
    """

    def __init__(self, app: ASGIApp, body_s: float = BODY_S) -> None:
        self._app, self._body_s = app, body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, unless its body is too large or too slow."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        send = _with_headers(scope, send)
        try:
            async with asyncio.timeout(self._body_s):
                body = await _body(scope, receive)
        except EndpointError as error:
            await error.response()(scope, receive, send)
        except TimeoutError:
            await EndpointError("too_slow", headers={"Connection": "close"}).response()(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            await self._app(scope, _replay(body, receive), send)


def _with_headers(scope: Scope, send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            _complete(headers, scope["path"], message["status"])
        await send(message)

    return send_with_headers


def _complete(headers: MutableHeaders, path: str, status: int) -> None:
    if status < 400 and path.rpartition("/")[0].endswith("/static"):
        headers["Cache-Control"] = "no-cache"  # kept, and asked about by its ETag
    if path.endswith(EMBED):
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    # X-Frame-Options cannot name an origin: an answer's own policy says who may hold it in a frame.
    missing = HEADERS.keys() - ({"X-Frame-Options"} if CSP in headers else set())
    for name in sorted(missing):
        headers.setdefault(name, HEADERS[name])


async def _body(scope: Scope, receive: Receive) -> bytes:
    length = Headers(scope=scope).get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > REQUEST_LIMIT:
        raise EndpointError("too_large")
    body = b""
    async for chunk in Request(scope, receive).stream():
        body += chunk
        if len(body) > REQUEST_LIMIT:
            raise EndpointError("too_large")
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


def check_site(headers: Mapping[str, str]) -> None:
    """Refuse the request of another site's page. The ticket is no cookie, so this is a second lock.

    Raises:
        EndpointError: ``other_site``.
    """
    if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        raise EndpointError("other_site")
