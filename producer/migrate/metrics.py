"""Metrics of a migration that runs: its progress."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .progress import Progress


class Run(Collector):
    """Gauges of a run.

    Args:
        progress: gives where it is; None while it has not begun.
    """

    def __init__(self, progress: Callable[[], Progress | None]) -> None:
        self._progress = progress

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        if (found := self._progress()) is None:
            return
        rows = GaugeMetricFamily(
            "billing_migration_rows", "Rows that were read, by what became of them.", labels=["status"]
        )
        for status, count in found.counts.items():
            rows.add_metric([status], count)
        yield rows
        if found.expected is not None:
            yield GaugeMetricFamily(
                "billing_migration_expected_rows", "Rows that there are said to be.", found.expected
            )
        yield GaugeMetricFamily("billing_migration_rows_per_second", "Rows that ended, lately.", found.rate)
        yield GaugeMetricFamily("billing_migration_window_jobs", "Jobs that may be open.", found.window)
        yield GaugeMetricFamily(
            "billing_migration_held", "1 while nothing is sent: paused, or a store.", int(bool(found.held))
        )


def registry_of(progress: Callable[[], Progress | None]) -> CollectorRegistry:
    """The metrics of this process.

    Args:
        progress: as for :class:`Run`.
    """
    registry = CollectorRegistry()
    registry.register(Run(progress))
    return registry
