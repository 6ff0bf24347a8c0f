"""Processes: what is below one, and an end that takes all of it along.

Loaded before anything that takes time: what it does with signals holds from then on.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_CHILD_SUBREAPER = 36


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        with contextlib.suppress(OSError):
            threads = list(Path(f"/proc/{one}/task").iterdir())
            queue += [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    return found


def adopt_orphans(*, is_on: bool = True) -> None:
    """Have processes below this one whose parent dies become its children, where the system can."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(is_on), 0, 0, 0)


def end_on_signals() -> None:
    """From now on a signal ends this process, all below it and its temporary files, at any moment.

    Nobody is asked to end, who could wait for another one that has ended; nothing unwinds that a second signal could
    interrupt. A script's shell starts what is in the background with SIGINT ignored; it counts all the same.
    """
    adopt_orphans()
    folder = tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="billing-dev-")

    def end(*_: object) -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        with contextlib.suppress(OSError):  # nobody reads
            os.write(1, "Ending …\n".encode())
        while below := family(os.getpid())[1:]:
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.wait()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)

    for number in ENDING:
        signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # make dev has SIGINT wait for this moment
