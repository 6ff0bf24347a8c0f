"""Metrics: what a worker process counts. Labels are words of ours or of a table, nothing of a job or a card.

What Prometheus gets of it is in :mod:`worker.metrics_server`. Where that serves nothing, nothing is counted either.
"""

import os
from functools import cache
from typing import Any, TypeVar, cast

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

SWITCH, OFF = "BILLING_METRICS", "off"  # variable of a worker process

Kind = TypeVar("Kind", bound=MetricWrapperBase)


class _Nothing:
    """In place of a metric that nobody asks for: a metric costs some microseconds a job."""

    def labels(self, *_values: str) -> "_Nothing":
        return self

    def inc(self, _amount: float = 1) -> None:
        pass

    def observe(self, _amount: float) -> None:
        pass

    def set_to_current_time(self) -> None:
        pass


def _made(kind: type[Kind], *arguments: Any, **options: Any) -> Kind:  # noqa: ANN401 — the metric's
    if os.environ.get(SWITCH) == OFF:
        return cast("Kind", _Nothing())
    metric = kind(*arguments, **options)
    metric.labels = cache(metric.labels)  # type: ignore[method-assign] # it locks and makes texts: a third of the cost
    return metric


OUTCOMES_TOTAL = _made(Counter, "billing_outcomes_total", "Jobs that ended here.", ["operation", "status", "code"])
JOB_SECONDS = _made(
    Histogram,
    "billing_job_seconds",
    "From acceptance to the outcome.",
    ["operation"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
START_SECONDS = _made(
    Histogram,
    "billing_start_seconds",
    "From acceptance until it is first sent to i'mport.",
    ["operation"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900),
)
ATTEMPTS = _made(
    Counter, "billing_attempts_total", "POSTs of cards: the first of a job, or one more.", ["operation", "attempt"]
)
WAITS = _made(Counter, "billing_waits_total", "Jobs given back for a while.", ["reason"])
CALLS = _made(
    Histogram,
    "billing_iamport_seconds",
    "Calls to i'mport, by what was called, the HTTP status (0: no answer), and what i'mport said.",
    ["call", "status", "result"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
PERMITS = _made(Counter, "billing_permits_total", "Places in the shared rate that were given.", ["use"])
BREAKER_OPENED = _made(
    Counter, "billing_breaker_opened_total", "Runs of failures after which nobody calls i'mport for a while."
)
TOKEN_FETCHES = _made(Counter, "billing_token_fetches_total", "Logins for the shared token.", ["result"])
TOKEN_FETCHED_AT = _made(
    Gauge,
    "billing_token_fetched_timestamp_seconds",
    "When the shared token was last fetched here.",
    multiprocess_mode="max",
)
OPENS = _made(Counter, "billing_opens_total", "Cards opened, by the key that opened them.", ["kid"])
SWEEPS = _made(Counter, "billing_sweeper_actions_total", "What the sweeper did.", ["action"])
RECONCILED = _made(Counter, "billing_reconciled_total", "What i'mport said of jobs that had ended in doubt.", ["found"])
DROPPED = _made(Counter, "billing_messages_dropped_total", "Messages that were not ours.", ["problem"])
UNKNOWN = _made(Counter, "billing_unknown_jobs_total", "Messages whose job the ledger does not know.")
STORE_SECONDS = _made(
    Histogram,
    "billing_store_seconds",
    "The sweeper's commands: some twice a second, writes to the ledger among them.",
    ["store"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
