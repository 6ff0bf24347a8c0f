"""Monitoring: a port of its own with ``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for who starts us anew.

``/healthz``: the loop went round within a minute; else the process is to be started anew. ``/readyz``: it can do its
part now. Neither asks i'mport, or how much waits: all processes would be taken away at once, and none of them mends
that.
``/metrics`` may want a token; health is a word, and wants none.

Needs ``prometheus_client``: imported by what serves, and by nothing else.
"""

import contextlib
import hmac
import threading
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import redis
from prometheus_client import CollectorRegistry, make_wsgi_app
from pydantic import SecretStr

from .redis_store import open_client
from .settings import STORE_SCHEMES, MetricsSettings, SettingsError

WORDS = {True: "200 OK", False: "503 Service Unavailable"}
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 1.0, 1.5

Check = Callable[[], bool]
App = Callable[[dict[str, Any], Any], Iterable[bytes]]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 5  # of a client that says nothing

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — http.server's name
        """Scrapes are not worth a line."""


@contextlib.contextmanager
def monitored(
    settings: MetricsSettings, registry: CollectorRegistry, *, is_alive: Check, is_ready: Check
) -> Iterator[None]:
    """Serve on ``METRICS_HOST`` and ``METRICS_PORT`` for as long as the block takes, if a port is set.

    Args:
        registry: what ``/metrics`` shows.
        is_alive, is_ready: asked in threads of the server's own.

    Raises:
        SettingsError: the port cannot be had.
    """
    if settings.metrics_port is None:
        yield
        return
    app = monitoring_app(registry, settings.metrics_token, {"/healthz": is_alive, "/readyz": is_ready})
    try:
        server = make_server(settings.metrics_host, settings.metrics_port, app, _Server, _Handler)
    except OSError:
        raise SettingsError("METRICS_PORT: cannot listen there") from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def monitoring_app(registry: CollectorRegistry, token: SecretStr | None, checks: dict[str, Check]) -> App:
    """The WSGI app.

    Args:
        token: what ``/metrics`` wants to be shown.
        checks: by path.
    """
    metrics: App = make_wsgi_app(registry)
    wanted = f"Bearer {token.get_secret_value()}".encode() if token else None

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401 — WSGI's
        path, shown = environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION", "").encode()
        if path in checks:
            status = WORDS[checks[path]()]
        elif path != "/metrics":
            status = "404 Not Found"
        elif wanted and not hmac.compare_digest(shown, wanted):
            status = "401 Unauthorized"
        else:
            return metrics(environ, start_response)
        start_response(status, [("Content-Type", "text/plain"), *([("WWW-Authenticate", "Bearer")] if wanted else [])])
        return [status.partition(" ")[2].encode() + b"\n"]

    return app


def stores_answer(urls: Iterable[str]) -> bool:
    """True if every Redis among these URLs answers now."""
    for url in urls:
        if not url.startswith(STORE_SCHEMES):
            continue
        client = open_client(url, CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S)
        try:
            client.ping()
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()
    return True
