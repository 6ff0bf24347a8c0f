"""JSON as a signed thing must be read: no member twice, no NaN, nothing deep."""

import json
from typing import Any, NoReturn


class DuplicateMember(ValueError):
    """An object names a member twice, so two readers could understand two things."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DuplicateMember
    return members


def _no_constant(_name: str) -> NoReturn:
    raise ValueError


def loads(data: bytes) -> Any:  # noqa: ANN401 — JSON is any of these
    """Parse UTF-8 JSON strictly.

    Raises:
        DuplicateMember: an object names a member twice.
        ValueError: it is not JSON, or not UTF-8.
        RecursionError: it is nested too deep.
    """
    return json.loads(data.decode(), object_pairs_hook=_members, parse_constant=_no_constant)
