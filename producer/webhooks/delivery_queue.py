"""The webhooks' part of the ledger: outcomes that wait for delivery, in lines by customer_uid.

Keys: ``billing:webhook:…``; see :mod:`producer.contract.redis_keys`.
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

    def to_json(self) -> str:
        """As it is kept and sent."""
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))


def _body(kind: str, at: float, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "timestamp": at, "data": data}


class Due(NamedTuple):
    """A delivery whose time has come.

    Args:
        attempts: how often it was tried.
        since: Unix seconds of when it was first due.
    """

    event: Event
    attempts: int
    since: float


class WebhookLedger:
    """Outcomes that wait for delivery. Calls raise BrokerUnavailable if the ledger cannot be reached or refuses.

    Args:
        ledger_url: ``LEDGER_URL``.
    """

    def __init__(self, ledger_url: str) -> None:
        self._store = Store("ledger", ledger_url)
        self._take, self._next, self._settle = (
            self._store.client.register_script((LUA / f"webhook_{name}.lua").read_text())
            for name in ("take", "next", "settle")
        )

    def now(self) -> float:
        """The ledger's clock, Unix seconds."""
        return self._store.now()

    def take_in(self, event: Event, now: float, *, once_more: bool = False) -> bool:
        """Put an event in line; False if it was there already, or with ``once_more`` if it waits there."""
        keys = [
            redis_keys.WEBHOOK + event.id,
            redis_keys.WEBHOOK_LINE + event.line,
            redis_keys.WEBHOOK_DUE,
            redis_keys.WEBHOOK_FAILED,
        ]
        with self._store.reading():
            return bool(self._take(keys, [event.id, event.to_json(), now, KEPT_S, int(once_more)]))

    def holds_intake(self, owner: str) -> bool:
        """True for the one owner that puts outcomes in line: two would mix up their order."""
        with self._store.reading() as ledger:
            if ledger.set(redis_keys.WEBHOOK_INTAKE, owner, nx=True, ex=INTAKE_S):
                return True
            if ledger.get(redis_keys.WEBHOOK_INTAKE) != owner.encode():
                return False
            ledger.expire(redis_keys.WEBHOOK_INTAKE, INTAKE_S)
            return True

    def due(self, now: float, most: int) -> list[Due]:
        """Deliveries that are due, in hand for :data:`IN_HAND_S`."""
        with self._store.reading():
            answer: Any = self._next([redis_keys.WEBHOOK_DUE], [now, most, IN_HAND_S, redis_keys.WEBHOOK])
        groups = zip(*(answer[place::4] for place in range(4)), strict=True)
        return [Due(_event(name, text), int(attempts), float(since)) for name, text, attempts, since in groups]

    def settle(self, job_id: str, state: str, now: float, answer: str, *, again_at: float = 0.0) -> bool:
        """Note an attempt's end: ``delivered``, ``failed``, or ``waiting`` until ``again_at``.

        Returns:
            False if the delivery was settled already.
        """
        keys = [redis_keys.WEBHOOK + job_id, redis_keys.WEBHOOK_DUE, redis_keys.WEBHOOK_FAILED]
        with self._store.reading():
            return bool(self._settle(keys, [job_id, state, now, again_at, answer, KEPT_S, redis_keys.WEBHOOK]))

    def resend(self, job_id: str, now: float) -> bool:
        """Put a settled delivery in line once more; False if it is not known any more, or waits already."""
        with self._store.reading() as ledger:
            (text,) = _texts(ledger.hmget(redis_keys.WEBHOOK + job_id, ["outcome"]))
        return text is not None and self.take_in(_event(job_id.encode(), text), now, once_more=True)

    def waiting(self) -> int:
        """The number of lines that have a delivery that waits."""
        with self._store.reading() as ledger:
            return int(ledger.zcard(redis_keys.WEBHOOK_DUE))

    def counts(self) -> tuple[int, int, float]:
        """Lines with a delivery that waits, deliveries that were given up, and seconds that the first has been due."""
        with self._store.reading() as ledger:
            waiting, failed = int(ledger.zcard(redis_keys.WEBHOOK_DUE)), int(ledger.zcard(redis_keys.WEBHOOK_FAILED))
            first: Any = ledger.zrange(redis_keys.WEBHOOK_DUE, 0, 0, withscores=True)
        overdue_s = max(self.now() - first[0][1], 0.0) if first else 0.0
        return waiting, failed, overdue_s

    def failed(self) -> Iterator[tuple[Event, float, str]]:
        """Deliveries that were given up: event, Unix seconds, and the last answer; the oldest first."""
        with self._store.reading() as ledger:
            entries: Any = ledger.zrange(redis_keys.WEBHOOK_FAILED, 0, -1, withscores=True)
            for job_id, at in entries:
                text, answer = _texts(ledger.hmget(redis_keys.WEBHOOK + job_id.decode(), ["outcome", "answer"]))
                if text is None:
                    ledger.zrem(redis_keys.WEBHOOK_FAILED, job_id)
                else:
                    yield _event(job_id, text), float(at), answer or ""

    def failed_ids(self) -> list[str]:
        """Ids of the deliveries that were given up."""
        return [event.id for event, _, _ in self.failed()]

    def close(self) -> None:
        """Give the connections back."""
        self._store.close()


def _event(name: bytes, text: str | bytes) -> Event:
    return Event(name.decode(), json.loads(text))


def _texts(members: Any) -> list[str | None]:  # noqa: ANN401 — redis-py's
    return [None if one is None else one.decode() for one in members]
