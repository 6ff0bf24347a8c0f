"""The memory of other processes, as root sees it."""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.canary.needles import LONGEST

CHUNK = 1 << 20
ZEROS = bytes(CHUNK)


@contextlib.contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """Stop processes for a while."""
    stopped = list(pids)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def is_readable(pid: int) -> bool:
    """Whether we may read it: root may, whatever the process asked for."""
    try:
        return any(memory_of(pid))
    except PermissionError:
        return False


def memory_of(pid: int) -> Iterator[bytes]:
    """Everything that a process can read and write, in overlapping pieces; pages of zeros are left out."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            addresses, permissions, *_ = line.split()
            if not permissions.startswith("rw"):
                continue
            begin, end = (int(one, 16) for one in addresses.split("-"))
            yield from _pieces(memory.fileno(), begin, end)


def _pieces(memory: int, begin: int, end: int) -> Iterator[bytes]:
    tail = b""
    for at in range(begin, end, CHUNK):
        try:
            piece = os.pread(memory, min(CHUNK, end - at), at)
        except OSError:  # a guard page, or a device
            piece = b""
        if piece and piece != ZEROS[: len(piece)]:
            yield tail + piece
            tail = piece[-LONGEST:]
        else:
            tail = b""
