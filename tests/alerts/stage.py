"""The stage: the stack with worker, card page and webhooks, customers who come all the time, and a Prometheus."""

import contextlib
import http.server
import json
import random
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any, Self

from producer import BillingQueue, BrokerUnavailable, Card
from producer.contract.identifiers import Operation
from producer.contract.job import Request
from producer.web import Tickets
from tests.alerts.prometheus import Prometheus
from tests.fake_iamport import CARDS, made_up
from tests.ports import free_port
from tests.servers import run_python, wait_until
from tests.stack import Stack, WorkerProcess
from tests.system.test_monitoring import SECRET

PERIOD_S = 0.15
COMMAND = ["-m", "worker", "run", "--processes", "2", "--concurrency", "16"]
ROWS = 5000


class Receiver(http.server.ThreadingHTTPServer):
    """The merchant's server: answers with a status, after a while."""

    status, hold_s, daemon_threads, request_queue_size = 204, 0.0, True, 128

    def __init__(self) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 — the server is self
                handler.rfile.read(int(handler.headers["content-length"]))
                time.sleep(self.hold_s)
                handler.send_response(self.status)
                handler.end_headers()

            def log_message(handler, *_: Any) -> None:  # noqa: N805 — as above
                pass

        super().__init__(("127.0.0.1", 0), Handler)


class Stage:
    """See the module.

    Args:
        stack: the stores, the fake and the keys.
        queue: of the producer.
    """

    def __init__(self, stack: Stack, queue: BillingQueue) -> None:
        self.stack, self.queue, self.fake = stack, queue, stack.fake
        self.ports = {job: free_port() for job in ("worker", "web", "webhooks", "migrate")}
        self.receiver, self.prometheus = Receiver(), Prometheus(stack.folder / "prometheus", self.ports)
        self.declined_part, self.page_port = 0.1, free_port()
        environ = {**stack.worker_env, "METRICS_PORT": str(self.ports["worker"]), "IMP_RATE_PER_S": "100"}
        self.worker = WorkerProcess(environ, stack.folder / "logs", command=COMMAND)
        self._ended, self._count = threading.Event(), 0

    def run(self, *arguments: str, **environ: str) -> str:
        """What an operator's command prints."""
        stack = self.stack
        user = {"producer": "migrator" if "migrate" in arguments else "webhooks", "worker": "operator"}[arguments[0]]
        if "doctor" in arguments:
            user = "doctor"
        given = stack.worker_env if {"doctor", "--look-up"} & {*arguments} else {}
        keys = stack.producer_env_of(user) if arguments[0] == "producer" else {}
        stores = stack.stores(user)
        done = run_python("-m", *arguments, environ={**given, **keys, **stores, "COLUMNS": "240", **environ})
        return done.stdout + done.stderr

    @contextlib.contextmanager
    def migration(self) -> Iterator[subprocess.Popen[bytes]]:
        """A migration under way, named ``spring``."""
        source = self.stack.folder / "export.jsonl"
        rows = ({"customer_uid": f"moved_{n}", **made_up(100_000 + n)} for n in range(ROWS))
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        environ = {**self.stack.producer_env_of("migrator"), "METRICS_PORT": str(self.ports["migrate"])}
        options = [f"--rows={ROWS}", "--throttle=20", "--name=spring", "--i-know-this-file-holds-card-data"]
        command = ["-m", "producer", "migrate", str(source), *options]
        with self.stack.running("migrate", command, **environ) as process:
            wait_until(lambda: "running" in self.run("producer", "migrate", "status", "spring"), what="a migration")
            yield process

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self.worker.start(wait=False)
            undo.callback(self.worker.stop)
            threading.Thread(target=self.receiver.serve_forever, daemon=True).start()
            undo.callback(self.receiver.shutdown)
            self._start_programs(undo)
            wait_until(self.worker.is_ready, what="a worker that is ready")
            undo.callback(self._ended.set)
            for customers in (self._cards, self._page):
                threading.Thread(target=customers, daemon=True).start()
            undo.enter_context(self.prometheus)
            self._undo = undo.pop_all()
        return self

    def _start_programs(self, undo: contextlib.ExitStack) -> None:
        stack = self.stack
        serve = ["-m", "producer", "serve", f"--port={self.page_port}"]
        metrics = {job: {"METRICS_PORT": str(port)} for job, port in self.ports.items()}
        undo.enter_context(stack.running("page", serve, **stack.producer_env, **metrics["web"]))
        url = f"http://127.0.0.1:{self.receiver.server_address[1]}/"
        settings = {"WEBHOOK_URL": url, "WEBHOOK_SECRETS": SECRET, "WEBHOOK_ALLOW_PRIVATE": "1"}
        environ = {**stack.stores("webhooks"), **settings, **metrics["webhooks"]}
        undo.enter_context(stack.running("webhooks", ["-m", "producer", "webhooks", "run"], **environ))

    def _cards(self) -> None:
        chance = random.Random(1)
        while not self._ended.wait(PERIOD_S):
            self._count += 1
            bad = chance.random() < self.declined_part
            card = Card(**(CARDS["bad_number"].fields() if bad else made_up(self._count)))
            with contextlib.suppress(BrokerUnavailable):
                if self._count % 10:
                    self.queue.issue(customer_uid=f"customer_{self._count}", card=card, deadline_s=120)
                else:
                    self.queue.onetime(merchant_uid=f"order_{self._count}", amount=1000, name="tea", card=card)

    def _page(self) -> None:
        request = Request(operation=Operation.ISSUE, customer_uid="gildong")
        tickets, text = Tickets.of(self.queue), ""
        while not self._ended.wait(2 * PERIOD_S):
            with contextlib.suppress(BrokerUnavailable, OSError):
                text = text or tickets.mint(request, life_s=86_400)
                url = f"http://127.0.0.1:{self.page_port}/subscription/jobs/{tickets.parse(text).job_id}"
                with urllib.request.urlopen(urllib.request.Request(url, headers={"X-Ticket": text}), timeout=30):
                    pass

    def __exit__(self, *_: object) -> None:
        self._undo.close()
