"""Opening keys from a command's output: Vault, a KMS, age. They are never on a disk of ours, nor in a variable.

The command runs without a shell, at start and again when a job names a kid that is not here, at most twice a minute.
Its errors are told by their exit code only: what it printed may be a key.
"""

import json
import shlex
import subprocess
import threading
import time
from collections.abc import Callable

from producer.runtime.key_file import KEY_FILE_LIMIT, KeyFileError
from worker.keys.opening import OpeningKeys

SETTING = "OPENING_KEYS_COMMAND"
TIMEOUT_S, AGAIN_S = 30.0, 30.0


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

    def get(self) -> OpeningKeys:
        """The keys in force."""
        return self._keys

    def look(self) -> None:
        """Run it anew, unless that was done a moment ago."""
        with self._lock:
            if self._clock() - self._ran_at < AGAIN_S:
                return
            self._ran_at = self._clock()
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
    try:
        done = subprocess.run(  # noqa: S603 — the operator's own command
            shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except OSError as error:
        return b"", f"cannot be run ({error.strerror})"
    except subprocess.TimeoutExpired:
        return b"", f"gave nothing within {TIMEOUT_S:g} s"
    except ValueError:  # of shlex
        return b"", "does not print a JSON object"
    if done.returncode:
        return b"", f"ended with exit code {done.returncode}"
    return done.stdout[:KEY_FILE_LIMIT], "does not print a JSON object"
