"""What a job's event costs. Two runs of the same workers differ by more than that, so it is made by itself.

Under the workers' allocator and as their Redis user. Each is published alone: workers publish those together that come
together, which costs less.
"""

import subprocess
import sys
from typing import NamedTuple

from producer.runtime.lockdown import ALLOCATOR
from tests.bench.stage import Stage
from tests.servers import ROOT, environment

TIMES = 5_000
PROGRAM = f"""
import sys, time
from celery import Celery
from producer.contract.outcome import Status
from tests.worker.leases import JOB_ID, lease
from worker.events import TaskEvents
from worker.iamport.answer import Annotation
from worker.iamport.codes import Verdict
from worker.iamport.verdict import Judged
from worker.model import Delivered, End
from worker.result import outcome_of

judged = Judged(Verdict.APPLIED, annotation=Annotation(card_number="424242******4242"))
delivered = Delivered(outcome_of(lease(), End(Status.ISSUED, judged=judged), 1001.0), lease().name)
app, events = Celery(broker=sys.argv[1]), TaskEvents()
with app.connection_for_write() as connection:
    dispatcher = app.events.Dispatcher(connection, groups=sys.argv[2:])
    events.connect(lambda: dispatcher)
    events.tell(JOB_ID, delivered, 0.2)
    began = time.process_time()
    for _ in range({TIMES}):
        events.tell(JOB_ID, delivered, 0.2)
    print((time.process_time() - began) / {TIMES})
"""


class Cost(NamedTuple):
    """CPU of a job's event, milliseconds: sent, and where workers send none (``run`` without ``--events``)."""

    told_ms: float
    off_ms: float


def cost(stage: Stage) -> Cost:
    """Tell of one job many times."""
    broker = stage.stack.stores("worker")["BROKER_URL"]
    return Cost(_told_ms(broker), _told_ms(broker, "worker"))


def _told_ms(broker: str, *groups: str) -> float:
    """Celery's dispatcher without ``-E`` sends what is of a worker, and nothing of tasks."""
    with environment({**ALLOCATOR, "PYTHONPATH": str(ROOT)}):
        command = [sys.executable, "-c", PROGRAM, broker, *groups]
        done = subprocess.run(command, check=True, capture_output=True, timeout=300)
    if b"not sent" in done.stdout + done.stderr:
        raise RuntimeError("events were not sent")
    return 1000 * float(done.stdout.splitlines()[-1])
