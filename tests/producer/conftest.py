"""Fixtures: Redis servers once a session, emptied for each test that asks for them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from producer import BillingQueue, Card
from producer.cli.main import main
from producer.settings import NOT_FOR_PRODUCERS
from tests.fake_iamport.cards import CARDS
from tests.producer.stage import Keys, Run, Stage
from tests.servers import RedisServer


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("producer")
    with RedisServer(folder / "queue", "ledger") as queue, RedisServer(folder / "vault") as vault:
        yield Stage(queue.port, vault.port, Keys.make(folder))


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


@pytest.fixture
def run(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in an empty folder, with the sample Visa on stdin unless other input is given."""
    for name in NOT_FOR_PRODUCERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, given: Any = None, **environ: str) -> Result:
        data = CARDS["visa"].fields() if given is None else given
        text = data if isinstance(data, bytes) else json.dumps(data).encode()
        return CliRunner().invoke(main, arguments, input=text, env={**stage.environ, **environ})

    return invoke
