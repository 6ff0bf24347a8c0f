"""Start check: workers do not start on stores that are unsafe, as far as their own user can see."""

import time
from collections.abc import Callable, Iterable
from functools import partial

from producer.runtime.errors import StoreUnavailable
from producer.runtime.redis_store import Link
from producer.runtime.store_errors import WORDS
from worker.errors import SettingsError
from worker.settings import WorkerSettings
from worker.store_check import SETTINGS, Problem, Seen, look_at, problems_of_any, problems_of_ledger, problems_of_vault

STORES_WAIT_S, PAUSE_S = 30.0, 1.0  # for a store that is starting
LOADING = WORDS["LOADING"]

Judge = Callable[[Seen], Iterable[Problem]]


def check_stores(
    settings: WorkerSettings,
    *,
    wait_s: float = STORES_WAIT_S,
    tell: Callable[[str], None] = lambda _words: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Refuse stores that are unsafe; wait a little for those that are starting, and for as long as one loads its data.

    Args:
        tell: told once of each store that is waited for.

    Raises:
        SettingsError: names the store and what is wrong with it.
    """
    stores: list[tuple[str, str, str, Judge]] = [
        ("LEDGER_URL", "ledger", settings.ledger_url, problems_of_ledger),
        ("VAULT_URL", "vault", settings.vault_url, problems_of_vault),
    ]
    if settings.broker_url.startswith("redis"):
        stores.insert(0, ("BROKER_URL", "queue", settings.broker_url, problems_of_any))
    for setting, name, url, judge in stores:
        look = partial(look_at, Link(url, name), SETTINGS if name == "vault" else ())  # what a worker's user may ask
        seen = _seen(f"{setting}: ", look, wait_s, tell, clock, sleep)
        for words, is_unsafe in judge(seen):
            if is_unsafe:
                raise SettingsError(f"{setting}: the {name} {words}")


def _seen(
    setting: str,
    look: Callable[[], Seen],
    wait_s: float,
    tell: Callable[[str], None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Seen:
    until, told = clock() + wait_s, False
    while True:
        try:
            return look()
        except StoreUnavailable as error:
            words = setting + str(error)
            is_over = clock() >= until and LOADING not in words
            if error.is_lasting or is_over:
                raise SettingsError(words) from None
        if not told:
            tell(f"{words}; waiting")
            told = True
        sleep(PAUSE_S)
