"""An operator's commands, as the Redis user ``operator``, beside real workers."""

import json
import subprocess
from typing import Any

import pytest

from producer import BillingQueue, Card, Job
from producer.contract import redis_keys
from tests.fake_iamport import CARDS, Fault, made_up
from tests.servers import run_python, wait_until
from tests.stack import Stack


def operate(stack: Stack, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the ledger's URL and nothing else."""
    stores = {"LEDGER_URL": stack.stores("operator")["LEDGER_URL"]}
    done = run_python("-m", "worker", *arguments, environ={**stores, "COLUMNS": "240", **environ})
    assert "Traceback" not in done.stderr, done.stderr
    return done


def listed(stack: Stack, *arguments: str) -> list[dict[str, Any]]:
    done = operate(stack, "jobs", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def denied(stack: Stack) -> set[str]:
    return {entry["object"] for entry in stack.queue.client().acl_log() if entry["username"] == "operator"}


def issue(queue: BillingQueue, uid: str, name: str = "visa", **how: Any) -> Job:
    return queue.issue(customer_uid=uid, card=Card(**CARDS[name].fields()), **how)


def test_jobs_are_shown_to_the_operators_own_user_and_no_card_with_them(busy: Stack, merchant: BillingQueue) -> None:
    stack, queue = busy, merchant
    done, declined = issue(queue, "gildong"), issue(queue, "cheolsu", "bad_number")
    for job in (done, declined):
        queue.wait(job.job_id, 60)
    paid = queue.onetime(merchant_uid="order-1", amount=1000, name="n", card=Card(**made_up(1)))
    queue.wait(paid.job_id, 60)

    assert [one["job_id"] for one in listed(stack)][:3] == [paid.job_id, declined.job_id, done.job_id]
    assert [one["state"] for one in listed(stack, "--customer-uid", "cheolsu")] == ["declined"]
    assert [one["job_id"] for one in listed(stack, "--merchant-uid", "order-1")] == [paid.job_id]
    (refused,) = listed(stack, "--status", "declined")
    assert refused["why"].startswith("F112: ")  # the gateway's own code, and its words
    assert refused["why"].removeprefix("F112: ") == queue.wait(declined.job_id, 60).message
    assert "F112" in operate(stack, "trace", declined.job_id).stdout
    table = operate(stack, "jobs", "--status", "issued").stdout
    assert (done.job_id in table, "gildong" in table, declined.job_id in table) == (True, True, False)
    assert CARDS["visa"].card_number not in operate(stack, "jobs", "--json").stdout
    assert denied(stack) <= {"client|setinfo"}  # which client libraries can do without


def test_a_mistake_is_one_line(busy: Stack) -> None:
    stack = busy
    nobody = operate(stack, "jobs", LEDGER_URL=f"redis://nobody:x@127.0.0.1:{stack.queue.port}/1")
    wrong = operate(stack, "jobs", "--since", "yesterday")

    assert (nobody.returncode, len(nobody.stderr.splitlines())) == (1, 1)
    assert nobody.stderr.startswith("worker: ledger at ")
    assert (wrong.returncode, "use a number of seconds" in wrong.stderr) == (2, True)


def held(stack: Stack, queue: BillingQueue, name: str) -> Job:
    """A job that real workers hold back for a pause."""
    operate(stack, "pause", "--for", "10m", "--yes", "--as", "kim")
    job = issue(queue, name, deadline_s=900)
    wait_until(lambda: stack.ledger.hget(redis_keys.JOB + job.job_id, "reason") == b"paused", 60, "a job held back")
    assert [one["record"]["reason"] for one in listed(stack, "--waiting")] == ["paused"]
    return job


def test_nothing_is_sent_during_a_pause_and_all_that_waited_goes_on_after_it(
    busy: Stack, merchant: BillingQueue
) -> None:
    stack, queue = busy, merchant
    stack.ledger.delete(redis_keys.AUDIT)
    before = len(stack.fake.applied)
    job = held(stack, queue, "paused")

    assert (len(stack.fake.applied), queue.outcome(job.job_id)) == (before, None)
    assert "nothing is sent until" in operate(stack, "jobs").stderr
    done = operate(stack, "resume", "--yes", "--as", "lee")

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "resumed")
    assert queue.wait(job.job_id, 60).status == "issued"
    entries = [(one[b"who"], one[b"what"], one[b"count"]) for _, one in stack.ledger.xrange(redis_keys.AUDIT)]
    assert entries == [(b"kim", b"pause", b"0"), (b"lee", b"resume", b"1")]
    assert operate(stack, "resume", "--yes").stderr == "worker: there is no pause\n"
    assert denied(stack) <= {"client|setinfo"}


def test_a_job_that_an_operator_ends_is_expired_and_a_second_time_is_refused(
    busy: Stack, merchant: BillingQueue
) -> None:
    job = held(busy, merchant, "expired")

    done = operate(busy, "expire", job.job_id)

    outcome = merchant.wait(job.job_id, 60)
    assert (outcome.status, outcome.code, done.stdout) == ("expired", "operator", "it ends now\n")
    again = operate(busy, "expire", job.job_id)
    assert (again.returncode, again.stderr.startswith("worker: the job is finished (expired)")) == (1, True)
    assert operate(busy, "resume", "--yes").returncode == 0


def test_what_changes_more_than_one_job_asks_first(idle: Stack) -> None:
    done = run_python(
        *("-m", "worker", "pause"), given="n\n", environ={"LEDGER_URL": idle.stores("operator")["LEDGER_URL"]}
    )

    assert (done.returncode, "0 open jobs wait for 600 s; none will expire by it." in done.stdout) == (1, True)
    assert not idle.ledger.exists(redis_keys.PAUSE, redis_keys.AUDIT)
    assert "Traceback" not in done.stderr


def test_a_retry_without_a_worker_is_noted(stack: Stack, queue: BillingQueue) -> None:
    job = issue(queue, "gildong")

    done = operate(stack, "retry", job.job_id)

    assert (done.returncode, done.stdout.startswith("noted: ")) == (0, True)
    stack.worker()
    assert queue.wait(job.job_id, 60).status == "issued"


def test_a_jobs_life_is_shown_with_the_processes_that_had_it(busy: Stack, merchant: BillingQueue) -> None:
    stack, queue = busy, merchant
    job = issue(queue, "minsu")
    queue.wait(job.job_id, 60)

    life = json.loads(operate(stack, "trace", job.job_id, "--json").stdout)

    assert [step["what"] for step in life["steps"]][-3:] == ["claimed", "sent", "ends"]
    assert len({step["process"] for step in life["steps"]}) == 1
    assert life["outcome"]["status"] == "issued"
    shown = operate(stack, "trace", job.job_id).stdout
    assert ("marked as sent, attempt 1" in shown, "ends issued" in shown) == (True, True)
    unknown = operate(stack, "trace", "nobody")
    assert (unknown.returncode, unknown.stderr.startswith("worker: no job of that id is known")) == (1, True)
    assert denied(stack) <= {"client|setinfo"}


@pytest.mark.parametrize("kind", ["issue", "payment"])
def test_a_look_up_shows_what_imp_has_masked_and_writes_nothing(busy: Stack, merchant: BillingQueue, kind: str) -> None:
    stack, queue = busy, merchant
    card = Card(**CARDS["visa"].fields())
    job = (
        queue.issue(customer_uid="younghee", card=card)
        if kind == "issue"
        else queue.onetime(merchant_uid="order-2", amount=1000, name="n", card=card)
    )
    outcome = queue.wait(job.job_id, 60)
    before = stack.ledger.xlen(redis_keys.OUTCOMES)
    environ = {name: value for name, value in stack.worker_env.items() if name.startswith("IMP_")}
    environ |= {"VAULT_URL": stack.stores("operator")["VAULT_URL"]}

    said = json.loads(operate(stack, "trace", job.job_id, "--look-up", "--json", **environ).stdout)["imp"]

    number = CARDS["visa"].card_number
    assert [one["asked"] for one in said] == (["customer"] if kind == "issue" else ["paid", "cancelled", "failed"])
    assert [len(one["records"]) for one in said] == ([1] if kind == "issue" else [1, 0, 0])
    assert said[0]["records"][0]["card_number"] == outcome.card_number or kind == "payment"
    shown = operate(stack, "trace", job.job_id, "--look-up", **environ).stdout
    assert ("i'mport, " in shown, number in shown, number in json.dumps(said)) == (True, False, False)
    assert (stack.ledger.xlen(redis_keys.OUTCOMES), queue.outcome(job.job_id)) == (before, outcome)
    refused: Any = [*stack.queue.client().acl_log(), *stack.vault.client().acl_log()]
    assert {one["object"] for one in refused if one["username"] == "operator"} <= {"client|setinfo"}


def test_a_look_up_that_cannot_be_made_says_why(stack: Stack, queue: BillingQueue) -> None:
    job = issue(queue, "gildong")
    environ = {name: value for name, value in stack.worker_env.items() if name.startswith("IMP_")}
    environ |= {"VAULT_URL": stack.stores("operator")["VAULT_URL"], "IMP_SECRET": "wrong"}

    done = operate(stack, "trace", job.job_id, "--look-up", **environ)

    assert (done.returncode, done.stderr) == (1, "worker: i'mport cannot be asked now: login_refused\n")
    assert operate(stack, "trace", job.job_id, "--look-up").stderr.startswith("worker: IMP_KEY: is not set")


def test_drained_workers_finish_what_they_hold_and_those_of_another_ledger_work_on(
    stack: Stack, queue: BillingQueue
) -> None:
    with Stack() as other:
        workers, others = [stack.worker(), stack.worker()], other.worker()
        stack.fake.add_fault(Fault("latency", "POST /subscribe/", latency_s=2.0))
        job = issue(queue, "gildong")
        wait_until(lambda: stack.ledger.hexists(redis_keys.JOB + job.job_id, "sent_at"), 60, "the call")

        done = operate(stack, "drain", "--yes", "--as", "kim")

        assert done.returncode == 0, done.stderr
        assert sorted(line for line in done.stdout.splitlines() if "has ended" in line) == sorted(
            f"{one.process.pid} has ended" for one in workers
        )
        outcome = queue.outcome(job.job_id)
        assert outcome is not None
        assert (outcome.status, outcome.attempts) == ("issued", 1)
        assert others.process.poll() is None
        ((_, entry),) = stack.ledger.xrange(redis_keys.AUDIT)
        assert (entry[b"what"], entry[b"count"]) == (b"drain", b"2")
        assert operate(stack, "drain", "--yes").stderr.startswith("worker: no workers of this ledger run here")


def test_a_drain_that_takes_too_long_says_who_is_at_work(stack: Stack, queue: BillingQueue) -> None:
    worker = stack.worker()
    stack.fake.add_fault(Fault("latency", "POST /subscribe/", latency_s=8.0))
    job = issue(queue, "gildong")
    wait_until(lambda: stack.ledger.hexists(redis_keys.JOB + job.job_id, "sent_at"), 60, "the call")

    done = operate(stack, "drain", "--yes", "--timeout", "1")

    assert (done.returncode, done.stderr.startswith(f"worker: still at work: {worker.process.pid};")) == (1, True)
