"""Metrics: what a worker process counts. Labels are our own words; nothing of a job, a card or a message is one."""

from prometheus_client import Counter, Histogram

OUTCOMES_TOTAL = Counter("billing_outcomes_total", "Jobs that ended here.", ["operation", "status"])
JOB_SECONDS = Histogram(
    "billing_job_seconds",
    "From acceptance to the outcome.",
    ["operation"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
CALLS = Histogram(
    "billing_iamport_seconds",
    "Calls to i'mport, by what was called and the HTTP status (0: no answer).",
    ["call", "status"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
SWEPT = Counter("billing_swept_jobs_total", "Jobs that the sweeper put on a queue anew.")
WAITS = Counter("billing_waits_total", "Jobs given back for a while.", ["reason"])
DROPPED = Counter("billing_messages_dropped_total", "Messages that were not ours.", ["problem"])
UNKNOWN = Counter("billing_unknown_jobs_total", "Messages whose job the ledger does not know.")
