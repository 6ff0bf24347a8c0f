"""Whole jobs: a real producer, real Redis servers, real worker processes, and the fake i'mport over HTTP."""

import json
import time
from collections import Counter
from typing import Any

from celery import Celery
from celery.result import AsyncResult

from producer import BillingQueue, Card, IssueRequest, Outcome
from producer.contract import redis_keys
from producer.contract.job import INTERACTIVE
from tests.fake_iamport import CARDS, FakeIamport, Fault, made_up
from tests.ports import free_port
from tests.servers import wait_until
from tests.stack import Stack, WorkerProcess
from worker.token_cache import REFUSED_S

PATIENCE_S = 240
BUSINESS = CARDS["corporate"].birth  # the six digits of a birth date may stand in any log or digest by chance


def sample(name: str, **changes: str) -> Card:
    return Card(**CARDS[name].fields() | changes)


def many(queue: BillingQueue, count: int, name: str = "uid") -> list[str]:
    requests = (IssueRequest(customer_uid=f"{name}_{i}", card=Card(**made_up(i))) for i in range(count))
    return [job.job_id for job in queue.issue_many(requests, queue=INTERACTIVE)]


def outcomes(queue: BillingQueue, job_ids: list[str], timeout_s: float = PATIENCE_S) -> list[Outcome]:
    return [queue.wait(job_id, timeout_s) for job_id in job_ids]


def test_500_jobs_on_4_cold_processes_fetch_one_token(stack: Stack, queue: BillingQueue) -> None:
    job_ids = many(queue, 500)

    stack.worker(processes=4, concurrency=8)

    assert Counter(one.status for one in outcomes(queue, job_ids)) == {"issued": 500}
    assert stack.fake.count("POST", "/users/getToken") == 1
    assert len(stack.fake.applied) == 500


def test_a_401_in_the_middle_costs_at_most_one_token_a_process(stack: Stack, queue: BillingQueue) -> None:
    processes = 2
    stack.worker(processes=processes, concurrency=8)
    job_ids = many(queue, 100, "before")
    wait_until(lambda: len(stack.fake.applied) >= 50, PATIENCE_S, "half of the jobs")

    stack.fake.expire_tokens()
    job_ids += many(queue, 100, "after")

    assert Counter(one.status for one in outcomes(queue, job_ids)) == {"issued": 200}
    assert stack.fake.count("POST", "/users/getToken") <= 1 + processes
    assert Counter(one.customer_uid for one in stack.fake.applied).most_common(1)[0][1] == 1


def test_each_kind_of_card_ends_as_it_should(busy: Stack, merchant: BillingQueue) -> None:
    plain = ("visa", "amex", "diners", "domestic", "corporate")
    passing = ("processing_error_twice", "rate_limited", "lost_answer", "reset_once", "server_error_once")
    declined = ("bad_number", "wrong_password", "password_exceeded", "not_usable")
    expected = dict.fromkeys(plain + passing, "issued") | dict.fromkeys(declined, "declined")
    expected |= dict.fromkeys(("no_contract", "unregistered_merchant"), "misconfigured")
    expected["processing_error"] = "expired"  # no fault of the card's
    jobs = {name: merchant.issue(customer_uid=f"uid-{name}", card=sample(name)) for name in expected}
    found = {name: merchant.wait(job.job_id, PATIENCE_S).status.value for name, job in jobs.items()}

    assert found == expected


def test_a_declined_card_is_not_sent_again(busy: Stack, merchant: BillingQueue) -> None:
    job = merchant.issue(customer_uid="declined", card=sample("wrong_password"))
    outcome = merchant.wait(job.job_id, PATIENCE_S)

    assert (outcome.status, outcome.attempts, outcome.next_step) == ("declined", 1, "ask_customer")
    assert busy.fake.count("POST", "/subscribe/customers/declined") == 1


