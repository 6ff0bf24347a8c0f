from collections.abc import Iterator

import pytest

from producer import BillingQueue
from producer.settings import ProducerSettings
from tests.servers import Stack, environment


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack() as one:
        yield one


@pytest.fixture
def queue(stack: Stack) -> Iterator[BillingQueue]:
    with environment(stack.producer_env):
        settings = ProducerSettings.from_env()
    with BillingQueue(settings) as one:
        yield one
