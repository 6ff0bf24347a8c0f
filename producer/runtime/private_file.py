"""Files that nobody else may read: made new, or replaced as a whole."""

import os
import stat
import tempfile
from pathlib import Path

PRIVATE, PUBLIC = 0o600, 0o644


def create(path: Path, text: str, mode: int = PRIVATE) -> None:
    """Write a new file, whatever the umask; its folder is made, for its owner alone.

    Raises:
        FileExistsError: it is there already.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)


def replace(path: Path, text: str, mode: int = PRIVATE) -> None:
    """Write a file beside the one that is there, and rename it: a reader sees the old or the new.

    Who owned the old one owns the new one, and its group can read it if it could and nobody else: services read what an
    administrator writes.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            if path.exists():
                old = path.stat()
                os.fchown(handle, old.st_uid, old.st_gid)
                mode |= stat.S_IRGRP if old.st_mode & 0o077 == stat.S_IRGRP else 0
            os.fchmod(handle, mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).rename(path)
    except BaseException:  # on a full disk for one: half a key is not left beside
        Path(beside).unlink()
        raise
