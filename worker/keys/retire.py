"""Retire: an opening key goes, but not while a card may still come that only it can open.

A card sealed to the key can come as long as somebody holds the old public set: for the hour that an envelope sealed
elsewhere may be old, and the minutes for which a published set may be cached. So a key may go when no open job needs
it, and none that did was accepted for longer than that, and a newer one of its kind has been there for as long and is
in use.
"""

from pathlib import Path

from producer.contract import redis_keys
from producer.contract.envelope import LIFE_LIMIT_S
from producer.runtime.key_file import keys_of, kid_of, read_jwk
from producer.runtime.redis_store import Link
from worker.errors import WorkerError
from worker.keys import generate as keygen
from worker.records import read_records

PUBLISHED_S = 600  # how long a published key set may be cached
QUIET_S = LIFE_LIMIT_S + PUBLISHED_S


class StillNeeded(WorkerError):
    """The key may not go yet; says why, and when to ask again where that is known."""


def retire(kid: str, path: Path, ledger_url: str, *, force: bool = False) -> int:
    """Take a key out of ``OPENING_KEYS_FILE``, if nothing needs it any more.

    Args:
        kid: which one.
        path: the file.
        ledger_url: where the open jobs are.
        force: take it out all the same: what was sealed to it cannot be opened any more.

    Returns:
        How many open jobs were sealed to it: 0 unless forced.

    Raises:
        StillNeeded: with the reason.
        StoreUnavailable: the ledger cannot be asked.
        KeyFileError: the file cannot be used.
    """
    with keygen.alone(path):
        return _retire(kid, path, Link(ledger_url, "ledger"), force=force)


def _retire(kid: str, path: Path, link: Link, *, force: bool) -> int:
    members = read_jwk("OPENING_KEYS_FILE", path, private=True)
    keys = keys_of("OPENING_KEYS_FILE", members)
    kids = [kid_of("OPENING_KEYS_FILE", jwk) for jwk in keys]
    if kid not in kids:
        raise StillNeeded(f"{kid} is not in OPENING_KEYS_FILE; it holds {', '.join(kids)}")
    open_jobs = _open_jobs(link, kid)
    if not force:
        _check(link, kid, keys, open_jobs)
    elif len(keys) == 1:
        raise StillNeeded(f"{kid} is the only key; make another one first: python -m worker keygen DIR --rotate")
    keygen.write_keys(path, {**members, "keys": [jwk for jwk in keys if jwk["kid"] != kid]}, private=True)
    return open_jobs


def _check(link: Link, kid: str, keys: list[keygen.Jwk], open_jobs: int) -> None:
    if open_jobs:
        raise StillNeeded(f"{kid} is needed by {open_jobs} open job{'s' if open_jobs > 1 else ''}")
    now = link.time()
    _check_newer(link, kid, _newer(kid, keys), now)
    used_at = float(link.call("HGET", redis_keys.KIDS, kid) or 0)
    if now - used_at < QUIET_S:
        raise StillNeeded(f"a card was sealed to {kid} {now - used_at:.0f} s ago; ask again in {_left(used_at, now)}")


def _newer(kid: str, keys: list[keygen.Jwk]) -> list[keygen.Jwk]:
    """The keys of the same curve after this one, oldest first."""
    kids = [jwk["kid"] for jwk in keys]
    at = kids.index(kid)
    return [jwk for jwk in keys[at + 1 :] if jwk.get("crv") == keys[at].get("crv")]


def _check_newer(link: Link, kid: str, newer: list[keygen.Jwk], now: float) -> None:
    """A newer key has been there for long enough, and is in use."""
    if not newer:
        raise StillNeeded(f"{kid} is the newest key of its kind; rotate first: python -m worker keygen DIR --rotate")
    made_at = float(newer[0].get("iat") or now)
    if now - made_at < QUIET_S:
        raise StillNeeded(
            f"the key after {kid} is too new: a cached key set may name it for another {_left(made_at, now)}"
        )
    if not any(link.call("HEXISTS", redis_keys.KIDS, jwk["kid"]) for jwk in newer):
        raise StillNeeded(
            f"no card was sealed to the keys after {kid} yet: do the producers have the new set? (or --force)"
        )


def _left(since: float, now: float) -> str:
    return f"{since + QUIET_S - now:.0f} s"


def _open_jobs(link: Link, kid: str) -> int:
    ids = [one.decode() for one in link.call("ZRANGE", redis_keys.OPEN, 0, -1)]
    return sum(record.get("kid") == kid for record in read_records(link, ids, ["kid"]))
