"""What runs inside a container of the producer's image: jobs go in, outcomes come out, the stores say what they are.

::

    python -m inside enqueue PER_S     < a JSON object a line: a request, its card under "card"; > [job_id, sequence]
                                         and at the end {"producer_tried_again"}
    python -m inside outcomes WITHIN_S < job ids, a line each; > an outcome a line, {"job_id"} alone while it has none
    python -m inside stores ADDRESS …  as the user admin; the addresses are those of the workers
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import redis

from producer import BillingQueue, BrokerUnavailable, Card, UnknownJob
from producer.contract import redis_keys


def enqueue(per_s: float) -> None:
    """Enqueue one by one, trying again with the same key while a store is away."""
    refusals = 0
    with BillingQueue.from_env() as queue:
        for line in sys.stdin:
            request = json.loads(line)
            card = Card(**request.pop("card"))
            call: Any = queue.onetime if "merchant_uid" in request else queue.issue
            job = None
            while job is None:
                try:
                    job = call(card=card, **request)
                except BrokerUnavailable:
                    refusals += 1
                    time.sleep(0.2)
            print(json.dumps([job.job_id, job.sequence]), flush=True)
            time.sleep(1 / per_s)
    print(json.dumps({"producer_tried_again": refusals}))


def outcomes(within_s: float) -> None:
    """Wait until every job has its outcome, or the time is over."""
    waiting, end = sys.stdin.read().split(), time.monotonic() + within_s
    with BillingQueue.from_env() as queue:
        while waiting and time.monotonic() < end:
            waiting = [job_id for job_id in waiting if not _unanswered(queue, job_id)]
            time.sleep(1)
    for job_id in waiting:
        print(json.dumps({"job_id": job_id}))


def _unanswered(queue: BillingQueue, job_id: str) -> bool:
    """Whether there is no more to wait for."""
    try:
        outcome = queue.outcome(job_id)
    except UnknownJob:
        return True
    if outcome is None:
        return False
    print(json.dumps(outcome.to_dict()))
    return True


def stores(workers: list[str]) -> None:
    """Which servers these are, who the workers are to them, what they refused, and the stream of outcomes."""
    ledger, vault = (
        redis.Redis.from_url(Path(f"/admin/{name}.url").read_text().strip(), decode_responses=True)
        for name in ("ledger", "vault")
    )
    clients: Any = [*ledger.client_list(), *vault.client_list()]
    stream: Any = ledger.xrange(redis_keys.OUTCOMES)
    written = Counter(json.loads(fields["outcome"])["job_id"] for _, fields in stream)
    denied: Any = [*ledger.acl_log(), *vault.acl_log()]
    print(
        json.dumps(
            {
                "ledger": _described(ledger),
                "vault": _described(vault),
                "users": sorted({one["user"] for one in clients if one["addr"].rpartition(":")[0] in workers}),
                "denied": sorted({f"{one['username']}: {one['object']}" for one in denied}),
                "written": written,
            }
        )
    )


def _described(store: Any) -> dict[str, str]:
    info, config = store.info("server"), store.config_get("append*")
    is_valkey = "valkey_version" in info
    return {
        "server": "valkey" if is_valkey else "redis",
        "version": info["valkey_version" if is_valkey else "redis_version"],
        "appendonly": config["appendonly"],
        "appendfsync": config["appendfsync"] if config["appendonly"] == "yes" else "none",
    }


if __name__ == "__main__":
    mode, *given = sys.argv[1:]
    if mode == "stores":
        stores(given)
    else:
        {"enqueue": enqueue, "outcomes": outcomes}[mode](float(given[0]))
