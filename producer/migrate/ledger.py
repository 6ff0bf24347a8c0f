"""Control of a migration by way of the ledger: checkpoint, lease, instructions; and outcomes as they come.

Key: ``billing:migration:{name}``; see :mod:`producer.contract.redis_keys`.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..contract import redis_keys
from ..contract.outcome import Outcome
from ..store import Store
from ..stores import outcomes_of

MIGRATION_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")
HELD_FOR_S = 8
OUTCOMES_AT_ONCE = 1000
TICK = (Path(__file__).parents[1] / "lua/migration_tick.lua").read_text()
RUNNING, STOPPED, CANCELLED, DONE = "running", "stopped", "cancelled", "done"
RUN, PAUSE, CANCEL = "run", "pause", "cancel"
_UNWRITTEN = {
    "run": "",
    "state": "",
    "held_until": "0",
    "asked": RUN,
    "throttle": "",
    "progress": "{}",
    "updated_at": "0",
    "as_of": "",
}
AT_REST: dict[str, Any] = {"rate": 0.0, "eta_s": None, "held": None}


class Instructions(NamedTuple):
    """For the process that runs a migration.

    Args:
        is_ours: False when another process runs it.
        asked: ``run``, ``pause`` or ``cancel``.
        throttle: rows a second, or None.
        now: Unix seconds of the ledger's clock.
    """

    is_ours: bool
    asked: str
    throttle: float | None
    now: float


class Checkpoint(NamedTuple):
    """Where a migration is, as the ledger has it.

    Args:
        run: its number, from 1.
        state: ``running``, ``stopped``, ``cancelled`` or ``done``.
        is_held: whether a process has it in hand.
        asked, throttle: as last asked.
        progress: as :class:`producer.migrate.run.Progress` has it; at rest while no process has it in hand.
        updated_at: Unix seconds.
        as_of: when the export was made, Unix seconds; None if an older version began it.
    """

    run: int
    state: str
    is_held: bool
    asked: str
    throttle: float | None
    progress: dict[str, Any]
    updated_at: float
    as_of: int | None = None

    @property
    def has_ended(self) -> bool:
        """True once no process can go on with it."""
        return self.state in {DONE, CANCELLED}


class Control:
    """One migration in the ledger.

    Args:
        ledger_url, vault_url: the stores.
        name: of the migration.

    Raises:
        BrokerUnavailable: from every call, if a store does not answer or this user may not ask.
    """

    def __init__(self, ledger_url: str, vault_url: str, name: str) -> None:
        self._ledger, self._vault = Store("ledger", ledger_url), Store("vault", vault_url)
        self._key = redis_keys.MIGRATION_RECORD + name
        self._tick = self._ledger.client.register_script(TICK)
        self._holder = secrets.token_hex(8)
        self._after = "0"

    def tick(self, fields: Mapping[str, str | int], *, lease_s: float = HELD_FOR_S) -> Instructions:
        """Renew the lease, write fields, hear what is asked; with ``lease_s`` 0 give the lease back."""
        flat = [text for pair in fields.items() for text in pair]
        with self._ledger.reading():
            held, asked, throttle, now = self._tick(keys=[self._key], args=[self._holder, lease_s, *flat])
        return Instructions(bool(held), asked.decode() or RUN, _rate(throttle), float(now))

    def checkpoint(self) -> Checkpoint | None:
        """Where the migration is; None if the ledger does not know it."""
        with self._ledger.reading() as store:
            found = cast("list[bytes | None]", store.hmget(self._key, list(_UNWRITTEN)))
        known = _UNWRITTEN | {name: text.decode() for name, text in zip(_UNWRITTEN, found, strict=True) if text}
        if not known["run"]:
            return None
        is_held = float(known["held_until"]) > self.now()
        return Checkpoint(
            run=int(known["run"]),
            state=STOPPED if known["state"] == RUNNING and not is_held else known["state"],
            is_held=is_held,
            asked=known["asked"],
            throttle=_rate(known["throttle"]),
            progress=_progress(known["progress"], is_held=is_held),
            updated_at=float(known["updated_at"]),
            as_of=_instant(known["as_of"]),
        )

    def ask(self, **fields: str) -> None:
        """Write ``asked`` or ``throttle`` for the process that runs it."""
        with self._ledger.reading() as store:
            store.hset(self._key, mapping=cast("dict[Any, Any]", fields))

    def now(self) -> float:
        """Unix seconds of the ledger's clock."""
        return self._ledger.now()

    def listen_from(self, now: float) -> None:
        """Hear outcomes from then on."""
        self._after = f"{int(now * 1000)}-0"

    def heard(self, *, wait_ms: int) -> list[Outcome]:
        """Outcomes that were not heard yet, of whatever job; after a moment none."""
        with self._ledger.reading() as store:
            answer: Any = store.xread({redis_keys.OUTCOMES: self._after}, count=OUTCOMES_AT_ONCE, block=wait_ms)
        entries = [entry for _, found in answer for entry in found]
        if entries:
            self._after = entries[-1][0].decode()
        return [Outcome.from_json(fields[b"outcome"]) for _, fields in entries]

    def outcomes(self, job_ids: Sequence[str]) -> dict[str, Outcome | None]:
        """The outcomes of those jobs that are known, None while one is open."""
        return outcomes_of(self._ledger, job_ids)

    def memory_used(self) -> dict[str, float | None]:
        """The fullness of ledger and vault, 0 to 1 by ``maxmemory``; None where there is no limit."""
        found: dict[str, float | None] = {}
        for store in (self._ledger, self._vault):
            with store.reading() as client:
                info = cast("dict[str, int]", client.info("memory"))
            found[store.name] = info["used_memory"] / info["maxmemory"] if info.get("maxmemory") else None
        return found

    def close(self) -> None:
        """Give the connections back."""
        self._ledger.close()
        self._vault.close()


def _rate(text: str | bytes) -> float | None:
    return float(text) if text else None


def _instant(text: str) -> int | None:
    return int(text) if text else None


def _progress(text: str, *, is_held: bool) -> dict[str, Any]:
    progress: dict[str, Any] = json.loads(text)
    return progress | AT_REST if progress and not is_held else progress
