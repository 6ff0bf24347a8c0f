"""The thin shell around the story: a job id comes in, an outcome goes out through the ledger."""

import re
import uuid

import structlog
from celery import shared_task

from producer.contract.job import TASK_NAME
from producer.contract.outcome import Outcome
from worker.assembly import this_worker
from worker.errors import StoreUnavailable
from worker.lease import NotClaimed
from worker.retry import Wait

JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

log = structlog.get_logger()


@shared_task(name=TASK_NAME, ignore_result=True)
def run(job_id: str) -> None:
    """Take one job as far as it goes now.

    Args:
        job_id: which job; everything else is in ledger and vault.
    """
    if not isinstance(job_id, str) or not JOB_ID.fullmatch(job_id):
        log.warning("message dropped: its argument is no job id")
        return
    with structlog.contextvars.bound_contextvars(job_id=job_id):
        try:
            _report(this_worker().issuance.run(job_id, uuid.uuid4().hex))
        except StoreUnavailable as error:
            log.warning("job left to the ledger", problem=str(error))


def _report(result: object) -> None:
    match result:
        case Outcome():
            log.info("job finished", status=str(result.status), code=result.code, attempts=result.attempts)
        case Wait():
            log.info("job waits", reason=result.reason, delay_s=round(result.delay_s, 1))
        case NotClaimed("unknown"):
            log.warning("message dropped: the ledger knows no such job")
        case _:
            log.debug("nothing to do")
