"""The thin shell around the story: a job id comes in, an outcome goes out through the ledger."""

import os
import time
from itertools import count
from typing import Any

import structlog
from celery import shared_task

from producer.contract.job import MIGRATION, TASK_NAME
from producer.contract.outcome import Outcome
from producer.runtime import tracing
from producer.runtime.errors import StoreUnavailable
from producer.runtime.span import Span
from worker import metrics
from worker.bootstrap import PROCESS, this_worker
from worker.events import SUCCESSES
from worker.labels import code_of
from worker.message_filter import ACCEPTED_FOR
from worker.model import Delivered, NotClaimed, Snooze

log = structlog.get_logger()
_deliveries = count(1)  # beside the pid: a pool of processes has copies of it


@shared_task(name=TASK_NAME, bind=True, ignore_result=True, send_events=False)
def run(self: Any, job_id: str) -> None:  # noqa: ANN401 — Celery's task
    """Take one job as far as it goes now.

    Args:
        job_id: which job; everything else is in ledger and vault.
    """
    queue = self.request.get(ACCEPTED_FOR) or (self.request.delivery_info or {}).get("routing_key")
    worker, began = this_worker(), time.monotonic()
    delivery = f"{PROCESS}:{os.getpid()}.{next(_deliveries)}"
    with structlog.contextvars.bound_contextvars(job_id=job_id), tracing.delivering(job_id, str(queue)) as span:
        try:
            delivered = worker.issuance.run(job_id, delivery, is_migration=queue == MIGRATION)
        except StoreUnavailable as error:
            log.warning("job left to the ledger", problem=str(error))
            span.tell(is_failed=True, error=type(error).__name__)
            return
        seconds = time.monotonic() - began
        _report(delivered, round(seconds, 3), span)
        worker.events.tell(job_id, delivered, seconds)


def _report(delivered: Delivered, seconds: float, span: Span) -> None:
    """Count a delivery, and log it in a line."""
    told = log.bind(**delivered.name._asdict() if delivered.name else {}, seconds=seconds)
    match delivered.step:
        case Outcome() as outcome:
            code = code_of(outcome)
            metrics.OUTCOMES_TOTAL.labels(str(outcome.operation), str(outcome.status), code).inc()
            metrics.JOB_SECONDS.labels(str(outcome.operation)).observe(outcome.finished_at - outcome.accepted_at)
            span.tell(is_failed=outcome.status not in SUCCESSES, status=str(outcome.status), code=code)
            told.info("job finished", status=str(outcome.status), code=outcome.code, attempts=outcome.attempts)
        case Snooze() as wait:
            metrics.WAITS.labels(wait.reason).inc()
            span.tell(reason=wait.reason)
            told.info("job waits", reason=wait.reason, delay_s=round(wait.delay_s, 1))
        case NotClaimed("unknown"):
            metrics.UNKNOWN.inc()
            log.warning("message dropped: the ledger knows no such job")
        case _:
            told.debug("nothing to do")
