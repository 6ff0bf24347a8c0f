"""The stack: both store servers with their users, keys, a fake i'mport, and worker processes on demand, on loopback.

The one place where tests, demo, dev, chaos, canary, bench and migration start it. The stores are those of
docker-compose.yml (see :mod:`tests.servers`), with the users that ``python -m worker acl`` writes; workers, producers
and all others log in as themselves, the harness looks on as ``admin``.

Everything started here is ended by its process id, and lives in a temporary folder that goes with it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from producer import BillingQueue
from producer.settings import ProducerSettings
from tests.fake_iamport import FakeIamport
from tests.processes import family
from tests.servers import ROOT, RedisServer, environment, leave_checkout, running, wait_until
from worker import redis_acl
from worker.keys import generate as keygen

READY = b" ready."
PAGE = {"MERCHANT_NAME": "무지개 서점"} | dict.fromkeys(("TERMS_URL", "PRIVACY_URL"), "https://shop.example/terms")
# Flower's environment: its API open to anybody here, and the workers' celeryconfig.py not on its path.
FLOWER = {"FLOWER_UNAUTHENTICATED_API": "true", "PYTHONPATH": ""}


class WorkerProcess:
    """``python -m worker run``, or another command that ends in ready workers, in a process group of its own.

    Args:
        environ: its environment, beyond the inherited one.
        folder: where its log goes, and where it runs: no ``.env`` file lies there.
        processes, concurrency: as the command's options.
        command: another command line.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        folder: Path,
        *,
        processes: int = 1,
        concurrency: int = 8,
        command: list[str] | None = None,
    ) -> None:
        default = ["-m", "worker", "run", "--processes", str(processes), "--concurrency", str(concurrency)]
        self.command = [sys.executable, *(command or default)]
        self.processes = processes if command or processes > 1 else 2  # a single one is split into two
        self.environ = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.log = folder, folder / f"worker-{time.monotonic_ns()}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        if wait:
            wait_until(self.is_ready, 240, "a worker that is ready")
        return self

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the worker ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
        return self.log.read_bytes().count(READY) >= self.processes

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def pids(self) -> list[int]:
        """The process and all below it."""
        return family(self.process.pid)

    def consumers(self) -> list[int]:
        """Those below it that take messages."""
        return [pid for pid in self.pids() if _is_consumer(pid)]

    def kill(self) -> None:
        """SIGKILL to the process and all below it."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout_s: float = 240) -> int:
        """SIGTERM, and wait for the end; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, verdict: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if self._process is None:
            return
        if verdict is None:
            self.stop()
        else:
            self.kill()


class Stack:
    """Both store servers, keys, users and a fake i'mport; workers on demand.

    Args:
        fake: the fake i'mport; a fresh one by default.
        queue, vault: how their servers differ: arguments of :class:`RedisServer`.
    """

    def __init__(
        self,
        fake: FakeIamport | None = None,
        *,
        queue: Mapping[str, Any] | None = None,
        vault: Mapping[str, Any] | None = None,
    ) -> None:
        leave_checkout()
        self.folder = Path(tempfile.mkdtemp(prefix="billing-"))
        self.keys = self.folder / "keys"
        self.queue = RedisServer(self.folder / "queue", "ledger", access=self.keys, **(queue or {}))
        self.vault = RedisServer(self.folder / "vault", "vault", access=self.keys, **(vault or {}))
        self.fake = fake or FakeIamport()
        self._workers: list[WorkerProcess] = []

    def stores(self, user: str) -> dict[str, str]:
        """The settings of the stores for a user; those that it has nothing to do with are left out."""
        found = {}
        for store, server, db in (("broker", self.queue, 0), ("ledger", self.queue, 1), ("vault", self.vault, 0)):
            if (self.keys / user / f"{store}.url").exists():
                found[f"{store.upper()}_URL"] = server.url(db, user)
        return found

    @property
    def ledger(self) -> Any:
        """A client of the ledger, for the harness."""
        return self.queue.client(1)

    @property
    def producer_env(self) -> dict[str, str]:
        return self.producer_env_of("producer")

    def producer_env_of(self, user: str) -> dict[str, str]:
        """The environment of a producer's process that logs in as this user."""
        keys = self.keys / "producer"
        return {
            **self.stores(user),
            "SEALING_KEYS_FILE": str(keys / "sealing.public.jwks.json"),
            "SIGNING_KEY_FILE": str(keys / "signing.private.jwk.json"),
            "LIMITS_URL": self.queue.url(1, "limits"),
            **PAGE,
        }

    @property
    def worker_env(self) -> dict[str, str]:
        keys = self.keys / "worker"
        return {
            **self.stores("worker"),
            "OPENING_KEYS_FILE": str(keys / "opening.private.jwks.json"),
            "PRODUCER_KEYS_FILE": str(keys / "producers.public.jwks.json"),
            "IMP_KEY": self.fake.imp_key,
            "IMP_SECRET": self.fake.imp_secret,
            "IMP_API_URL": self.fake.url,
            "IMP_RATE_PER_S": "1000",
            "LOOK_UP_FOR_S": "3",
            **({"IMP_CA_FILE": str(self.fake.ca_file)} if self.fake.url.startswith("https") else {}),
        }

    def billing_queue(self) -> BillingQueue:
        """A producer in this process."""
        with environment(self.producer_env):
            return BillingQueue(ProducerSettings.from_env())

    def worker(self, *, processes: int = 1, concurrency: int = 8, **environ: str) -> WorkerProcess:
        """A worker that is ready; it ends with the stack."""
        worker = WorkerProcess(
            {**self.worker_env, **environ}, self.folder / "logs", processes=processes, concurrency=concurrency
        )
        self._workers.append(worker)
        return worker.start()

    def running(
        self, name: str, arguments: list[str], **environ: str
    ) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        """A Python process in the stack's folder, for as long as the block takes."""
        (self.folder / "logs").mkdir(exist_ok=True)
        return running(arguments, self.folder, self.folder / "logs" / f"{name}.log", **environ)

    def flower(self, port: int) -> list[str]:
        """Flower's command line, for the stack's folder."""
        shutil.copy(ROOT / "flowerconfig.py", self.folder)
        options = ["--config=flowerconfig", f"--broker={self.queue.url(0, 'flower')}", "flower", f"--port={port}"]
        return ["-m", "celery", *options, "--address=127.0.0.1"]

    def describe(self) -> dict[str, dict[str, str]]:
        """What the stores are, for the JSON of a proof."""
        return {"ledger": self.queue.describe(), "vault": self.vault.describe()}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            keygen.generate(self.keys)
            servers = (
                redis_acl.Server(f"127.0.0.1:{one.port}", one.tls, str(one.folder / "ca.pem"))
                for one in (self.queue, self.vault)
            )
            redis_acl.write_access(self.keys, *servers)
            undo.enter_context(self.queue)
            undo.enter_context(self.vault)
            undo.enter_context(self.fake)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._undo:
            for worker in self._workers:
                if worker.process.poll() is None:
                    worker.kill()


def _is_consumer(pid: int) -> bool:
    try:
        return b"consume" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return False
