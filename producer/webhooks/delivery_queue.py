"""The webhooks' part of the ledger: outcomes that wait for delivery to a destination, in lines by customer_uid.

One that was not taken for a while leaves its line, and is tried beside it: late.

Keys: the ``WEBHOOK_…`` ones; see :mod:`producer.contract.redis_keys`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from ..contract import redis_keys
from ..contract.outcome import Outcome
from ..contract.reconciled import Reconciled
from ..contract.redis_keys import KEPT_S
from ..store import Store

LUA = Path(__file__).parents[1] / "lua"
IN_HAND_S = 120.0  # a delivery in hand is due again after this, should its process die
INTAKE_S = 15


class Event(NamedTuple):
    """One message to the merchant's server.

    Args:
        id: ``webhook-id``: the job id; of what was reconciled, with the instant.
        body: ``type``, ``timestamp`` (Unix seconds of the ledger) and ``data``.
    """

    id: str
    body: dict[str, Any]

    @classmethod
    def of(cls, said: Outcome | Reconciled) -> Self:
        """An outcome, or what i'mport said later of one in doubt."""
        if isinstance(said, Outcome):
            return cls(said.job_id, _body("billing.outcome", said.finished_at, said.to_dict()))
        name = f"{said.job_id}.reconciled.{said.asked_at:.0f}"
        return cls(name, _body("billing.reconciled", said.asked_at, said.to_dict()))

    @property
    def data(self) -> dict[str, Any]:
        """The outcome, or what was said, as JSON knows it."""
        data: dict[str, Any] = self.body["data"]
        return data

    @property
    def line(self) -> str:
        """Those of one customer_uid are told in order; else those of one order. No customer_uid has a slash."""
        return self.data["customer_uid"] or f"/{self.data['merchant_uid']}"

    def to_json(self, **marks: bool) -> str:
        """As it is kept; with ``late`` as it is sent."""
        return json.dumps({**self.body, **marks}, ensure_ascii=False, separators=(",", ":"))


def _body(kind: str, at: float, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "timestamp": at, "data": data}


class Due(NamedTuple):
    """A delivery whose time has come.

    Args:
        attempts: how often it was tried.
        since: Unix seconds of the first attempt.
        is_late: later ones of its customer may have been delivered.
    """

    event: Event
    attempts: int
    since: float
    is_late: bool

    def to_json(self) -> str:
        """As it is sent."""
        return self.event.to_json(late=self.is_late)


class Waiting(NamedTuple):
    """The state of a destination.

    Args:
        lines: those with a delivery that waits.
        late: deliveries that are tried beside their line.
        failed: deliveries that were given up.
        next_in_s: seconds until one is due; below zero if one is; None if none waits.
    """

    lines: int
    late: int
    failed: int
    next_in_s: float | None


class WebhookLedger:
    """Outcomes that wait for delivery. Calls raise BrokerUnavailable if the ledger cannot be reached or refuses.

    Args:
        ledger_url: ``LEDGER_URL``.
        name: of the destination.
        line_s: how long one may hold its line, seconds.
    """

    def __init__(self, ledger_url: str, name: str, line_s: float = 900) -> None:
        self._store, self._line_s = Store("ledger", ledger_url), line_s
        self._due, self._late, self._failed, self._intake = (
            key + name
            for key in (
                redis_keys.WEBHOOK_DUE,
                redis_keys.WEBHOOK_LATE,
                redis_keys.WEBHOOK_FAILED,
                redis_keys.WEBHOOK_INTAKE,
            )
        )
        self._deliveries, self._lines = f"{redis_keys.WEBHOOK_DELIVERY}{name}:", f"{redis_keys.WEBHOOK_LINE}{name}:"
        self._take, self._next, self._settle = (
            self._store.client.register_script((LUA / f"webhook_{name}.lua").read_text())
            for name in ("take", "next", "settle")
        )

    def now(self) -> float:
        """The ledger's clock, Unix seconds."""
        return self._store.now()

    def take_in(self, event: Event, now: float, *, once_more: bool = False) -> bool:
        """Put an event in line, or with ``once_more`` beside it; False if it was there already, or waits."""
        keys = [self._deliveries + event.id, self._lines + event.line, self._due, self._late, self._failed]
        with self._store.reading():
            return bool(self._take(keys, [event.id, event.to_json(), event.line, now, KEPT_S, int(once_more)]))

    def holds_intake(self, owner: str) -> bool:
        """True for the one owner that puts outcomes in line: two would mix up their order."""
        with self._store.reading() as ledger:
            if ledger.set(self._intake, owner, nx=True, ex=INTAKE_S):
                return True
            if ledger.get(self._intake) != owner.encode():
                return False
            ledger.expire(self._intake, INTAKE_S)
            return True

    def due(self, now: float, of_lines: int, late: int) -> list[Due]:
        """Deliveries that are due, in hand for :data:`IN_HAND_S`; so many of lines at most, and so many late ones."""
        keys = [self._due, self._late, self._failed]
        how: list[float | str] = [IN_HAND_S, self._deliveries, self._lines, self._line_s, KEPT_S]
        with self._store.reading():
            answer: Any = self._next(keys, [now, of_lines, late, *how])
        groups = zip(*(answer[place::5] for place in range(5)), strict=True)
        return [
            Due(_event(name, text), int(attempts), float(since), is_late == b"1")
            for name, text, attempts, since, is_late in groups
        ]

    def settle(self, name: str, state: str, now: float, answer: str, *, again_at: float = 0.0) -> bool:
        """Note an attempt's end: ``delivered``, ``failed``, or ``waiting`` until ``again_at``.

        Returns:
            False if the delivery was settled already.
        """
        keys = [self._deliveries + name, self._due, self._late, self._failed]
        with self._store.reading():
            return bool(self._settle(keys, [name, state, now, again_at, answer, KEPT_S, self._lines, self._line_s]))

    def resend(self, name: str, now: float) -> bool:
        """Deliver a settled one once more; False if it is not known any more, or waits already."""
        with self._store.reading() as ledger:
            (text,) = _texts(ledger.hmget(self._deliveries + name, ["outcome"]))
        return text is not None and self.take_in(_event(name.encode(), text), now, once_more=True)

    def waiting(self) -> Waiting:
        """The destination's state."""
        with self._store.reading() as ledger:
            lines, late, failed = (int(ledger.zcard(key)) for key in (self._due, self._late, self._failed))
            firsts: list[Any] = [ledger.zrange(key, 0, 0, withscores=True) for key in (self._due, self._late)]
        instants = [first[0][1] for first in firsts if first]
        return Waiting(lines, late, failed, min(instants) - self.now() if instants else None)

    def failed(self) -> Iterator[tuple[Event, float, str]]:
        """Deliveries that were given up: event, Unix seconds, and the last answer; the oldest first."""
        with self._store.reading() as ledger:
            entries: Any = ledger.zrange(self._failed, 0, -1, withscores=True)
            for name, at in entries:
                text, answer = _texts(ledger.hmget(self._deliveries + name.decode(), ["outcome", "answer"]))
                if text is not None:  # else it has just been forgotten
                    yield _event(name, text), float(at), answer or ""

    def close(self) -> None:
        """Give the connections back."""
        self._store.close()


def _event(name: bytes, text: str | bytes) -> Event:
    return Event(name.decode(), json.loads(text))


def _texts(members: Any) -> list[str | None]:  # noqa: ANN401 — redis-py's
    return [None if one is None else one.decode() for one in members]
