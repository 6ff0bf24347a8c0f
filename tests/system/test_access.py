"""Redis users: each role works with its own rights, and with no others. Celery's, Flower's and our own traffic."""

import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.result import AsyncResult

from producer import BillingQueue, Card, SettingsError
from producer.contract import redis_keys
from producer.contract.job import QUEUES
from producer.outcome_stream import OutcomeReader
from producer.web import WebSettings, card_app
from producer.web.rate_limit import Limits
from tests.fake_iamport import CARDS
from tests.ports import free_port
from tests.servers import environment, run_python, wait_until
from tests.stack import FLOWER, PAGE, Stack, WorkerProcess


def client_of(stack: Stack, user: str, store: str) -> Any:
    return redis.Redis.from_url(stack.stores(user)[f"{store.upper()}_URL"], protocol=2)


def denied(stack: Stack) -> set[tuple[str, str]]:
    """What was refused so far: user and command or key."""
    entries: Any = [*stack.queue.client().acl_log(), *stack.vault.client().acl_log()]
    return {(entry["username"], entry["object"]) for entry in entries}


def card(name: str = "visa") -> Card:
    return Card(**CARDS[name].fields())


def refused(client: redis.Redis, *command: Any) -> bool:
    try:
        client.execute_command(*command)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError as error:
        return "NOPERM" in str(error) or "can't run this command" in str(error).lower() or "acl" in str(error).lower()
    return False


def test_jobs_of_all_kinds_run_with_each_roles_own_rights(busy: Stack, merchant: BillingQueue) -> None:
    for server in (busy.queue, busy.vault):
        server.client().acl_log_reset()

    jobs = [merchant.issue(customer_uid=f"uid_{n}", card=card(n)) for n in ("visa", "bad_number", "lost_answer")]
    jobs.append(merchant.issue(customer_uid="another", card=card("mastercard")))
    jobs.append(merchant.onetime(merchant_uid="order-1", amount=1000, name="x", card=card()))
    jobs += merchant.issue_many([{"customer_uid": f"m{i}", "card": card()} for i in range(20)])

    Limits(busy.stores("limits")["LEDGER_URL"], "3 per 10 minutes", "3 per 10 minutes").count(
        address="192.0.2.1", customer="gildong"
    )
    assert busy.queue.client(1).keys(redis_keys.LIMITS + "*")
    statuses = [str(merchant.wait(job.job_id, 60).status) for job in jobs]
    assert statuses == ["issued", "declined", "issued", "issued", "paid", *["issued"] * 20]
    assert {what for _, what in denied(busy)} <= {"client", "client|setinfo"}  # which client libraries can do without


def test_a_page_whose_cards_could_not_be_counted_is_refused_with_the_setting(queue: BillingQueue) -> None:
    refusal = r"^LIMITS_URL: ledger at .*, user producer: no right .*user limits$"
    with environment(PAGE), pytest.raises(SettingsError, match=refusal):
        card_app(queue, WebSettings.from_env(limits_url=None))


def test_cards_are_counted_from_one_window_to_the_next(stack: Stack) -> None:
    limits = Limits(stack.stores("limits")["LEDGER_URL"], "3 per 1 second", "3 per 1 second")
    admin = stack.queue.client(1)

    def begins_another_window() -> bool:
        limits.check()  # of a second each; raises if a right is missing
        return bool(admin.info("commandstats").get("cmdstat_rename", {}).get("calls"))

    wait_until(begins_another_window, what="another window")


def test_a_migration_runs_with_the_migrators_rights_and_with_no_others(busy: Stack, tmp_path: Path) -> None:
    fields = CARDS["visa"].fields()
    names = ["customer_uid", *fields]
    rows = [",".join(names), *(",".join([f"uid_{i}", *fields.values()]) for i in range(30))]

    def migrate(role: str) -> "subprocess.CompletedProcess[str]":
        command = ["-m", "producer", "migrate", "-", "--name", role, "--as-of=2025-01-01"]
        command += ["--report", str(tmp_path / f"{role}.csv")]
        return run_python(*command, given="\n".join(rows) + "\n", environ=busy.producer_env_of(role))

    assert migrate("migrator").returncode == 0
    refused_one = migrate("producer")
    assert (refused_one.returncode, refused_one.stdout) == (2, "")
    assert refused_one.stderr.splitlines()[-1].endswith("; migrate logs in as the user migrator")
    assert {(who, what) for who, what in denied(busy) if who == "migrator"} <= {
        ("migrator", "client"),
        ("migrator", "client|setinfo"),
    }


def test_outcomes_are_read_and_kept_in_hand_with_the_listeners_rights(busy: Stack, merchant: BillingQueue) -> None:
    busy.ledger.delete(redis_keys.OUTCOMES)
    job = merchant.issue(customer_uid="gildong", card=card())
    ledger_url = busy.stores("listener")["LEDGER_URL"]

    taken = [next(iter(OutcomeReader(ledger_url, "shop", "one"))) for _ in range(2)]  # the second time it is in hand
    taken[0].ack()

    assert {one.outcome.job_id for one in taken} == {job.job_id}
    assert {what for who, what in denied(busy) if who == "listener"} <= {"client", "client|setinfo"}


