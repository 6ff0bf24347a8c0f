"""Faults that a test may lay in the way of a request.

A fault matches by method and path. Several may fire for one request: waiting and dribbling add
up, and the first that ends the request (in the order of ``Kind``) keeps later ones untouched.
"""

import math
import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tests.fake_iamport.call import Call
from tests.fake_iamport.journal import path_fits

Kind = Literal[
    "latency",
    "slow_drip",
    "rate_limit",
    "token_expired",
    "refuse_login",
    "reset",
    "hang",
    "server_error",
    "applied_late",
    "lost_answer",
]
KINDS: tuple[str, ...] = get_args(Kind)
_GO_ON = frozenset({"latency", "slow_drip"})
_LOGIN = "POST /users/getToken"


@dataclass(frozen=True)
class Fault:
    """One kind of trouble.

    Args:
        kind: ``latency`` waits and goes on; ``slow_drip`` sends the body byte by byte; ``rate_limit`` answers 429
            beyond ``rate_per_s`` (or always, without one); ``token_expired`` answers 401 although the token lives;
            ``refuse_login`` answers 401 to getToken; ``reset`` resets the connection before anything is done; ``hang``
            says nothing for ``hold_s`` and does nothing; ``server_error`` answers HTML and does nothing;
            ``applied_late`` cuts the connection and does it ``delay_s`` later; ``lost_answer`` does it and cuts the
            connection.
        path: ``"METHOD /path"`` or ``"/path"``; a prefix when it ends in a slash.
        times: how often it fires; None for ever.
        probability: chance of firing, drawn from a generator of its own with ``seed``.
        latency_s: wait before anything is done, or a range to draw it from; of any kind.
        status: of ``server_error``, and of the page of a ``lost_answer``.
        rate_per_s: allowed rate (GCRA), with ``burst`` at once.
        retry_after_s: the header's value; None: computed from the rate; below 0: no header.
        body: of ``rate_limit``: ``json`` or ``html``.
        delay_s: seconds until ``applied_late`` is done.
        hold_s: silence before the connection is cut; None: 60 for ``hang``, otherwise 0.
        cut: how, ``reset`` or ``close``; None: close for ``hang`` and ``applied_late``. ``page``: not at all; an edge
            answers HTML in i'mport's place.
        interval_s: between the bytes of ``slow_drip``.
    """

    kind: Kind
    path: str = "POST /subscribe/customers/"
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    latency_s: float | tuple[float, float] = 0.0
    status: int = 502
    rate_per_s: float | None = None
    burst: int = 1
    retry_after_s: float | None = None
    body: Literal["json", "html"] = "json"
    delay_s: float = 1.0
    hold_s: float | None = None
    cut: Literal["reset", "close", "page"] | None = None
    interval_s: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault: {self.kind}")
        if self.kind == "refuse_login":
            object.__setattr__(self, "path", _LOGIN)

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> "Fault":
        """Read a fault from JSON; a range of latency is a list there."""
        latency_s = members.get("latency_s", 0.0)
        if isinstance(latency_s, list):
            members = members | {"latency_s": tuple(latency_s)}
        return cls(**members)

    @property
    def silence_s(self) -> float:
        """How long the connection stays silent before it is cut."""
        if self.hold_s is not None:
            return self.hold_s
        return 60.0 if self.kind == "hang" and not self.latency_s else 0.0

    @property
    def resets(self) -> bool:
        """Whether the cut is a reset and not an orderly close."""
        if self.cut is not None:
            return self.cut == "reset"
        return self.kind in {"reset", "lost_answer"}


@dataclass(frozen=True)
class Verdict:
    """What the faults make of one request: waits, and how it ends (None: as usual)."""

    wait_s: float = 0.0
    drip_s: float = 0.0
    end: Fault | None = None
    retry_after_s: float = 0.0

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.wait_s + other.wait_s,
            self.drip_s + other.drip_s,
            self.end or other.end,
            self.retry_after_s or other.retry_after_s,
        )


class _Armed:
    """A fault with what it remembers: shots left, its generator, its rate."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._left = fault.times
        self._random = random.Random(fault.seed)
        self._method, _, self._path = fault.path.rpartition(" ")
        self._next_at = 0.0

    def matches(self, call: Call) -> bool:
        return self._method in {"", call.method} and path_fits(self._path, call.path)

    def fire(self, now: float) -> Verdict | None:
        """What it does to this request; None when it does not fire."""
        if self._left == 0 or self._random.random() >= self.fault.probability:
            return None
        retry_after_s = 0.0
        if self.fault.kind == "rate_limit":
            over_s = self._over_s(now)
            if over_s <= 0:
                return None
            retry_after_s = float(math.ceil(over_s))
        if self._left is not None:
            self._left -= 1
        return self._verdict(retry_after_s)

    def _over_s(self, now: float) -> float:
        """Seconds by which this request comes too early (GCRA); 0 when it may pass."""
        rate = self.fault.rate_per_s
        if rate is None:
            return 1.0
        theoretical_at = max(self._next_at, now)
        over_s = theoretical_at - (self.fault.burst - 1) / rate - now
        if over_s > 1e-9:  # rounding of instants that are exactly one interval apart
            return over_s
        self._next_at = theoretical_at + 1 / rate
        return 0.0

    def _verdict(self, retry_after_s: float) -> Verdict:
        fault, latency_s = self.fault, self.fault.latency_s
        wait_s = self._random.uniform(*latency_s) if isinstance(latency_s, tuple) else latency_s
        return Verdict(
            wait_s,
            fault.interval_s if fault.kind == "slow_drip" else 0.0,
            None if fault.kind in _GO_ON else fault,
            retry_after_s if fault.retry_after_s is None else fault.retry_after_s,
        )


class FaultBox:
    """The faults in force, and those that belong to sample cards."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._card_shots: Counter[tuple[str, str]] = Counter()

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        with self._lock:
            self._armed.append(_Armed(fault))
            self._armed.sort(key=lambda armed: KINDS.index(armed.fault.kind))

    def clear(self) -> None:
        """Remove the faults that were added; sample cards keep theirs."""
        with self._lock:
            self._armed.clear()

    def forget_cards(self) -> None:
        """Count the shots of the sample cards from zero again."""
        with self._lock:
            self._card_shots.clear()

    def verdict(self, call: Call, now: float) -> Verdict:
        """What the added faults do to this request."""
        verdict = Verdict()
        if not self._armed:
            return verdict
        with self._lock:
            for armed in self._armed:
                if armed.matches(call) and (fired := armed.fire(now)):
                    verdict += fired
                if verdict.end:
                    break
        return verdict

    def card_verdict(self, fault: Fault, card_number: str, subject: str) -> Verdict:
        """What a sample card's own fault does, ``times`` for each customer_uid or order."""
        with self._lock:
            self._card_shots[card_number, subject] += 1
            shot = self._card_shots[card_number, subject]
        if fault.times is not None and shot > fault.times:
            return Verdict()
        return _Armed(fault).fire(0.0) or Verdict()
