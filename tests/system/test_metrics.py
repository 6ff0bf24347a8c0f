"""What Prometheus and whoever watches over workers see: all counted, over all processes; and their health."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from producer import BillingQueue, Card
from producer.contract import redis_keys
from producer.contract.identifiers import job_id_of
from producer.contract.job import INTERACTIVE, QUEUES
from producer.publisher import Publisher
from tests.fake_iamport import CARDS, Fault
from tests.ports import dead_port, free_port
from tests.servers import ROOT, environment, wait_until
from tests.stack import Stack, WorkerProcess
from tests.system.test_worker_commands import one_line, worker
from worker.liveness import READING_FOLDER
from worker.metrics_server import metrics_served
from worker.settings import WorkerSettings

PATIENCE_S = 240
TOKEN = "0123456789abcdef"
ISSUES = "POST /subscribe/customers/"
LAST_COUNTED = {"billing_job_seconds_count": 5, "billing_messages_dropped_total": 1, "billing_unknown_jobs_total": 1}


class Watched(NamedTuple):
    """Workers that show all that can be seen of them."""

    stack: Stack
    worker: WorkerProcess
    port: int
    alive: Path


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """For all that leaves them as they were."""
    with Stack() as stack:
        port, alive = free_port(), stack.folder / "alive"
        worker = stack.worker(
            processes=2,
            METRICS_PORT=str(port),
            METRICS_TOKEN=TOKEN,
            ALIVE_FOLDER=str(alive),
        )
        wait_until(lambda: ask(port, "/readyz") == 200, PATIENCE_S, "a ready worker")
        yield Watched(stack, worker, port, alive)


def scrape(port: int, token: str = "") -> tuple[dict[tuple[str, ...], float], str]:
    """Samples by name and label values (of the labels in alphabetical order), and the text."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(one.name, *(v for _, v in sorted(one.labels.items()))): one.value for one in samples}, text


def ask(port: int, path: str, shown: str | None = None) -> int:
    """The HTTP status of an answer."""
    headers = {} if shown is None else {"Authorization": shown}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers), timeout=60
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def total(port: int, name: str) -> float:
    """The sum of a name's samples, whatever their labels."""
    return sum(value for (one, *_), value in scrape(port)[0].items() if one == name)


def test_jobs_calls_and_dropped_messages_are_counted_over_all_processes_and_hold_nothing_of_a_card(
    stack: Stack, queue: BillingQueue
) -> None:
    port = free_port()
    stack.worker(processes=2, concurrency=4, METRICS_PORT=str(port))
    names = ("visa", "bad_number", "visa", "visa", "visa")
    jobs = [queue.issue(customer_uid=f"uid_{i}", card=Card(**CARDS[n].fields())) for i, n in enumerate(names)]
    stack.queue.client(0).lpush(INTERACTIVE, "sesame")
    Publisher(stack.queue.url(0)).publish([(job_id_of("never accepted"), INTERACTIVE)], "")
    for job in jobs:
        queue.wait(job.job_id, PATIENCE_S)
    wait_until(lambda: not any(stack.queue.client(0).llen(name) for name in QUEUES), PATIENCE_S, "empty queues")
    for name, last in LAST_COUNTED.items():  # a moment after the outcome is there
        wait_until(lambda name=name, last=last: total(port, name) >= last, PATIENCE_S, name)  # type: ignore[misc]
    swept = ("billing_store_seconds_count", "vault")
    wait_until(lambda: scrape(port)[0].get(swept, 0), PATIENCE_S, "a sweep")

    counted, text = scrape(port)

    assert counted["billing_outcomes_total", "none", "issue", "issued"] == 4
    assert total(port, "billing_outcomes_total") == 5
    assert counted["billing_job_seconds_count", "issue"] == 5
    assert counted["billing_start_seconds_count", "issue"] == 5
    assert counted["billing_attempts_total", "first", "issue"] == 5
    assert counted["billing_iamport_seconds_count", "issue", "done", "200"] == 4
    assert counted["billing_iamport_seconds_count", "issue", "refused", "200"] == 1
    assert counted["billing_iamport_seconds_count", "login", "done", "200"] == 1
    assert counted["billing_token_fetches_total", "fetched"] == 1
    assert 0 <= time.time() - counted["billing_token_fetched_timestamp_seconds",] < PATIENCE_S
    assert [value for (name, *_), value in counted.items() if name == "billing_opens_total"] == [5]
    assert counted["billing_permits_total", "interactive"] >= 5
    assert counted["billing_rate_per_second",] == 1000
    assert counted["billing_breaker_open",] == counted["billing_pause_seconds",] == 0
    assert total(port, "billing_messages_dropped_total") == 1
    assert counted["billing_unknown_jobs_total",] == 1
    assert counted["billing_in_doubt_jobs",] == total(port, "billing_open_jobs") == 0
    assert counted["billing_oldest_open_seconds", INTERACTIVE] == 0
    assert counted["billing_oldest_unclaimed_seconds", INTERACTIVE] == 0
    for store in ("ledger", "vault"):
        assert counted["billing_store_seconds_count", store] > 0
        assert 0 < counted["billing_store_memory_bytes", store] < counted["billing_store_memory_max_bytes", store]
    assert "sesame" not in text
    assert "uid_" not in text


def test_a_backlog_that_nobody_takes_up_grows_old_in_sight(stack: Stack, queue: BillingQueue) -> None:
    port = free_port()
    stack.worker(concurrency=2, METRICS_PORT=str(port), IMP_RATE_PER_S="0.1")
    for i in range(20):
        queue.issue(customer_uid=f"uid_{i}", card=Card(**CARDS["visa"].fields()))

    oldest = ("billing_oldest_unclaimed_seconds", INTERACTIVE)
    wait_until(lambda: scrape(port)[0].get(oldest, 0) > 1, PATIENCE_S, "an old backlog")

    assert total(port, "billing_open_jobs") >= 10


