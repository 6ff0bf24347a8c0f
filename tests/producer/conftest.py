"""Fixtures: Redis servers once a session, emptied for each test that asks for them."""

from collections.abc import Iterator

import pytest

from producer import BillingQueue, Card
from tests.fake_iamport.cards import CARDS
from tests.producer.stage import Keys, Stage, running_redis


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("producer")
    with running_redis(folder) as port, running_redis(folder) as vault_port:
        yield Stage(port, vault_port, Keys.make(folder))


@pytest.fixture
def stage(servers: Stage) -> Stage:
    servers.reset()
    return servers


@pytest.fixture
def queue(stage: Stage) -> Iterator[BillingQueue]:
    with BillingQueue(stage.settings()) as queue:
        yield queue


@pytest.fixture
def card() -> Card:
    return Card(**CARDS["visa"].fields())
