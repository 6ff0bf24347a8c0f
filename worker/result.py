"""The outcome that an end amounts to, and Celery's result of it."""

from datetime import UTC, datetime

from producer.contract.identifiers import Operation
from producer.contract.outcome import AFTER_SENDING, Outcome, Status
from worker.iamport.answer import Annotation
from worker.iamport.verdict import NOTHING
from worker.model import End, Lease

KEY_NOT_STORED, NEWER_CARD = "key_not_stored", "newer_card"


def celery_result(outcome: Outcome, text: str) -> str:
    """The result message as Celery's Redis backend stores it, so that ``AsyncResult(job_id).get()`` works.

    Every outcome is a task that succeeded in ending.

    Args:
        outcome: the outcome.
        text: the same as JSON.

    Source: celery.backends.base, the layout of ``celery-task-meta-{task_id}`` (observed in 5.7).
    """
    done = datetime.fromtimestamp(outcome.finished_at, UTC).isoformat()
    return (
        f'{{"status":"SUCCESS","result":{text},"traceback":null,"children":[],'
        f'"date_done":"{done}","task_id":"{outcome.job_id}"}}'
    )


def outcome_of(lease: Lease, end: End, finished_at: float) -> Outcome:
    """The outcome that an end amounts to; one that may have been sent never ends as though it had not been."""
    judged = end.judged or NOTHING
    found = judged.annotation or Annotation()
    is_in_doubt = lease.is_doubtful and end.status not in AFTER_SENDING
    return Outcome(
        job_id=lease.job_id,
        status=Status.IN_DOUBT if is_in_doubt else end.status,
        operation=_known(lease.operation),
        customer_uid=lease.customer_uid,
        merchant_uid=lease.merchant_uid,
        imp_uid=found.imp_uid,
        code=_first(_about_key(lease, end, found) or end.code, judged.code),
        message=judged.message,
        pg_code=judged.pg_code,
        card_name=found.card_name,
        card_number=found.card_number,
        pg_provider=found.pg_provider,
        inserted=found.inserted,
        updated=found.updated,
        attempts=max(lease.attempts, end.attempts),
        accepted_at=round(lease.accepted_at, 3),
        finished_at=round(finished_at, 3),
    )


def _known(operation: str) -> Operation | None:
    return Operation(operation) if operation in tuple(Operation) else None


def _about_key(lease: Lease, end: End, found: Annotation) -> str | None:
    """The word for a payment that was to store its card as a key and did not."""
    if end.status is not Status.PAID or not lease.customer_uid:
        return None
    if lease.newer_applied:
        return NEWER_CARD
    return KEY_NOT_STORED if found.stored_no_key else None


def _first(ours: str | None, imports: int | None) -> str | int | None:
    return imports if ours is None else ours
