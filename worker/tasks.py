"""The thin shell around the story: a job id comes in, an outcome goes out through the ledger."""

import os
import time
from itertools import count
from typing import Any

import structlog
from celery import shared_task

from producer.contract.job import MIGRATION, TASK_NAME
from producer.contract.outcome import Outcome
from producer.runtime.errors import StoreUnavailable
from worker import metrics
from worker.bootstrap import PROCESS, this_worker
from worker.message_filter import ACCEPTED_FOR
from worker.model import NotClaimed, Snooze

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
    with structlog.contextvars.bound_contextvars(job_id=job_id):
        try:
            step = worker.issuance.run(job_id, delivery, is_migration=queue == MIGRATION)
            _report(step)
            worker.events.tell(job_id, step, time.monotonic() - began)
        except StoreUnavailable as error:
            log.warning("job left to the ledger", problem=str(error))


def _report(result: object) -> None:
    match result:
        case Outcome():
            metrics.OUTCOMES_TOTAL.labels(str(result.operation), str(result.status)).inc()
            metrics.JOB_SECONDS.labels(str(result.operation)).observe(result.finished_at - result.accepted_at)
            log.info("job finished", status=str(result.status), code=result.code, attempts=result.attempts)
        case Snooze():
            metrics.WAITS.labels(result.reason).inc()
            log.info("job waits", reason=result.reason, delay_s=round(result.delay_s, 1))
        case NotClaimed("unknown"):
            metrics.UNKNOWN.inc()
            log.warning("message dropped: the ledger knows no such job")
        case _:
            log.debug("nothing to do")
