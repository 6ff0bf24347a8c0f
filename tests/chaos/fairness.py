"""Who waits for whom: a customer with hundreds of cards, and a migration whose queue was lost."""

import itertools
import time
from typing import Any

from producer import IssueRequest, Outcome
from producer.contract.card import Card
from producer.contract.job import MIGRATION
from tests.chaos.judge import Sent, collect, judge
from tests.chaos.stage import Stage
from tests.fake_iamport import CARDS
from tests.servers import wait_until

Figures = dict[str, Any]
CROWD, ASKING_AGAIN = "crowd", "asks_again"
EVERY_S = 0.25  # a customer comes so often


def crowd(count: int, seconds: float, seed: int) -> Figures:
    """So many declined cards of one customer_uid, while other customers come."""
    with Stage(seed, deadline_s=1800, IMP_RATE_PER_S="200") as stage:
        stage.start_workers(1)
        stage.declines = 1.0
        began = time.time()
        stage.issue_in_turn(CROWD for _ in range(count))
        stage.declines = 0.0
        stage.ledger.config_resetstat()
        others = _customers(stage, seconds)
        stage.wait_for_the_end(1800)
        claims = stage.ledger.info("commandstats").get("cmdstat_evalsha", {})
        outcomes = collect(stage.queue, stage.sent)
        verdict = judge(stage.sent, outcomes, stage.fake)
    ends = [outcome.finished_at for outcome in outcomes.values() if outcome and outcome.customer_uid == CROWD]
    waits = sorted(_wait(outcomes[job.job_id]) for job in others)
    return {
        "cards_of_one_customer": count,
        **verdict._asdict(),
        "crowd_ended_after_s": round(max(ends) - began, 1),
        "others": len(waits),
        "others_p99_s": round(waits[int(len(waits) * 0.99)], 2),
        "script_us": claims.get("usec_per_call"),
    }


def flushed(count: int, seconds: float, seed: int) -> Figures:
    """The queue emptied with a migration waiting at 20 a second, while customers come; one row asks for another try."""
    with Stage(seed, deadline_s=7200, IMP_RATE_PER_S="20") as stage:
        again = IssueRequest(customer_uid=ASKING_AGAIN, card=Card(**CARDS["processing_error_twice"].fields()))
        list(stage.queue.issue_many([again], queue=MIGRATION))
        stage.issue(count, "moved", queue=MIGRATION)
        stage.start_workers(2)
        wait_until(lambda: _posts(stage, ASKING_AGAIN), 60, "a first try")
        stage.stack.queue.client(0).flushdb()
        before, began = len(stage.fake.applied), time.time()
        others = _customers(stage, seconds)
        wait_until(lambda: all(stage.queue.outcome(job.job_id) for job in others), 60, "the customers' outcomes")
        done, took = len(stage.fake.applied) - before - len(others), time.time() - began
        tries = _posts(stage, ASKING_AGAIN)
        outcomes = collect(stage.queue, others)
        waits = sorted(_wait(outcome) for outcome in outcomes.values())
    return {
        "migration_waiting": count,
        "customers": len(waits),
        "customers_max_s": round(waits[-1], 2),
        "retry_after_s": [round(later - first, 1) for first, later in itertools.pairwise(tries)],
        "migrated_per_s": round(done / took, 1),
    }


def _customers(stage: Stage, seconds: float) -> list[Sent]:
    """Customers come one by one for so long."""
    first, until = len(stage.sent), time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        stage.issue_in_turn(iter([f"customer_{number}"]))
        number += 1
        time.sleep(EVERY_S)
    return stage.sent[first:]


def _posts(stage: Stage, uid: str) -> list[float]:
    return [one.at for one in stage.fake.requests if one.method == "POST" and one.path.endswith(f"/{uid}")]


def _wait(outcome: Outcome | None) -> float:
    return outcome.finished_at - outcome.accepted_at if outcome else float("inf")
