"""A power cut: everything stops at once, and of the append-only file only what was synced is sure to be there.

A tracer sees each ``write`` and ``fdatasync`` of the ledger's server. After the cut its file is shortened to what the
last ``fdatasync`` covered and a random part of what was written since; the vault comes back empty.
"""

import contextlib
import os
import random
import re
import shutil
import signal
from collections import defaultdict
from pathlib import Path

from tests.processes import family
from tests.servers import wait_until
from tests.stack import Stack, WorkerProcess

CALLS = "write,fdatasync,fsync"
BEGUN = re.compile(r"^(\d+) +(write|fdatasync|fsync)\(\d+<([^>]*)>")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (write|fdatasync|fsync) resumed>")
RESULT = re.compile(r"= (-?\d+)(?: |$)")


class SyncTracer:
    """Sees what a server had on the disk; see :meth:`prefix`.

    Args:
        folder: where the traces go, one for each start.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("strace") is None:
            raise SystemExit("a power cut needs strace, to see what was synced")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._starts = folder, 0

    def prefix(self) -> list[str]:
        """What to put before the server's command at its next start; the server stays the caller's child."""
        self._starts += 1
        how = ["-D", "-f", "--seccomp-bpf", "-q", "-y", "-s", "0", "-e", f"trace={CALLS}", "-e", "signal=kill"]
        return ["strace", *how, "-o", str(self._trace)]

    @property
    def _trace(self) -> Path:
        return self._folder / f"{self._starts}.trace"

    def unsynced(self, server: int) -> dict[Path, int]:
        """Bytes at the end of each file that no ``fdatasync`` covered, once the server of that pid has ended."""
        end = re.compile(rf"^{server} +\+\+\+ killed by SIGKILL", re.MULTILINE)
        wait_until(lambda: end.search(self._trace.read_text()), 240, "the end of the trace")
        pending: dict[str, tuple[str, str]] = {}
        left: dict[Path, int] = defaultdict(int)
        for line in self._trace.read_text().splitlines():
            call, path = _call(line, pending)
            result = RESULT.search(line)
            if not path or result is None:
                continue
            if call == "write":
                left[Path(path)] += max(int(result[1]), 0)
            elif result[1] == "0":
                left[Path(path)] = 0
        return left


def _call(line: str, pending: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """The call that a line of the trace ends, and its file; a call may be cut in two by another thread's."""
    if begun := BEGUN.match(line):
        pid, call, path = begun.groups()
        if "<unfinished" in line:
            pending[pid] = (call, path)
            return "", ""
        return call, path
    resumed = RESUMED.match(line)
    return pending.pop(resumed[1], ("", "")) if resumed else ("", "")


def cut(stack: Stack, workers: list[WorkerProcess], tracer: SyncTracer, rng: random.Random) -> int:
    """Cut the power of both stores and of these workers, and switch the stores on again; bytes that were lost."""
    ledger, vault = stack.queue, stack.vault
    server = ledger.pid
    pids = [*(pid for worker in workers for pid in worker.pids()), *family(server)[::-1]]  # children that write first
    for pid in pids:  # without SIGSTOP, at which strace may end (PTRACE_LISTEN)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    ledger.kill()
    vault.kill()
    for worker in workers:
        worker.process.wait()
    lost = 0
    for path, unsynced in tracer.unsynced(server).items():
        if unsynced and path.name.endswith(".incr.aof") and path.exists():  # a rewrite may have taken an older one away
            gone = rng.randint(0, unsynced)
            os.truncate(path, path.stat().st_size - gone)
            lost += gone
    ledger.prefix = tracer.prefix()
    ledger.start()
    vault.start()
    return lost
