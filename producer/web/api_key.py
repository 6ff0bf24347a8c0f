"""API keys: other backends that may enqueue over HTTP. The file holds digests only.

``API_KEYS_FILE``: ``{"keys": [{"name": "shop", "sha256": "…", "may": ["issue"]}]}``; the key itself is shown once, by
``python -m producer api-key``.
"""

import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from ..contract.identifiers import Operation
from ..runtime import private_file
from ..runtime.key_file import KeyFileError, read_jwk

RULES = {
    "keys": "holds no keys",
    "name": "each key needs a name of up to 32 of a-z, 0-9 and -",
    "sha256": "each key needs 'sha256', its digest in hex",
    "may": f"each key needs 'may', a list of {', '.join(Operation)}",
}


class Caller(BaseModel):
    """Another backend.

    Args:
        name: in the idempotency keys of its jobs.
        sha256: digest of its key.
        may: the operations that it may ask for.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    may: Annotated[list[Operation], Field(min_length=1)]

    def jti(self, idempotency_key: str | None) -> str:
        """The root of its jobs' idempotency keys: of its own key, or a random one."""
        return f"api:{self.name}:{idempotency_key or secrets.token_urlsafe(16)}"


class _Content(BaseModel):
    keys: list[Caller]


class ApiKeys:
    """The callers, by their key's digest.

    Raises:
        KeyFileError: the file cannot be used.
    """

    def __init__(self, members: dict[str, Any]) -> None:
        try:
            self._callers = _Content.model_validate(members).keys
        except ValidationError as error:
            named = [part for part in error.errors()[0]["loc"] if part in RULES]
        else:
            return
        raise KeyFileError(f"API_KEYS_FILE: {RULES[str(named[-1])]}")

    @classmethod
    def load(cls, path: Path) -> "ApiKeys":
        """The callers that ``API_KEYS_FILE`` names."""
        return cls(read_jwk("API_KEYS_FILE", path, private=False))

    def caller(self, key: str) -> Caller | None:
        """The caller that a key belongs to."""
        digest = sha256(key.encode()).hexdigest()
        return next((caller for caller in self._callers if hmac.compare_digest(caller.sha256, digest)), None)


def bearer(headers: Mapping[str, str]) -> str | None:
    """The API key that a request came with; a page behind HTTP Basic has none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def add_api_key(path: Path, name: str, may: Sequence[str]) -> str:
    """Make a key for a caller, and keep its digest in the file.

    Raises:
        KeyFileError: the caller is there already, or the file cannot be used.
    """
    members = read_jwk("API_KEYS_FILE", path, private=False) if path.exists() else {"keys": []}
    entries = members.get("keys")
    if not isinstance(entries, list) or any(isinstance(one, dict) and one.get("name") == name for one in entries):
        raise KeyFileError("API_KEYS_FILE: has a key of that name already; take it out first")
    key = "bk_" + secrets.token_urlsafe(32)
    after = {"keys": [*entries, {"name": name, "sha256": sha256(key.encode()).hexdigest(), "may": list(may)}]}
    ApiKeys(after)  # before anything is written
    private_file.replace(path, json.dumps(after, indent=1) + "\n")
    return key
