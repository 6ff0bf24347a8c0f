"""Metrics and health of the page, the webhooks and a migration, as Prometheus and whoever starts them see them."""

import contextlib
import http.client
import http.server
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from producer.contract import redis_keys
from producer.contract.identifiers import job_id_of
from producer.contract.outcome import Outcome
from tests.fake_iamport import made_up
from tests.ports import free_port
from tests.servers import ROOT, wait_until
from tests.stack import Stack
from tests.system.test_metrics import PATIENCE_S, TOKEN, ask, scrape

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
NUMBER = "4242424242424242"


def post(port: int, path: str, body: bytes, **headers: str) -> int:
    """The HTTP status of an answer."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        client.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return client.getresponse().status


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, dict[str, int]]]:
    """A merchant's server, and the status that it answers with."""
    answer = {"status": 500}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(answer["status"])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", answer
    finally:
        server.shutdown()
        server.server_close()


def finish(stack: Stack, key: str, uid: str) -> None:
    """A job ends: what the worker's script writes."""
    outcome = Outcome.model_validate(
        {
            "job_id": job_id_of(key),
            "status": "issued",
            "operation": "issue",
            "customer_uid": uid,
            "accepted_at": 1,
            "finished_at": 2,
        }
    )
    stack.ledger.xadd(redis_keys.OUTCOMES, {"outcome": outcome.model_dump_json()})


def test_the_page_counts_requests_and_why_it_refused_and_is_ready_while_its_stores_answer(stack: Stack) -> None:
    page, port = free_port(), free_port()
    arguments = ["-m", "producer", "serve", f"--port={page}"]
    with stack.running("serve", arguments, **stack.producer_env, METRICS_PORT=str(port)) as process:
        wait_until(lambda: process.poll() is not None or answered(port, "/readyz"), PATIENCE_S, "a page that is ready")
        ask(page, "/subscription/keys")
        for path in (f"/subscription/jobs/{NUMBER}", f"/{NUMBER}", f"/subscription/{NUMBER}/x", "/metrics"):
            ask(page, path)
        body = json.dumps({"ticket": NUMBER, "envelope": NUMBER}).encode()
        refused = post(page, "/subscription/issue-billing", body, Content_Type="application/json")
        large = post(page, "/subscription/issue-billing", b"x" * 20_000, Content_Type="application/json")
        counted, text = scrape(port)
        stack.vault.kill()
        codes = [ask(port, path) for path in ("/healthz", "/readyz")]
        stack.vault.start()
        wait_until(lambda: ask(port, "/readyz") == 200, PATIENCE_S, "a page that is ready")

    assert (refused, large) == (401, 413)
    assert counted["billing_page_seconds_count", "keys", "200"] == 1
    assert counted["billing_page_seconds_count", "issue-billing", "401"] == 1
    assert counted["billing_page_seconds_count", "issue-billing", "413"] == 1
    assert counted["billing_page_seconds_count", "jobs", "401"] == 1
    assert counted["billing_page_seconds_count", "other", "404"] == 3
    assert counted["billing_page_refused_total", "ticket_invalid"] == 2
    assert counted["billing_page_refused_total", "too_large"] == 1
    assert NUMBER not in text
    assert codes == [200, 503]


def test_webhooks_count_what_became_of_each_delivery_and_a_receiver_that_fails_makes_them_neither_dead_nor_unready(
    stack: Stack,
) -> None:
    port = free_port()
    with receiver() as (url, answer):
        environ = {
            **stack.stores("webhooks"),
            "WEBHOOK_URL": url,
            "WEBHOOK_SECRETS": SECRET,
            "WEBHOOK_ALLOW_PRIVATE": "1",
        }
        metrics = {"METRICS_PORT": str(port), "METRICS_TOKEN": TOKEN}
        with stack.running("webhooks", ["-m", "producer", "webhooks", "run"], **environ, **metrics):
            wait_until(lambda: answered(port, "/readyz"), PATIENCE_S, "webhooks that read")
            finish(stack, "a", "gildong")
            refused = ("billing_webhook_seconds_count", "refused")
            wait_until(lambda: scrape(port, TOKEN)[0].get(refused, 0) == 1, PATIENCE_S, "a refused delivery")
            behind, _ = scrape(port, TOKEN)
            codes = [ask(port, path) for path in ("/healthz", "/readyz", "/metrics")]
            answer["status"] = 204
            finish(stack, "b", "cheolsu")
            delivered = ("billing_webhook_seconds_count", "delivered")
            wait_until(lambda: scrape(port, TOKEN)[0].get(delivered, 0) == 1, PATIENCE_S, "a delivery")
            text = scrape(port, TOKEN)[1]

    assert codes == [200, 200, 401]
    assert (behind["billing_webhook_lines",], behind["billing_webhook_failed",]) == (1, 0)
    assert behind["billing_webhook_overdue_seconds",] == 0  # tried again in seconds
    assert behind["billing_webhook_given_up_total",] == 0
    assert "gildong" not in text


