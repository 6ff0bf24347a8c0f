from collections.abc import Iterator

import pytest

from producer import BillingQueue
from tests.stack import Stack


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack() as one:
        yield one


@pytest.fixture
def queue(stack: Stack) -> Iterator[BillingQueue]:
    with stack.billing_queue() as one:
        yield one
