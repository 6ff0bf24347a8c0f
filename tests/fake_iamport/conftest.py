from collections.abc import Iterator

import pytest

from tests.fake_iamport import FakeIamport
from tests.fake_iamport.merchant import Api, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> Iterator[FakeIamport]:
    with FakeIamport(clock=clock) as running:
        yield running


@pytest.fixture
def api(fake: FakeIamport) -> Iterator[Api]:
    api = Api(fake)
    api.login()
    yield api
    api.session.close()
