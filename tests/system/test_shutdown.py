"""SIGTERM with work in hand: finish it or give it back, within the grace period, and lose nothing."""

import os
import select
import signal
import subprocess
import sys
import time

from producer import BillingQueue, Card, Job
from producer.contract import redis_keys
from tests.fake_iamport import Fault, made_up
from tests.servers import wait_until
from tests.stack import Stack, WorkerProcess
from tests.stopwatch import Stopwatch

PATIENCE_S = 240
ISSUES = "POST /subscribe/customers/"


def issue(queue: BillingQueue, count: int) -> list[Job]:
    return [queue.issue(customer_uid=f"uid_{i}", card=Card(**made_up(i)), deadline_s=600) for i in range(count)]


def stop(worker: WorkerProcess) -> float:
    """Seconds until it ended well, without those that others had the processors."""
    with Stopwatch() as watch:
        assert worker.stop(PATIENCE_S) == 0
    return watch.own_s


def leased(stack: Stack, jobs: list[Job]) -> list[Job]:
    return [job for job in jobs if stack.queue.client(1).hexists(redis_keys.JOB + job.job_id, "lease")]


def reasons(stack: Stack, jobs: list[Job]) -> list[object]:
    return [stack.queue.client(1).hget(redis_keys.JOB + job.job_id, "reason") for job in jobs]


def test_calls_in_flight_are_finished(stack: Stack, queue: BillingQueue) -> None:
    stack.fake.add_fault(Fault("latency", ISSUES, latency_s=(2.0, 2.0)))
    worker = stack.worker(concurrency=16)
    jobs = issue(queue, 8)
    wait_until(lambda: stack.fake.count("POST", "/subscribe/customers/") >= 4, what="calls in flight")

    took_s = stop(worker)

    sent = stack.fake.count("POST", "/subscribe/customers/")
    done = [outcome for job in jobs if (outcome := queue.outcome(job.job_id)) is not None]
    assert len(done) == sent == len(stack.fake.applied)
    assert leased(stack, jobs) == []
    assert took_s < 15


def test_jobs_that_wait_for_their_turn_are_given_back_at_once_and_another_worker_goes_on(
    stack: Stack, queue: BillingQueue
) -> None:
    worker = stack.worker(concurrency=8, IMP_RATE_PER_S="0.2")
    jobs = issue(queue, 12)
    wait_until(lambda: len(leased(stack, jobs)) >= 4, what="jobs that wait for their turn")

    took_s = stop(worker)

    assert took_s < 10
    assert b"shutdown" in reasons(stack, jobs)
    assert leased(stack, jobs) == []
    stack.vault.client().delete(redis_keys.PERMIT)  # the places that were reserved at the low rate
    stack.worker(concurrency=8)
    assert {queue.wait(job.job_id, PATIENCE_S).status for job in jobs} == {"issued"}
    assert sorted(entry.customer_uid or "" for entry in stack.fake.applied) == sorted(f"uid_{i}" for i in range(12))


def test_a_call_that_is_never_answered_is_cut_within_its_deadline_and_looked_up_later(
    stack: Stack, queue: BillingQueue
) -> None:
    stack.fake.add_fault(Fault("lost_answer", ISSUES, hold_s=600, times=1))
    worker = stack.worker(concurrency=4, IMP_CONNECT_TIMEOUT_S="1", IMP_READ_TIMEOUT_S="4")
    (job,) = issue(queue, 1)
    wait_until(lambda: stack.fake.count("POST", "/subscribe/customers/") == 1, what="the call")

    took_s = stop(worker)

    assert took_s < 4 + 10
    assert queue.outcome(job.job_id) is None
    stack.worker(concurrency=4)
    assert queue.wait(job.job_id, PATIENCE_S).status == "issued"
    assert len(stack.fake.applied) == 1


def test_an_impatient_operator_who_signals_twice_loses_nothing(stack: Stack, queue: BillingQueue) -> None:
    stack.fake.add_fault(Fault("latency", ISSUES, latency_s=(1.0, 1.0)))
    worker = stack.worker(concurrency=8)
    jobs = issue(queue, 8)
    wait_until(lambda: stack.fake.count("POST", "/subscribe/customers/") >= 2, what="calls in flight")

    for _ in range(2):
        worker.process.terminate()
        time.sleep(0.3)
    worker.process.wait(PATIENCE_S)

    stack.worker(concurrency=8)
    assert {queue.wait(job.job_id, PATIENCE_S).status for job in jobs} == {"issued"}
    assert len(stack.fake.applied) == 8


def test_a_signal_just_after_a_process_died_ends_them_all(stack: Stack, queue: BillingQueue) -> None:
    worker = stack.worker(concurrency=2)
    child = worker.consumers()[0]

    os.kill(child, signal.SIGKILL)
    time.sleep(0.4)  # it is about to be started anew

    assert worker.stop(PATIENCE_S) == 0


def test_workers_go_on_and_end_when_told_although_nobody_reads_their_output(stack: Stack, queue: BillingQueue) -> None:
    command = [sys.executable, "-m", "worker", "run", "--processes", "2", "--concurrency", "8", "--log-level", "DEBUG"]
    reader, writer = os.pipe()
    worker = subprocess.Popen(command, env={**os.environ, **stack.worker_env}, stderr=writer, stdout=writer)
    try:
        jobs = issue(queue, 400)  # their lines are more than a pipe holds
        assert {queue.wait(job.job_id, PATIENCE_S).status for job in jobs} == {"issued"}
        assert not select.select([], [writer], [], 0)[1]  # it is full
        with Stopwatch() as watch:
            worker.terminate()
            assert worker.wait(PATIENCE_S) == 0
        assert watch.own_s < 20
    finally:
        os.close(reader)
        os.close(writer)
        worker.kill()
