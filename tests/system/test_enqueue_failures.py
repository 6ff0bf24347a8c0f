"""A store that is down, silent, or whose answer is lost, at each step of enqueueing a job.

Queue, ledger and vault are servers of their own here, so that any of them fails alone: a dead ledger stops a producer
before it is accepted, a dead vault between acceptance and vault, a dead queue between vault and publishing.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import pytest

from producer import BillingQueue, BrokerUnavailable, Card, Job, Status
from producer.acceptance import Acceptance, Accepted, Asked
from producer.contract import record
from producer.contract.job import INTERACTIVE, Request
from producer.contract.names import Operation, job_id_of
from producer.publishing import Publisher
from producer.settings import ProducerSettings
from tests.fake_iamport.cards import CARDS, numbered
from tests.servers import RedisServer, Stack, wait_until

WITHIN_S = 5.0
KEY, UID = "signup-1", "gildong"


class Proxy:
    """Stands before a Redis: passes requests on, and answers too unless told to lose them.

    Args:
        port: the Redis's.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._mode, self._delay_s = "pass", 0.0
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def swallow(self) -> None:
        """From now on answers go nowhere, and connections stay."""
        self._mode = "swallow"

    def cut(self) -> None:
        """From now on a connection is cut when the answer comes."""
        self._mode = "cut"

    def slow_down(self, delay_s: float) -> None:
        """From now on each answer comes late."""
        self._delay_s = delay_s

    def mend(self) -> None:
        """Pass everything again."""
        self._mode, self._delay_s = "pass", 0.0

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._upstream))
                threading.Thread(target=self._pass_on, args=(near, far), daemon=True).start()
                threading.Thread(target=self._answer, args=(far, near), daemon=True).start()

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                far.sendall(data)
        _hang_up(near, far)

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(65536):
                self._ended.wait(self._delay_s)
                if self._mode == "pass":
                    near.sendall(data)
                elif self._mode == "cut":
                    break
        _hang_up(near, far)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()


def _hang_up(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


class ThreeStores(Stack):
    """A stack whose ledger is a server of its own; each store is reached through a proxy."""

    def __init__(self) -> None:
        super().__init__(persists=True)
        self.ledger = RedisServer(self.folder / "ledger", persists=True)
        self.proxies: dict[str, Proxy] = {}

    @property
    def servers(self) -> dict[str, RedisServer]:
        return {"ledger": self.ledger, "vault": self.vault, "queue": self.queue}

    @property
    def stores(self) -> dict[str, str]:
        return {"BROKER_URL": self.queue.url(0), "LEDGER_URL": self.ledger.url(1), "VAULT_URL": self.vault.url(0)}

    def __enter__(self) -> Self:
        super().__enter__()
        self._undo.enter_context(self.ledger)
        for name, server in self.servers.items():
            self.proxies[name] = self._undo.enter_context(Proxy(server.port))
        return self

    def empty(self) -> None:
        """As new, the connections of producers left alone."""
        for client in (self.queue.client(), self.ledger.client(), self.vault.client()):
            client.flushall()

    def settings(self, *, by_proxy: bool = False) -> ProducerSettings:
        given: dict[str, Any] = {name.lower(): value for name, value in self.producer_env.items()}
        if by_proxy:
            ports = {name: f"redis://127.0.0.1:{proxy.port}" for name, proxy in self.proxies.items()}
            given["ledger_url"], given["vault_url"] = f"{ports['ledger']}/1", f"{ports['vault']}/0"
            given["broker_url"] = f"{ports['queue']}/0"
        return ProducerSettings(_env_file=None, **given)

    def records(self) -> list[str]:
        return sorted(name.decode().removeprefix(record.JOB) for name in self.ledger_client.keys(record.JOB + "*"))

    def sealed(self) -> list[str]:
        client: Any = self.vault.client()
        return sorted(name.decode().removeprefix(record.SEALED) for name in client.keys(record.SEALED + "*"))

    def messages(self) -> int:
        return int(self.queue.client().llen(INTERACTIVE))

    @property
    def ledger_client(self) -> Any:
        return self.ledger.client(1)


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
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable) as caught:
        enqueue(queue, uid, key)
    took = time.monotonic() - began
    assert took < WITHIN_S, f"it took {took:.2f} s"
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


