"""API keys: other backends that may enqueue over HTTP. The file holds digests only.

``API_KEYS_FILE``: ``{"keys": [{"name": "shop", "sha256": "…", "may": ["issue"]}]}``; the key itself is shown once, by
``python -m producer api-key``.
"""

import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from producer.contract.identifiers import Operation
from producer.runtime.key_file import KeyFileError, read_jwk

SETTING = "API_KEYS_FILE"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Caller(NamedTuple):
    """Who called, and what it may ask for."""

    name: str
    may: frozenset[str]


class ApiKeys:
    """The callers, by their key's digest.

    Raises:
        KeyFileError: the file cannot be used.
    """

    def __init__(self, members: dict[str, Any]) -> None:
        self._callers: dict[str, Caller] = {}
        entries = members.get("keys")
        if not isinstance(entries, list):
            raise KeyFileError(f"{SETTING}: holds no keys")
        for entry in entries:
            name, digest, may = (
                entry.get(part) if isinstance(entry, dict) else None for part in ("name", "sha256", "may")
            )
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise KeyFileError(f"{SETTING}: each key needs a name of up to 32 of a-z, 0-9 and -")
            if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise KeyFileError(f"{SETTING}: each key needs 'sha256', its digest in hex")
            if not isinstance(may, list) or not may or not all(one in list(Operation) for one in may):
                raise KeyFileError(f"{SETTING}: each key needs 'may', a list of {', '.join(Operation)}")
            self._callers[digest] = Caller(name, frozenset(may))

    @classmethod
    def load(cls, path: Path) -> "ApiKeys":
        """Read ``API_KEYS_FILE``."""
        return cls(read_jwk(SETTING, path, private=False))

    def caller(self, key: str) -> Caller | None:
        """Whose key that is."""
        digest = sha256(key.encode()).hexdigest()
        return next((caller for known, caller in self._callers.items() if hmac.compare_digest(known, digest)), None)


def bearer(headers: Mapping[str, str]) -> str | None:
    """The API key that a request came with; a page behind HTTP Basic has none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def add_api_key(path: Path, name: str, may: Sequence[str]) -> str:
    """Make a key for a caller, and note its digest in the file.

    Raises:
        KeyFileError: the caller is there already, or the file cannot be used.
    """
    members = read_jwk(SETTING, path, private=False) if path.exists() else {"keys": []}
    entries = members.get("keys")
    if not isinstance(entries, list) or any(isinstance(one, dict) and one.get("name") == name for one in entries):
        raise KeyFileError(f"{SETTING}: has a key of that name already; take it out first")
    key = "bk_" + secrets.token_urlsafe(32)
    entry = {"name": name, "sha256": sha256(key.encode()).hexdigest(), "may": list(may)}
    ApiKeys({"keys": [*entries, entry]})  # before anything is written
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(json.dumps({"keys": [*entries, entry]}, indent=1) + "\n")
    Path(beside).rename(path)
    return key
