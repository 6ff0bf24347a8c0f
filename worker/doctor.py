"""Doctor: is everything there that a worker needs? One line each."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import redis

from producer.contract.lockdown import lock_down
from worker.assembly import iamport_client, open_keyrings
from worker.errors import WorkerError
from worker.link import Link
from worker.settings import WorkerSettings, is_loopback


class Finding(NamedTuple):
    """One line of the doctor."""

    what: str
    is_well: bool
    words: str


def examine(settings: WorkerSettings, *, with_login: bool = True) -> Iterator[Finding]:
    """Look at keys, stores, i'mport's login (unless that is not wanted) and the lock-down."""
    login = partial(_login, settings)
    checks: tuple[tuple[str, Callable[[], tuple[bool, str]]], ...] = (
        ("keys", lambda: _keys(settings)),
        ("queue", lambda: _queue(settings)),
        ("ledger", lambda: _store(settings.ledger_url)),
        ("vault", lambda: _vault(settings.vault_url)),
        ("encryption", lambda: _encryption(settings)),
        ("i'mport login", login),
        ("lock-down", _lock_down),
    )
    for what, check in checks:
        if check is login and not with_login:
            continue
        try:
            yield Finding(what, *check())
        except WorkerError as error:
            yield Finding(what, is_well=False, words=str(error))


def _keys(settings: WorkerSettings) -> tuple[bool, str]:
    opener = open_keyrings(settings)
    return True, f"opens {len(opener.opening_kids)}, knows {len(opener.producer_kids)} producer keys"


def _queue(settings: WorkerSettings) -> tuple[bool, str]:
    if settings.broker_url.startswith("amqp"):
        return True, "not examined: not a Redis"
    return _store(settings.broker_url)


def _store(url: str) -> tuple[bool, str]:
    link = Link(url)
    link.call("PING")
    return _evicts_not(link)


def _vault(url: str) -> tuple[bool, str]:
    link = Link(url)
    link.call("PING")
    save, append = (_config(link, name) for name in ("save", "appendonly"))
    if save is None or append is None:
        return True, "answers; whether it persists cannot be asked (CONFIG is not allowed)"
    if save or append != "no":
        return False, 'writes to disk: set save "" and appendonly no, for it holds sealed cards'
    if _config(link, "repl-diskless-sync") == "no" or _config(link, "repl-diskless-load") == "disabled":
        return False, "would write to disk as a replica: set repl-diskless-sync yes and repl-diskless-load swapdb"
    return _evicts_not(link)


def _encryption(settings: WorkerSettings) -> tuple[bool, str]:
    """Whether what goes over a network goes over TLS; on one machine it need not."""
    urls = {"BROKER_URL": settings.broker_url, "LEDGER_URL": settings.ledger_url, "VAULT_URL": settings.vault_url}
    plain = [
        name
        for name, url in urls.items()
        if not urlsplit(url).scheme.endswith("s") and not is_loopback(urlsplit(url).hostname or "")
    ]
    unverified = [name for name, url in urls.items() if not _verifies(url)]
    if unverified:
        return False, f"{', '.join(unverified)}: the server's certificate or name is not verified"
    return True, f"{', '.join(plain)}: plain, fit for a network of your own only; else rediss://" if plain else "holds"


def _verifies(url: str) -> bool:
    options = dict(parse_qsl(urlsplit(url).query))
    return options.get("ssl_cert_reqs", "required") == "required" and options.get("ssl_check_hostname") != "false"


def _evicts_not(link: Link) -> tuple[bool, str]:
    policy = _config(link, "maxmemory-policy")
    if policy not in {None, "noeviction"}:
        return False, "drops keys when memory is short: set maxmemory-policy noeviction"
    return True, "answers"


def _config(link: Link, name: str) -> str | None:
    try:
        answer = link.call("CONFIG", "GET", name)
    except redis.ResponseError:
        return None
    return answer[1].decode() if answer else None


def _login(settings: WorkerSettings) -> tuple[bool, str]:
    answer = iamport_client(settings).login(settings.imp_key, settings.imp_secret)
    if answer.token is not None:
        return True, f"gives a token with {answer.token.life_s:.0f} s left"
    if answer.status == 401:
        return False, "IMP_KEY and IMP_SECRET are refused"
    if not answer.was_sent:
        return False, "IMP_API_URL cannot be reached"
    return False, f"answers HTTP {answer.status}" if answer.status else "does not answer"


def _lock_down() -> tuple[bool, str]:
    problems = lock_down()
    return not problems, "; ".join(problems) or "holds"
