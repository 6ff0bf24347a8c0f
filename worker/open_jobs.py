"""Open jobs: the sweeper's part of the ledger. Who lives, who sweeps, which ids want a message, and how full it is.

Keys: see :mod:`producer.contract.redis_keys`.
"""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import redis

from producer.contract import redis_keys
from producer.contract.job import QUEUES
from producer.runtime.redis_store import Script, Stores
from worker.liveness import GIVEN_UP_S
from worker.room import full_store, memory_of, read_info

ALIVE, ASKED, DUE, SET_NOTE = (Script("worker", name) for name in ("alive", "asked", "due", "note"))
AWAY_S = 2.0  # a ledger that heard nobody for so long was away, or its clock stepped
SWEEPER_LIFE_S = 3
LEASE_LIMIT_S = 600.0  # no lease lasts longer
SETTLE_S = 2.0  # what was overtaken by as many as there are places may so long be on its way from a place to its claim
EMPTY_S = 5.0  # nothing comes any more from a queue that has been empty for so long
WOKEN_AT_ONCE = 1000  # of those that waited for a pause
GUARD_S = 60.0  # a job past its deadline is looked at again after this


class Roll(NamedTuple):
    """The answer to a sign of life.

    Args:
        is_sweeper: this process sweeps now.
        places: messages that all living processes may hold.
        given_up: processes that were taken for dead just now.
    """

    is_sweeper: bool
    places: int
    given_up: int


class Due(NamedTuple):
    """An id that wants a message.

    Args:
        accepted_for: the queue that it was accepted for.
        queue: where the message goes: to the front of ``migration``, or to the end of ``recovery``.
    """

    job_id: str
    accepted_for: str
    queue: str


class OpenJobs:
    """The open jobs of the ledger.

    Args:
        stores: connections to ``LEDGER_URL``.
        vault: connections to ``VAULT_URL``.
        applied_kept_s: as of :class:`worker.ledger.Ledger`.
    """

    def __init__(self, stores: Stores, vault: Stores, *, applied_kept_s: int = redis_keys.APPLIED_KEPT_S) -> None:
        self._stores, self._vault, self._applied_kept_s = stores, vault, applied_kept_s

    def show_life(self, process: str, places: int) -> Roll:
        """A sign of life, which is due twice a second; see ``alive.lua``."""
        keys = [redis_keys.ALIVE, redis_keys.LISTENED, redis_keys.SWEEPER, redis_keys.OPEN, redis_keys.OVERTAKEN]
        keys += [redis_keys.REMEMBERED, *(redis_keys.PASSED + queue for queue in QUEUES)]
        spans = (GIVEN_UP_S, AWAY_S, SWEEPER_LIFE_S, LEASE_LIMIT_S)
        prefixes = (redis_keys.JOB, redis_keys.TRACE)
        answer = self._stores.local.run(ALIVE, keys, process, places, *spans, *prefixes, self._applied_kept_s, *QUEUES)
        return Roll(bool(answer[0]), int(answer[1]), int(answer[2]))

    def leave(self, process: str) -> None:
        """No sign will come any more, and nothing is held."""
        self._stores.local.call("HDEL", redis_keys.ALIVE, process)

    def carry_out_asked(self) -> None:
        """Do what operators asked for, and wake what waited for a pause that is over; see ``asked.lua``."""
        keys = [redis_keys.ASKED, redis_keys.OPEN, redis_keys.PAUSED]
        prefixes = (redis_keys.TRACE, redis_keys.REQUEST)
        self._stores.local.run(ASKED, keys, redis_keys.JOB, redis_keys.PAUSE, WOKEN_AT_ONCE, *prefixes)

    def due(
        self, most: int, most_migration: int, places: int, empty_s: Sequence[float], *, has_front: bool
    ) -> list[Due]:
        """Ids that want a message; see ``due.lua``.

        Args:
            most: for ``recovery``.
            most_migration: of migrations that come back.
            places: of all living processes.
            empty_s: for each of :data:`QUEUES`, how long it has been empty, or -1.
            has_front: whether a message can be put before others.
        """
        keys = [redis_keys.OPEN, redis_keys.SWEPT, redis_keys.OVERTAKEN, redis_keys.COMEBACKS, redis_keys.FRONT]
        keys += [prefix + queue for prefix in (redis_keys.FRESH, redis_keys.PASSED) for queue in QUEUES]
        numbers = (most, most_migration, int(has_front), places, SETTLE_S, EMPTY_S, GUARD_S)
        prefixes = (redis_keys.JOB, redis_keys.TRACE, redis_keys.REQUEST)
        answer = self._stores.local.run(DUE, keys, *numbers, *prefixes, *empty_s, *QUEUES)
        names = [item.decode(errors="replace") for item in answer]  # producers name ids and queues
        return [Due(*names[at : at + 3]) for at in range(0, len(names), 3)]

    def refuse_jobs_while_full(self) -> tuple[str, bool]:
        """Have jobs refused while a store is nearly full.

        Returns:
            Which store it is, or empty text; and whether that is new.
        """
        link = self._stores.local
        stores = {"ledger": memory_of(link), "vault": memory_of(self._vault.local)}
        before = (link.call("GET", redis_keys.FULL) or b"").decode()
        full = full_store(stores, int(link.call("ZCARD", redis_keys.OPEN)), before)
        return full, bool(link.run(SET_NOTE, [redis_keys.FULL], full))

    def rewrite_after_restart(self) -> bool:
        """Have the server write its append-only file anew, once after each of its starts; whether it was asked now.

        A power cut may end the file within a script's writes. Servers up to Redis 8.0 and Valkey 8.1 leave them there,
        do without them, and carry out that part of them at their next start but one (measured).
        """
        link = self._stores.local
        if read_info(link, "persistence").get("aof_enabled") != "1":
            return False
        run_id = read_info(link, "server")["run_id"]
        if (link.call("GET", redis_keys.REWRITTEN) or b"").decode() == run_id:
            return False
        with contextlib.suppress(redis.ResponseError):  # one is being written already
            link.call("BGREWRITEAOF")
        return bool(link.run(SET_NOTE, [redis_keys.REWRITTEN], run_id))
