"""Control over HTTP, under /_fake/, for a fake that runs as a process of its own.

``GET health requests applied customers payments stats count``, ``POST faults reset expire-tokens
apply-late``, ``DELETE faults``. ``since=N`` leaves out the first N. Card data is masked unless
``full=1``. None of these requests is logged or counted.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.fake_iamport.call import Call
from tests.fake_iamport.exchange import Reply
from tests.fake_iamport.faults import Fault

if TYPE_CHECKING:
    from tests.fake_iamport.fake import FakeIamport

PREFIX = "/_fake/"
_HIDDEN = ("expiry", "birth", "pwd_2digit", "cvc", "imp_secret", "authorization", "x-imptokenheader")
_SHOWS_ENDS = 14


def mask(number: str) -> str:
    """First six and last four digits; nothing of what is too short for that."""
    if len(number) < _SHOWS_ENDS:
        return "*" * len(number)
    return number[:6] + "*" * (len(number) - 10) + number[-4:]


class Control:
    """Answers the requests under /_fake/."""

    def __init__(self, fake: "FakeIamport") -> None:
        self._fake = fake

    def serve(self, call: Call) -> Reply:
        """Answer one request."""
        name = call.path.removeprefix(PREFIX)
        try:
            found = self._read(name, call) if call.method == "GET" else self._change(name, call)
        except (KeyError, TypeError, ValueError) as error:
            return _reply({"error": repr(error)}, 400)
        return _reply(found if call.asks("full") else _masked(found))

    def _read(self, name: str, call: Call) -> dict[str, Any]:
        fake, since = self._fake, int(call.query.get("since", ["0"])[0])
        readings: dict[str, Callable[[], dict[str, Any]]] = {
            "health": lambda: {"status": "ok"},
            "requests": lambda: {"requests": [asdict(r) for r in fake.requests_since(since)]},
            "applied": lambda: {"applied": [asdict(a) for a in fake.applied_since(since)]},
            "customers": lambda: {"customers": _full(fake.customers)},
            "payments": lambda: {"payments": _full(fake.payments)},
            "stats": lambda: fake.stats,
            "count": lambda: {"count": fake.count(call.query["method"][0], call.query["path"][0])},
        }
        return readings[name]()

    def _change(self, name: str, call: Call) -> dict[str, Any]:
        fake = self._fake
        changes: dict[str, Callable[[], None]] = {
            "POST faults": lambda: self._add_faults(call.items),
            "DELETE faults": fake.clear_faults,
            "POST reset": fake.reset,
            "POST expire-tokens": fake.expire_tokens,
            "POST apply-late": fake.apply_late,
        }
        changes[f"{call.method} {name}"]()
        return {"status": "ok"}

    def _add_faults(self, described: list[Any]) -> None:
        """Add all of them, or none when one is malformed."""
        for fault in [Fault.from_json(members) for members in described]:
            self._fake.add_fault(fault)


def _full(kept: dict[str, Any]) -> dict[str, Any]:
    """Annotations with the whole card number, as the judge needs it."""
    return {uid: one.annotate() | {"card_number": one.card_number} for uid, one in kept.items()}


def _masked(value: Any, name: str = "") -> Any:
    """The same with card data hidden, wherever it stands."""
    if isinstance(value, dict):
        return {key: _masked(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [_masked(member) for member in value]
    if name == "card_number" and value is not None:
        return mask("".join(c for c in str(value) if c.isalnum()))
    return "**" if name.lower() in _HIDDEN and value else value


def _reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value, ensure_ascii=False).encode())
