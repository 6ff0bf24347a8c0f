"""Task events for Flower: one for each delivery that came to something, made of the step that its story ended with.

Celery's own three a delivery are switched off (``send_events=False`` of the task): they cost a tenth of a job, count
deliveries and not jobs, and show nothing but ``SUCCESS``.
"""

from collections.abc import Callable
from typing import Any

import structlog

from producer.contract.job import TASK_NAME
from producer.contract.outcome import Outcome, Status
from producer.runtime.redaction import redact
from worker.model import Delivered, NotClaimed, Snooze

log = structlog.get_logger()

SUCCESSES = {Status.ISSUED, Status.PAID, Status.DECLINED, Status.SUPERSEDED}  # the others need a person


class TaskEvents:
    """Tells Flower what became of jobs, if anybody listens."""

    def __init__(self) -> None:
        self._dispatcher: Callable[[], Any] = lambda: None

    def connect(self, dispatcher: Callable[[], Any]) -> None:
        """Send events from now on.

        Args:
            dispatcher: gives Celery's event dispatcher, which is another one after each loss of the connection.
        """
        self._dispatcher = dispatcher

    def tell(self, job_id: str, delivered: Delivered, runtime_s: float) -> None:
        """Send the event of a delivery; none of one that did not get its job. A finished one is told once more."""
        dispatcher = self._dispatcher()
        if dispatcher is None or not dispatcher.enabled:
            return
        name = delivered.name
        known = {"uuid": job_id, "name": TASK_NAME, "args": redact(str(name)), "kwargs": "", "runtime": runtime_s}
        known |= {"received": name.accepted_at} if name else {}  # Flower's list is sorted by it
        try:
            self._send(dispatcher, known, delivered.step)
        except Exception as error:  # noqa: BLE001 — whatever a broker's client raises: the job is what counts
            log.warning("event not sent", problem=type(error).__name__)

    @staticmethod
    def _send(dispatcher: Any, known: dict[str, object], step: object) -> None:  # noqa: ANN401 — Celery's
        outcome = step.outcome if isinstance(step, NotClaimed) else step
        if isinstance(outcome, Outcome):
            kind = "task-succeeded" if outcome.status in SUCCESSES else "task-failed"
            words = _words(outcome.status, outcome.pg_code or outcome.code, outcome.card_number)
            dispatcher.send(kind, **known, result=words, exception=None)
        elif isinstance(step, Snooze):
            dispatcher.send("task-retried", **known, exception=_words(step.reason, f"{step.delay_s:.0f} s"))


def _words(*words: object) -> str:
    return " · ".join(str(word) for word in words if word not in {None, "", 0, "0"})
