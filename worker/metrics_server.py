"""Exposition: metrics and health, from the one process that outlives the workers.

The workers count into files of their own in a folder in memory (numbers and label words, nothing else), which goes with
the command; what is open, how full the stores are and how fast it may go is asked of the stores at each scrape. They
touch files there, too: when their own loop goes round, and when Celery's does, which reads the queues.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import redis
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from producer.contract import redis_keys
from producer.contract.job import QUEUES
from producer.runtime.alive import is_fresh
from producer.runtime.errors import StoreUnavailable
from producer.runtime.monitoring import monitored, stores_answer
from producer.runtime.redis_store import Link, Stores
from worker.liveness import READING_FOLDER
from worker.metrics import OFF, SWITCH
from worker.rate_limit import SharedRate
from worker.room import memory_of
from worker.settings import WorkerSettings

IN_MEMORY = Path("/dev/shm")  # noqa: S108 — a folder of random name is made in it

OF_LEDGER = {
    "billing_open_jobs": "Accepted jobs without an outcome, by the queue that they were accepted for.",
    "billing_oldest_open_seconds": "Age of the oldest job without an outcome.",
    "billing_oldest_unclaimed_seconds": "Age of the oldest message that no worker has taken up.",
}


class Backlog(Collector):
    """Gauges that are read from the stores at a scrape; those of a store that does not answer are left out.

    Args:
        ledger, vault: connections.
        rate: the shared rate.
    """

    def __init__(self, ledger: Stores, vault: Stores, rate: SharedRate) -> None:
        self._ledger, self._vault, self._rate = ledger, vault, rate

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        for read in (self._of_ledger, self._of_rate, self._of_memory):
            with contextlib.suppress(StoreUnavailable, redis.RedisError):
                yield from read()

    def _of_ledger(self) -> list[Metric]:
        link = self._ledger.local
        now = link.time()
        gauges = [GaugeMetricFamily(name, words, labels=["queue"]) for name, words in OF_LEDGER.items()]
        for queue in QUEUES[1:]:
            accepted, fresh = redis_keys.ACCEPTED + queue, redis_keys.FRESH + queue
            values = (link.call("ZCARD", accepted), _age(link, accepted, now), _age(link, fresh, now))
            for gauge, value in zip(gauges, values, strict=True):
                gauge.add_metric([queue], value)
        doubt = link.call("ZCARD", redis_keys.IN_DOUBT)
        return [
            *gauges,
            GaugeMetricFamily("billing_in_doubt_jobs", "Jobs in doubt that i'mport is asked about again.", doubt),
            GaugeMetricFamily(
                "billing_overdue_seconds",
                "How long the most overdue job has been due.",
                _age(link, redis_keys.OPEN, now),
            ),
        ]

    def _of_rate(self) -> list[Metric]:
        state = self._rate.state()
        return [
            GaugeMetricFamily("billing_rate_per_second", "Calls a second that may go to i'mport now.", state.per_s),
            GaugeMetricFamily("billing_pause_seconds", "For how long nobody calls, as i'mport asked.", state.pause_s),
            GaugeMetricFamily("billing_breaker_open", "1 while only probes go to i'mport.", int(state.is_open)),
        ]

    def _of_memory(self) -> Iterator[Metric]:
        used = GaugeMetricFamily("billing_store_memory_bytes", "Memory of a store's server.", labels=["store"])
        most = GaugeMetricFamily("billing_store_memory_max_bytes", "Its maxmemory, 0 for none.", labels=["store"])
        for name, stores in (("ledger", self._ledger), ("vault", self._vault)):
            with contextlib.suppress(StoreUnavailable, redis.RedisError):
                memory = memory_of(stores.local)
                used.add_metric([name], memory.used)
                most.add_metric([name], memory.most)
        yield from (used, most)


def _age(link: Link, key: str, now: float) -> float:
    """Seconds since the first instant of a sorted set; 0 if it is empty, or that is yet to come."""
    first = link.call("ZRANGE", key, 0, 0, "WITHSCORES")
    return max(now - float(first[1]), 0.0) if first else 0.0


@contextlib.contextmanager
def metrics_served(settings: WorkerSettings, processes: int) -> Iterator[dict[str, str]]:
    """Serve metrics and health for worker processes, if a port is set.

    Args:
        processes: how many there are.

    Yields:
        What the worker processes need in their environment.

    Raises:
        SettingsError: the port cannot be had.
    """
    if settings.metrics_port is None:
        yield {SWITCH: OFF}
        return
    folder = Path(tempfile.mkdtemp(prefix="billing-metrics-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
    alive, reading = Path(os.environ.get("ALIVE_FOLDER") or folder / "alive"), folder / "reading"
    urls = (settings.broker_url, settings.ledger_url, settings.vault_url)
    is_alive, is_reading = _signs(alive, processes), _signs(reading, processes)
    try:
        with monitored(
            settings,
            _registry(settings, folder),
            is_alive=is_alive,
            is_ready=lambda: is_reading() and stores_answer(urls),
        ):
            yield {
                "PROMETHEUS_MULTIPROC_DIR": str(folder),
                "ALIVE_FOLDER": str(alive),
                READING_FOLDER: str(reading),
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _signs(folder: Path, processes: int) -> Callable[[], bool]:
    return lambda: all(is_fresh(folder / str(number)) for number in range(processes))


def _registry(settings: WorkerSettings, folder: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    ledger, vault = Stores(settings.ledger_url, "ledger"), Stores(settings.vault_url, "vault")
    registry.register(Backlog(ledger, vault, SharedRate(vault, settings.imp_rate_per_s)))
    return registry
