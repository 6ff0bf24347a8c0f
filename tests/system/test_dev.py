"""``make dev``, ended in the ways in which people and scripts end it: nothing is left, and nothing complains."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import adopt_orphans, family
from tests.servers import ROOT, wait_until

READY, ENDS_WITHIN_S = "Ctrl-C ends everything.", 10
MAKE = f"make --no-print-directory --old-file .venv/installed -C {ROOT} dev"
IN_THE_FOREGROUND, IN_A_SCRIPT = f"exec {MAKE}", f"{MAKE} & wait"  # in a script SIGINT is ignored by what it started


@pytest.fixture(autouse=True)
def _what_is_left_is_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a runner in the background has it ignored, too
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    adopt_orphans()
    before = set(family(os.getpid()))
    yield
    for pid in set(family(os.getpid())) - before:  # of a test that failed
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    adopt_orphans(is_on=False)


class Dev:
    """A shell that runs it, as a terminal does: in a process group of its own."""

    def __init__(self, script: str, folder: Path) -> None:
        self._before, self._log = set(family(os.getpid())), folder.with_suffix(".log")
        self._folder = folder
        with self._log.open("wb") as log:
            self.shell = subprocess.Popen(["sh", "-c", script], stdout=log, stderr=log, start_new_session=True)

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait_until_ready(self) -> None:
        wait_until(lambda: READY in self.said or self.shell.poll() is not None, 240, "everything of the demo")
        assert READY in self.said, self.said

    def signal(self, number: signal.Signals) -> None:
        """As Ctrl-C: to everybody in the group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.shell.pid, number)

    def left(self) -> list[int]:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        return [pid for pid in family(os.getpid()) if pid not in self._before]

    def check_ended(self) -> None:
        wait_until(lambda: not self.left(), ENDS_WITHIN_S, "the end of everything")
        assert "Traceback" not in self.said
        assert "Exception" not in self.said
        assert list(self._folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("script", [IN_THE_FOREGROUND, IN_A_SCRIPT], ids=["foreground", "script"])
def test_a_signal_ends_everything(tmp_path: Path, script: str, number: signal.Signals) -> None:
    dev = Dev(script, tmp_path)
    dev.wait_until_ready()

    dev.signal(number)

    dev.check_ended()


def test_a_second_signal_ends_no_less(tmp_path: Path) -> None:
    dev = Dev(IN_THE_FOREGROUND, tmp_path)
    dev.wait_until_ready()

    dev.signal(signal.SIGINT)
    dev.signal(signal.SIGINT)

    dev.check_ended()


def test_make_alone_is_told_to_end(tmp_path: Path) -> None:
    dev = Dev(IN_THE_FOREGROUND, tmp_path)
    dev.wait_until_ready()

    dev.shell.terminate()

    dev.check_ended()


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_ends_what_was_started(tmp_path: Path, number: signal.Signals, after_s: float) -> None:
    dev = Dev(IN_THE_FOREGROUND, tmp_path)
    time.sleep(after_s)  # any moment will do

    dev.signal(number)

    dev.check_ended()
