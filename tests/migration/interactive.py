"""Interactive: customers who wait for their card, while a migration takes all that the account's rate lets through."""

import time

from producer import BillingQueue, Card, Job
from producer.settings import ProducerSettings
from tests.fake_iamport import Fault, made_up
from tests.migration.export import Export
from tests.migration.stage import ISSUES, THREADS, Figures, Stage, say
from tests.servers import environment, wait_until

NAME = "interactive"
FIRST_CARD = 900_000_000
PROMISED_S = 1.0
WARM_UP_S = 12


def interactive(
    rate: float, jobs: int, *, every_s: float = 0.5, latency_s: float = 1.0, threads: int = THREADS
) -> Figures:
    """Send interactive jobs while a migration runs at full rate.

    A wait is from the acceptance of a job, on the ledger's clock, to the arrival of its POST at the fake i'mport, on
    the same machine's clock: queue, worker, permit, token, sealed card and connection are all in it.
    """
    with Stage({"IMP_RATE_PER_S": str(rate)}, threads=threads) as stage:
        stage.fake.add_fault(Fault("latency", ISSUES, latency_s=latency_s))
        stage.start_workers()
        export = Export(int(rate * (jobs * every_s + WARM_UP_S + 60)))
        with environment(stage.stack.producer_env):
            queue = BillingQueue(ProducerSettings.from_env())
        with queue, stage.produce(export, NAME) as producer:
            wait_until(lambda: producer.has_ended() or stage.posts() > rate * WARM_UP_S, 120, "the full rate")
            say(f"the migration is at its rate; {stage.posts()} cards sent")
            began, before = time.time(), stage.posts()
            sent = [_send(queue, index, began + index * every_s) for index in range(jobs)]
            arrived = _arrivals(stage, sent)
            took_s, posts = time.time() - began, stage.posts() - before
    waits = sorted(arrived[job.job_id] - job.accepted_at for job in sent)
    p95 = waits[int(len(waits) * 0.95)]
    return {
        "rate": rate,
        "imp_latency_s": latency_s,
        "threads_a_process": threads,
        "interactive_jobs": jobs,
        "wait_median_s": round(waits[len(waits) // 2], 3),
        "wait_p95_s": round(p95, 3),
        "wait_longest_s": round(waits[-1], 3),
        "posts_per_s_meanwhile": round(posts / took_s, 1),
        "broken": [] if p95 < PROMISED_S else ["interactive jobs waited too long"],
    }


def _send(queue: BillingQueue, index: int, at: float) -> Job:
    time.sleep(max(at - time.time(), 0))
    card = Card(**made_up(FIRST_CARD + index))
    return queue.issue(customer_uid=f"live_{index}", card=card)


def _arrivals(stage: Stage, sent: list[Job]) -> dict[str, float]:
    """When the first POST of each job came to i'mport."""
    found: dict[str, float] = {}
    ids = {f"/subscribe/customers/{job.customer_uid}": job.job_id for job in sent}

    def have_all_come() -> bool:
        for request in stage.fake.requests:
            if request.method == "POST" and request.path in ids:
                found.setdefault(ids[request.path], request.at)
        return len(found) == len(sent)

    wait_until(have_all_come, 60, "the last interactive job")
    return found
