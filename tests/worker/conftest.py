from collections.abc import Iterator

import pytest

from producer.runtime.redis_store import Stores
from tests.fake_iamport import FakeIamport
from tests.servers import RedisServer
from worker.ledger import Ledger


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def store(redis_server: RedisServer) -> RedisServer:
    redis_server.client().flushall()
    return redis_server


@pytest.fixture
def ledger(store: RedisServer) -> Ledger:
    return Ledger(Stores(store.url(1)), Stores(store.url(2)), call_deadline_s=70)


@pytest.fixture(scope="session")
def one_fake() -> Iterator[FakeIamport]:
    with FakeIamport() as fake:
        yield fake


@pytest.fixture
def fake(one_fake: FakeIamport) -> FakeIamport:
    one_fake.reset()
    one_fake.clear_faults()
    return one_fake
