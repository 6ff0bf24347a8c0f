"""Key files: read strictly, read again when they change, refused when others can read what is private."""

import contextlib
import grp
import json
import os
import pwd
import re
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import ProcessError

Keys = TypeVar("Keys")
LOOK_EVERY_S = 1.0
KEY_FILE_LIMIT = 1_000_000


class KeyFileError(ProcessError):
    """A key file is missing, open to others, or not what it should be. Names the setting, never the content."""


def read_jwk(setting: str, path: Path, *, private: bool) -> dict[str, Any]:
    """The JSON object in a key file.

    Args:
        setting: the setting's name, for the error.
        path: the file.
        private: refuse it when anybody else can read it; a group may that is ours alone, as Kubernetes' ``fsGroup`` is.

    Raises:
        KeyFileError: in words that name the setting and the rule.
    """
    problem = "does not hold a JSON object"
    try:
        with path.open("rb") as file:
            if private and _is_open_to_others(file.fileno()):
                raise KeyFileError(f"{setting}: the file can be read by others; chmod 600 it")
            found = json.loads(file.read(KEY_FILE_LIMIT))
    except OSError as error:
        found, problem = None, f"the file cannot be read ({error.strerror})"
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise KeyFileError(f"{setting}: {problem}")
    return found


def _is_open_to_others(file: int) -> bool:
    status = os.fstat(file)
    shared = stat.S_IMODE(status.st_mode) & 0o077
    return shared != 0 and not (shared == 0o040 and _is_ours_alone(status.st_gid) and not _has_access_list(file))


def _has_access_list(file: int) -> bool:
    """True if a list says who else may read: then the mode's group bits are only its mask."""
    with contextlib.suppress(OSError, AttributeError):  # a file system without, or no Linux
        return bool(os.getxattr(file, "system.posix_acl_access"))
    return False


def _is_ours_alone(gid: int) -> bool:
    """True if this process is in the group and nobody else but root is, as far as this machine knows its users."""
    users = pwd.getpwall()
    members = {user.pw_name for user in users if user.pw_gid == gid}
    with contextlib.suppress(KeyError):  # fsGroup is a number without a name
        members.update(grp.getgrgid(gid).gr_mem)
    ours = {user.pw_name for user in users if user.pw_uid in {0, os.geteuid()}}
    return gid in {os.getegid(), *os.getgroups()} and members <= ours


def keys_of(setting: str, members: dict[str, Any]) -> list[dict[str, Any]]:
    """The keys of a JWKS, each with a kid of its own that may stand in a header.

    Raises:
        KeyFileError: it is no such set.
    """
    keys = members.get("keys")
    if not isinstance(keys, list) or not keys or not all(isinstance(jwk, dict) for jwk in keys):
        raise KeyFileError(f"{setting}: holds no keys")
    kids = [kid_of(setting, jwk) for jwk in keys]
    if len(set(kids)) != len(kids):
        raise KeyFileError(f"{setting}: two keys have the same kid")
    return keys


def kid_of(setting: str, jwk: dict[str, Any]) -> str:
    """The kid of a key.

    Raises:
        KeyFileError: there is none, or it may not stand in a header.
    """
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", kid):
        raise KeyFileError(f"{setting}: each key needs a kid of 1 to 64 of A-Z a-z 0-9 _ . -")
    return kid


class WatchedFile(Generic[Keys]):
    """Keys made from a file, made again when the file changes.

    A change is noticed within a second. A changed file that cannot be used leaves the keys in force, and ``on_error``
    hears of it: a half-written file must not stop a running process.

    Args:
        path: the file.
        load: makes the keys of it; raises KeyFileError.
        on_error: told of a changed file that cannot be used.
        clock: monotonic seconds.

    Raises:
        KeyFileError: at construction.
    """

    def __init__(
        self,
        path: Path,
        load: Callable[[Path], Keys],
        *,
        on_error: Callable[[KeyFileError], None] = lambda _error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._load, self._on_error, self._clock = path, load, on_error, clock
        self._lock = threading.Lock()
        self._mark = self._mark_now()  # before reading: a change in between is then seen at the next look
        self._keys = load(path)
        self._looked_at = clock()

    def get(self) -> Keys:
        """The keys in force."""
        if self._clock() - self._looked_at >= LOOK_EVERY_S:
            self.look()
        return self._keys

    def look(self) -> None:
        """Look at the file now: a key that is missing may just have come."""
        with self._lock:
            self._looked_at = self._clock()
            self._reload()

    def _reload(self) -> None:
        mark = self._mark_now()
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._keys = self._load(self._path)
        except KeyFileError as error:
            self._on_error(error)

    def _mark_now(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
