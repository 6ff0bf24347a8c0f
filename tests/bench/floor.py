"""The floor of Celery: a task that does nothing and keeps its result, under the worker's own configuration.

    celery -A tests.bench.floor worker -P threads -c 32

The same transport, queues, pool, late acknowledgement and result backend as the worker's; only the result is left to
Celery, as anybody's would be.
"""

import time
from collections.abc import Iterable

from celery import Celery

from producer.contract.job import INTERACTIVE
from producer.runtime.celery_transport import transport

TASK = "floor.nothing"
WARM_UP = 50

app = Celery("floor", config_source="celeryconfig", changes={"task_ignore_result": False}, set_as_current=False)


def nothing(_job_id: str) -> None:
    """Do nothing."""


app.task(nothing, name=TASK, ignore_result=False)


def apply_one_by_one(broker_url: str, results_url: str, count: int) -> float:
    """Enqueue no-ops as a shop would, one ``apply_async`` after the other; how many a second."""
    shop = Celery("shop", set_as_current=False, broker=broker_url, backend=results_url, changes=transport(broker_url))
    task = shop.task(nothing, name=TASK, ignore_result=False)
    began = 0.0
    for number in range(-WARM_UP, count):
        began = time.monotonic() if number == 0 else began
        task.apply_async(("a job's id",), queue=INTERACTIVE)
    return count / (time.monotonic() - began)


def publish(broker_url: str, task_ids: Iterable[str]) -> None:
    """Put a no-op on the queue for each task id."""
    producer_app = Celery("floor", set_as_current=False, backend="disabled", changes=transport(broker_url))
    with producer_app.connection_for_write() as connection, connection.Producer() as producer:
        for task_id in task_ids:
            producer_app.send_task(TASK, args=(task_id,), task_id=task_id, queue=INTERACTIVE, producer=producer)
