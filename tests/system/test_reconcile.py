"""What became of a job that ended in doubt: asked again, and told."""

import json
import time
from typing import Any

from producer import BillingQueue, Card
from producer.contract import redis_keys
from tests.fake_iamport import Fault, made_up
from tests.servers import run_python
from tests.stack import Stack


def reconciled(stack: Stack) -> list[dict[str, Any]]:
    done = run_python("-m", "worker", "reconcile", environ=stack.worker_env)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_payment_that_showed_too_late_is_reported_and_its_outcome_stays(stack: Stack, queue: BillingQueue) -> None:
    stack.fake.add_fault(Fault("lost_answer", "POST /subscribe/payments/onetime"))
    stack.fake.desk.hidden_for_s = 3600.0
    stack.worker(LOOK_UP_FOR_S="1")
    job = queue.onetime(merchant_uid="order-1", amount=1000, name="n", card=Card(**made_up(1)), deadline_s=8)
    assert queue.wait(job.job_id, timeout_s=60).status == "in_doubt"
    due = stack.ledger.zscore(redis_keys.IN_DOUBT, job.job_id)

    before, stack.fake.desk.hidden_for_s = reconciled(stack), 0.0
    (after,) = reconciled(stack)

    assert [one["found"] for one in before] == ["nothing"]
    assert (after["job_id"], after["found"], after["amount"]) == (job.job_id, "done", 1000)
    entries = stack.ledger.xrange(redis_keys.RECONCILED)
    assert [json.loads(fields[b"reconciled"])["found"] for _, fields in entries] == ["nothing", "done"]
    outcome = queue.outcome(job.job_id)
    assert outcome is not None
    assert outcome.status == "in_doubt"
    assert 500 < due - time.time() < 601
    assert stack.ledger.zscore(redis_keys.IN_DOUBT, job.job_id) == due  # as planned: asking by hand does not count
