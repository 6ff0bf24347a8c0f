"""Exposition: ``/metrics`` for Prometheus, from the one process that outlives the workers.

The workers count into files of their own in a folder in memory (numbers and label words, nothing else), which goes with
the command; what is open and how long it has waited is asked of the ledger at each scrape.
"""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import redis
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from producer.contract import redis_keys
from producer.contract.job import QUEUES
from producer.runtime.errors import StoreUnavailable
from producer.runtime.redis_store import Stores
from worker.errors import SettingsError
from worker.ledger import Ledger
from worker.settings import WorkerSettings

IN_MEMORY = Path("/dev/shm")  # noqa: S108 — a folder of random name is made in it


class Backlog(Collector):
    """Open jobs, read from the ledger at a scrape; empty while it does not answer."""

    def __init__(self, stores: Stores, ledger: Ledger) -> None:
        self._stores, self._ledger = stores, ledger

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        open_jobs = GaugeMetricFamily("billing_open_jobs", "Accepted jobs without an outcome.")
        overdue = GaugeMetricFamily("billing_overdue_seconds", "How long the most overdue job has been due.")
        waiting = GaugeMetricFamily(
            "billing_oldest_unclaimed_seconds", "Age of the oldest job that no worker has taken up.", labels=["queue"]
        )
        with contextlib.suppress(StoreUnavailable, redis.RedisError):
            link, now = self._stores.local, self._ledger.now()
            open_jobs.add_metric([], link.call("ZCARD", redis_keys.OPEN))
            overdue.add_metric([], _age(link.call("ZRANGE", redis_keys.OPEN, 0, 0, "WITHSCORES"), now))
            for queue in QUEUES[1:]:
                first = link.call("ZRANGE", redis_keys.FRESH + queue, 0, 0, "WITHSCORES")
                waiting.add_metric([queue], _age(first, now))
        yield from (open_jobs, overdue, waiting)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 5  # of a client that says nothing

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — http.server's name
        """Scrapes are not worth a line."""


def _age(first: list[bytes], now: float) -> float:
    return max(now - float(first[1]), 0.0) if first else 0.0


@contextlib.contextmanager
def metrics_served(settings: WorkerSettings) -> Iterator[dict[str, str]]:
    """Serve ``/metrics`` on ``METRICS_HOST`` and ``METRICS_PORT``, if a port is set.

    Yields:
        What the worker processes need in their environment.

    Raises:
        SettingsError: the port cannot be had.
    """
    if settings.metrics_port is None:
        yield {}
        return
    folder = tempfile.mkdtemp(prefix="billing-metrics-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
    try:
        registry, stores = CollectorRegistry(), Stores(settings.ledger_url, "ledger")
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
        registry.register(Backlog(stores, Ledger(stores, stores, call_deadline_s=0)))
        try:
            server = make_server(
                settings.metrics_host, settings.metrics_port, make_wsgi_app(registry), _Server, _Handler
            )
        except OSError:
            raise SettingsError("METRICS_PORT: cannot listen there") from None
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        yield {"PROMETHEUS_MULTIPROC_DIR": folder}
        server.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