def test_a_payment_is_paid_and_its_decline_is_declined(busy: Stack, merchant: BillingQueue) -> None:
    paid = merchant.onetime(
        merchant_uid="order-1", amount=9900, name="구독", card=sample("visa"), customer_uid="gildong"
    )
    short = merchant.onetime(merchant_uid="order-2", amount=9900, name="구독", card=sample("limit_exceeded"))
    first, second = outcomes(merchant, [paid.job_id, short.job_id])

    assert (first.status, first.merchant_uid, first.customer_uid) == ("paid", "order-1", "gildong")
    assert first.imp_uid
    assert (second.status, second.pg_code) == ("declined", "2116")


def test_a_finished_job_leaves_nothing_of_the_card_in_any_store(busy: Stack, merchant: BillingQueue) -> None:
    for server in (busy.queue, busy.vault):
        server.client().config_set("rdbcompression", "no")  # DUMP would compress 4242 4242 away
    job = merchant.issue(customer_uid="gildong", card=sample("visa", birth=BUSINESS))

    merchant.wait(job.job_id, PATIENCE_S)

    wait_until(lambda: not busy.vault.client().keys(redis_keys.SEALED + "*"), what="an empty vault")
    everything = b"".join(
        server.client(db).dump(key) or b""
        for server in (busy.queue, busy.vault)
        for db in (0, 1)
        for key in server.client(db).scan_iter()
    )
    assert job.job_id.encode() in everything
    assert b"4242424242424242" not in everything
    assert BUSINESS.encode() not in everything


def test_a_repeat_of_a_finished_job_is_answered_and_not_sent(busy: Stack, merchant: BillingQueue) -> None:
    job = merchant.issue(customer_uid="repeated", card=sample("visa"), idempotency_key="signup-1")
    first = merchant.wait(job.job_id, PATIENCE_S)

    again = merchant.issue(customer_uid="repeated", card=sample("visa"), idempotency_key="signup-1")

    assert again.job_id == job.job_id
    assert merchant.wait(again.job_id, 1) == first
    assert busy.fake.count("POST", "/subscribe/customers/repeated") == 1


def test_the_result_is_there_for_celery_too(busy: Stack, merchant: BillingQueue) -> None:
    job = merchant.issue(customer_uid="gildong", card=sample("visa"))
    stores = busy.stores("producer")
    app = Celery("merchant", broker=stores["BROKER_URL"], backend=stores["LEDGER_URL"], set_as_current=False)

    result = AsyncResult(job.job_id, app=app).get(timeout=PATIENCE_S)

    assert result == merchant.wait(job.job_id, 1).to_dict()


def test_jobs_wait_while_imp_cannot_be_reached_and_run_when_it_is_back(stack: Stack, queue: BillingQueue) -> None:
    port = free_port()
    stack.worker(IMP_API_URL=f"http://127.0.0.1:{port}", IMP_KEY="imp_apikey_demo")
    job = queue.issue(customer_uid="gildong", card=sample("visa"))
    wait_until(lambda: reason_of(stack, job.job_id), what="a job that waits")

    with FakeIamport(port=port, imp_key="imp_apikey_demo", imp_secret=stack.fake.imp_secret) as late:
        outcome = queue.wait(job.job_id, PATIENCE_S)

    assert (outcome.status, outcome.attempts) == ("issued", 1)
    assert len(late.applied) == 1


def reason_of(stack: Stack, job_id: str) -> str:
    reason: Any = stack.queue.client(1).hget(redis_keys.JOB + job_id, "reason")
    return (reason or b"").decode()


def test_wrong_merchant_keys_are_probed_once_and_jobs_end_misconfigured_at_their_deadline(
    stack: Stack, queue: BillingQueue
) -> None:
    stack.worker(processes=2, IMP_SECRET="wrong")
    began = time.monotonic()
    job_ids = [queue.issue(customer_uid=f"uid-{i}", card=sample("visa")).job_id for i in range(20)]
    wait_until(lambda: {reason_of(stack, one) for one in job_ids} == {"login_refused"}, PATIENCE_S, "refused logins")

    for job_id in job_ids:
        make_due(stack, job_id, expires_at=1)
    found = outcomes(queue, job_ids)

    assert Counter((one.status, one.code, one.attempts) for one in found) == {("misconfigured", "login_refused", 0): 20}
    assert 1 <= stack.fake.count("POST", "/users/getToken") <= 1 + (time.monotonic() - began) / REFUSED_S
    assert stack.fake.count("POST", "/subscribe/customers/") == 0


