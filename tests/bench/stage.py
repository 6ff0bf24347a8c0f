"""The stage: Redis servers, keys and upstreams that all measurements of a run share, and workers that start and pause.

The stores are those of docker-compose.yml, with their users and their durability.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from producer.settings import ProducerSettings
from tests.ports import free_port
from tests.servers import ROOT, answers, environment, wait_until
from tests.stack import Stack, WorkerProcess

THREADS = 32
SLOW_MS = 1000
LATENCIES_MS = (0, 200, SLOW_MS)
QUIET = 0.5  # of a core
RATE_PER_S = 1_000_000  # the account's rate must not be what is measured


class Stage:
    """Everything but the workers; leaves nothing behind.

    Args:
        latencies_ms: one upstream for each.
    """

    def __init__(self, latencies_ms: tuple[int, ...] = LATENCIES_MS) -> None:
        self._latencies_ms = latencies_ms
        self.upstreams: dict[int, str] = {}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self.stack = undo.enter_context(Stack())
            self.queue, self.vault, self.ledger = self.stack.queue, self.stack.vault, self.stack.ledger
            for latency_ms in self._latencies_ms:
                self.upstreams[latency_ms] = undo.enter_context(self._upstream(latency_ms))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def producer_settings(self) -> ProducerSettings:
        """Settings of a producer on this stage; no job of it grows too old."""
        with environment({**self.stack.producer_env, "JOB_DEADLINE_S": "3600"}):
            return ProducerSettings.from_env()

    @contextlib.contextmanager
    def workers(
        self,
        command: list[str],
        *,
        processes: int = 1,
        latency_ms: int = 0,
        user: str = "worker",
        program: str | None = None,
        **settings: str,
    ) -> Iterator["Workers"]:
        """Workers that wait for their first message, on stores that are empty.

        Args:
            command: what Python runs.
            program: another Python.
            settings: of the environment, beyond the stage's.
        """
        for server in (self.queue, self.vault):
            server.client().flushall()
        environ = {
            **self.stack.worker_env,
            **self.stack.stores(user),
            "IMP_KEY": "bench",
            "IMP_SECRET": "bench",
            "IMP_API_URL": self.upstreams[latency_ms],
            "IMP_RATE_PER_S": str(RATE_PER_S),
            **settings,
        }
        process = WorkerProcess(environ, self.stack.folder / "logs", command=command)
        process.command[0] = program or process.command[0]
        try:
            process.start(wait=False)
            workers = Workers(process, processes)
            wait_until(lambda: self._is_awaited(workers), 60, "a worker that waits for messages")
            yield workers
        finally:
            if process.process.poll() is None:
                process.kill()

    @contextlib.contextmanager
    def _upstream(self, latency_ms: int) -> Iterator[str]:
        port = free_port()
        command = ["-m", "tests.bench.upstream", "--port", str(port), "--latency-ms", str(latency_ms)]
        with self.stack.running(f"upstream-{latency_ms}", command, PYTHONPATH=str(ROOT)):
            wait_until(lambda: answers(port), what="the upstream")
            yield f"http://127.0.0.1:{port}"

    def _is_awaited(self, workers: "Workers") -> bool:
        workers.check()
        blocked: int = self.queue.client().info("clients")["blocked_clients"]
        return blocked >= workers.processes


class Workers:
    """Worker processes, seen from outside.

    Args:
        process: what was started: the one worker, or a supervisor of several.
        processes: how many workers; 0 for all processes that there are.
    """

    def __init__(self, process: WorkerProcess, processes: int) -> None:
        self._process, self.processes = process, processes

    def check(self) -> None:
        """Raise if the worker has ended."""
        if (code := self._process.process.poll()) is not None:
            raise RuntimeError(f"the worker ended with {code}:\n{self._process.log.read_text()[-3000:]}")

    def cpu_s(self) -> float:
        """User and system time that the workers have used, all threads, without their supervisor."""
        return sum(cpu_s_of(pid) for pid in self._pids)

    def pause(self) -> None:
        """Stop the workers where they are."""
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        for pid in self._pids:
            os.kill(pid, signal.SIGCONT)

    def is_quiet(self, seconds: float) -> bool:
        """True if they used next to no CPU for so long."""
        before = self.cpu_s()
        time.sleep(seconds)
        return self.cpu_s() - before < QUIET * seconds

    def resident_mb(self) -> float:
        """Their resident memory, what they share counted for each."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids)
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def supervisor(self) -> int:
        """The process that was started."""
        return self._process.process.pid

    @property
    def _pids(self) -> list[int]:
        return self._process.pids() if self.processes == 0 else self._process.pids()[-self.processes :]


def cpu_s_of(pid: int) -> float:
    """User and system time of a process, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