def test_a_job_that_circles_grows_old_in_sight_although_it_is_claimed_and_never_overdue_for_long(
    stack: Stack, queue: BillingQueue
) -> None:
    stack.fake.add_fault(Fault("server_error", ISSUES))
    port = free_port()
    stack.worker(concurrency=2, METRICS_PORT=str(port))
    queue.issue(customer_uid="gildong", card=Card(**CARDS["visa"].fields()))

    oldest = ("billing_oldest_open_seconds", INTERACTIVE)
    wait_until(lambda: total(port, "billing_waits_total") > 1, PATIENCE_S, "a job that waits")
    wait_until(lambda: scrape(port)[0].get(oldest, 0) > 3, PATIENCE_S, "an old job")

    counted, _ = scrape(port)
    assert counted["billing_oldest_unclaimed_seconds", INTERACTIVE] == 0
    assert counted["billing_attempts_total", "first", "issue"] == 1
    assert counted["billing_iamport_seconds_count", "issue", "page", "502"] == 1


def test_metrics_are_shown_to_who_has_the_token_and_health_to_all(watched: Watched) -> None:
    port = watched.port

    assert ask(port, "/healthz") == 200
    assert [ask(port, "/metrics", shown) for shown in (None, "Bearer " + TOKEN[:-1], TOKEN)] == [401] * 3
    assert ask(port, "/metrics", f"Bearer {TOKEN}") == 200
    assert ask(port, "/") == 404


def test_composes_health_check_of_workers_tells_who_lives(watched: Watched) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["worker"]
    published, command = compose["environment"]["METRICS_PORT"], compose["healthcheck"]["test"]

    codes = [
        subprocess.run([part.replace(published, str(asked)) for part in command[1:]], check=False).returncode
        for asked in (watched.port, dead_port())
    ]

    assert command[0] == "CMD"
    assert codes == [0, 1]


def test_a_process_whose_loop_stands_still_for_a_minute_is_dead(watched: Watched) -> None:
    (one, _) = watched.worker.consumers()

    os.kill(one, signal.SIGSTOP)
    try:
        for file in watched.alive.iterdir():
            os.utime(file, (0, time.time() - 61))
        code = ask(watched.port, "/healthz")
    finally:
        os.kill(one, signal.SIGCONT)

    assert code == 503
    wait_until(lambda: ask(watched.port, "/healthz") == 200, PATIENCE_S, "a living worker")


def test_a_store_that_is_away_makes_workers_not_ready_and_nothing_makes_them_dead(watched: Watched) -> None:
    for server in (watched.stack.vault, watched.stack.queue):
        wait_until(lambda: ask(watched.port, "/readyz") == 200, PATIENCE_S, "a ready worker")
        server.kill()

        assert ask(watched.port, "/readyz") == 503
        assert ask(watched.port, "/healthz") == 200
        server.start()
    wait_until(lambda: ask(watched.port, "/readyz") == 200, PATIENCE_S, "a ready worker")


def test_the_sign_that_queues_are_read_comes_back_with_the_queue(stack: Stack, queue: BillingQueue) -> None:
    folder = stack.folder / "reading"
    stack.worker(BILLING_READING_FOLDER=str(folder))
    wait_until(lambda: folder.exists() and len(list(folder.iterdir())) == 2, PATIENCE_S, "both signs")

    stack.queue.kill()
    stack.queue.start()
    queue.wait(queue.issue(customer_uid="gildong", card=Card(**CARDS["visa"].fields())).job_id, PATIENCE_S)
    for file in folder.iterdir():
        os.utime(file, (0, 0))

    wait_until(lambda: all(file.stat().st_mtime for file in folder.iterdir()), PATIENCE_S, "both signs anew")


def test_what_is_not_the_workers_fault_makes_them_neither_dead_nor_unready(stack: Stack, queue: BillingQueue) -> None:
    port = free_port()
    stack.worker(METRICS_PORT=str(port), IMP_RATE_PER_S="0.1")
    soon = str(time.time() + 250)
    stack.vault.client().hset(redis_keys.PERMIT, mapping={"pause_until": soon, "probe_at": soon, "failures": 9})
    for i in range(20):
        queue.issue(customer_uid=f"uid_{i}", card=Card(**CARDS["visa"].fields()))
    stack.fake.add_fault(Fault("reset", "/"))

    wait_until(lambda: ask(port, "/readyz") == 200, PATIENCE_S, "a ready worker")

    assert ask(port, "/healthz") == 200
    assert scrape(port)[0]["billing_pause_seconds",] > 0


@pytest.mark.parametrize(("variable", "path"), [("ALIVE_FOLDER", "/healthz"), (READING_FOLDER, "/readyz")])
def test_each_process_must_show_each_sign(stack: Stack, variable: str, path: str) -> None:
    port, codes = free_port(), []
    with environment({**stack.worker_env, "METRICS_PORT": str(port)}):
        settings = WorkerSettings.from_env()
    with metrics_served(settings, processes=2) as environ:
        folder = Path(environ[variable])
        folder.mkdir()
        codes.append(ask(port, path))
        (folder / "0").touch()
        codes.append(ask(port, path))
        (folder / "1").touch()
        codes.append(ask(port, path))
        os.utime(folder / "0", (0, time.time() - 61))
        codes.append(ask(port, path))

    assert codes == [503, 503, 200, 503]
    assert not folder.exists()


def test_a_port_that_is_taken_is_one_line(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = one_line(worker(stack, "run", METRICS_PORT=str(taken.getsockname()[1])))

    assert line == "worker: METRICS_PORT: cannot listen there"
