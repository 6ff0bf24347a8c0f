"""Keygen: the key files of both halves. Never overwrites a key; rotation appends one.

A signing key that is replaced leaves its public half behind, for the tickets that it signed.

::

    DIR/worker/opening.private.jwks.json     X25519 and P-256, private; the last is the newest
    DIR/worker/producers.public.jwks.json    Ed25519, public, with the operations that each producer may ask for
    DIR/producer/sealing.public.jwks.json    X25519 and P-256, public
    DIR/producer/signing.private.jwk.json    Ed25519, private

Another producer's pair lies in ``DIR/producer-NAME``. Private files are 0600.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, OKPKey

from producer.contract.job import TICKET_LIFE_LIMIT_S
from producer.runtime import private_file
from producer.runtime.key_file import kid_of, read_jwk
from producer.runtime.private_file import PRIVATE, PUBLIC
from worker.errors import WorkerError

OPENING, PRODUCERS = Path("worker/opening.private.jwks.json"), Path("worker/producers.public.jwks.json")
SEALING, SIGNING = "sealing.public.jwks.json", "signing.private.jwk.json"
ALL_OPERATIONS = ("issue", "onetime")
FORMER_KEPT_S = 2 * TICKET_LIFE_LIMIT_S  # a day to roll the new key out, and the life of the last ticket of the old one

Jwk = dict[str, Any]


class KeygenError(WorkerError):
    """Keys are there that would be overwritten, or none are there to rotate."""


def generate(directory: Path, may: Sequence[str] = ALL_OPERATIONS, *, today: datetime | None = None) -> list[Path]:
    """Write the four files of a new installation; ``may`` is what its producer may ask for.

    Raises:
        KeygenError: one of them is there already.
    """
    files = [
        directory / OPENING,
        directory / PRODUCERS,
        directory / "producer" / SEALING,
        directory / "producer" / SIGNING,
    ]
    for path in files:
        if path.exists():
            raise KeygenError(f"{path} is there already; use --rotate to append a key, or another directory")
    private, public = _opening_pair(today)
    signing, verifying = _signing_pair("producer", may, today)
    write_keys(files[0], {"keys": private}, private=True)
    write_keys(files[1], {"keys": [verifying]}, private=False)
    write_keys(files[2], {"keys": public}, private=False)
    write_keys(files[3], signing, private=True)
    return files


def rotate(directory: Path, *, today: datetime | None = None) -> list[Path]:
    """Append a new kid of each curve: first where it opens, then where it seals.

    Raises:
        KeygenError: there are no keys to rotate.
    """
    with alone(directory / OPENING):
        return _rotate(directory, today)


def _rotate(directory: Path, today: datetime | None) -> list[Path]:
    private, public = _opening_pair(today)
    changed = [directory / OPENING, *sorted(directory.glob(f"producer*/{SEALING}"))]
    sets = [_read(path) for path in changed]  # all of them, before any is changed
    for path, members in zip(changed, sets, strict=True):
        is_private = path == changed[0]
        write_keys(path, {**members, "keys": members["keys"] + (private if is_private else public)}, private=is_private)
    return changed


def add_producer(directory: Path, name: str, may: Sequence[str], *, today: datetime | None = None) -> list[Path]:
    """Give another producer a signing key of its own, and tell the workers what it may ask for.

    Raises:
        KeygenError: that producer is there already, or there is no installation in the directory.
    """
    with alone(directory / OPENING):
        return _add_producer(directory, name, may, today)


def _add_producer(directory: Path, name: str, may: Sequence[str], today: datetime | None) -> list[Path]:
    home = directory / f"producer-{name}"
    if home.exists():
        raise KeygenError(f"{home} is there already")
    members, sealing = _read(directory / PRODUCERS), _read(directory / "producer" / SEALING)
    signing, verifying = _signing_pair(name, may, today)
    write_keys(home / SIGNING, signing, private=True)
    write_keys(home / SEALING, sealing, private=False)
    write_keys(directory / PRODUCERS, {**members, "keys": members["keys"] + [verifying]}, private=False)
    return [home / SIGNING, home / SEALING, directory / PRODUCERS]


def replace_signing(directory: Path, name: str, *, today: datetime | None = None) -> list[Path]:
    """Give a producer a new signing key, and tell the workers; what the old one signed holds for its life.

    Raises:
        KeygenError: there is no such producer here, or the workers do not know its key.
        KeyFileError: its key cannot be used.
    """
    with alone(directory / OPENING):
        return _replace_signing(directory, name, today)


def _replace_signing(directory: Path, name: str, today: datetime | None) -> list[Path]:
    path = directory / ("producer" if name == "producer" else f"producer-{name}") / SIGNING
    old, members = read_jwk("SIGNING_KEY_FILE", path, private=True), _read(directory / PRODUCERS)
    kid = kid_of("SIGNING_KEY_FILE", old)
    known = {jwk.get("kid"): jwk for jwk in members["keys"]}
    if kid not in known:
        raise KeygenError(f"{directory / PRODUCERS} does not know {kid}")
    signing, verifying = _signing_pair(name, known[kid]["may"], today)
    write_keys(directory / PRODUCERS, {**members, "keys": [*members["keys"], verifying]}, private=False)
    write_keys(path, {**signing, "former": _former_keys(old, _seconds(today))}, private=True)
    return [directory / PRODUCERS, path]


def _former_keys(old: Jwk, now: int) -> list[Jwk]:
    """The public half of a key that is replaced now, after those that it replaced itself not long ago."""
    kept = [one for one in old.get("former", []) if one["exp"] > now]
    return [*kept, {part: old[part] for part in ("kid", "kty", "crv", "x")} | {"exp": now + FORMER_KEPT_S}]


@contextlib.contextmanager
def alone(opening: Path) -> Iterator[None]:
    """Nobody else changes the keys meanwhile: a file is read, changed and written.

    Args:
        opening: the file of the opening keys; its folder is the lock.

    Raises:
        KeygenError: there is no such place, or it cannot be written.
    """
    try:
        handle = os.open(opening.parent, os.O_RDONLY)
    except OSError as error:
        raise KeygenError(f"{opening.parent} cannot be read ({error.strerror}); make keys first") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _opening_pair(today: datetime | None) -> tuple[list[Jwk], list[Jwk]]:
    """One key of each curve, X25519 last: producers take the last, browsers the last that they know."""
    keys: list[ECKey | OKPKey] = [ECKey.generate_key("P-256"), OKPKey.generate_key("X25519")]
    named = [(key, _kid(key, str(key.as_dict(private=False)["crv"]), today)) for key in keys]
    about = {"use": "enc", "alg": "ECDH-ES", "iat": _seconds(today)}
    private = [{**key.as_dict(private=True), "kid": kid, **about} for key, kid in named]
    public = [{**key.as_dict(private=False), "kid": kid, **about} for key, kid in named]
    return private, public


def _signing_pair(name: str, may: Sequence[str], today: datetime | None) -> tuple[Jwk, Jwk]:
    key = OKPKey.generate_key("Ed25519")
    about = {"kid": _kid(key, name, today), "use": "sig", "alg": "Ed25519"}
    public = {**key.as_dict(private=False), **about, "producer": name, "may": list(may)}
    return {**key.as_dict(private=True), **about}, public


def _kid(key: ECKey | OKPKey, word: str, today: datetime | None) -> str:
    """Readable and unique: the day, what it is, and the beginning of its thumbprint (RFC 7638)."""
    day = (today or datetime.now(UTC)).strftime("%Y%m%d")
    return f"{day}-{word}-{key.thumbprint()[:8]}"


def _seconds(today: datetime | None) -> int:
    return int((today or datetime.now(UTC)).timestamp())


def _read(path: Path) -> Jwk:
    try:
        members = json.loads(path.read_text())
    except (OSError, ValueError):
        members = None
    if not isinstance(members, dict) or not isinstance(members.get("keys"), list):
        raise KeygenError(f"{path} does not hold a key set; make one first, without --rotate or --producer")
    return members


def write_keys(path: Path, members: Jwk, *, private: bool) -> None:
    """Write a key file, so that whoever reads it meanwhile sees the old or the new one."""
    private_file.replace(path, json.dumps(members, indent=1) + "\n", PRIVATE if private else PUBLIC)
