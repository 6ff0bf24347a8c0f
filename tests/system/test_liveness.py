"""Worker processes that die or stand still: others go on with their jobs within seconds."""

import os
import signal

from producer import BillingQueue, Card
from producer.contract import redis_keys
from tests.fake_iamport import Fault, made_up
from tests.servers import wait_until
from tests.stack import Stack
from tests.stopwatch import Stopwatch
from worker.liveness import GIVEN_UP_S

PATIENCE_S = 240
SOON_S = GIVEN_UP_S + 7
ISSUES = "POST /subscribe/customers/"


def holder(stack: Stack, job_id: str) -> int:
    """The process that holds a job; 0 if none does."""
    lease = stack.queue.client(1).hget(redis_keys.JOB + job_id, "lease") or b"0-"
    return int(lease.partition(b"-")[0])


def test_what_a_killed_process_had_sent_is_looked_up_within_seconds(stack: Stack, queue: BillingQueue) -> None:
    stack.fake.add_fault(Fault("lost_answer", ISSUES, hold_s=600, times=1))
    worker = stack.worker(processes=2, concurrency=4)
    job = queue.issue(customer_uid="gildong", card=Card(**made_up(1)), deadline_s=600)
    wait_until(lambda: stack.fake.count("POST", "/subscribe/customers/") == 1, what="the call")
    pid = holder(stack, job.job_id)
    assert pid in worker.consumers()

    with Stopwatch() as watch:
        os.kill(pid, signal.SIGKILL)
        outcome = queue.wait(job.job_id, PATIENCE_S)

    assert (outcome.status, len(stack.fake.applied)) == ("issued", 1)
    assert watch.own_s < SOON_S


def test_a_process_that_stands_still_during_a_call_loses_its_job_to_another_and_it_is_sent_once(
    stack: Stack, queue: BillingQueue
) -> None:
    stack.fake.add_fault(Fault("latency", ISSUES, latency_s=GIVEN_UP_S * 3, times=1))
    worker = stack.worker(processes=2, concurrency=4)
    job = queue.issue(customer_uid="gildong", card=Card(**made_up(1)), deadline_s=600)
    wait_until(lambda: stack.queue.client(1).hexists(redis_keys.JOB + job.job_id, "sent_at"), what="the call")
    pid = holder(stack, job.job_id)
    assert pid in worker.consumers()

    os.kill(pid, signal.SIGSTOP)
    try:
        with Stopwatch() as watch:
            wait_until(lambda: holder(stack, job.job_id) != pid, PATIENCE_S, "another holder")
        outcome = queue.wait(job.job_id, PATIENCE_S)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert watch.own_s < SOON_S
    assert outcome.status == "issued"
    assert stack.fake.count("POST", "/subscribe/customers/") == len(stack.fake.applied) == 1
