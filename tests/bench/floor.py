"""The floor of Celery: a task that does nothing and keeps its result, under the worker's own configuration.

    celery -A tests.bench.floor worker -P threads -c 32

The same transport, queues, pool, late acknowledgement and result backend as the worker's; only the result is left to
Celery, as anybody's would be.
"""

from collections.abc import Iterable

from celery import Celery

from producer.contract.job import INTERACTIVE
from producer.runtime.celery_transport import transport

TASK = "floor.nothing"

app = Celery("floor", config_source="celeryconfig", changes={"task_ignore_result": False}, set_as_current=False)


def nothing(_job_id: str) -> None:
    """Do nothing."""


app.task(nothing, name=TASK, ignore_result=False)


def publish(broker_url: str, task_ids: Iterable[str]) -> None:
    """Put a no-op on the queue for each task id."""
    producer_app = Celery("floor", set_as_current=False, backend="disabled", changes=transport(broker_url))
    with producer_app.connection_for_write() as connection, connection.Producer() as producer:
        for task_id in task_ids:
            producer_app.send_task(TASK, args=(task_id,), task_id=task_id, queue=INTERACTIVE, producer=producer)
