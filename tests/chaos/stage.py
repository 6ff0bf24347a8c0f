"""The stage of a chaos run: a stack, jobs of many kinds, and the hand that pulls the power."""

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, Self

import redis

from producer import BrokerUnavailable, Card, IssueRequest, Job
from producer.contract import redis_keys
from producer.contract.job import INTERACTIVE
from tests.chaos.judge import Sent
from tests.fake_iamport import CARDS, FakeIamport, made_up
from tests.servers import wait_until
from tests.stack import Stack, WorkerProcess

RIGHTS = re.compile(r"NOPERM|no right|ACL failure")


class Stage:
    """A stack with a producer, and what was sent through it.

    Args:
        seed: of everything random.
        declines: the part of the cards that are declined; the others are each a card of its own.
        deadline_s: of the jobs; what stays in doubt is open until then.
        worker: settings of the workers beyond the stack's.
    """

    facts: ClassVar[dict[str, Any]] = {}  # of the stage that ended last

    def __init__(self, seed: int = 0, *, declines: float = 0.0, deadline_s: float = 3600, **worker: str) -> None:
        self.declines, self.deadline_s = declines, deadline_s
        self.random = random.Random(seed)
        self.stack = Stack(FakeIamport())
        self.settings = worker
        self.sent: list[Sent] = []
        self.workers: list[WorkerProcess] = []
        self._numbers = iter(range(10**9))

    @property
    def fake(self) -> FakeIamport:
        return self.stack.fake

    @property
    def ledger(self) -> Any:
        return self.stack.ledger

    def start_workers(self, groups: int, *, processes: int = 2, concurrency: int = 16) -> None:
        for _ in range(groups):
            self.workers.append(self.stack.worker(processes=processes, concurrency=concurrency, **self.settings))

    def issue(self, count: int, uid: str = "uid", *, queue: str = INTERACTIVE) -> None:
        """Enqueue issuances, each of another customer and card."""
        wanted = [self._request(f"{uid}_{i}") for i in range(count)]
        for request, job in zip(wanted, self.queue.issue_many(wanted, queue=queue), strict=True):
            assert request.card is not None
            self._note(job.job_id, job.sequence, request.customer_uid, None, request.card)

    def issue_in_turn(self, uids: Iterator[str]) -> None:
        """Enqueue one by one, trying again with the same key while a store is away."""
        for uid in uids:
            request = self._request(uid)
            assert request.card is not None
            key = f"{uid}-{next(self._numbers)}"
            issue = partial(
                self.queue.issue,
                customer_uid=uid,
                card=request.card,
                idempotency_key=key,
                deadline_s=self.deadline_s,
            )
            job = self._insist(issue)
            self._note(job.job_id, job.sequence, uid, None, request.card)

    def pay(self, count: int) -> None:
        """Enqueue payments, each of another order and card."""
        for i in range(count):
            card = self._card()
            merchant_uid = f"order-{next(self._numbers)}"
            job = self.queue.onetime(
                merchant_uid=merchant_uid,
                amount=1000 + i,
                name="chaos",
                card=card,
                deadline_s=self.deadline_s,
            )
            self._note(job.job_id, job.sequence, "", merchant_uid, card)

    def load(self, count: int, name: str) -> None:
        """Issue and pay in turn, trying again with the same key while a store is away."""
        for number in range(count):
            if number % 2:
                self.issue_in_turn(iter([f"{name}_{number}"]))
            else:
                self.pay_in_turn(f"{name}-{number}")

    def pay_in_turn(self, merchant_uid: str, tab: str = "") -> None:
        """One payment, as :meth:`issue_in_turn`; another tab pays the same order with another card."""
        card = self._card()
        job = self._insist(
            lambda: self.queue.onetime(
                merchant_uid=merchant_uid,
                amount=1000,
                name="chaos",
                card=card,
                idempotency_key=merchant_uid + tab,
                deadline_s=self.deadline_s,
            )
        )
        self._note(job.job_id, job.sequence, "", merchant_uid, card)

    @staticmethod
    def _insist(enqueue: Callable[[], Job]) -> Job:
        while True:
            try:
                return enqueue()
            except BrokerUnavailable:
                time.sleep(0.1)

    def open_jobs(self) -> int:
        return int(self.ledger.zcard(redis_keys.OPEN))

    def wait_for_the_end(self, timeout_s: float, *, until: int = 0) -> None:
        """Until no more than so many jobs are open."""
        wait_until(lambda: self._open_or_many() <= until, timeout_s, "the end of all jobs")

    def in_hand(self) -> list[str]:
        """Jobs that some delivery holds now; none while the ledger is away."""
        try:
            return self._held()
        except redis.RedisError:
            return []

    def _held(self) -> list[str]:
        now = time.time()
        found: Any = self.ledger.zrangebyscore(redis_keys.OPEN, now, now + 120)
        ids = [one.decode() for one in found]
        if not ids:
            return []
        with self.ledger.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(redis_keys.JOB + job_id, "lease")
            return [job_id for job_id, lease in zip(ids, pipe.execute(), strict=True) if lease]

    def tracebacks(self) -> int:
        """Exceptions that escaped in a worker: each is a bug."""
        return sum(worker.log.read_text(errors="replace").count("Traceback") for worker in self.workers)

    def refused_for_rights(self) -> int:
        """Lines in the servers' and workers' logs about a right that is missing."""
        logs = [self.stack.queue.log(), self.stack.vault.log()]
        logs += [worker.log.read_text(errors="replace") for worker in self.workers]
        return sum(len(RIGHTS.findall(log)) for log in logs)

    def _open_or_many(self) -> int:
        try:
            return self.open_jobs()
        except redis.RedisError:
            return 10**9

    def _request(self, uid: str) -> IssueRequest:
        return IssueRequest(customer_uid=uid, card=self._card(), deadline_s=self.deadline_s)

    def _card(self) -> Card:
        if self.random.random() < self.declines:
            return Card(**CARDS["verification_failed"].fields())
        return Card(**made_up(next(self._numbers)))

    def _note(self, job_id: str, sequence: int, uid: str, merchant_uid: str | None, card: Card) -> None:
        self.sent.append(Sent(job_id, sequence, uid, merchant_uid, card.card_number.get_secret_value()))

    def __enter__(self) -> Self:
        self.stack.__enter__()
        self.described = self.stack.describe()
        self.queue = self.stack.billing_queue()
        return self

    def __exit__(self, *error: object) -> None:
        self.queue.close()
        Stage.facts = {"noperm": self.refused_for_rights(), "stores": self.described}
        self.stack.__exit__(*error)


class Killer:
    """Kills whole worker process groups at random moments, and starts them anew.

    Args:
        stage: where.
        kills: how many times.
        over_s: roughly within how many seconds.
    """

    def __init__(self, stage: Stage, kills: int, over_s: float) -> None:
        self.stage, self.kills, self.over_s = stage, kills, over_s
        self.in_hand: list[tuple[float, list[str]]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        rng = random.Random(self.stage.random.random())
        for _ in range(self.kills):
            time.sleep(rng.uniform(0.5, 1.5) * self.over_s / self.kills)
            worker = rng.choice(self.stage.workers)
            held = self.stage.in_hand()
            worker.kill()
            self.in_hand.append((time.time(), held))
            worker.start(wait=False)
