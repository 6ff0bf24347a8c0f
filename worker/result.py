"""Celery's result of a job, as its Redis backend would have stored it, so that ``AsyncResult(job_id).get()`` works."""

from datetime import UTC, datetime

from producer.contract.outcome import Outcome


def celery_result(outcome: Outcome, text: str) -> str:
    """The result message: every outcome is a task that succeeded in ending.

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
