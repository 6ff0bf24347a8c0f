"""The examples, run as their first lines say: node and curl as processes, against the whole stack."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from producer import Card
from producer.contract.identifiers import Operation
from producer.sealing import SealingKeys
from producer.web.api_key import add_api_key
from tests.fake_iamport.cards import CARDS
from tests.ports import free_port
from tests.servers import ROOT, answers, wait_until
from tests.stack import Stack

EXAMPLES = ROOT / "examples"
SEALING_KEYS = "keys/producer/sealing.public.jwks.json"
VISA = CARDS["visa"].card_number
LIFE_S, TIMEOUT_S = 600, 240
IMPATIENT = """
const ask = fetch;
globalThis.fetch = (url, options) => {
  console.error("asked");
  return ask(String(url).replace("wait=20", "wait=0.05"), options);
};
"""  # what is loaded before the example: no answer is waited for long

Done = subprocess.CompletedProcess[bytes]


class Shop(NamedTuple):
    """The stack with the endpoint, and what another backend has of it.

    Args:
        urls: of the endpoint, by the curve of the key that it asks cards to be sealed to.
        api_key: the backend's.
    """

    stack: Stack
    urls: dict[str, str]
    api_key: str

    def run(self, *command: str, given: bytes, curve: str = "X25519", **environ: str) -> Done:
        """Run a command with its input."""
        settings = {"BILLING_URL": self.urls[curve], "BILLING_API_KEY": self.api_key, **environ}
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return subprocess.run(
            command, input=given, env=inherited | settings, capture_output=True, timeout=TIMEOUT_S, check=False
        )

    def enqueue_mjs(self, uid: str, *options: str, card: str = "visa", **how: str) -> Done:
        given = json.dumps(CARDS[card].fields(), indent=2).encode() + b"\n"
        return self.run("node", *options, str(EXAMPLES / "enqueue.mjs"), uid, f"signup of {uid}", given=given, **how)

    def enqueue_sh(self, uid: str, **how: str) -> Done:
        body = {"customer_uid": uid, "envelope": self._seal(uid), "idempotency_key": f"signup of {uid}"}
        return self.run("sh", str(EXAMPLES / "enqueue.sh"), given=json.dumps(body).encode(), **how)

    def _seal(self, uid: str) -> str:
        keys, now = SealingKeys.load(self.stack.folder / SEALING_KEYS), int(time.time())
        card = Card(**CARDS["visa"].fields())
        return keys.seal(card, purpose=Operation.ISSUE, customer_uid=uid, merchant_uid=None, iat=now, exp=now + LIFE_S)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with Stack() as stack, contextlib.ExitStack() as undo:
        stack.worker()
        api_keys = stack.folder / "api_keys.json"
        api_key = add_api_key(api_keys, "other-backend", ["issue"])
        known = json.loads((stack.folder / SEALING_KEYS).read_text())["keys"]
        ports = {curve: free_port() for curve in ("X25519", "P-256")}
        for curve, port in ports.items():
            keys = stack.folder / f"{curve}.jwks.json"
            keys.write_text(json.dumps({"keys": [jwk for jwk in known if jwk["crv"] == curve]}))
            environ = {**stack.producer_env, "API_KEYS_FILE": str(api_keys), "SEALING_KEYS_FILE": str(keys)}
            undo.enter_context(stack.running("serve", ["-m", "producer", "serve", f"--port={port}"], **environ))
        wait_until(lambda: all(map(answers, ports.values())), TIMEOUT_S, "the endpoints")
        urls = {curve: f"http://127.0.0.1:{port}/subscription" for curve, port in ports.items()}
        yield Shop(stack, urls, api_key)


@pytest.mark.parametrize("curve", ["X25519", "P-256"])
def test_node_example_gets_a_billing_key_issued(shop: Shop, curve: str) -> None:
    done = shop.enqueue_mjs(f"by-node-{curve}", curve=curve)

    assert (done.returncode, done.stderr) == (0, b"")
    told = json.loads(done.stdout)
    assert (told["status"], told["outcome"]["card_number"][:6]) == ("issued", VISA[:6])
    assert shop.stack.fake.count("POST", f"/subscribe/customers/by-node-{curve}") == 1


def test_node_example_run_again_is_the_same_job(shop: Shop) -> None:
    first, second = (shop.enqueue_mjs("twice") for _ in range(2))

    assert second.returncode == 0
    assert json.loads(second.stdout) == {**json.loads(first.stdout), "repeated": True}
    assert shop.stack.fake.count("POST", "/subscribe/customers/twice") == 1


def test_node_example_asks_again_until_the_job_is_settled(shop: Shop) -> None:
    done = shop.enqueue_mjs("slow", "--import", f"data:text/javascript,{IMPATIENT}", card="slow")

    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "issued")
    assert done.stderr.count(b"asked") > 3


def test_node_example_ends_with_1_when_the_card_is_declined(shop: Shop) -> None:
    done = shop.enqueue_mjs("declined", card="wrong_password")

    assert (done.returncode, json.loads(done.stdout)["status"]) == (1, "declined")


def test_node_example_says_why_it_was_refused_and_shows_no_card(shop: Shop) -> None:
    done = shop.enqueue_mjs("refused", BILLING_API_KEY="bk_wrong")

    assert (done.returncode, done.stdout) == (1, b"")
    assert b"401 api_key_invalid" in done.stderr
    assert VISA.encode() not in done.stderr


def test_curl_example_gets_a_billing_key_issued(shop: Shop) -> None:
    done = shop.enqueue_sh("by-curl")

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["status"] == "issued"
    assert shop.stack.fake.count("POST", "/subscribe/customers/by-curl") == 1


def test_curl_example_says_why_it_was_refused(shop: Shop) -> None:
    done = shop.enqueue_sh("refused", BILLING_API_KEY="bk_wrong")

    assert done.returncode == 22
    assert json.loads(done.stdout)["error"] == "api_key_invalid"


def test_curl_example_has_neither_its_key_nor_the_envelope_among_its_arguments(shop: Shop, tmp_path: Path) -> None:
    curl = tmp_path / "curl"
    curl.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    curl.chmod(0o700)

    done = shop.enqueue_sh("shown", PATH=f"{tmp_path}:{os.environ['PATH']}")

    assert done.stdout.decode().splitlines()[-1] == f"{shop.urls['X25519']}/issue-billing?wait=20"
    assert shop.api_key not in done.stdout.decode()
    assert b"customer_uid" not in done.stdout
