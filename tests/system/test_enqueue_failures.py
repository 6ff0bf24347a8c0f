"""A store that is down, silent, or whose answer is lost, at each step of enqueueing a job.

Queue, ledger and vault are servers of their own here, so that any of them fails alone: a dead ledger stops a producer
before it is accepted, a dead vault between acceptance and vault, a dead queue between vault and publishing.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import pytest

from producer import BillingQueue, BrokerUnavailable, Card, Job, Outcome, Status
from producer import enqueue as steps
from producer.contract import redis_keys
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.job import INTERACTIVE, Request
from producer.publisher import Publisher
from producer.sealing import SigningKey
from producer.settings import ProducerSettings
from producer.stores import Acceptance, Accepted, NewJob
from tests.fake_iamport.cards import CARDS, made_up
from tests.proxy import Proxy
from tests.servers import RedisServer, wait_until
from tests.stack import Stack
from tests.stopwatch import Stopwatch

WITHIN_S, PATIENCE_S = 5.0, 150.0
KEY, UID = "signup-1", "gildong"


class ThreeStores(Stack):
    """A stack whose ledger is a server of its own; each store is reached through a proxy."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger_server = RedisServer(self.folder / "ledger", "ledger", access=self.keys)
        self.proxies: dict[str, Proxy] = {}

    @property
    def servers(self) -> dict[str, RedisServer]:
        return {"ledger": self.ledger_server, "vault": self.vault, "queue": self.queue}

    def stores(self, user: str) -> dict[str, str]:
        return {**super().stores(user), "LEDGER_URL": self.ledger_server.url(1, user)}

    def __enter__(self) -> Self:
        super().__enter__()
        self._undo.enter_context(self.ledger_server)
        for name, server in self.servers.items():
            self.proxies[name] = self._undo.enter_context(Proxy(server.port))
        return self

    def empty(self) -> None:
        """As new, the connections of producers left alone."""
        for server in self.servers.values():
            server.client().flushall()

    def settings(self, *, by_proxy: bool = False) -> ProducerSettings:
        given: dict[str, Any] = {name.lower(): value for name, value in self.producer_env.items()}
        if by_proxy:
            for name, setting in (("ledger", "ledger_url"), ("vault", "vault_url"), ("queue", "broker_url")):
                ports = f":{self.servers[name].port}/", f":{self.proxies[name].port}/"
                given[setting] = given[setting].replace(*ports)
        return ProducerSettings(_env_file=None, **given)

    def age(self, key: str) -> None:
        """Let a job that no worker has seen be accepted a minute earlier."""
        name: Any = redis_keys.REQUEST + job_id_of(key)
        asked = json.loads(self.ledger_client.get(name))
        asked["accepted_at"] = f"{float(asked['accepted_at']) - 60:.6f}"
        self.ledger_client.set(name, json.dumps(asked))

    def records(self) -> list[str]:
        return sorted(
            name.decode().removeprefix(redis_keys.REQUEST) for name in self.ledger_client.keys(redis_keys.REQUEST + "*")
        )

    def sealed(self) -> list[str]:
        client: Any = self.vault.client()
        return sorted(name.decode().removeprefix(redis_keys.SEALED) for name in client.keys(redis_keys.SEALED + "*"))

    def messages(self) -> int:
        return int(self.queue.client().llen(INTERACTIVE))

    @property
    def ledger_client(self) -> Any:
        return self.ledger_server.client(1)


@pytest.fixture(scope="module")
def machines() -> Iterator[ThreeStores]:
    with ThreeStores() as machines:
        yield machines


@pytest.fixture
def stores(machines: ThreeStores) -> ThreeStores:
    machines.empty()
    return machines


def visa() -> Card:
    return Card(**CARDS["visa"].fields())


def enqueue(queue: BillingQueue, uid: str = UID, key: str | None = KEY, card: Card | None = None) -> Job:
    return queue.issue(customer_uid=uid, card=card or visa(), idempotency_key=key)


def failure(queue: BillingQueue, uid: str = UID, key: str | None = KEY) -> BrokerUnavailable:
    """The error of an attempt that fails, soon enough."""
    with Stopwatch() as watch, pytest.raises(BrokerUnavailable) as caught:
        enqueue(queue, uid, key)
    assert watch.own_s < WITHIN_S, f"it took {watch.took_s:.2f} s, of which others took {watch.delay_s:.2f} s"
    return caught.value