def test_the_page_and_webhooks_log_lines_of_json_as_workers_do_with_the_job_that_they_are_about(stack: Stack) -> None:
    with receiver() as (url, _):
        settings = {"WEBHOOK_URL": url, "WEBHOOK_SECRETS": SECRET, "WEBHOOK_ALLOW_PRIVATE": "1"}
        page = ["-m", "producer", "serve", f"--port={(port := free_port())}"]
        with (
            stack.running("webhooks", ["-m", "producer", "webhooks", "run"], **stack.stores("webhooks"), **settings),
            stack.running("page", page, **stack.producer_env),
        ):
            wait_until(lambda: answered(port, "/healthz"), PATIENCE_S, "a page")
            finish(stack, "a", "gildong")
            wait_until(lambda: any("answer" in line for line in logged(stack, "webhooks")), PATIENCE_S, "a failure")

    (failed,) = [line for line in logged(stack, "webhooks") if "answer" in line]
    assert (failed["job_id"], failed["answer"], failed["level"]) == (job_id_of("a"), "500", "warning")
    assert all("timestamp" in line for line in logged(stack, "page"))


def logged(stack: Stack, name: str) -> list[dict[str, Any]]:
    """The lines of a program's log; what it says before its log is set up is plain."""
    lines = (stack.folder / "logs" / f"{name}.log").read_text().splitlines()
    return [json.loads(line) for line in lines if not line.startswith("producer: ")]


def test_a_migration_shows_where_it_is(stack: Stack) -> None:
    port = free_port()
    rows = [{"customer_uid": f"uid_{n}", **{k: v for k, v in made_up(n).items() if v}} for n in range(30)]
    command = [sys.executable, "-m", "producer", "migrate", "-", "--name", "spring", "--as-of=2025-01-01"]
    command += ["--rows", "30", "--window", "10"]
    environ = {**stack.producer_env_of("migrator"), "METRICS_PORT": str(port), "PYTHONPATH": str(ROOT)}
    with (stack.folder / "migrate.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environ, cwd=stack.folder
        )
        assert process.stdin is not None
        try:
            process.stdin.write("".join(json.dumps(row) + "\n" for row in rows).encode())
            process.stdin.close()
            wait_until(lambda: process.poll() is not None or answered(port, "/healthz"), PATIENCE_S, "a migration")
            is_open = ("billing_migration_rows", "open")
            wait_until(lambda: scrape(port)[0].get(is_open, 0) == 10, PATIENCE_S, "rows that are sent")
            counted, text = scrape(port)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait()

    assert counted["billing_migration_expected_rows",] == 30
    assert (counted["billing_migration_window_jobs",], counted["billing_migration_held",]) == (10, 0)
    assert "uid_" not in text
    assert code == 3, (stack.folder / "migrate.log").read_text()


def test_ports_that_are_taken_are_one_line(stack: Stack) -> None:
    port = free_port()
    with stack.running("one", ["-m", "producer", "serve", f"--port={port}"], **stack.producer_env):
        wait_until(lambda: answered(port, "/healthz"), PATIENCE_S, "a page")
        done = subprocess.run(
            [sys.executable, "-m", "producer", "serve", f"--port={free_port()}"],
            env={**stack.producer_env, "METRICS_PORT": str(port), "PYTHONPATH": str(ROOT)},
            cwd=stack.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "producer: METRICS_PORT: cannot listen there")


def answered(port: int, path: str) -> bool:
    """True once somebody listens there and says 200."""
    with contextlib.suppress(OSError):
        return ask(port, path) == 200
    return False
