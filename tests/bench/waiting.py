"""What jobs cost while they wait, and what they wait for: bytes, memory, latency, a long backlog, the disk."""

import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from producer import BillingQueue, Outcome
from producer.contract.job import INTERACTIVE
from producer.contract.redis_keys import OUTCOMES
from tests.bench.measurement import (
    WARM_UP,
    enqueue,
    finished,
    issue,
    production,
    requests_for,
    wait_for,
    warm_up_and_pause,
)
from tests.bench.stage import SLOW_MS, Stage, Workers
from tests.servers import RedisServer, wait_until

EVERY_S = 0.1
SYNCS, SYNCED_BYTES = 200, 1024
IN_FLIGHT, PROCESSES = 200, 2


def added_latency_ms(stage: Stage, seconds: float) -> list[float]:
    """Milliseconds from acceptance to outcome at ten jobs a second, i'mport answering at once; of each job."""
    with (
        stage.workers(production(PROCESSES), processes=PROCESSES) as workers,
        BillingQueue(stage.producer_settings()) as queue,
    ):
        enqueue(queue, WARM_UP)
        wait_for(workers, lambda: finished(stage), WARM_UP)
        jobs = requests_for(int(seconds / EVERY_S))
        begin = time.monotonic()
        for number, request in enumerate(jobs):
            time.sleep(max(begin + number * EVERY_S - time.monotonic(), 0))
            issue(queue, request)
        wait_for(workers, lambda: finished(stage), WARM_UP + len(jobs))
        entries: Any = stage.ledger.xrevrange(OUTCOMES, count=len(jobs))
    return [
        int(name.partition(b"-")[0]) - 1000 * Outcome.from_json(entry[b"outcome"]).accepted_at
        for name, entry in entries
    ]


def waiting_bytes(stage: Stage, jobs: int) -> dict[str, float]:
    """Bytes of a waiting job in each store, its message included."""
    servers = {"ledger": stage.queue, "vault": stage.vault}
    for server in servers.values():
        server.client().flushall()
    with BillingQueue(stage.producer_settings()) as queue:
        enqueue(queue, 50)  # connections, scripts, the first page of everything
        before = {name: _used(server) for name, server in servers.items()}
        enqueue(queue, jobs)
        grown = {name: _used(server) - before[name] for name, server in servers.items()}
    message: Any = stage.queue.client(0).memory_usage(INTERACTIVE, samples=0)
    in_queue = message * jobs / (jobs + 50)
    return {
        "queue": in_queue / jobs,
        "ledger": (grown["ledger"] - in_queue) / jobs,
        "vault": grown["vault"] / jobs,
    }


def _used(server: RedisServer) -> int:
    client = server.client()
    client.execute_command("MEMORY", "PURGE")
    return int(client.info("memory")["used_memory"])


def memory_in_flight_mb(stage: Stage) -> float:
    """Resident memory of the worker processes with so many calls in flight, megabytes."""
    threads = IN_FLIGHT // PROCESSES
    command = production(PROCESSES, threads=threads)
    with (
        stage.workers(command, processes=PROCESSES, latency_ms=SLOW_MS) as workers,
        BillingQueue(stage.producer_settings()) as queue,
    ):
        enqueue(queue, IN_FLIGHT * 3)
        wait_for(workers, lambda: finished(stage), IN_FLIGHT)
        return workers.resident_mb()


def sync_ms(folder: Path) -> float:
    """The disk's ``fdatasync`` of a kilobyte: the median, milliseconds."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(os.urandom(SYNCED_BYTES))
            began = time.monotonic()
            os.fdatasync(file.fileno())
            took.append(1000 * (time.monotonic() - began))
    return statistics.median(took)


def _stores_cpu_s(stage: Stage) -> float:
    usages = [server.client().info("cpu") for server in (stage.queue, stage.vault)]
    return sum(float(usage["used_cpu_user"]) + float(usage["used_cpu_sys"]) for usage in usages)


class Waiting(NamedTuple):
    """A stage with a backlog, and its paused workers."""

    backlog: int
    stage: Stage
    queue: BillingQueue
    workers: Workers


@contextlib.contextmanager
def backlogs(sizes: tuple[int, ...]) -> Iterator[list[Waiting]]:
    """For each size a stage of its own with so many waiting jobs, and workers that stand still."""
    with contextlib.ExitStack() as stack:
        yield [_with_backlog(stack, size) for size in sizes]


def _with_backlog(stack: contextlib.ExitStack, size: int) -> Waiting:
    stage = stack.enter_context(Stage((0,)))
    workers = stack.enter_context(stage.workers(production(PROCESSES), processes=PROCESSES))
    queue = stack.enter_context(BillingQueue(stage.producer_settings()))
    warm_up_and_pause(stage, workers, queue)
    enqueue(queue, size)
    return Waiting(size, stage, queue, workers)


def slice_cpu_ms(waiting: Waiting, jobs: int) -> float:
    """CPU of a job, workers and stores together, while the backlog is worked on; it is filled up again afterwards."""
    stage, workers = waiting.stage, waiting.workers
    done, cpu_s = finished(stage), workers.cpu_s() + _stores_cpu_s(stage)
    workers.resume()
    wait_until(lambda: finished(stage) >= done + jobs, 60, "some outcomes")
    workers.pause()
    cpu_s = workers.cpu_s() + _stores_cpu_s(stage) - cpu_s
    done = finished(stage) - done
    enqueue(waiting.queue, done)
    return 1000 * cpu_s / done