@dataclass(frozen=True)
class Trouble:
    """One way in which a store fails, and what a producer can know of it.

    Args:
        store: ledger, vault or queue.
        kind: killed, paused, swallow or cut.
        is_warm: whether the producer has open connections.
        step, accepted: what the error must say.
        known: whether the ledger has the job, once the store is well again and before the second try; None: cannot be
            told, since a paused store handles what reached it when it goes on.
    """

    store: str
    kind: str
    is_warm: bool
    step: str
    accepted: bool | None
    known: bool | None

    def __str__(self) -> str:
        return f"{self.store} {self.kind} {'warm' if self.is_warm else 'cold'}"

    def __call__(self, stores: ThreeStores) -> Callable[[], object]:
        """Begin; what comes back ends it."""
        server, proxy = stores.servers[self.store], stores.proxies[self.store]
        match self.kind:
            case "killed":
                server.kill()
                return server.start
            case "paused":
                server.pause()
                return server.resume
            case "swallow":
                proxy.swallow()
            case "cut":
                proxy.cut()
        return proxy.mend


HOW = [
    *((kind, is_warm) for kind in ("killed", "paused") for is_warm in (True, False)),
    ("swallow", True),
    ("cut", True),
]
TROUBLES = (
    *(Trouble("ledger", "killed", is_warm, "accept", accepted=False, known=False) for is_warm in (True, False)),
    Trouble("ledger", "paused", True, "accept", accepted=None, known=None),
    Trouble("ledger", "paused", False, "accept", accepted=False, known=False),  # not even the greeting is answered
    *(Trouble("ledger", kind, True, "accept", accepted=None, known=True) for kind in ("swallow", "cut")),
    *(Trouble("vault", *how, "vault", accepted=None, known=True) for how in HOW),
    *(Trouble("queue", *how, "publish", accepted=True, known=True) for how in HOW),
)


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_failure_tells_the_truth_and_a_second_try_with_the_same_key_completes_one_job(
    stores: ThreeStores, trouble: Trouble
) -> None:
    with BillingQueue(stores.settings(by_proxy=trouble.kind in {"swallow", "cut"})) as queue:
        if trouble.is_warm:
            enqueue(queue, "somebody-else", None)
            stores.empty()

        end = trouble(stores)
        try:
            error = failure(queue)
        finally:
            end()
        known = stores.records() == [job_id_of(KEY)]
        job = enqueue(queue)

    assert (error.step, error.accepted, error.idempotency_key) == (trouble.step, trouble.accepted, KEY)
    assert trouble.known in {None, known}
    assert stores.records() == [job.job_id] == [job_id_of(KEY)]
    assert stores.sealed() == [job.job_id]
    assert stores.messages() >= 1
    assert job.sequence == 1
    assert [one.decode() for one in stores.ledger_client.zrange(redis_keys.OPEN, 0, -1)] == [job.job_id]
    assert [one.decode() for one in stores.ledger_client.zrange(f"{redis_keys.CUSTOMER_OPEN}{UID}", 0, -1)] == [
        job.job_id
    ]


@pytest.mark.parametrize("store", ["ledger", "vault", "queue"])
def test_failures_in_a_row_with_and_without_connections_stay_within_the_bound_and_leave_one_job(
    stores: ThreeStores, store: str
) -> None:
    with BillingQueue(stores.settings()) as queue:
        enqueue(queue, "somebody-else", None)
        stores.empty()
        stores.servers[store].pause()
        try:
            warm, cold = failure(queue), failure(queue)
        finally:
            stores.servers[store].resume()
        job = enqueue(queue)

    assert warm.step == cold.step
    assert stores.records() == stores.sealed() == [job.job_id]


def test_slow_ledger_and_a_silent_queue_fail_soon_enough(stores: ThreeStores) -> None:
    with BillingQueue(stores.settings(by_proxy=True)) as queue:  # a new one, which the ledger greets in three answers
        stores.proxies["ledger"].slow_down(0.7)
        stores.queue.pause()
        try:
            error = failure(queue)
        finally:
            stores.queue.resume()
            stores.proxies["ledger"].mend()

    assert (error.step, error.accepted) == ("publish", True)
    assert stores.records() == stores.sealed() == [job_id_of(KEY)]


