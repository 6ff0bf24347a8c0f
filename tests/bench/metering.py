"""What metrics cost a job. Two runs of the same workers differ by more than that, so it is not the difference of runs.

What workers counted for a job is read from their metrics, and counted again by itself. In one thread: the lock of all
counts is held for a hundredth of a job, and threads that do nothing but count would wait for it as no worker's do.
"""

import json
import subprocess
import sys
import time
import urllib.request
from typing import NamedTuple

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from producer import BillingQueue
from producer.runtime.lockdown import ALLOCATOR
from tests.bench.measurement import enqueue, finished, production, resume_and_wait, wait_for, warm_up_and_pause
from tests.bench.stage import Stage, cpu_s_of
from tests.ports import free_port
from tests.servers import ROOT, environment
from worker import metrics
from worker.metrics import OFF, SWITCH

SCRAPES, COUNTED_AGAIN, LEAST = 50, 20_000, 7
AGAIN = f"""
import json, sys, time
from worker import metrics
counts = [(getattr(metrics, name), labels, kind) for name, labels, kind in json.load(sys.stdin)]
began = time.process_time()
for _ in range({COUNTED_AGAIN}):
    for metric, labels, kind in counts:
        one = metric.labels(*labels) if labels else metric
        one.observe(0.1) if kind == "histogram" else one.inc()
print((time.process_time() - began) / {COUNTED_AGAIN})
"""

Samples = dict[tuple[str, ...], float]


class Cost(NamedTuple):
    """What metrics cost.

    Args:
        job_ms: CPU of a job, in workers that count.
        counting_ms: of it for counting.
        off_ms: the same where metrics are off.
        scrape_ms: CPU of a scrape, in the process that serves it.
    """

    job_ms: float
    counting_ms: float
    off_ms: float
    scrape_ms: float


def cost(stage: Stage, jobs: int) -> Cost:
    """Run jobs with metrics served."""
    port = free_port()
    with (
        stage.workers(production(2), processes=2, METRICS_PORT=str(port)) as workers,
        BillingQueue(stage.producer_settings()) as queue,
    ):
        warm_up_and_pause(stage, workers, queue)
        enqueue(queue, jobs)
        before, cpu_s, done = scraped(port), workers.cpu_s(), finished(stage)
        resume_and_wait(stage, workers, jobs)
        wait_for(workers, lambda: total(scraped(port), "billing_outcomes_total"), done + jobs)
        cpu_s = workers.cpu_s() - cpu_s
        counted = per_job(before, scraped(port), jobs)
        began_s = cpu_s_of(workers.supervisor)
        for _ in range(SCRAPES):
            scraped(port)
        time.sleep(0.1)  # its last thread ends
        scrape_s = (cpu_s_of(workers.supervisor) - began_s) / SCRAPES
    folder = stage.stack.folder / "metrics"
    folder.mkdir(exist_ok=True)
    counting_s = count_again(counted, PROMETHEUS_MULTIPROC_DIR=str(folder))
    return Cost(1000 * cpu_s / jobs, 1000 * counting_s, 1000 * count_again(counted, **{SWITCH: OFF}), 1000 * scrape_s)


def scraped(port: int) -> Samples:
    """Samples by name and label values."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(one.name, *(f"{k}={v}" for k, v in one.labels.items())): one.value for f in families for one in f.samples}


def total(samples: Samples, name: str) -> float:
    """The sum over all labels."""
    return sum(value for (one, *_), value in samples.items() if one == name)


def per_job(before: Samples, after: Samples, jobs: int) -> list[tuple[str, list[str], str]]:
    """What is counted for most jobs: the metric's name in our module, label values, kind; as often as it is."""
    found: list[tuple[str, list[str], str]] = []
    known: dict[str, tuple[str, list[str], str]] = {}
    for attribute, metric in vars(metrics).items():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.collect()
            suffix = {"counter": "_total", "histogram": "_count"}.get(family.type, "")
            known[family.name + suffix] = attribute, list(getattr(metric, "_labelnames", ())), family.type
    for (name, *labels), value in after.items():
        times = round((value - before.get((name, *labels), 0.0)) / jobs)
        if name in known and times > 0:
            attribute, names, kind = known[name]
            values = dict(label.split("=", 1) for label in labels)
            found += [(attribute, [values[one] for one in names], kind)] * times
    if len({attribute for attribute, *_ in found}) < LEAST:
        raise RuntimeError(f"only {found} was counted")
    return found


def count_again(counted: list[tuple[str, list[str], str]], **settings: str) -> float:
    """CPU seconds of counting for one job, under the workers' allocator."""
    with environment({**ALLOCATOR, "PYTHONPATH": str(ROOT), **settings}):
        done = subprocess.run(
            [sys.executable, "-c", AGAIN],
            input=json.dumps(counted).encode(),
            check=True,
            capture_output=True,
            timeout=120,
        )
    return float(done.stdout)
