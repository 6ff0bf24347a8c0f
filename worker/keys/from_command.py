"""Opening keys from a command's output: Vault, a KMS, age. They are never on a disk of ours, nor in a variable.

The command runs without a shell, at start and again when a job names a kid that is not here, at most twice a minute.
It has 30 s, then its process group is killed. Later runs have a thread of their own: a job waits for a key for a moment
and comes back later, and no other job waits at all. Its errors are told by their exit code only: what it printed may be
a key.
"""

import contextlib
import json
import os
import select
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from producer.runtime.key_file import KEY_FILE_LIMIT, KeyFileError
from worker.keys.opening import OpeningKeys

SETTING = "OPENING_KEYS_COMMAND"
TIMEOUT_S, AGAIN_S = 30.0, 30.0
WAITED_S = 2.0  # what an ordinary command takes; a job that waited in vain comes back after AGAIN_S


class CommandKeys:
    """The opening keys that a command prints as a JWKS.

    Args:
        command: its words, as a shell would split them.
        on_error: told when a later run gives nothing usable; the keys in force stay.
        clock: monotonic seconds.

    Raises:
        KeyFileError: at construction.
    """

    def __init__(
        self,
        command: str,
        *,
        on_error: Callable[[KeyFileError], None] = lambda _error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command, self._on_error, self._clock = command, on_error, clock
        self._lock = threading.Lock()
        self._keys, self._ran_at = _keys_from(command), clock()
        self._run: threading.Thread | None = None

    def get(self) -> OpeningKeys:
        """The keys in force."""
        return self._keys

    def look(self) -> None:
        """Have it run anew, unless that was done a moment ago; wait for a run, for a moment."""
        with self._lock:
            is_running = self._run is not None and self._run.is_alive()
            if not is_running and self._clock() - self._ran_at >= AGAIN_S:
                self._ran_at = self._clock()
                self._run = threading.Thread(target=self._look, name="opening-keys")
                self._run.start()
            run = self._run
        if run is not None:
            run.join(WAITED_S)

    def _look(self) -> None:
        try:
            self._keys = _keys_from(self._command)
        except KeyFileError as error:
            self._on_error(error)


def _keys_from(command: str) -> OpeningKeys:
    if not command.strip():
        raise KeyFileError(f"{SETTING}: is empty")
    printed, problem = _printed_by(command)
    try:
        members = json.loads(printed)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise KeyFileError(f"{SETTING}: {problem}")
    try:
        return OpeningKeys(members)
    except KeyFileError as error:
        raise KeyFileError(f"{SETTING}: {str(error).partition(': ')[2]}") from None


def _printed_by(command: str) -> tuple[bytes, str]:
    """A command's output, and the problem if that is no key set; never its error output."""
    no_keys = "does not print a JSON object"
    try:
        process = subprocess.Popen(  # noqa: S603 — the operator's own command
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return b"", f"cannot be run ({error.strerror})"
    except ValueError:  # of shlex
        return b"", no_keys
    with process:
        printed, code, problem = _ended(process, time.monotonic() + TIMEOUT_S)
        if problem:
            with contextlib.suppress(PermissionError):  # macOS's word for a group whose processes have all ended
                os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
            return b"", problem
    return (b"", f"ended with exit code {code}") if code else (printed, no_keys)


def _ended(process: subprocess.Popen[bytes], until: float) -> tuple[bytes, int, str | None]:
    """A command's output and exit code; or the problem, while it may still run."""
    assert process.stdout is not None  # noqa: S101 — for the type checker
    try:
        printed = _all_of(process.stdout.fileno(), until)
        return printed, process.wait(max(until - time.monotonic(), 0)), None
    except (TimeoutError, subprocess.TimeoutExpired):
        return b"", 0, f"gave nothing within {TIMEOUT_S:g} s"
    except OverflowError:
        return b"", 0, f"prints more than {KEY_FILE_LIMIT:,} bytes"


def _all_of(pipe: int, until: float) -> bytes:
    """Everything up to the pipe's end, in whatever pieces it comes.

    Raises:
        TimeoutError: its end did not come in time; who holds it does not matter.
        OverflowError: there is more than a key file may hold.
    """
    printed, poll = bytearray(), select.poll()
    poll.register(pipe, select.POLLIN)
    while len(printed) <= KEY_FILE_LIMIT:
        if not poll.poll(max(until - time.monotonic(), 0) * 1000):
            raise TimeoutError
        part = os.read(pipe, KEY_FILE_LIMIT)
        if not part:
            return bytes(printed)
        printed += part
    raise OverflowError