def test_ledger_that_took_too_long_leaves_publishing_to_the_sweeper(
    stores: ThreeStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BillingQueue(stores.settings(by_proxy=True)) as queue:
        enqueue(queue, "somebody-else", None)
        stores.empty()
        stores.proxies["ledger"].slow_down(0.4)
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(steps, "LATE_S", steps.LATE_S / 10)
            error = failure(queue)
        messages = stores.messages()
        stores.proxies["ledger"].mend()
        job = enqueue(queue)

    assert (error.step, error.accepted, messages) == ("publish", True, 0)
    assert stores.records() == stores.sealed() == [job.job_id]
    assert stores.messages() == 1


def test_made_up_key_of_a_failed_request_is_the_one_to_try_again_with(stores: ThreeStores) -> None:
    with BillingQueue(stores.settings()) as queue:
        stores.vault.kill()
        try:
            error = failure(queue, key=None)
        finally:
            stores.vault.start()
        job = enqueue(queue, key=error.idempotency_key)

    assert stores.records() == stores.sealed() == [job.job_id]


def test_second_try_of_another_process_completes_the_job(stores: ThreeStores) -> None:
    with BillingQueue(stores.settings()) as first, BillingQueue(stores.settings()) as second:
        enqueue(first, "somebody-else", None)
        stores.empty()
        stores.queue.kill()
        try:
            failure(first)
        finally:
            stores.queue.start()
        job = enqueue(second)

    assert stores.records() == stores.sealed() == [job.job_id]
    assert stores.messages() == 1


def test_payments_fail_and_complete_the_same_way(stores: ThreeStores) -> None:
    with BillingQueue(stores.settings()) as queue:
        stores.vault.kill()
        try:
            with pytest.raises(BrokerUnavailable) as caught:
                queue.onetime(merchant_uid="order-1", amount=100, name="tea", card=visa(), idempotency_key=KEY)
        finally:
            stores.vault.start()
        job = queue.onetime(merchant_uid="order-1", amount=100, name="tea", card=visa(), idempotency_key=KEY)

    assert caught.value.accepted is None
    assert stores.records() == stores.sealed() == [job.job_id]


def test_lost_chunk_is_completed_by_a_repeat_with_the_same_keys(stores: ThreeStores) -> None:
    requests = [{"customer_uid": f"c{i}", "card": visa(), "idempotency_key": f"k{i}"} for i in range(250)]
    with BillingQueue(stores.settings(by_proxy=True)) as queue:
        enqueue(queue, "somebody-else", None)
        stores.empty()
        jobs = queue.issue_many(requests)
        first_chunk = [next(jobs) for _ in range(200)]
        stores.proxies["ledger"].swallow()
        with pytest.raises(BrokerUnavailable) as caught:
            next(jobs)
        stores.proxies["ledger"].mend()
        again = list(queue.issue_many(requests))

    assert (caught.value.accepted, caught.value.idempotency_key) == (None, "k200")
    assert [(job.job_id, job.accepted_at) for job in again[:200]] == [
        (job.job_id, job.accepted_at) for job in first_chunk
    ]
    assert {job.sequence for job in again} == {1}
    assert stores.records() == stores.sealed() == sorted(job.job_id for job in again)


def test_outcome_of_a_silent_ledger_is_unavailable_and_not_unknown(stores: ThreeStores) -> None:
    with BillingQueue(stores.settings()) as queue:
        job = enqueue(queue)
        stores.ledger_server.pause()
        try:
            with Stopwatch() as watch, pytest.raises(BrokerUnavailable) as caught:
                queue.outcome(job.job_id)
        finally:
            stores.ledger_server.resume()
        outcome = queue.outcome(job.job_id)

    assert (caught.value.step, caught.value.accepted) == ("read", None)
    assert watch.own_s < WITHIN_S
    assert outcome is None


@dataclass(frozen=True)
class Aftermath:
    """What became of jobs that failed on the way, once there was a worker; by customer.

    Args:
        errors: what was said of them first.
        outcomes: how they ended.
        left: what the vault held in the end.
        posts: how often i'mport was asked for a key.
    """

    errors: dict[str, BrokerUnavailable]
    outcomes: dict[str, Outcome]
    left: list[str]
    posts: dict[str, int]


# A vault that dies takes the cards of earlier jobs with it, so it is the first.
KILLED, SILENT = (tuple(f"{store}-{kind}" for store in ("vault", "ledger", "queue")) for kind in ("killed", "swallow"))
REPEATED = {uid: Card(**made_up(i)) for i, uid in enumerate(KILLED + SILENT)}
FORSAKEN = {"vault-killed": "cardless", "queue-killed": "unpublished"}  # never tried again


def fail(stores: ThreeStores, queue: BillingQueue, trouble: str) -> dict[str, BrokerUnavailable]:
    """Enqueue in trouble, and once more when it is over, except for the forsaken one."""
    store, kind = trouble.split("-")
    end = Trouble(store, kind, is_warm=True, step="", accepted=None, known=None)(stores)
    try:
        errors = {uid: failure(queue, uid, uid) for uid in (FORSAKEN.get(trouble), trouble) if uid}
    finally:
        end()
    enqueue(queue, trouble, trouble, REPEATED[trouble])
    return errors


def overlap(stores: ThreeStores, queue: BillingQueue) -> Outcome:
    """A repeat is accepted, and goes on only when its job is finished."""
    repeat = Acceptance(stores.ledger_server.url(1), stores.vault.url(0))
    request = Request(operation=Operation.ISSUE, customer_uid="overlapped")
    asked = NewJob(job_id_of("overlapped"), "overlapped", request, INTERACTIVE, 900.0, "kid-1", None)
    (accepted,) = repeat.accept([asked])
    assert isinstance(accepted, Accepted)
    job = enqueue(queue, "overlapped", "overlapped")
    outcome = queue.wait(job.job_id, PATIENCE_S)
    wait_until(lambda: job.job_id not in stores.sealed(), what="a vault without it")
    signed = SigningKey.load(stores.settings().signing_key_file).sign(job)
    repeat.store_sealed([(asked, accepted, signed)])
    Publisher(stores.queue.url(0)).publish([(job.job_id, INTERACTIVE)], "overlapped")
    return outcome


@pytest.fixture(scope="module")
def aftermath(machines: ThreeStores) -> Aftermath:
    machines.empty()
    errors: dict[str, BrokerUnavailable] = {}
    with contextlib.ExitStack() as undo:
        direct, lossy = (
            undo.enter_context(BillingQueue(machines.settings(by_proxy=by_proxy))) for by_proxy in (False, True)
        )
        enqueue(lossy, "warm", "warm")
        for trouble in KILLED + SILENT:
            errors |= fail(machines, direct if trouble in KILLED else lossy, trouble)
        for uid in FORSAKEN.values():
            machines.ledger_client.zincrby(redis_keys.FRESH + INTERACTIVE, -60, job_id_of(uid))  # a minute goes by
        machines.age("cardless")
        worker = machines.worker()
        enqueue(direct, "later", "later")
        outcomes = {uid: direct.wait(job_id_of(uid), PATIENCE_S) for uid in (*REPEATED, *FORSAKEN.values(), "later")}
        outcomes["overlapped"] = overlap(machines, direct)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not machines.sealed() and not machines.messages(), PATIENCE_S)
        left = machines.sealed()
        worker.stop()
    return Aftermath(
        errors, outcomes, left, {uid: machines.fake.count("POST", f"/subscribe/customers/{uid}") for uid in outcomes}
    )


@pytest.mark.parametrize("uid", REPEATED)
def test_job_that_failed_on_the_way_and_was_tried_again_is_issued_exactly_once(aftermath: Aftermath, uid: str) -> None:
    assert aftermath.errors[uid].idempotency_key == uid
    assert (aftermath.outcomes[uid].status, aftermath.posts[uid]) == (Status.ISSUED, 1)


def test_accepted_job_runs_without_a_second_try(aftermath: Aftermath) -> None:
    assert aftermath.errors["unpublished"].accepted is True
    assert (aftermath.outcomes["unpublished"].status, aftermath.posts["unpublished"]) == (Status.ISSUED, 1)


def test_job_whose_card_never_reached_the_vault_ends_as_lost_if_nobody_completes_it(aftermath: Aftermath) -> None:
    assert aftermath.errors["cardless"].accepted is None
    assert (aftermath.outcomes["cardless"].status, aftermath.posts["cardless"]) == (Status.LOST, 0)


def test_card_laid_down_while_its_job_is_finished_does_not_stay_in_the_vault(aftermath: Aftermath) -> None:
    assert (aftermath.outcomes["overlapped"].status, aftermath.posts["overlapped"]) == (Status.ISSUED, 1)
    assert aftermath.left == []
