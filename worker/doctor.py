"""Doctor: everything that a worker needs, examined; one line each, with what to do.

What can be examined is, whatever is missing. It sees most under a Redis user of its own (``keys/doctor``).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from producer.runtime.errors import ProcessError, StoreUnavailable
from producer.runtime.lockdown import lock_down
from producer.runtime.redis_store import Link
from worker.bootstrap import iamport_client, open_keyrings
from worker.iamport.login import advice
from worker.settings import WorkerSettings, is_loopback
from worker.store_check import (
    CLOCK_APART_S,
    Problem,
    Seen,
    has_worker,
    look_at,
    problems_of_any,
    problems_of_ledger,
    problems_of_users,
    problems_of_vault,
)

OK, NOTE, FAIL = "ok", "note", "FAIL"
AS_DOCTOR = "log in as doctor to see them (keys/doctor/*.url)"


class Finding(NamedTuple):
    """One line of the doctor.

    Args:
        mark: ``ok``; ``note``, which is no failure; or ``FAIL``.
    """

    what: str
    mark: str
    words: str


class Check(NamedTuple):
    """A question of the doctor's.

    Args:
        needs: the settings without which it cannot be asked.
        ask: gives a mark and words.
    """

    what: str
    needs: tuple[str, ...]
    ask: Callable[[WorkerSettings], tuple[str, str]]


def examine(settings: WorkerSettings, wrong: dict[str, str], *, with_login: bool = True) -> Iterator[Finding]:
    """Look at settings, keys, stores, users, clocks, i'mport's login (unless that is not wanted) and the lock-down.

    Args:
        settings: as far as they could be read.
        wrong: what could not, by the setting's name in lower case.
    """
    for name, rule in wrong.items():
        yield Finding("settings", FAIL, f"{name.upper()}: {rule}")
    out_of_reach = set(wrong)
    for check in CHECKS:
        if with_login or check.what != LOGIN:
            yield _asked(check, settings, out_of_reach)


def _asked(check: Check, settings: WorkerSettings, out_of_reach: set[str]) -> Finding:
    """A check's finding; the one setting that cannot be used is out of reach of those that follow: it is said once."""
    if missing := [name.upper() for name in check.needs if name in out_of_reach]:
        return Finding(check.what, NOTE, f"not examined, for want of {', '.join(missing)}")
    try:
        return Finding(check.what, *check.ask(settings))
    except ProcessError as error:
        if len(check.needs) == 1:
            out_of_reach.update(check.needs)
        return Finding(check.what, FAIL, str(error))


def _keys(settings: WorkerSettings) -> tuple[str, str]:
    opener = open_keyrings(settings)
    return OK, f"opens {len(opener.opening_kids)}, knows {len(opener.producer_kids)} producer keys"


def _queue(settings: WorkerSettings) -> tuple[str, str]:
    if settings.broker_url.startswith("amqp"):
        return NOTE, "not examined: not a Redis"
    seen = look_at(Link(settings.broker_url, "queue"))
    return _judged(problems_of_any(seen), seen.version)


def _ledger(settings: WorkerSettings) -> tuple[str, str]:
    seen = look_at(Link(settings.ledger_url, "ledger"))
    fsync = seen.config.get("appendfsync")
    return _judged(problems_of_ledger(seen), f"{_state(seen)}, appendfsync {fsync or f'not seen: {AS_DOCTOR}'}")


def _vault(settings: WorkerSettings) -> tuple[str, str]:
    seen = look_at(Link(settings.vault_url, "vault"))
    disk = "writes nothing to disk" if "save" in seen.config else f"whether it saves is not seen: {AS_DOCTOR}"
    return _judged(problems_of_vault(seen), f"{_state(seen)}, {disk}")


def _state(seen: Seen) -> str:
    used, most = seen.memory
    return f"{seen.version}, {used / most:.0%} full" if most else seen.version


def _users(settings: WorkerSettings) -> tuple[str, str]:
    found: list[Problem] = []
    for name, url in (("ledger", settings.ledger_url), ("vault", settings.vault_url)):
        link = Link(url, name)
        try:
            found += (Problem(f"{name} {words}") for words, _ in problems_of_users(link, name))
        except StoreUnavailable as error:
            if not error.is_lasting:
                raise
            return NOTE, f"this user may not ask for them: {AS_DOCTOR}"
    return _judged(found, "have the rights they need, and no others")


def _clocks(settings: WorkerSettings) -> tuple[str, str]:
    apart = {}
    for name, url in (("ledger", settings.ledger_url), ("vault", settings.vault_url)):
        apart[name] = abs(Link(url, name).time() - time.time())
    words = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in apart.items()) + " apart from this machine"
    return (FAIL, f"{words}: set them by NTP") if max(apart.values()) > CLOCK_APART_S else (OK, words)


def _worker(settings: WorkerSettings) -> tuple[str, str]:
    if has_worker(Link(settings.ledger_url, "ledger")):
        return OK, "one is at work"
    return NOTE, "none is at work, jobs wait: start one with python -m worker run"


def _encryption(settings: WorkerSettings) -> tuple[str, str]:
    """Connections beyond this machine should use TLS."""
    urls = {"BROKER_URL": settings.broker_url, "LEDGER_URL": settings.ledger_url, "VAULT_URL": settings.vault_url}
    if unverified := [name for name, url in urls.items() if not _verifies(url)]:
        return FAIL, f"{', '.join(unverified)}: the server's certificate or name is not verified"
    if plain := [name for name, url in urls.items() if _is_plain(url)]:
        return OK, f"{', '.join(plain)}: plain, fit for a network of your own only; else rediss://"
    return OK, "holds"


def _is_plain(url: str) -> bool:
    parts = urlsplit(url)
    return not parts.scheme.endswith("s") and not is_loopback(parts.hostname or "")


def _verifies(url: str) -> bool:
    options = dict(parse_qsl(urlsplit(url).query))
    return options.get("ssl_cert_reqs", "required") == "required" and options.get("ssl_check_hostname") != "false"


def _login(settings: WorkerSettings) -> tuple[str, str]:
    answer = iamport_client(settings).login(settings.imp_key, settings.imp_secret)
    if answer.token is not None:
        return OK, f"gives a token with {answer.token.life_s:.0f} s left"
    return FAIL, advice(answer)


def _lock_down(_settings: WorkerSettings) -> tuple[str, str]:
    problems = lock_down()
    return (FAIL, "; ".join(problems)) if problems else (OK, "holds")


def _judged(problems: Iterable[Problem], well: str) -> tuple[str, str]:
    words = "; ".join(words for words, _ in problems)
    return (FAIL, words) if words else (OK, well)


LOGIN = "i'mport login"
CHECKS = (
    Check("keys", ("opening_keys_file", "opening_keys_command", "producer_keys_file"), _keys),
    Check("encryption", ("broker_url", "ledger_url", "vault_url"), _encryption),
    Check("queue", ("broker_url",), _queue),
    Check("ledger", ("ledger_url",), _ledger),
    Check("vault", ("vault_url",), _vault),
    Check("users", ("ledger_url", "vault_url"), _users),
    Check("clocks", ("ledger_url", "vault_url"), _clocks),
    Check("worker", ("ledger_url",), _worker),
    Check(LOGIN, ("imp_key", "imp_secret", "imp_api_url", "imp_ca_file", "imp_proxy_url"), _login),
    Check("lock-down", (), _lock_down),
)
