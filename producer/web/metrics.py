"""Metrics of ``python -m producer serve``; a merchant's own app that mounts the page counts for itself."""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .schema import REFUSAL

ROUTES = frozenset({"card", "keys", "issue-billing", "onetime", "jobs", "static"})

REGISTRY = CollectorRegistry()
REQUESTS = Histogram(
    "billing_page_seconds",
    "Requests by route and HTTP status (0: the client left), what they asked to wait included.",
    ["route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
REFUSED = Counter(
    "billing_page_refused_total", "Requests that were refused, by the code.", ["reason"], registry=REGISTRY
)


class Measured:
    """ASGI middleware around everything else: counts and times requests.

    Args:
        app: the app.
        prefix: path under which the page lies.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix + "/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route, began, status = self._route(scope["path"]), time.perf_counter(), 0

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            REQUESTS.labels(route, str(status)).observe(time.perf_counter() - began)
            if reason := scope.get(REFUSAL):
                REFUSED.labels(reason).inc()

    def _route(self, path: str) -> str:
        first = path.removeprefix(self._prefix).partition("/")[0] if path.startswith(self._prefix) else ""
        return first if first in ROUTES else "other"
