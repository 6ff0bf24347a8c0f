"""Metrics of ``python -m producer webhooks run``."""

import contextlib
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..errors import BrokerUnavailable
from .delivery_queue import WebhookLedger
from .http import PostResult

POSTS = Histogram(
    "billing_webhook_seconds",
    "Deliveries that were tried, by what came of it: delivered, refused (another HTTP status), silent.",
    ["result"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=None,
)
GIVEN_UP = Counter("billing_webhook_given_up_total", "Deliveries that are not tried any more.", registry=None)


def result_of(result: PostResult) -> str:
    """The label of a delivery's result."""
    if result.is_delivered:
        return "delivered"
    return "refused" if result.word.isdecimal() else "silent"


class Lines(Collector):
    """Gauges that are read from the ledger at a scrape; none while it does not answer.

    Args:
        ledger: the outcomes that wait.
    """

    def __init__(self, ledger: WebhookLedger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        with contextlib.suppress(BrokerUnavailable):
            found = self._ledger.waiting()
            overdue_s = max(-(found.next_in_s or 0.0), 0.0)
            yield GaugeMetricFamily("billing_webhook_lines", "Lines that have a delivery that waits.", found.lines)
            yield GaugeMetricFamily("billing_webhook_late", "Deliveries that are tried beside their line.", found.late)
            yield GaugeMetricFamily("billing_webhook_failed", "Deliveries that were given up and kept.", found.failed)
            yield GaugeMetricFamily("billing_webhook_overdue_seconds", "How long the first has been due.", overdue_s)


def registry_of(ledger: WebhookLedger) -> CollectorRegistry:
    """All metrics of this process.

    Args:
        ledger: the outcomes that wait.
    """
    registry = CollectorRegistry()
    for one in (POSTS, GIVEN_UP, Lines(ledger)):
        registry.register(one)
    return registry
