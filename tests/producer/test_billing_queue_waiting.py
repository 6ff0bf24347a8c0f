"""Reading outcomes, and waiting for them."""

import asyncio

import pytest

from producer import BillingQueue, BrokerUnavailable, Card, Outcome, Status, UnknownJob
from producer.billing_queue import POLL_MOST_S
from producer.contract.identifiers import job_id_of
from tests.producer.stage import Stage


class Clock:
    """A clock that goes on when somebody sleeps by it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_open_job_has_no_outcome(queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card)

    outcome = queue.outcome(job.job_id)

    assert outcome is None


@pytest.mark.parametrize("status", Status)
def test_outcome_is_that_of_the_ledger(stage: Stage, queue: BillingQueue, card: Card, status: Status) -> None:
    job = queue.issue(customer_uid="gildong", card=card)
    written = stage.finish(job, status)

    outcome = queue.outcome(job.job_id)

    assert outcome == written
    assert outcome.status is status


@pytest.mark.parametrize("job_id", [job_id_of("never asked for"), "", "no id", "billing:open", "\x00", "한글"])
def test_job_that_was_never_accepted_is_unknown(queue: BillingQueue, job_id: str) -> None:
    with pytest.raises(UnknownJob):
        queue.outcome(job_id)
    with pytest.raises(UnknownJob):
        queue.wait(job_id, 10)


def test_outcome_from_a_dead_ledger_is_unavailable(stage: Stage) -> None:
    with BillingQueue(stage.settings_with_dead("ledger")) as queue, pytest.raises(BrokerUnavailable) as caught:
        queue.outcome(job_id_of("k"))

    assert (caught.value.step, caught.value.accepted, caught.value.idempotency_key) == ("read", None, None)


def test_wait_gives_an_outcome_that_is_there_at_once(
    stage: Stage, queue: BillingQueue, card: Card, clock: Clock
) -> None:
    job = queue.issue(customer_uid="gildong", card=card)
    written = stage.finish(job)

    outcome = queue.wait(job.job_id, 10, clock=clock, sleep=clock.sleep)

    assert outcome == written
    assert clock.slept == []


def test_wait_gives_an_outcome_as_soon_as_there_is_one(
    stage: Stage, queue: BillingQueue, card: Card, clock: Clock
) -> None:
    job = queue.issue(customer_uid="gildong", card=card)
    written: list[Outcome] = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.slept) == 5:
            written.append(stage.finish(job, Status.DECLINED))

    outcome = queue.wait(job.job_id, 10, clock=clock, sleep=sleep)

    assert [outcome] == written
    assert len(clock.slept) == 5


def test_wait_ends_with_its_time(queue: BillingQueue, card: Card, clock: Clock) -> None:
    job = queue.issue(customer_uid="gildong", card=card)

    with pytest.raises(TimeoutError, match="still open after 10 s"):
        queue.wait(job.job_id, 10, clock=clock, sleep=clock.sleep)

    assert clock.now == pytest.approx(110)


def test_wait_asks_less_and_less_often_but_twice_a_second_at_least(
    queue: BillingQueue, card: Card, clock: Clock
) -> None:
    job = queue.issue(customer_uid="gildong", card=card)

    with pytest.raises(TimeoutError):
        queue.wait(job.job_id, 60, clock=clock, sleep=clock.sleep)

    assert clock.slept[0] < 0.05
    assert max(clock.slept) == POLL_MOST_S
    assert clock.slept[:-1] == sorted(clock.slept[:-1])


def test_wait_of_no_time_looks_once(stage: Stage, queue: BillingQueue, card: Card, clock: Clock) -> None:
    still_open, done = (queue.issue(customer_uid="gildong", card=card) for _ in range(2))
    written = stage.finish(done)

    with pytest.raises(TimeoutError):
        queue.wait(still_open.job_id, 0, clock=clock, sleep=clock.sleep)
    outcome = queue.wait(done.job_id, 0, clock=clock, sleep=clock.sleep)

    assert outcome == written
    assert clock.slept == []


def test_asyncio_variants_read_the_same(stage: Stage, queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card)
    before = asyncio.run(queue.aoutcome(job.job_id))
    written = stage.finish(job)

    after = asyncio.run(queue.aoutcome(job.job_id))
    waited = asyncio.run(queue.await_outcome(job.job_id, 10))

    assert before is None
    assert after == waited == written


def test_asyncio_wait_sees_an_outcome_that_comes_meanwhile(stage: Stage, queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card)

    async def wait_while_it_is_finished() -> tuple[Outcome, Outcome]:
        waiting = asyncio.create_task(queue.await_outcome(job.job_id, 10))
        await queue.aoutcome(job.job_id)
        return await asyncio.to_thread(stage.finish, job), await waiting

    written, outcome = asyncio.run(wait_while_it_is_finished())

    assert outcome == written


def test_asyncio_wait_ends_with_its_time(queue: BillingQueue, card: Card) -> None:
    job = queue.issue(customer_uid="gildong", card=card)

    with pytest.raises(TimeoutError):
        asyncio.run(queue.await_outcome(job.job_id, 0))


def test_asyncio_wait_for_an_unknown_job_says_so(queue: BillingQueue) -> None:
    with pytest.raises(UnknownJob):
        asyncio.run(queue.await_outcome(job_id_of("never asked for"), 5))
