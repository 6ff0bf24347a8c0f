"""Metrics: what a worker process counts. Labels are our own words; nothing of a job, a card or a message is one."""

from prometheus_client import Counter

OUTCOMES = Counter("billing_outcomes_total", "Jobs that ended here.", ["operation", "status"])
WAITS = Counter("billing_waits_total", "Jobs given back for a while.", ["reason"])
DROPPED = Counter("billing_messages_dropped_total", "Messages that were not ours.", ["problem"])
UNKNOWN = Counter("billing_unknown_jobs_total", "Messages whose job the ledger does not know.")
