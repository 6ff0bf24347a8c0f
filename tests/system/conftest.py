from collections.abc import Iterator

import pytest

from producer import BillingQueue
from tests.ports import free_port
from tests.stack import Stack


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack() as one:
        yield one


@pytest.fixture
def queue(stack: Stack) -> Iterator[BillingQueue]:
    with stack.billing_queue() as one:
        yield one


@pytest.fixture(scope="module")
def busy() -> Iterator[Stack]:
    """With workers, for all that leaves them as they were; each test has customers and orders of its own."""
    with Stack() as one:
        one.worker(concurrency=16, METRICS_PORT=str(free_port()))
        yield one


@pytest.fixture(scope="module")
def merchant(busy: Stack) -> Iterator[BillingQueue]:
    with busy.billing_queue() as one:
        yield one


@pytest.fixture(scope="module")
def idle() -> Iterator[Stack]:
    """Without a worker: jobs stay open."""
    with Stack() as one:
        yield one
