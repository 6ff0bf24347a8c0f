"""Sign of life: a file in ``ALIVE_FOLDER`` that a process touches each time its loop goes round.

A health check that looks at the age of a file costs a few milliseconds; one that starts Python costs hundreds.
"""

import os
import time
from pathlib import Path

EVERY_S = 5.0


class AliveFile:
    """One process's file.

    Args:
        path: the file; None touches nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._touched_at = path, 0.0

    def touch(self) -> None:
        """Touch the file, if it was touched more than 5 s ago. Never fails: a full disk is no death."""
        if self._path is None or time.monotonic() - self._touched_at < EVERY_S:
            return
        self._touched_at = time.monotonic()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        except OSError:
            return


def alive_file(name: str) -> AliveFile:
    """The file of that name in ``ALIVE_FOLDER``; none if that is not set."""
    folder = os.environ.get("ALIVE_FOLDER")
    return AliveFile(Path(folder) / name if folder else None)
