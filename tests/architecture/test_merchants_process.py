"""BillingQueue is a guest in a merchant's process, which may have a Celery of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT, RedisServer, Stack

MERCHANT = Path(__file__).with_name("merchant.py")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("theirs")) as server:
        yield server


@pytest.fixture(params=["before", "after"])
def seen(request: pytest.FixtureRequest, stack: Stack, theirs: RedisServer, tmp_path: Path) -> dict[str, Any]:
    """What the merchant's process printed; queue, vault and the merchant's own Redis are as it left them."""
    for server in (stack.queue, stack.vault, theirs):
        server.client().flushall()
    (tmp_path / "celeryconfig.py").write_text(
        f"broker_url = {theirs.url(0)!r}\nresult_backend = {theirs.url(1)!r}\ntask_default_queue = 'shop'\n"
    )
    environ = {
        **os.environ,
        **stack.producer_env,
        "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))),
        "CELERY_BROKER_URL": theirs.url(0),
        "CELERY_RESULT_BACKEND": theirs.url(1),
    }
    done = subprocess.run(
        [sys.executable, str(MERCHANT), request.param], cwd=tmp_path, env=environ, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_merchants_celery_stays_as_it_is(seen: dict[str, Any], theirs: RedisServer) -> None:
    assert seen["current_app"] == "shop"
    assert seen["shared_task_of"] == "shop"
    assert seen["default_queue"] == "shop"
    assert seen["result_backend"] == theirs.url(1)
    assert seen["tasks_of_ours"] == []


def test_each_message_goes_to_its_own_broker(seen: dict[str, Any], stack: Stack, theirs: RedisServer) -> None:
    ours: Any = stack.queue.client(0)
    shops: Any = theirs.client(0)

    here, there = ours.lrange("interactive", 0, -1), shops.lrange("shop", 0, -1)

    assert [json.loads(message)["headers"]["task"] for message in here] == ["billing.run"] * 2
    assert [json.loads(message)["headers"]["task"] for message in there] == ["shop.reminder"] * 2
    assert not [key for key in shops.scan_iter() if b"interactive" in key or b"billing" in key]
    assert not [key for key in ours.scan_iter() if b"shop" in key]
    assert json.loads(here[-1])["headers"]["id"] == seen["job_id"]


def test_merchants_result_backend_hears_nothing_of_ours(seen: dict[str, Any], theirs: RedisServer) -> None:
    client: Any = theirs.client(1)

    keys = client.keys()

    assert not [key for key in keys if seen["job_id"].encode() in key]


def test_broken_celeryconfig_of_the_merchant_is_none_of_our_business(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text("raise RuntimeError('the merchant says no')\n")
    program = (
        "from producer import BillingQueue, Card\n"
        "card = Card(card_number='4242424242424242', expiry='2031-07')\n"
        "print(BillingQueue.from_env().issue(customer_uid='gildong', card=card).job_id)\n"
    )
    environ = {**os.environ, **stack.producer_env, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.strip()) == 36
