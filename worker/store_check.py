"""Store check: what must hold of a store, as rules.

The same ones for ``doctor``, which may ask everything, and for ``worker run``, which refuses what is unsafe as far as
its own user can see it. Each problem says what is wrong and what to do. Reads settings and figures only, never a key.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import redis

from producer.contract import redis_keys
from producer.runtime.errors import StoreUnavailable
from producer.runtime.redis_store import Link
from worker.redis_acl import LEDGER, VAULT, Role
from worker.room import FULL_FROM, Memory, read_info

LEAST = {"redis": (7, 0), "valkey": (7, 2)}
SETTINGS = ("save", "appendonly", "appendfsync", "maxmemory-policy", "repl-diskless-sync", "repl-diskless-load")
CLOCK_APART_S = 5.0
MOST_ARGUMENTS = 6
NOBODYS = (  # what no role of ours needs
    *("flushall", "flushdb", "keys", "scan", "shutdown", "monitor", "save", "bgsave", "debug", "replicaof", "migrate"),
    *("config|set", "acl|setuser", "client|kill", "module|load", "slaveof", "sync", "swapdb", "restore", "dump"),
)


class Problem(NamedTuple):
    """A problem, and what to do about it.

    Args:
        is_unsafe: workers refuse to start: a card could reach a disk, or what was accepted could be lost.
    """

    words: str
    is_unsafe: bool = False


class Seen(NamedTuple):
    """A store as it was seen.

    Args:
        info: what INFO says, all sections.
        config: settings by name; those that the user may not ask are missing.
    """

    info: Mapping[str, str]
    config: Mapping[str, str]

    @property
    def version(self) -> str:
        """Product and version."""
        name = "valkey" if "valkey_version" in self.info else "redis"
        return f"{name} {self.info.get(f'{name}_version', '0')}"

    @property
    def memory(self) -> Memory:
        """The store's memory."""
        return Memory(int(self.info.get("used_memory", 0)), int(self.info.get("maxmemory", 0)))


def look_at(link: Link, settings: Iterable[str] = SETTINGS) -> Seen:
    """A store, as far as the link's user may see it.

    Args:
        settings: those to ask for.

    Raises:
        StoreUnavailable: it does not answer, or the user may not even ask for INFO.
    """
    return Seen(read_info(link), {name: value for name in settings if (value := _setting(link, name)) is not None})


def problems_of_any(seen: Seen) -> Iterator[Problem]:
    """Problems of any store."""
    name, _, version = seen.version.partition(" ")
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < LEAST[name]:
        least = " or ".join(f"{kind.capitalize()} {major}.{minor}" for kind, (major, minor) in LEAST.items())
        yield Problem(f"{name} {version} is too old: {least} is the least", is_unsafe=True)
    if seen.info.get("role") == "slave":
        yield Problem("is a replica: give the URL of its primary", is_unsafe=True)
    if seen.info.get("maxmemory_policy", "noeviction") != "noeviction":
        yield Problem("drops keys when memory is short: set maxmemory-policy noeviction", is_unsafe=True)
    used, most = seen.memory
    if not most:
        yield Problem("has no limit: set maxmemory to less than half of what the machine or container has")
    elif used >= FULL_FROM * most:
        yield Problem(f"is {used / most:.0%} full: jobs are refused; raise maxmemory, or let workers finish")


def problems_of_ledger(seen: Seen) -> Iterator[Problem]:
    """Problems of queue and ledger: what was answered must be on the disk."""
    yield from problems_of_any(seen)
    if seen.info.get("aof_enabled") != "1":
        yield Problem("does not persist: set appendonly yes and appendfsync always", is_unsafe=True)
    elif seen.config.get("appendfsync", "always") != "always":
        yield Problem("forgets up to a second of what it answered: set appendfsync always")
    for name, words in (
        ("aof_last_write_status", "its last write to the disk failed"),
        ("aof_last_bgrewrite_status", "its last rewrite of the append-only file failed (memory to fork, disk)"),
    ):
        if seen.info.get(name, "ok") != "ok":
            yield Problem(f"{words}: see its log")


def problems_of_vault(seen: Seen) -> Iterator[Problem]:
    """Problems of the vault: nothing of it may reach a disk."""
    yield from problems_of_any(seen)
    if seen.info.get("aof_enabled") == "1" or seen.config.get("save"):
        words = 'writes to disk: set save "" and appendonly no, for it holds sealed cards'
        yield Problem(words, is_unsafe=True)
    elif seen.config.get("repl-diskless-sync") == "no" or seen.config.get("repl-diskless-load") == "disabled":
        yield Problem("would write to disk as a replica: set repl-diskless-sync yes and repl-diskless-load swapdb")


def problems_of_users(link: Link, name: str) -> Iterator[Problem]:
    """Problems of a server's users, asked as one who may.

    Args:
        name: ``ledger`` or ``vault``.

    Raises:
        StoreUnavailable: no answer, or no right to ask.
    """
    yield from _problems_of_default(link)
    for user, role in (LEDGER if name == "ledger" else VAULT).items():
        if link.call("ACL", "GETUSER", user) is None:
            yield Problem(f"knows no user {user}: write one with python -m worker acl")
            continue
        yield from _problems_of_role(link, user, role)


def _problems_of_default(link: Link) -> Iterator[Problem]:
    flat = link.call("ACL", "GETUSER", "default")
    user = dict(zip(flat[::2], flat[1::2], strict=False))
    if b"on" in user[b"flags"]:
        yield Problem(
            "lets in whoever names no user: begin its ACL file with the line that python -m worker acl writes"
        )
    if user[b"commands"] != b"+@all" or b"~*" not in user[b"keys"].split():
        yield Problem(
            "would lose data at its next start: it replays its append-only file with the rights of the user default, "
            "who must have all of them and be off (user default off resetpass allkeys allchannels +@all)"
        )


def _problems_of_role(link: Link, user: str, role: Role) -> Iterator[Problem]:
    missing = sorted({command for (command, _), words in _dry_run(link, user, role.needed()).items() if words != "OK"})
    if missing:
        yield Problem(f"user {user} may not {', '.join(missing)}: write the users anew with python -m worker acl")
    tried = _dry_run(link, user, ((command, "1") for command in NOBODYS))
    more = sorted(command for (command, _), words in tried.items() if "to run the" not in words)
    if more:
        yield Problem(f"user {user} may {', '.join(more)}, which it does not need")


def _dry_run(link: Link, user: str, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The server's word on each command and key: ``OK``, or what the user may not.

    Each is tried with more and more arguments until their number is right; all of them at once.
    """
    left, found = list(pairs), {}
    for count in range(MOST_ARGUMENTS + 1):
        tried = [(one, link.send("ACL", "DRYRUN", user, *one[0].split("|"), *[one[1]] * count)) for one in left]
        left = []
        for one, answer in tried:
            words = _answer(answer)
            if words is None:
                left.append(one)
            else:
                found[one] = words
    return found


def _answer(answer: Callable[[], bytes]) -> str | None:
    """The result of a dry run; None for an error reply: a wrong number of arguments, or an unknown command."""
    try:
        return answer().decode()
    except redis.ResponseError:
        return None


def has_worker(link: Link) -> bool:
    """True if a worker's sweeper was at work within the last seconds."""
    return bool(link.call("EXISTS", redis_keys.SWEEPER))


def _setting(link: Link, name: str) -> str | None:
    try:
        answer = link.call("CONFIG", "GET", name)
    except StoreUnavailable as error:
        if error.is_lasting:  # no right
            return None
        raise
    return answer[1].decode() if answer else None