def test_an_unknown_kid_waits_and_runs_when_the_key_file_has_it(stack: Stack, queue: BillingQueue) -> None:
    path = stack.folder / "keys/worker/opening.private.jwks.json"
    full = path.read_text()
    members = json.loads(full)
    path.write_text(json.dumps({"keys": members["keys"][:1]}))  # without the X25519 key, the newest
    stack.worker()
    job = queue.issue(customer_uid="gildong", card=sample("visa"))
    wait_until(lambda: reason_of(stack, job.job_id) == "unknown_kid", what="a job that waits for its key")

    path.write_text(full)
    make_due(stack, job.job_id)

    assert queue.wait(job.job_id, PATIENCE_S).status == "issued"


def make_due(stack: Stack, job_id: str, **instants: float) -> None:
    """As if its time had come."""
    db = stack.queue.client(1)
    members: dict[Any, Any] = {"next_at": 1, **instants}
    db.hset(redis_keys.JOB + job_id, mapping=members)
    db.zadd(redis_keys.OPEN, {job_id: 1})


def test_a_worker_killed_after_sending_leaves_a_job_that_is_looked_up_and_not_sent_again(
    stack: Stack, queue: BillingQueue
) -> None:
    stack.fake.add_fault(Fault("lost_answer", cut="close", hold_s=60, times=1))
    worker = stack.worker()
    job = queue.issue(customer_uid="gildong", card=sample("visa"))
    wait_until(lambda: stack.fake.applied, what="the card at i'mport")

    worker.kill()
    make_due(stack, job.job_id, leased_until=1)
    stack.worker()

    assert queue.wait(job.job_id, PATIENCE_S).status == "issued"
    assert stack.fake.count("POST", "/subscribe/customers/") == 1
    assert stack.fake.count("GET", "/subscribe/customers/") >= 1


def test_the_plain_celery_command_works_too(stack: Stack, queue: BillingQueue) -> None:
    command = ["-m", "celery", "-A", "worker", "worker", "-P", "threads", "-c", "4", "-l", "INFO"]
    with WorkerProcess(stack.worker_env, stack.folder / "logs", command=command):
        job = queue.issue(customer_uid="gildong", card=sample("visa"))

        assert queue.wait(job.job_id, PATIENCE_S).status == "issued"


def test_cards_travel_to_imp_over_tls() -> None:
    with Stack(FakeIamport(tls=True)) as stack, stack.billing_queue() as queue:
        stack.worker()
        job = queue.issue(customer_uid="gildong", card=sample("visa"))

        assert queue.wait(job.job_id, PATIENCE_S).status == "issued"
        assert stack.fake.customers["gildong"].card_number == "4242424242424242"


def test_no_log_line_holds_anything_of_a_card(stack: Stack, queue: BillingQueue) -> None:
    command = ["-m", "worker", "run", "--processes", "1", "--log-level", "DEBUG"]
    worker = WorkerProcess(stack.worker_env, stack.folder / "logs", command=command)
    with worker:
        for name in ("visa", "wrong_password", "lost_answer", "processing_error_twice"):
            queue.wait(queue.issue(customer_uid=f"uid-{name}", card=sample(name, birth=BUSINESS)).job_id, PATIENCE_S)
    log = worker.log.read_text()

    assert "job finished" in log
    for name in ("visa", "wrong_password", "lost_answer", "processing_error_twice"):
        assert CARDS[name].card_number not in log.replace("-", "")
    assert BUSINESS not in log
    assert stack.fake.imp_secret not in log
    assert not any(token in log for token in bearer_tokens(stack))


def bearer_tokens(stack: Stack) -> set[str]:
    return {dict(one.headers).get("Authorization", "none?").removeprefix("Bearer ") for one in stack.fake.requests} - {
        "none?"
    }
