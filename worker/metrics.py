"""Metrics: what a worker process counts. Labels are words of ours or of a table, nothing of a job or a card.

Counted also where nobody asks: an increment is a microsecond. What Prometheus gets is in :mod:`worker.metrics_server`.
"""

from prometheus_client import Counter, Gauge, Histogram

OUTCOMES_TOTAL = Counter("billing_outcomes_total", "Jobs that ended here.", ["operation", "status", "code"])
JOB_SECONDS = Histogram(
    "billing_job_seconds",
    "From acceptance to the outcome.",
    ["operation"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
START_SECONDS = Histogram(
    "billing_start_seconds",
    "From acceptance until it is first sent to i'mport.",
    ["operation"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900),
)
ATTEMPTS = Counter(
    "billing_attempts_total", "POSTs of cards: the first of a job, or one more.", ["operation", "attempt"]
)
WAITS = Counter("billing_waits_total", "Jobs given back for a while.", ["reason"])
CALLS = Histogram(
    "billing_iamport_seconds",
    "Calls to i'mport, by what was called, the HTTP status (0: no answer), and what i'mport said.",
    ["call", "status", "result"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
PERMITS = Counter("billing_permits_total", "Places in the shared rate that were given.", ["use"])
BREAKER_OPENED = Counter(
    "billing_breaker_opened_total", "Runs of failures after which nobody calls i'mport for a while."
)
TOKEN_FETCHES = Counter("billing_token_fetches_total", "Logins for the shared token.", ["result"])
TOKEN_FETCHED_AT = Gauge(
    "billing_token_fetched_timestamp_seconds", "When the shared token was last fetched here.", multiprocess_mode="max"
)
OPENS = Counter("billing_opens_total", "Cards opened, by the key that opened them.", ["kid"])
SWEEPS = Counter("billing_sweeper_actions_total", "What the sweeper did.", ["action"])
RECONCILED = Counter("billing_reconciled_total", "What i'mport said of jobs that had ended in doubt.", ["found"])
DROPPED = Counter("billing_messages_dropped_total", "Messages that were not ours.", ["problem"])
UNKNOWN = Counter("billing_unknown_jobs_total", "Messages whose job the ledger does not know.")
STORE_SECONDS = Histogram(
    "billing_store_seconds",
    "Commands whose answer is waited for, of jobs and the sweeper.",
    ["store"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
