"""What Prometheus sees of a worker: each job, call and dropped message counted, over all its processes."""

import socket
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from producer import BillingQueue, Card
from producer.contract.identifiers import job_id_of
from producer.contract.job import INTERACTIVE, QUEUES
from producer.publisher import Publisher
from tests.fake_iamport import CARDS
from tests.ports import free_port
from tests.servers import wait_until
from tests.stack import Stack
from tests.system.test_worker_commands import one_line, worker

PATIENCE_S = 240
LAST_COUNTED = {"billing_job_seconds_count": 5, "billing_messages_dropped_total": 1, "billing_unknown_jobs_total": 1}


def scrape(port: int) -> tuple[dict[tuple[str, ...], float], str]:
    """Samples by name and label values, and the text."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(one.name, *one.labels.values()): one.value for one in samples}, text


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

    counted, text = scrape(port)

    assert counted["billing_outcomes_total", "issue", "issued"] == 4
    assert counted["billing_outcomes_total", "issue", "declined"] == 1
    assert counted["billing_job_seconds_count", "issue"] == 5
    assert counted["billing_iamport_seconds_count", "issue", "200"] == 5
    assert counted["billing_iamport_seconds_count", "login", "200"] == 1
    assert total(port, "billing_messages_dropped_total") == 1
    assert counted["billing_unknown_jobs_total",] == 1
    assert counted["billing_open_jobs",] == 0
    assert counted["billing_oldest_unclaimed_seconds", INTERACTIVE] == 0
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


def test_a_port_that_is_taken_is_one_line(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = one_line(worker(stack, "run", METRICS_PORT=str(taken.getsockname()[1])))

    assert line == "worker: METRICS_PORT: cannot listen there"
