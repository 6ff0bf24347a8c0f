"""What tracing costs a job: ``python -m tests.bench.tracing``. The last line is one JSON object.

Two runs of the same workers differ by as much, so the spans of a job are also made by themselves, under the workers'
allocator, their export included.
"""

import json
import statistics
import subprocess
import sys

import click

from producer import BillingQueue
from producer.runtime.lockdown import ALLOCATOR
from producer.runtime.tracing import SWITCH
from tests.bench.measurement import enqueue, production, resume_and_wait, warm_up_and_pause
from tests.bench.stage import Stage
from tests.collector import Collector
from tests.servers import ROOT, environment

AGAIN = 20_000
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DELIVERY = f"""
with tracing.delivering("00000000-0000-8000-8000-000000000001", "interactive") as span:
    tracing.delivery().begin("{PARENT}", "issue")
    with tracing.delivery().calling("POST", "/subscribe/customers/{{customer_uid}}") as call:
        call.tell(is_failed=False, http_status=200, error=None)
    tracing.delivery().tell(attempt=1)
    span.tell(is_failed=False, status="issued", code="none")
"""
ENQUEUING = """
with ExitStack() as spans:
    span = spans.enter_context(tracing.enqueuing("00000000-0000-8000-8000-000000000001", "issue", "interactive"))
    span.traceparent
    span.reach("accepted")
"""
PROGRAM = """
import time
from contextlib import ExitStack
from producer.runtime import tracing
def once():
{body}
once()
began = time.process_time()
for number in range({times}):
    once()
    if number % 500 == 499: time.sleep({rest})  # as much as a second's jobs: or spans are dropped, which costs less
print((time.process_time() - began) / {times})
"""


def exporting(collector: Collector | None) -> dict[str, str]:
    """The environment, with OpenTelemetry's own idea of batches."""
    return {SWITCH: collector.url} if collector else {}


def spans_ms(body: str, collector: Collector | None) -> float:
    """CPU of the spans of one job, milliseconds; the thread that exports is of the same process."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    program = PROGRAM.format(body=lines, times=AGAIN, rest=0.3 if collector else 0)
    with environment({**ALLOCATOR, "PYTHONPATH": str(ROOT), **exporting(collector)}):
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=300)
    if b"dropping" in done.stderr:
        raise RuntimeError("spans were dropped")
    return 1000 * float(done.stdout)


def job_ms(stage: Stage, jobs: int, collector: Collector | None) -> float:
    """CPU of a job, in the production form with two processes."""
    with (
        environment(exporting(collector)),
        stage.workers(production(2), processes=2) as workers,
        BillingQueue(stage.producer_settings()) as queue,
    ):
        warm_up_and_pause(stage, workers, queue)
        enqueue(queue, jobs)
        cpu_s = workers.cpu_s()
        resume_and_wait(stage, workers, jobs)
        return 1000 * (workers.cpu_s() - cpu_s) / jobs


@click.command()
@click.option("--jobs", type=click.IntRange(min=50), default=1000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
def main(jobs: int, rounds: int) -> None:
    """Measure jobs and their spans, with a collector and without, in turn."""
    found: dict[str, list[float]] = {}
    with Collector() as collector, Stage((0,)) as stage:
        for _ in range(rounds):
            for name, to in (("off", None), ("on", collector)):
                found.setdefault(f"job, {name}", []).append(job_ms(stage, jobs, to))
                found.setdefault(f"a delivery's spans, {name}", []).append(spans_ms(DELIVERY, to))
                found.setdefault(f"a producer's span, {name}", []).append(spans_ms(ENQUEUING, to))
    medians = {name: round(statistics.median(values), 4) for name, values in found.items()}
    share = {name: round(medians[f"a delivery's spans, {name}"] / medians["job, off"], 4) for name in ("off", "on")}
    print(json.dumps({"cpu_ms": medians, "share_of_a_job": share, "rounds": found}))


if __name__ == "__main__":
    main()
