"""The card page and its endpoint as a process of their own."""

import contextlib
import signal
import sys

import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from ..billing_queue import BillingQueue
from ..errors import SettingsError
from ..runtime.alive import AliveFile, alive_file
from ..runtime.monitoring import monitored, stores_answer
from ..settings import ProducerMetrics
from .connection import Connection
from .endpoint import card_app
from .metrics import REGISTRY, Measured
from .middleware import Guard
from .settings import WebSettings

KEEP_ALIVE_S = 75  # longer than proxies keep an idle connection, so that they do not send on one that we end


def run_server(queue: BillingQueue, host: str, port: int, prefix: str, behind: str | None) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        queue: where the jobs go.
        host, port: where to listen.
        prefix: path under which everything lies.
        behind: proxies that are believed, comma-separated.

    Raises:
        SettingsError: a setting is missing or wrong; the prefix or a port cannot be had.
    """
    if not prefix.startswith("/") or prefix.endswith("/"):
        raise SettingsError("--prefix: must begin with / and not end with it")
    settings = WebSettings.from_env()
    routes = [Route("/healthz", _health), Mount(prefix, card_app(queue, settings))]
    config = uvicorn.Config(
        Measured(Guard(Router(routes, redirect_slashes=False)), prefix),
        host=host,
        port=port,
        access_log=False,  # it would hold tickets
        log_config=None,
        http=Connection,
        ws="none",  # a connection that became a WebSocket would have no deadline
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        proxy_headers=behind is not None,
        forwarded_allow_ips=behind,
        timeout_graceful_shutdown=30,
    )
    server = _Server(config, alive_file("serve"))
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal once more when it has ended
        signal.signal(number, lambda *_: sys.exit(0))
    with _monitored(queue, settings, server):
        server.run()
    if not server.started:
        raise SettingsError("--port: cannot listen there")


class _Server(uvicorn.Server):
    """A server that shows that its loop goes round.

    Args:
        alive: shows it.
    """

    def __init__(self, config: uvicorn.Config, alive: AliveFile) -> None:
        super().__init__(config)
        self._alive = alive

    async def on_tick(self, counter: int) -> bool:
        """Go round."""
        self._alive.touch()
        return await super().on_tick(counter)

    def is_alive(self) -> bool:
        """True if its loop went round within a minute."""
        return self._alive.is_fresh


def _monitored(queue: BillingQueue, settings: WebSettings, server: _Server) -> contextlib.AbstractContextManager[None]:
    known = queue.settings
    stores = [known.broker_url, known.ledger_url, known.vault_url, settings.limits_url or ""]
    metrics = ProducerMetrics.from_env()
    return monitored(metrics, REGISTRY, is_alive=server.is_alive, is_ready=lambda: stores_answer(stores))


async def _health(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")