TROUBLES = (
    Trouble("ledger", "killed", True, "accept", accepted=False, known=False),
    Trouble("ledger", "killed", False, "accept", accepted=False, known=False),
    Trouble("ledger", "paused", True, "accept", accepted=None, known=None),
    Trouble("ledger", "paused", False, "accept", accepted=False, known=False),  # not even the greeting is answered
    Trouble("ledger", "swallow", True, "accept", accepted=None, known=True),
    Trouble("ledger", "cut", True, "accept", accepted=None, known=True),
    Trouble("vault", "killed", True, "vault", accepted=None, known=True),
    Trouble("vault", "killed", False, "vault", accepted=None, known=True),
    Trouble("vault", "paused", True, "vault", accepted=None, known=True),
    Trouble("vault", "paused", False, "vault", accepted=None, known=True),
    Trouble("vault", "swallow", True, "vault", accepted=None, known=True),
    Trouble("vault", "cut", True, "vault", accepted=None, known=True),
    Trouble("queue", "killed", True, "publish", accepted=True, known=True),
    Trouble("queue", "killed", False, "publish", accepted=True, known=True),
    Trouble("queue", "paused", True, "publish", accepted=True, known=True),
    Trouble("queue", "paused", False, "publish", accepted=True, known=True),
    Trouble("queue", "swallow", True, "publish", accepted=True, known=True),
    Trouble("queue", "cut", True, "publish", accepted=True, known=True),
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
    assert [one.decode() for one in stores.ledger_client.zrange(record.OPEN, 0, -1)] == [job.job_id]
    assert [one.decode() for one in stores.ledger_client.zrange(f"{record.CUSTOMER}{UID}:open", 0, -1)] == [job.job_id]


@pytest.mark.parametrize("store", ["ledger", "vault", "queue"])
def test_many_failures_in_a_row_stay_within_the_bound_and_leave_one_job(stores: ThreeStores, store: str) -> None:
    server = stores.servers[store]
    with BillingQueue(stores.settings()) as queue:
        server.pause()
        try:
            errors = [failure(queue) for _ in range(2)]
        finally:
            server.resume()
        job = enqueue(queue)

    assert len({error.accepted for error in errors}) == 1
    assert stores.records() == stores.sealed() == [job.job_id]


def test_slow_ledger_and_a_silent_queue_fail_soon_enough(stores: ThreeStores) -> None:
    with BillingQueue(stores.settings(by_proxy=True)) as queue:
        enqueue(queue, "somebody-else", None)
        stores.empty()
        stores.proxies["ledger"].slow_down(1.2)
        stores.queue.pause()
        try:
            error = failure(queue)
        finally:
            stores.queue.resume()
            stores.proxies["ledger"].mend()

    assert (error.step, error.accepted) == ("publish", True)
    assert stores.records() == stores.sealed() == [job_id_of(KEY)]


def test_ledger_that_took_too_long_leaves_publishing_to_the_sweeper(stores: ThreeStores) -> None:
    with BillingQueue(stores.settings(by_proxy=True)) as queue:
        with BillingQueue(stores.settings()) as other:  # leaves the ledger's script behind, and this one without
            enqueue(other, "somebody-else", None)  # connections, which are greeted in several answers
        stores.empty()
        stores.proxies["ledger"].slow_down(1.0)
        stores.queue.pause()
        try:
            error = failure(queue)
        finally:
            stores.queue.resume()
            stores.proxies["ledger"].mend()
        messages = stores.messages()
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
        stores.ledger.pause()
        began = time.monotonic()
        try:
            with pytest.raises(BrokerUnavailable) as caught:
                queue.outcome(job.job_id)
        finally:
            stores.ledger.resume()
        took = time.monotonic() - began
        outcome = queue.outcome(job.job_id)

    assert (caught.value.step, caught.value.accepted) == ("read", None)
    assert took < WITHIN_S
    assert outcome is None


def test_jobs_that_failed_on_the_way_are_issued_exactly_once(stores: ThreeStores) -> None:
    cards = {f"customer-{i}": Card(**CARDS["visa"].fields() | {"card_number": numbered(i)}) for i in range(6)}
    order = ("vault", "ledger", "queue")  # a vault that dies takes the cards of earlier jobs with it
    with BillingQueue(stores.settings()) as direct, BillingQueue(stores.settings(by_proxy=True)) as lossy:
        enqueue(lossy, "warm", None)
        for (uid, card), (store, kind) in zip(
            cards.items(), [(name, kind) for kind in ("killed", "swallow") for name in order], strict=True
        ):
            queue = direct if kind == "killed" else lossy
            end = Trouble(store, kind, is_warm=True, step="", accepted=None, known=None)(stores)
            try:
                failure(queue, uid, uid)
            finally:
                end()
            enqueue(queue, uid, uid, card)
        worker = stores.worker()
        outcomes = {uid: direct.wait(job_id_of(uid), 30) for uid in cards}
        wait_until(lambda: not stores.messages(), what="an empty queue")
        worker.stop()

    assert {outcome.status for outcome in outcomes.values()} == {Status.ISSUED}
    assert {uid: stores.fake.count("POST", f"/subscribe/customers/{uid}") for uid in cards} == dict.fromkeys(cards, 1)
    wait_until(lambda: len(stores.sealed()) == 0, what="an empty vault")


def test_accepted_job_runs_without_a_second_try(stores: ThreeStores) -> None:
    with BillingQueue(stores.settings()) as queue:
        stores.queue.kill()
        try:
            error = failure(queue)
        finally:
            stores.queue.start()
        stores.ledger_client.zincrby(record.FRESH + INTERACTIVE, -60, job_id_of(KEY))  # a minute goes by
        worker = stores.worker()
        later = enqueue(queue, "later", "later")
        issued = queue.wait(later.job_id, 30)
        outcome = queue.wait(job_id_of(KEY), 30)
        worker.stop()

    assert error.accepted is True
    assert (issued.status, outcome.status) == (Status.ISSUED, Status.ISSUED)
    assert stores.fake.count("POST", f"/subscribe/customers/{UID}") == 1


def test_job_whose_card_never_reached_the_vault_ends_as_lost_if_nobody_completes_it(stores: ThreeStores) -> None:
    with BillingQueue(stores.settings()) as queue:
        stores.vault.kill()
        try:
            error = failure(queue, "forsaken", "forsaken")
        finally:
            stores.vault.start()
        job_id = job_id_of("forsaken")
        stores.ledger_client.zincrby(record.FRESH + INTERACTIVE, -60, job_id)  # a minute goes by
        worker = stores.worker()
        queue.wait(enqueue(queue, "later", "later").job_id, 30)
        outcome = queue.wait(job_id, 30)
        worker.stop()

    assert error.accepted is None
    assert outcome.status is Status.LOST
    assert stores.fake.count("POST", "/subscribe/customers/forsaken") == 0


def test_card_laid_down_while_its_job_is_finished_does_not_stay_in_the_vault(stores: ThreeStores) -> None:
    request = Request(operation=Operation.ISSUE, customer_uid=UID)
    asked = Asked(job_id_of(KEY), KEY, request, INTERACTIVE, 900.0, "", None)
    acceptance, publisher = Acceptance(stores.ledger.url(1), stores.vault.url(0)), Publisher(stores.queue.url(0))
    with BillingQueue(stores.settings()) as queue:
        job = enqueue(queue)
        signed: Any = stores.vault.client().get(record.SEALED + job.job_id)
        (accepted,) = acceptance.accept([asked])  # the repeat: it sees an open job …
        assert isinstance(accepted, Accepted)
        worker = stores.worker()
        queue.wait(job.job_id, 30)
        wait_until(lambda: not stores.sealed(), what="an empty vault")
        acceptance.lay_down([(asked, accepted, signed.decode())])  # … which is finished before its next step
        publisher.publish([(job.job_id, INTERACTIVE)], KEY)
        queue.wait(enqueue(queue, "later", "later").job_id, 30)
        worker.stop()

    assert stores.sealed() == []
