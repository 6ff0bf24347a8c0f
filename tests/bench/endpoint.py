"""The endpoint's speed: sealed cards handed in over HTTP at a fixed rate, while workers do the jobs.

    python -m tests.bench.endpoint

Everything runs as in production, on loopback: both Redis servers, two worker processes, Flower, and
``python -m producer serve``; only i'mport is the fake. The rate does not wait for answers (open loop), and a latency
counts from the instant at which a request was due: a server that stalls is charged for all that it held up. Tickets and
envelopes are made beforehand, and the client is a process of its own.

The last line is one JSON object. Where ``cpus_used_by_others`` is not near 0, or ``client_late_p99_ms`` not below 1,
something else was measured too.
"""

import contextlib
import json
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import click
import httpcore

from producer import BillingQueue, Card
from producer.contract.identifiers import Operation
from producer.contract.job import Request
from producer.contract.redis_keys import OUTCOMES
from producer.sealing import SealingKeys
from producer.settings import ProducerSettings
from producer.web import Tickets
from tests.fake_iamport import made_up
from tests.ports import free_port
from tests.servers import answers, environment, wait_until
from tests.stack import FLOWER, Stack, WorkerProcess

WARM_UP_S = 5.0
CONNECTIONS = 32
KEPT_S = 2.0  # idle connections; the server hangs up after 5 s, perhaps just when a request is on its way
LIFE_S = 600  # of an envelope
TIMEOUTS = {"connect": 5.0, "read": 30.0, "write": 5.0, "pool": 30.0}
NO_ANSWER = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)
UNLIMITED = {"LIMIT_PER_ADDRESS": "999999 per 10 minutes"}  # all customers of the benchmark share one


class Shot(NamedTuple):
    """One request.

    Args:
        status: of the answer; 0 if there was none.
        late_s: how long after its instant the client sent it.
        took_s: from its instant to the end of the answer.
    """

    status: int
    late_s: float
    took_s: float


def drive(url: str, bodies: list[bytes], rate_per_s: float) -> list[Shot]:
    """POST each body at its instant, whether or not those before it are answered.

    Args:
        url: where.
        bodies: JSON.
        rate_per_s: how many a second.
    """
    headers = [("Content-Type", "application/json")]
    pool = httpcore.ConnectionPool(max_connections=CONNECTIONS, keepalive_expiry=KEPT_S)

    def post(due: float, body: bytes) -> Shot:
        late_s = time.perf_counter() - due
        try:
            status = pool.request("POST", url, headers=headers, content=body, extensions={"timeout": TIMEOUTS}).status
        except NO_ANSWER:
            status = 0
        return Shot(status, late_s, time.perf_counter() - due)

    with pool, ThreadPoolExecutor(CONNECTIONS) as threads:
        shots, begin = [], time.perf_counter() + 0.1
        for number, body in enumerate(bodies):
            due = begin + number / rate_per_s
            time.sleep(max(0.0, due - time.perf_counter()))
            shots.append(threads.submit(post, due, body))
        return [shot.result() for shot in shots]


def bodies_for(stack: Stack, requests: int) -> list[bytes]:
    """What as many customers' pages would send."""
    with environment(stack.producer_env):
        settings = ProducerSettings.from_env()
    keys, now = SealingKeys.load(settings.sealing_keys_file), int(time.time())
    with BillingQueue(settings) as queue:
        tickets = Tickets.of(queue)
        bodies = []
        for number in range(requests):
            uid = f"bench-{number}"
            card = Card(**made_up(number))
            asked = Request(operation=Operation.ISSUE, customer_uid=uid, pg="nice")
            envelope = keys.seal(
                card, purpose=asked.operation, customer_uid=uid, merchant_uid=None, iat=now, exp=now + LIFE_S
            )
            ticket = tickets.mint(asked)
            bodies.append(json.dumps({"ticket": ticket, "envelope": envelope}).encode())
    return bodies


@contextlib.contextmanager
def everything(stack: Stack) -> Iterator[str]:
    """Workers, Flower and the endpoint; its URL."""
    command = ["-m", "worker", "run", "--processes", "2", "--concurrency", "16", "--events"]
    port = free_port()
    serve = ["-m", "producer", "serve", f"--port={port}"]
    with (
        WorkerProcess(stack.worker_env, stack.folder / "logs", command=command),
        stack.running("serve", serve, **stack.producer_env, **UNLIMITED),
        stack.running("flower", stack.flower(free_port()), **FLOWER),
    ):
        wait_until(lambda: answers(port), what="the endpoint")
        wait_until(stack.queue.client().pubsub_numpat, what="Flower listening to events")
        yield f"http://127.0.0.1:{port}/subscription"


def report(shots: list[Shot], warm_up: int, issued: int) -> dict[str, object]:
    """The figures; latencies are those after the warm-up."""
    measured = shots[warm_up:]
    took = statistics.quantiles((1000 * shot.took_s for shot in measured), n=100, method="inclusive")
    late = statistics.quantiles((1000 * shot.late_s for shot in measured), n=100, method="inclusive")
    others = Counter(shot.status for shot in shots if shot.status != 202)
    return {
        "requests": len(measured),
        "p50_ms": round(took[49], 1),
        "p95_ms": round(took[94], 1),
        "p99_ms": round(took[98], 1),
        "max_ms": round(1000 * max(shot.took_s for shot in measured), 1),
        "not_202": others.total(),
        "other_statuses": {str(status): number for status, number in sorted(others.items())},
        "issued": issued,
        "client_late_p99_ms": round(late[98], 1),
    }


def measure(rate_per_s: float, seconds: float) -> dict[str, object]:
    """Start everything, hand the cards in, see every job through, and end everything."""
    warm_up = int(WARM_UP_S * rate_per_s)
    with Stack() as stack, ProcessPoolExecutor(1, get_context("spawn")) as client:
        bodies = bodies_for(stack, warm_up + int(seconds * rate_per_s))
        ledger = stack.ledger
        with everything(stack) as url:
            client.submit(len, ()).result()  # it has started
            shots = client.submit(drive, f"{url}/issue-billing", bodies, rate_per_s).result()
            accepted = sum(shot.status in {200, 202} for shot in shots)  # 200: settled already
            wait_until(lambda: ledger.xlen(OUTCOMES) >= accepted, 60, "the last outcome")
        outcomes: Any = ledger.xrange(OUTCOMES)
        issued = sum(json.loads(fields[b"outcome"])["status"] == "issued" for _, fields in outcomes)
    return report(shots, warm_up, issued)


def cpu_s() -> tuple[float, float]:
    """What the machine's CPUs have worked so far, and this process with all of its own that have ended."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])


@click.command()
@click.option("--rate", "rate_per_s", type=click.FloatRange(1, 500), default=50, show_default=True, metavar="N")
@click.option("--seconds", type=click.FloatRange(1, 300), default=30, show_default=True, metavar="S")
@click.option("--times", type=click.IntRange(1, 20), default=1, show_default=True, help="A line for each.")
def main(rate_per_s: float, seconds: float, times: int) -> None:
    """Measure how long the endpoint takes to answer 202."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for _ in range(times):
        began, (machine, own) = time.monotonic(), cpu_s()
        figures = measure(rate_per_s, seconds)
        machine, own = (now - before for now, before in zip(cpu_s(), (machine, own), strict=True))
        by_others = max(0.0, machine - own) / (time.monotonic() - began)
        click.echo(json.dumps({"rate_per_s": rate_per_s, **figures, "cpus_used_by_others": round(by_others, 2)}))


if __name__ == "__main__":
    main()
