"""Webhooks as processes: bad destinations of all kinds beside a good one, and the receivers of docs/webhooks.md."""

import contextlib
import http.client
import http.server
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from standardwebhooks import Webhook

from producer.contract import redis_keys
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.outcome import Outcome, Status
from producer.contract.reconciled import Found, Reconciled
from tests.ports import dead_port, free_port
from tests.proof.documents import first_block
from tests.servers import ROOT, answers, run_python, running, wait_until
from tests.stack import Stack

OLD, NEW = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4"
DOCUMENT = ROOT / "docs/webhooks.md"
PATIENCE_S, P99_S, JOBS, CUSTOMERS = 240, 5.0, 200, 40
RUN = ["-m", "producer", "webhooks", "run"]
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Destination:
    """A merchant's server that answers as it is told, and what it heard: instant, id and body.

    Args:
        answer: to a request whose body was read.
    """

    def __init__(self, answer: Answer) -> None:
        self.heard: list[tuple[float, str, dict[str, Any]]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.heard.append((time.monotonic(), self.headers["webhook-id"], json.loads(body)))
                with contextlib.suppress(OSError):  # the other side may be tired of it
                    answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def ids(self) -> list[str]:
        return [name for _, name, _ in self.heard]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def says(status: int) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", "http://127.0.0.1:1/")
        handler.end_headers()

    return answer


def is_slow(_: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(30)  # longer than anybody waits


def drips(handler: http.server.BaseHTTPRequestHandler) -> None:
    for byte in itertools.islice(itertools.cycle(b"HTTP/1.1 102 Processing\r\n\r\n"), 600):
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


class Stream(NamedTuple):
    """The stream of a stack, as the worker's script writes it."""

    stack: Stack

    def end(self, key: str, uid: str, at: float = 2.0, status: Status = Status.ISSUED) -> str:
        outcome = Outcome(
            job_id=job_id_of(key),
            status=status,
            operation=Operation.ISSUE,
            customer_uid=uid,
            accepted_at=1.0,
            finished_at=at,
        )
        self.stack.ledger.xadd(redis_keys.OUTCOMES, {"outcome": outcome.model_dump_json()})
        return outcome.job_id

    def reconcile(self, job_id: str, uid: str) -> str:
        said = Reconciled(job_id=job_id, operation="issue", customer_uid=uid, found=Found.DONE, asked_at=602.0)
        self.stack.ledger.xadd(redis_keys.RECONCILED, {"reconciled": said.model_dump_json()})
        return f"{job_id}.reconciled.602"


@pytest.fixture
def stream(stack: Stack) -> Stream:
    return Stream(stack)


def environ(stack: Stack, port: int, name: str = "main", **more: str) -> dict[str, str]:
    return {
        **stack.stores("webhooks"),
        "WEBHOOK_NAME": name,
        "WEBHOOK_URL": f"http://127.0.0.1:{port}/hooks",
        "WEBHOOK_SECRETS": f"{NEW} {OLD}",
        "WEBHOOK_ALLOW_PRIVATE": "1",
        **more,
    }


def log_of(stack: Stack, name: str) -> str:
    return (stack.folder / "logs" / f"{name}.log").read_text()


@contextlib.contextmanager
def delivering(stack: Stack, port: int, name: str = "main", **more: str) -> Iterator[None]:
    """``webhooks run`` for a destination."""
    with stack.running(name, RUN, **environ(stack, port, name, **more)) as process:
        wait_until(
            lambda: process.poll() is not None or f"delivering to {name}" in log_of(stack, name), PATIENCE_S, "a start"
        )
        yield


def ask(stack: Stack, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "producer", "webhooks", *arguments, environ={**stack.stores("webhooks"), **env})


@pytest.mark.timeout(900)
def test_a_good_destination_is_told_at_once_beside_all_kinds_of_bad_ones_and_these_say_why_they_are_not(
    stack: Stack, stream: Stream
) -> None:
    good = Destination(says(204))
    kinds = {"slow": is_slow, "dripping": drips, "redirecting": says(302), "failing": says(500)}
    bad = {name: Destination(answer) for name, answer in kinds.items()}
    ports = {"dead": dead_port(), **{name: one.port for name, one in bad.items()}}
    sent: dict[str, float] = {}
    with contextlib.ExitStack() as undo:
        for name, port in {**ports, "good": good.port}.items():
            undo.enter_context(delivering(stack, port, name))
        for n in range(JOBS):
            sent[stream.end(f"job-{n}", f"uid-{n % CUSTOMERS}")] = time.monotonic()
            time.sleep(0.1)  # ten a second
        wait_until(lambda: len(good.heard) >= JOBS, PATIENCE_S, "all outcomes at the good one")
        why = dict.fromkeys(ports, "last answer was ")
        wait_until(lambda: all(why[name] in log_of(stack, name) for name in ports), PATIENCE_S, "all reasons")
        logs = {name: log_of(stack, name) for name in ports}
    for one in (good, *bad.values()):
        one.stop()

    took = sorted(at - sent[name] for at, name, _ in good.heard)
    print(f"p50 {took[len(took) // 2]:.2f} s, p99 {took[len(took) * 99 // 100]:.2f} s")
    assert took[len(took) * 99 // 100] <= P99_S
    assert sorted(good.ids) == sorted(sent)
    words = {"dead": "ConnectError", "slow": "timeout", "dripping": "timeout", "redirecting": "302", "failing": "500"}
    assert {name: f"wait; the last answer was {word}, " in logs[name] for name, word in words.items()} == dict.fromkeys(
        words, True
    )


def test_an_old_refused_delivery_holds_its_customers_later_ones_for_no_longer_than_it_may(
    stack: Stack, stream: Stream
) -> None:
    old = job_id_of("old")
    shop = Destination(lambda handler: says(500 if handler.headers["webhook-id"] == old else 204)(handler))
    with delivering(stack, shop.port, WEBHOOK_LINE_S="6"):
        stream.end("old", "gildong")
        wait_until(lambda: shop.ids, PATIENCE_S, "the first attempt")
        later = stream.end("later", "gildong")
        wait_until(lambda: later in shop.ids, PATIENCE_S, "the later one")
        wait_until(lambda: shop.heard[-1][2]["late"], PATIENCE_S, "one more attempt")
    shop.stop()

    first, told = shop.heard[0][0], next(at for at, name, _ in shop.heard if name == later)
    assert 5.5 < told - first < 6 + P99_S
    assert {name for _, name, body in shop.heard if body["late"]} == {old}


def test_what_was_given_up_is_sent_once_more_by_the_id_in_the_list_whatever_it_was(
    stack: Stack, stream: Stream
) -> None:
    statuses = iter((410, 410))

    def gone_at_first(handler: http.server.BaseHTTPRequestHandler) -> None:
        says(next(statuses, 204))(handler)

    shop = Destination(gone_at_first)
    with delivering(stack, shop.port, "crm"):
        job_id = stream.end("a", "gildong", status=Status.IN_DOUBT)
        names = [job_id, stream.reconcile(job_id, "gildong")]
        wait_until(lambda: len(shop.heard) == len(names), PATIENCE_S, "both")
        wait_until(lambda: ask(stack, "list", WEBHOOK_NAME="crm").stdout.count("\n") == 2, PATIENCE_S, "both given up")
        listed = [json.loads(line) for line in ask(stack, "list", WEBHOOK_NAME="crm").stdout.splitlines()]
        of_another = ask(stack, "list")
        done = ask(stack, "resend", *(row["id"] for row in listed), WEBHOOK_NAME="crm")
        wait_until(lambda: len(shop.heard) == 2 * len(names), PATIENCE_S, "both once more")
    shop.stop()

    assert [(row["id"], row["status"], row["found"]) for row in listed] == [
        (names[0], "in_doubt", None),
        (names[1], None, "done"),
    ]
    assert (of_another.stdout, of_another.returncode) == ("", 0)
    assert (done.returncode, done.stderr) == (0, "producer: 2 to be sent once more\n")
    assert sorted(shop.ids) == sorted(2 * names)


@contextlib.contextmanager
def receiver(language: str, folder: Path) -> Iterator[int]:
    """The receiver of the document, started as it says, at a port."""
    port, log = free_port(), folder / f"{language}.log"
    if language == "python":
        (folder / "receiver.py").write_text(first_block(DOCUMENT, "Webhooks", "python"))
        command = ["-m", "uvicorn", "receiver:app", f"--port={port}"]
        with running(command, folder, log, WEBHOOK_SECRET=OLD):
            wait_until(lambda: answers(port), PATIENCE_S, "the receiver")
            yield port
        return
    (folder / "receiver.mjs").write_text(first_block(DOCUMENT, "Webhooks", "js"))
    env = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": OLD, "PORT": str(port)}
    with log.open("wb") as out:
        node = subprocess.Popen(["node", "receiver.mjs"], cwd=folder, env=env, stdout=out, stderr=sys.stderr)
    try:
        wait_until(lambda: answers(port), PATIENCE_S, "the receiver")
        yield port
    finally:
        node.terminate()
        node.wait()


def post(port: int, headers: dict[str, str], body: bytes) -> int:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(client):
        client.request("POST", "/hooks", body, headers)
        return client.getresponse().status


def signed(name: str, body: bytes, *, key: str = OLD, at: float | None = None) -> dict[str, str]:
    when = int(time.time() if at is None else at)
    signature = Webhook(key).sign(name, datetime.fromtimestamp(when, UTC), body.decode())
    return {"webhook-id": name, "webhook-timestamp": str(when), "webhook-signature": signature}


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_documents_receiver_believes_what_is_signed_once_and_nothing_that_is_older_than_what_it_knows(
    stack: Stack, stream: Stream, tmp_path: Path, language: str
) -> None:
    log = tmp_path / f"{language}.log"
    with receiver(language, tmp_path) as port:
        newer = stream.end("newer", "gildong", at=3.0)
        stream.end("older", "gildong", at=2.0, status=Status.DECLINED)
        doubt = stream.end("doubt", "minsu", status=Status.IN_DOUBT)
        stream.reconcile(doubt, "minsu")
        with delivering(stack, port):
            wait_until(lambda: "done" in log.read_text(), PATIENCE_S, "all of them")
            wait_until(lambda: not stack.ledger.zcard(redis_keys.WEBHOOK_DUE + "main"), PATIENCE_S, "all taken")
            assert ask(stack, "resend", newer).returncode == 0
            wait_until(lambda: not stack.ledger.zcard(redis_keys.WEBHOOK_LATE + "main"), PATIENCE_S, "all taken")

        forged = json.dumps({"type": "billing.outcome", "timestamp": 9.0, "data": {"customer_uid": "forged"}}).encode()
        right = signed("id", forged)
        codes = {
            "no signature": post(port, {}, forged),
            "another key": post(port, signed("id", forged, key=NEW), forged),
            "another body": post(port, right, forged + b" "),
            "another id": post(port, {**right, "webhook-id": "other"}, forged),
            "old": post(port, signed("id", forged, at=time.time() - 400), forged),
            "early": post(port, signed("id", forged, at=time.time() + 400), forged),
            "garbage": post(port, {**right, "webhook-signature": "v1,#,=é"}, forged),
            "words": post(port, {**right, "webhook-signature": "x", "webhook-timestamp": "now"}, forged),
        }

    assert set(codes.values()) == {401}, codes
    told = [line for line in log.read_text().splitlines() if line.startswith("billing.")]
    assert sorted(told) == sorted(
        [
            "billing.outcome issue gildong issued",
            "billing.outcome issue minsu in_doubt",
            "billing.reconciled issue minsu done",
        ]
    )
