"""What Prometheus sees of a worker: each job, call and dropped message counted, over all its processes."""

import socket
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from producer import BillingQueue, Card
from producer.contract.job import INTERACTIVE, QUEUES
from producer.contract.names import job_id_of
from producer.publishing import Publisher
from tests.fake_iamport import CARDS
from tests.ports import free_port
from tests.servers import Stack, wait_until
from tests.system.test_worker_commands import one_line, worker


def scrape(port: int) -> tuple[dict[tuple[str, ...], float], str]:
    """Samples by name and label values, and the text."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(one.name, *one.labels.values()): one.value for one in samples}, text


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
        queue.wait(job.job_id, 30)
    wait_until(lambda: not any(stack.queue.client(0).llen(name) for name in QUEUES), what="empty queues")
    wait_until(lambda: ("billing_unknown_jobs_total",) in scrape(port)[0], what="the count of the unknown job")

    counted, text = scrape(port)

    assert counted["billing_outcomes_total", "issue", "issued"] == 4
    assert counted["billing_outcomes_total", "issue", "declined"] == 1
    assert counted["billing_job_seconds_count", "issue"] == 5
    assert counted["billing_iamport_seconds_count", "issue", "200"] == 5
    assert counted["billing_iamport_seconds_count", "login", "200"] == 1
    assert sum(count for name, count in counted.items() if name[0] == "billing_messages_dropped_total") == 1
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

    wait_until(lambda: scrape(port)[0]["billing_oldest_unclaimed_seconds", INTERACTIVE] > 1, what="an old backlog")

    assert scrape(port)[0]["billing_open_jobs",] >= 10


def test_a_port_that_is_taken_is_one_line(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = one_line(worker(stack, "run", METRICS_PORT=str(taken.getsockname()[1])))

    assert line == "worker: METRICS_PORT: cannot listen there"
