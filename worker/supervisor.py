"""Supervision: several worker processes from one command, each started anew when it dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from types import FrameType

from producer.contract.job import INTERACTIVE, QUEUES, RECOVERY
from producer.runtime.lockdown import ALLOCATOR

POLL_PERIOD_S, RESTART_PAUSE_S = 0.2, 1.0
EARLY_S = 5.0  # if no process ever lived for so long, another start will not help


def queues_of(number: int) -> str:
    """The queues of a worker process: every second one leaves migrations alone, so that they hold at most half."""
    return ",".join(QUEUES if number % 2 else (RECOVERY, INTERACTIVE))


def split(processes: int, concurrency: int) -> tuple[int, int]:
    """Processes and threads of each; a single process is split into two of half its threads, see :func:`queues_of`."""
    return (2, (concurrency + 1) // 2) if processes == 1 else (processes, concurrency)


def supervise(processes: int, concurrency: int, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Run worker processes until SIGTERM or SIGINT; each of them is told by SIGTERM, and of a second signal by that.

    Args:
        processes: how many; see :func:`split`.
        concurrency: threads a process.
        arguments: of ``python -m worker consume``.
        environ: what each process gets in its environment beyond this one's.

    Returns:
        0 after a shutdown that was asked for; else the exit code of a process that could not start.
    """
    return _Supervisor(processes, ["-c", str(concurrency), *arguments], environ).run()


class _Supervisor:
    def __init__(self, processes: int, arguments: list[str], environ: Mapping[str, str]) -> None:
        self._arguments, self._environ, self._asked = arguments, environ, False
        self._has_worked = False
        self._children: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._numbers = range(processes)

    def run(self) -> int:
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self._pass_on)
        for number in self._numbers:
            self._start(number)
        code = 0
        while self._children:
            for number, (child, started) in list(self._children.items()):
                if child.poll() is not None:
                    del self._children[number]
                    code = self._after_death(number, child.returncode, started) or code
            time.sleep(POLL_PERIOD_S)
        return code

    def _after_death(self, number: int, code: int, started: float) -> int:
        if self._asked:
            return 0
        starts = [started, *(at for _, at in self._children.values())]
        self._has_worked = self._has_worked or time.monotonic() - min(starts) >= EARLY_S
        if code > 0 and not self._has_worked:
            self._pass_on(signal.SIGTERM, None)
            return code
        time.sleep(RESTART_PAUSE_S)
        if not self._asked:
            self._start(number)
        return 0

    def _start(self, number: int) -> None:
        # Celery puts the host behind its name.
        name = ["-n", f"worker{number}@", "-Q", queues_of(number)]
        command = [sys.executable, "-m", "worker", "consume", *name, *self._arguments]
        # A group of its own: Ctrl-C reaches the supervisor alone, which passes it on once.
        environ = {**os.environ, **ALLOCATOR, **self._environ, "BILLING_WORKER_NUMBER": str(number)}
        child = subprocess.Popen(command, env=environ, start_new_session=True)  # noqa: S603 — us
        self._children[number] = child, time.monotonic()
        if self._asked:  # the signal came while it was being started
            child.terminate()

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        told = number if self._asked else signal.SIGTERM  # one that still imports would print a traceback of SIGINT
        self._asked = True
        for child, _ in self._children.values():
            if child.poll() is None:
                child.send_signal(told)
