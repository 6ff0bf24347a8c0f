"""Draining: the workers of this machine finish what they hold and exit.

A worker process that shows life in the ledger and runs here, as this user, has a supervisor, ``python -m worker run``:
it gets SIGTERM, and passes it on. So workers of another ledger are left alone. A file descriptor stands for each, and
no other process is meant by a number that was given anew.

Key: ``billing:alive``.
"""

import os
import select
import signal
from pathlib import Path

from producer.contract import redis_keys
from producer.runtime.redis_store import Link

PROC = Path("/proc")
RUN, CONSUME = "-m worker run", "-m worker consume"


def supervisors(link: Link) -> dict[int, int]:
    """This user's supervisors on this machine: by process id a descriptor of the process."""
    found: dict[int, int] = {}
    for name in link.call("HGETALL", redis_keys.ALIVE)[::2]:
        child = int(name.partition(b"-")[0])
        pid = _parent(child)
        if pid in found or not _runs(child, CONSUME):
            continue
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:  # it has ended
            continue
        if _runs(pid, RUN):  # the descriptor's: it was opened before
            found[pid] = descriptor
        else:
            os.close(descriptor)
    return found


def end(descriptor: int) -> None:
    """Ask a process to finish what it holds and exit."""
    signal.pidfd_send_signal(descriptor, signal.SIGTERM)


def left(descriptors: dict[int, int], seconds: float) -> list[int]:
    """Those that still run; waits at most so long for the first of them to end."""
    ended, _, _ = select.select(list(descriptors.values()), [], [], seconds)
    return [pid for pid, descriptor in descriptors.items() if descriptor not in ended]


def _status(pid: int) -> dict[str, str]:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:  # it has ended, or never ran on this machine
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _parent(pid: int) -> int:
    return int(_status(pid).get("PPid", 0))


def _runs(pid: int, command: str) -> bool:
    """True if a process of this user has these words in its command line."""
    if _status(pid).get("Uid", "").split()[:1] != [str(os.getuid())]:
        return False
    words = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return f" {command} " in words
