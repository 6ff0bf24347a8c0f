"""Measurements: one run of each thing that the benchmark compares.

Workers are started, warmed up and paused; jobs are enqueued; then the workers go on, and are watched until the last
outcome. So neither starting, nor connecting, nor enqueueing counts.
"""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

from producer import BillingQueue, Card, IssueRequest
from producer.contract.job import INTERACTIVE
from producer.contract.redis_keys import OUTCOMES
from tests.bench import floor
from tests.bench.stage import THREADS, Stage, Workers
from tests.fake_iamport import made_up
from tests.servers import ROOT, wait_until

WARM_UP = 8 * THREADS  # every thread has its connections, every cache its entries
LONGEST_S = 120
SETTLE_S = 0.1  # for the last acknowledgements

_numbers = count()


class Run(NamedTuple):
    """One run of a kind of worker.

    Args:
        cpu_ms: of the worker processes for each job, user and system.
        per_s: jobs a second, from the first outcome to the last.
        enqueued_per_s: how fast the jobs were enqueued, all at once.
    """

    cpu_ms: float
    per_s: float
    enqueued_per_s: float


def celery(module: str) -> list[str]:
    """The plain Celery way of starting a worker."""
    return ["-m", "celery", "-A", module, "worker", "-P", "threads", "-c", str(THREADS), "--without-heartbeat"]


def production(processes: int, *, threads: int = THREADS) -> list[str]:
    """The production form, as docker-compose.yml starts it; it did so at 0d267e3, too."""
    return ["-m", "worker", "run", "--processes", str(processes), "--concurrency", str(threads), "--events"]


def run_jobs(stage: Stage, jobs: int, command: list[str], *, processes: int = 1, latency_ms: int = 0) -> Run:
    """Issue keys."""
    with (
        stage.workers(command, processes=processes, latency_ms=latency_ms) as workers,
        BillingQueue(stage.producer_settings()) as queue,
    ):
        warm_up_and_pause(stage, workers, queue)
        enqueued_s = enqueue(queue, jobs)
        cpu_s = workers.cpu_s()
        resume_and_wait(stage, workers, jobs)
        cpu_s = workers.cpu_s() - cpu_s
    check_outcomes(stage)
    return Run(1000 * cpu_s / jobs, jobs / outcomes_took_s(stage, jobs), jobs / enqueued_s)


def run_floor(stage: Stage, jobs: int) -> Run:
    """Run Celery no-ops with result."""
    broker, results = stage.queue.url(0), stage.ledger
    with stage.workers(celery("tests.bench.floor"), user="admin") as workers:
        floor.publish(broker, task_ids(WARM_UP))
        wait_for(workers, results.dbsize, WARM_UP)
        time.sleep(SETTLE_S)
        workers.pause()
        began = time.monotonic()
        floor.publish(broker, task_ids(jobs))
        enqueued_s, cpu_s, began = time.monotonic() - began, workers.cpu_s(), time.monotonic()
        workers.resume()
        wait_for(workers, results.dbsize, WARM_UP + jobs)
        cpu_s, elapsed_s = workers.cpu_s() - cpu_s, time.monotonic() - began
    return Run(1000 * cpu_s / jobs, jobs / elapsed_s, jobs / enqueued_s)


def run_posts(stage: Stage, jobs: int, *, trust_env: bool) -> float:
    """POST bare cards; CPU ms of each."""
    command = [sys.executable, "-m", "tests.bench.post", stage.upstreams[0], "--posts", str(jobs)]
    command += ["--threads", str(THREADS), "--trust-env" if trust_env else "--no-trust-env"]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=LONGEST_S).stdout
    return float(json.loads(answer)["cpu_ms"])


def run_single_enqueues(stage: Stage, jobs: int) -> float:
    """Enqueue one after another from one thread; jobs a second."""
    with BillingQueue(stage.producer_settings()) as queue:
        requests = requests_for(jobs + 10)
        for request in requests[:10]:
            issue(queue, request)
        began = time.monotonic()
        for request in requests[10:]:
            issue(queue, request)
        return jobs / (time.monotonic() - began)


def warm_up_and_pause(stage: Stage, workers: Workers, queue: BillingQueue) -> None:
    """Let workers do some jobs, and pause them."""
    enqueue(queue, WARM_UP)
    wait_for(workers, lambda: finished(stage), WARM_UP)
    time.sleep(SETTLE_S)
    workers.pause()


def resume_and_wait(stage: Stage, workers: Workers, jobs: int) -> None:
    """Let paused workers go on until they have done the jobs beyond their warm-up."""
    workers.resume()
    wait_for(workers, lambda: finished(stage), WARM_UP + jobs)


def issue(queue: BillingQueue, request: IssueRequest) -> None:
    """Ask for one billing key."""
    assert request.card is not None
    queue.issue(customer_uid=request.customer_uid, card=request.card, pg=request.pg)


def enqueue(queue: BillingQueue, jobs: int) -> float:
    """Enqueue jobs of as many customers; how many seconds it took."""
    requests = requests_for(jobs)
    began = time.monotonic()
    for _ in queue.issue_many(requests, queue=INTERACTIVE):
        pass
    return time.monotonic() - began


def requests_for(jobs: int) -> list[IssueRequest]:
    """Requests, each with another card and another customer."""
    return [_request(next(_numbers)) for _ in range(jobs)]


def _request(number: int) -> IssueRequest:
    card = Card(**made_up(number))
    return IssueRequest(customer_uid=f"bench-{number}", card=card, pg="nice")


def task_ids(tasks: int) -> list[str]:
    """Ids of no-ops, of the form of a job's."""
    return [str(uuid.uuid4()) for _ in range(tasks)]


def finished(stage: Stage) -> int:
    """How many outcomes there are."""
    return int(stage.ledger.xlen(OUTCOMES))


def outcomes_took_s(stage: Stage, last: int) -> float:
    """From the first to the last of the newest outcomes, by the ledger's clock."""
    entries: Any = stage.ledger.xrevrange(OUTCOMES, count=last)
    ids = [entry for entry, _ in entries]
    newest, oldest = (int(one.partition(b"-")[0]) for one in (ids[0], ids[-1]))
    return max(newest - oldest, 1) / 1000


def check_outcomes(stage: Stage) -> None:
    """A benchmark of failures is none."""
    entries: Any = stage.ledger.xrange(OUTCOMES)
    statuses = {json.loads(fields[b"outcome"])["status"] for _, fields in entries}
    if statuses != {"issued"}:
        raise RuntimeError(f"not every key was issued: {', '.join(sorted(statuses))}")


def wait_for(workers: Workers, reached: Callable[[], Any], total: int) -> None:
    """Wait until a count of the ledger has come to a total."""

    def is_there() -> bool:
        workers.check()
        return int(reached()) >= total

    wait_until(is_there, LONGEST_S, "the last outcome")
