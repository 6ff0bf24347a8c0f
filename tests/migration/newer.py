"""Newer: customers who register on the page before and while an older export of the same is migrated."""

import random
import threading
import time

from producer import BillingQueue, Card
from producer.contract import redis_keys
from producer.settings import ProducerSettings
from tests.fake_iamport import made_up
from tests.migration.export import Export
from tests.migration.judge import read
from tests.migration.stage import Figures, Stage, say
from tests.servers import environment, wait_until

NAME = "newer"
FIRST_CARD = 900_000_000
DAY_S = 86400


def newer(customers: int, *, is_forgotten: bool = False, rate: float = 300, seed: int = 1) -> Figures:
    """Half of the customers register before the migration and half while it runs; see whose card is in force.

    Args:
        customers: how many; the export has an older card of each.
        is_forgotten: the export is of 10 days ago, who registered before did so 8 days ago, and the ledger remembers 7.
        rate: ``IMP_RATE_PER_S``.
        seed: of when each registers.
    """
    export, random_ = Export(customers), random.Random(seed)
    order = random_.sample(range(customers), customers)
    before, meanwhile = order[: customers // 2], order[customers // 2 :]
    settings, age_s = {"IMP_RATE_PER_S": str(rate), "APPLIED_KEPT_DAYS": "7"}, 10 * DAY_S if is_forgotten else 3600
    with Stage(settings, export_age_s=age_s) as stage:
        stage.start_workers()
        _be_old(stage)
        with environment(stage.stack.producer_env):
            queue = BillingQueue(ProducerSettings.from_env())
        with queue:
            jobs = [_register(queue, export.uid(index), index) for index in before]
            wait_until(lambda: all(queue.outcome(job_id) for job_id in jobs), 300, "those who register before")
            if is_forgotten:
                _forget(stage)
            say(f"{len(jobs)} have registered before")
            with stage.produce(export, NAME, f"--throttle={max(customers // 15, 5)}") as producer:
                page = threading.Thread(target=lambda: jobs.extend(_register_meanwhile(queue, export, meanwhile)))
                page.start()
                code = producer.wait(900)
                page.join()
            wait_until(lambda: all(queue.outcome(job_id) for job_id in jobs), 300, "the page's last job")
            outcomes = [queue.outcome(job_id) for job_id in jobs]
        in_force = {uid: found.card_number for uid, found in stage.fake.customers.items()}
        older = sum(in_force[export.uid(index)] != _card(index)["card_number"] for index in range(customers))
        statuses = [row["status"] for row in read(stage.report(NAME))]
    figures: Figures = {
        "customers": customers,
        "export_is_older_than_the_ledgers_memory": is_forgotten,
        "older_cards_in_force": older,
        "rows_superseded": statuses.count("superseded"),
        "rows_issued": statuses.count("issued"),
        "page_not_issued": sum(one is None or one.status != "issued" for one in outcomes),
        "exit_code": code,
    }
    wrong = {
        f"{older} older cards in force": older > 0,
        "a row is neither superseded nor issued": len(statuses) != customers
        or figures["rows_superseded"] + figures["rows_issued"] != customers,
        "a customer's registration was not issued": figures["page_not_issued"] > 0,
        "nobody registered before their row": figures["rows_superseded"] < customers // 2,
    }
    return figures | {"broken": [name for name, is_broken in wrong.items() if is_broken]}


def _card(index: int) -> dict[str, str]:
    return made_up(FIRST_CARD + index)


def _register(queue: BillingQueue, uid: str, index: int) -> str:
    return queue.issue(customer_uid=uid, card=Card(**_card(index))).job_id


def _register_meanwhile(queue: BillingQueue, export: Export, indices: list[int]) -> list[str]:
    """All over the migration's time and a little beyond, in another order than its rows."""
    jobs = []
    for index in indices:
        jobs.append(_register(queue, export.uid(index), index))
        time.sleep(17 / len(indices))
    return jobs


def _be_old(stage: Stage) -> None:
    """The ledger has been there for 20 days."""
    ledger = stage.stack.queue.client(1)
    wait_until(lambda: ledger.exists(redis_keys.REMEMBERED), what="a sign of life")
    ledger.hset(redis_keys.REMEMBERED, "since", f"{time.time() - 20 * DAY_S:.6f}")


def _forget(stage: Stage) -> None:
    """The keys were stored 8 days ago, and the ledger has forgotten by now that they were."""
    stage.fake.age_keys(8 * DAY_S)
    ledger = stage.stack.queue.client(1)
    for prefix in (redis_keys.CUSTOMER, redis_keys.CUSTOMER_SEQUENCE):
        for key in list(ledger.scan_iter(f"{prefix}*", count=1000)):
            ledger.delete(key)
