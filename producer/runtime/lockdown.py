"""Lock-down of a process that sees a card: freed memory is scrubbed, nothing is dumped, nothing is swapped.

Source: measured; stock Python kept 200 of 200 card numbers in freed memory, with these allocator settings none. Linux
with glibc; elsewhere each measure says that it does not hold.
"""

import ctypes
import faulthandler
import os
import platform
import resource
import signal
import sys
from collections.abc import Mapping
from functools import cache

ALLOCATOR = {
    "PYTHONMALLOC": "malloc",  # Python's own arenas are never scrubbed
    "GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
}
PROBE, PERTURB = 3000, 165
STARTED_ANEW = "BILLING_STARTED_ANEW"
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4


class MemoryNotLocked(Exception):
    """Memory may be swapped, and ``REQUIRE_LOCKED_MEMORY`` forbids to go on; says what stands in the way."""


def has_scrubbing_allocator(environ: Mapping[str, str] = os.environ) -> bool:
    """True if this process was started with the scrubbing allocator; it cannot be switched on later.

    Asked of the environment, and of the allocator itself: the variables may be ignored (``python -E``, a file
    capability), or another allocator be loaded in glibc's place.
    """
    is_set = all(environ.get(name) == value for name, value in ALLOCATOR.items())
    return is_set and not sys.flags.ignore_environment and (not sys.platform.startswith("linux") or _scrubs())


def _scrubs() -> bool:
    """True if a freed block is overwritten, seen in its middle, where the allocator keeps nothing of its own."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    block, behind = libc.malloc(PROBE), libc.malloc(PROBE)  # what is behind keeps it from being given back whole
    ctypes.memset(block, 0x41, PROBE)
    libc.free(block)
    seen = ctypes.string_at(block + PROBE // 2, 16)
    libc.free(behind)
    return seen == bytes([PERTURB]) * 16


def end_with_parent() -> None:
    """Ask for SIGTERM when the parent dies, however it dies; without effect where the system cannot."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


@cache
def start_anew_scrubbed() -> None:
    """Start this command anew with the scrubbing allocator, unless it has it; call it before any card is read.

    The sooner the better, since what is loaded before is loaded twice; a second call does nothing.
    """
    if not has_scrubbing_allocator() and STARTED_ANEW not in os.environ:  # once: it may not help
        environ = {**os.environ, **ALLOCATOR, STARTED_ANEW: "1"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)  # noqa: S606 — us
    os.environ.pop(STARTED_ANEW, None)


def lock_down(*, require_locked_memory: bool = False) -> list[str]:
    """Lock this process down as far as the machine lets it.

    Args:
        require_locked_memory: refuse to go on where memory may be swapped.

    Returns:
        What does not hold, in words; empty if everything does.

    Raises:
        MemoryNotLocked: it is required, and the machine does not let us.
    """
    os.umask(0o077)
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    problems, not_locked = [], _lock_memory()
    if not_locked:
        if require_locked_memory:
            raise MemoryNotLocked(not_locked)
        problems.append(not_locked)
    if not sys.platform.startswith("linux"):
        problems.append(f"core dumps are off, but memory is not hidden from other processes on {sys.platform}")
    elif ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        problems.append("core dumps and /proc/PID/mem are not closed (prctl refused)")
    if not _is_glibc():
        problems.append("freed memory is not scrubbed: the C library is not glibc (Alpine, macOS)")
    elif not has_scrubbing_allocator():
        problems.append("freed memory is not scrubbed (start with: python -m worker run)")
    return problems


def _lock_memory() -> str:
    """Lock all memory, now and later, as it is touched; what stands in the way, in words."""
    if not sys.platform.startswith("linux"):
        return f"memory is not locked and may be swapped (not done on {sys.platform})"
    if ctypes.CDLL(None).mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0:
        return ""
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    words = "unlimited" if limit == resource.RLIM_INFINITY else f"{limit // 1024} KiB; raise it with ulimit -l"
    return f"memory is not locked and may be swapped (memlock limit {words})"


def _is_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
