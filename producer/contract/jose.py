"""The compact serialisation of JOSE, read strictly and without any key work.

Libraries are lenient where we must not be: padding, non-canonical base64url (two texts for the same bytes would be two
envelopes to the once-only check), members named twice, NaN, and headers of any size.
"""

import base64
import binascii
import json
from typing import Any, NoReturn

from .errors import Refused

HEADER_LIMIT = 1024
ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


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


def b64url(data: bytes) -> str:
    """Unpadded base64url (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    """The bytes of a canonical, unpadded base64url text.

    Raises:
        Refused: ``bad_base64``.
    """
    raw = text.encode("ascii", "replace")
    if not ALPHABET.issuperset(raw):
        raise Refused("bad_base64")
    try:
        data = base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        data = None
    if data is None or b64url(data) != text:
        raise Refused("bad_base64")
    return data


def split(token: str, segments: int, limit: int) -> list[str]:
    """The segments of a compact token.

    Args:
        token: the compact text.
        segments: how many there must be: 3 (JWS), 5 (JWE).
        limit: the greatest length, in bytes.

    Raises:
        Refused: ``too_long`` or ``not_compact``.
    """
    if len(token) > limit:
        raise Refused("too_long")
    parts = token.split(".", segments)
    if len(parts) != segments:
        raise Refused("not_compact")
    return parts


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object, no member twice.

    Raises:
        Refused: ``bad_json`` or ``duplicate_member``.
    """
    code = "bad_json"
    try:
        members = loads(data)
    except DuplicateMember:
        members, code = None, "duplicate_member"
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise Refused(code)
    return members


def header_of(segment: str) -> dict[str, Any]:
    """The protected header of a compact token.

    Raises:
        Refused: ``header_too_long``, ``bad_base64``, ``bad_json`` or ``duplicate_member``.
    """
    if len(segment) > HEADER_LIMIT:
        raise Refused("header_too_long")
    return json_object(unb64url(segment))
