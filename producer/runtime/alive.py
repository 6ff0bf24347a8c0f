"""Sign of life: a file in ``ALIVE_FOLDER`` that a process touches each time its loop goes round.

A health check that looks at the age of a file costs a few milliseconds; one that starts Python costs hundreds.
"""

import os
import time
from pathlib import Path

EVERY_S, FRESH_S = 5.0, 60.0


class AliveFile:
    """One process's file.

    Args:
        path: the file; None if no other process looks.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._touched_at = path, -FRESH_S

    @property
    def is_fresh(self) -> bool:
        """True if this process touched it within a minute, whatever became of the file."""
        return time.monotonic() - self._touched_at < FRESH_S

    def touch(self) -> None:
        """Touch the file, if it was touched more than 5 s ago. Never fails: a full disk is no death."""
        if time.monotonic() - self._touched_at < EVERY_S:
            return
        self._touched_at = time.monotonic()
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        except OSError:
            return


def alive_file(name: str, folder: str = "ALIVE_FOLDER") -> AliveFile:
    """The file of that name in the folder that a variable names; none if that is not set."""
    path = os.environ.get(folder)
    return AliveFile(Path(path) / name if path else None)


def is_fresh(path: Path) -> bool:
    """True if another process touched its file within a minute."""
    try:
        return time.time() - path.stat().st_mtime < FRESH_S
    except OSError:
        return False