def test_a_producer_reads_no_sealed_request_no_token_and_no_queue(stack: Stack, queue: BillingQueue) -> None:
    job = queue.issue(customer_uid="gildong", card=card())
    sealed, vault = redis_keys.SEALED + job.job_id, client_of(stack, "producer", "vault")
    stack.vault.client().set(redis_keys.TOKEN + "x", "token")

    for key in (sealed, redis_keys.TOKEN + "x"):
        reads = (
            *(("GET", key), ("GETRANGE", key, 0, -1), ("DUMP", key), ("SET", key, "x", "GET"), ("GETSET", key, "x")),
            *(("STRLEN", key), ("SORT", key), ("COPY", key, "y"), ("RENAME", key, "y"), ("DEL", key), ("SCAN", 0)),
            *(
                ("EVAL", "return redis.call('GET', KEYS[1])", 1, key),
                ("MONITOR",),
                ("CLIENT", "LIST"),
                ("INFO",),
                ("CONFIG", "GET", "*"),
            ),
            *(("SUBSCRIBE", "__keyspace@0__:*"), ("REPLICAOF", "127.0.0.1", "1"), ("SYNC",), ("KEYS", "*")),
        )
        assert [read for read in reads if not refused(vault, *read)] == []
    broker = client_of(stack, "producer", "broker")
    for name in QUEUES:
        takes: tuple[Any, ...] = (
            *(("LRANGE", name, 0, -1), ("RPOP", name), ("BRPOP", name, 1), ("LINDEX", name, 0), ("DUMP", name)),
            *(("LMOVE", name, "x", "LEFT", "LEFT"), ("SORT", name), ("DEL", name)),
            ("EVAL", "return redis.call('LRANGE', KEYS[1], 0, -1)", 1, name),
        )
        assert [take for take in takes if not refused(broker, *take)] == []
    assert stack.vault.client().get(sealed)


def test_flower_hears_events_and_can_neither_enqueue_nor_control(stack: Stack, queue: BillingQueue) -> None:
    port = free_port()
    command = ["-m", "worker", "run", "--processes", "2", "--concurrency", "4", "--events"]
    worker = WorkerProcess(stack.worker_env, stack.folder / "logs", command=command)
    broker = stack.stores("flower")["BROKER_URL"]
    with worker, stack.running("flower", stack.flower(port), **FLOWER):
        wait_until(lambda: stack.queue.client().pubsub_numpat(), 240, "Flower's subscription")
        job = queue.issue(customer_uid="gildong", card=card())
        queue.wait(job.job_id, 30)
        wait_until(lambda: job.job_id in tasks(port), 30, "the task in Flower")
        Celery("control", broker=broker, set_as_current=False).control.shutdown()  # to nobody
        after = queue.issue(customer_uid="younghee", card=card())
        assert queue.wait(after.job_id, 30).status == "issued"

    client = client_of(stack, "flower", "broker")
    for name in QUEUES:
        writes = (
            *(("LPUSH", name, "x"), ("RPUSH", name, "x"), ("SET", name, "x"), ("DEL", name), ("RESTORE", name, 0, "x")),
            *(("RPOP", name), ("BRPOP", name, 1), ("LRANGE", name, 0, -1), ("ZADD", name, 1, "x")),
            ("EVAL", "return redis.call('LPUSH', KEYS[1], 'x')", 1, name),
        )
        assert [write for write in writes if not refused(client, *write)] == []
    assert refused(client, "HGETALL", redis_keys.JOB + job.job_id)
    assert {user for user, what in denied(stack) if not what.startswith("client")} <= {"flower"}


def tasks(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/tasks", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_without_a_user_one_may_do_nothing_and_health_may_ask_whether_it_answers(stack: Stack) -> None:
    for server in (stack.queue, stack.vault):
        nobody = redis.Redis(port=server.port, protocol=2)
        with pytest.raises(redis.AuthenticationError):
            nobody.ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port, username="default", password="", protocol=2).ping()

        health = redis.Redis(port=server.port, username="health", password="health", protocol=2)

        assert health.ping()
        others = (("INFO",), ("GET", "x"), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("ACL", "LIST"))
        assert [other for other in others if not refused(health, *other)] == []


def test_the_plain_celery_way_runs_with_the_workers_rights(stack: Stack, queue: BillingQueue) -> None:
    command = ["-m", "celery", "-A", "worker", "worker", "-P", "threads", "-c", "8", "-l", "INFO"]
    with WorkerProcess(stack.worker_env, stack.folder / "logs", command=command):
        jobs = [queue.issue(customer_uid=f"uid_{i}", card=card()) for i in range(10)]

        assert {str(queue.wait(job.job_id, 60).status) for job in jobs} == {"issued"}
    assert {what for _, what in denied(stack)} <= {"client", "client|setinfo"}


def test_a_merchant_waits_for_a_result_with_the_producers_rights(busy: Stack, merchant: BillingQueue) -> None:
    stores = busy.stores("producer")
    app = Celery("merchant", broker=stores["BROKER_URL"], backend=stores["LEDGER_URL"], set_as_current=False)
    jobs = [merchant.issue(customer_uid=f"uid_{i}", card=card()) for i in range(3)]

    results = [AsyncResult(job.job_id, app=app).get(timeout=60) for job in jobs]

    assert results == [merchant.wait(job.job_id, 1).to_dict() for job in jobs]
    assert refused(client_of(busy, "producer", "ledger"), "SET", redis_keys.RESULT + jobs[0].job_id, "forged")
