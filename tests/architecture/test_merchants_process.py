"""BillingQueue is a guest in a merchant's process, which may have a Celery of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT, RedisServer
from tests.stack import Stack

MERCHANT = Path(__file__).with_name("merchant.py")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("theirs")) as server:
        yield server


@dataclass(frozen=True)
class Seen:
    """A merchant's process, and what it left behind on our queue, the merchant's own, and in the result backend."""

    printed: dict[str, Any]
    ours: list[dict[str, Any]]
    theirs: list[dict[str, Any]]
    our_keys: list[str]
    their_keys: list[str]
    results: list[str]
    backend: str


def messages(client: Any, queue: str) -> list[dict[str, Any]]:
    return [json.loads(message) for message in client.lrange(queue, 0, -1)]


def keys(client: Any) -> list[str]:
    return [key.decode() for key in client.scan_iter()]


@pytest.fixture(scope="module", params=["before", "after"])
def seen(
    request: pytest.FixtureRequest, stack: Stack, theirs: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Seen:
    for server in (stack.queue, stack.vault, theirs):
        server.client().flushall()
    folder = tmp_path_factory.mktemp("merchant")
    (folder / "celeryconfig.py").write_text(
        f"broker_url = {theirs.url(0)!r}\nresult_backend = {theirs.url(1)!r}\ntask_default_queue = 'shop'\n"
    )
    environ = {
        **os.environ,
        **stack.producer_env,
        "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
        "CELERY_BROKER_URL": theirs.url(0),
        "CELERY_RESULT_BACKEND": theirs.url(1),
    }
    done = subprocess.run(
        [sys.executable, str(MERCHANT), request.param], cwd=folder, env=environ, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    ours, shops = stack.queue.client(0), theirs.client(0)
    return Seen(
        printed=json.loads(done.stdout),
        ours=messages(ours, "interactive"),
        theirs=messages(shops, "shop"),
        our_keys=keys(ours),
        their_keys=keys(shops),
        results=keys(theirs.client(1)),
        backend=theirs.url(1),
    )


def test_merchants_celery_stays_as_it_is(seen: Seen) -> None:
    assert seen.printed["current_app"] == "shop"
    assert seen.printed["shared_task_of"] == "shop"
    assert seen.printed["default_queue"] == "shop"
    assert seen.printed["result_backend"] == seen.backend
    assert seen.printed["tasks_of_ours"] == []


def test_each_message_goes_to_its_own_broker(seen: Seen) -> None:
    assert [message["headers"]["task"] for message in seen.ours] == ["billing.run"] * 2
    assert [message["headers"]["task"] for message in seen.theirs] == ["shop.reminder"] * 2
    assert not [key for key in seen.their_keys if "interactive" in key or "billing" in key]
    assert not [key for key in seen.our_keys if "shop" in key]
    assert seen.ours[-1]["headers"]["id"] == seen.printed["job_id"]


def test_merchants_result_backend_hears_nothing_of_ours(seen: Seen) -> None:
    assert not [key for key in seen.results if seen.printed["job_id"] in key]


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
