"""A merchant's process: makes its cards itself, enqueues them from 32 threads, and forgets them.

    python -m tests.canary.merchant TAG

Orders come in on stdin, answers go to stdout, one JSON value a line; its log is at DEBUG, tracebacks included.
"""

import gc
import json
import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery import Celery

from producer import BillingQueue, Card
from producer.contract.errors import ContractError
from producer.contract.identifiers import Operation
from producer.errors import BillingError, BrokerUnavailable
from producer.sealing import SealingKeys
from producer.settings import ProducerSettings
from tests.canary.needles import canary

THREADS = 32
LONGEST_S = 240
log = logging.getLogger("merchant")


class Merchant:
    """Enqueues canaries of one run, each in a way that its index decides."""

    def __init__(self, tag: int) -> None:
        self._tag, self._settings = tag, ProducerSettings.from_env()
        self._queue = BillingQueue(self._settings)
        self._sealing = SealingKeys.load(self._settings.sealing_keys_file)
        # Set to what a merchant's own Celery reads: results lie in the ledger.
        self._results = Celery("results", set_as_current=False, backend=self._settings.ledger_url, broker="memory://")

    def enqueue(self, index: int) -> str:
        """One job; its id. As a merchant should, this tries again with the same key while a store is slow."""
        end = time.monotonic() + LONGEST_S
        while True:
            try:
                return self._enqueue(index, f"canary-{index}")
            except BrokerUnavailable:
                if time.monotonic() > end:
                    raise

    def _enqueue(self, index: int, key: str) -> str:
        """Of ten jobs two pay, one was sealed elsewhere, two are declined."""
        one = canary(self._tag, index)
        word = "declined" if index % 5 == 3 else "issued"
        if index % 10 in {3, 4}:
            card = Card(**one.members("buyer"))
            job = self._queue.onetime(
                merchant_uid=f"{word}-{index}", amount=1000 + index, name="canary", card=card, idempotency_key=key
            )
            return job.job_id
        uid, card = f"{word}-{index}", Card(**one.members())
        if index % 10 == 5:
            iat = int(time.time())
            envelope = self._sealing.seal(
                card, purpose=Operation.ISSUE, customer_uid=uid, merchant_uid=None, iat=iat, exp=iat + 300
            )
            return self._queue.issue_sealed(customer_uid=uid, envelope=envelope, idempotency_key=key).job_id
        return self._queue.issue(customer_uid=uid, card=card, idempotency_key=key).job_id

    def mistake(self, index: int) -> str:
        """Requests that are refused before they are accepted; all that is raised is logged whole."""
        one = canary(self._tag, index)
        members = one.members()
        text = json.dumps(members, ensure_ascii=False)
        attempts: tuple[Callable[[], object], ...] = (
            lambda: Card(**{**members, "expiry": "2001-01"}),
            lambda: Card(**{**members, "birth": one.number}),
            lambda: Card(**members, surprise=one.number),  # type: ignore[call-arg]
            lambda: Card.from_json(text[:-1].encode()),
            lambda: Card.model_validate_json(text.replace(one.pwd_2digit, one.number)),
            lambda: self._queue.issue(customer_uid="no such uid!", card=Card(**members)),
            lambda: self._queue.issue(customer_uid="uid", card=members),  # type: ignore[arg-type]
            lambda: self._queue.issue_sealed(customer_uid="uid", envelope=text),
        )
        for attempt in attempts:
            try:
                attempt()
            except (BillingError, ContractError) as error:
                log.debug("refused: %r %r", error, vars(error), exc_info=True)
        log.debug("%r %s", Card(**members), Card(**members))
        return "refused"

    def outcome(self, job_id: str) -> list[Any]:
        """All that a merchant can see of a job."""
        outcome, result = self._queue.wait(job_id, 60), self._results.AsyncResult(job_id)
        return [repr(outcome), outcome.to_dict(), result.state, result.result, repr(result.info), str(result.traceback)]


def main() -> None:
    """Do as told, until stdin ends."""
    logging.basicConfig(level=logging.DEBUG)
    merchant = Merchant(int(sys.argv[1]))
    for line in sys.stdin:
        name, wanted = json.loads(line)
        with ThreadPoolExecutor(THREADS) as pool:
            answers = list(pool.map(getattr(merchant, name), wanted))
        gc.collect()
        print(json.dumps(answers, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
