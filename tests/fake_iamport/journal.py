"""What the fake remembers of what it was asked and of what it did: the judge's log."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from tests.fake_iamport.call import Call


@dataclass
class Request:
    """A request in order of arrival; ``status`` and ``code`` stay None while unanswered.

    ``path`` is as it was sent. ``code`` is None too for answers that are not i'mport's JSON.
    """

    at: float
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str] = field(repr=False)
    body: dict[str, Any] = field(repr=False)
    status: int | None = None
    code: int | None = None
    request_id: int = -1


@dataclass(frozen=True)
class Applied:
    """One thing that was done: a key stored or a payment charged.

    ``late`` means that the sender had been cut off before. ``request_id`` is the place of the
    request in the log of requests.
    """

    at: float
    kind: Literal["issue", "payment"]
    customer_uid: str | None
    merchant_uid: str | None
    card_number: str
    amount: int | float | None
    request_id: int
    late: bool


def path_fits(pattern: str, path: str) -> bool:
    """Whether a path is the pattern, or begins with one that ends in a slash.

    The path may be percent-encoded; the pattern need not be.
    """
    paths = (path, unquote(path)) if "%" in path else (path,)
    if pattern.endswith("/"):
        return any(p.startswith(pattern) for p in paths)
    return pattern in paths


class Journal:
    """The logs, in order, safe to read while the fake serves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._requests: list[Request] = []
            self._applied: list[Applied] = []
            self._by_route: Counter[str] = Counter()
            self._by_answer: Counter[str] = Counter()

    def arrive(self, call: Call, at: float) -> Request:
        """Note a request at its arrival; its id is its place."""
        entry = Request(at, call.method, call.path, call.query, call.headers, call.body)
        with self._lock:
            entry.request_id = len(self._requests)
            self._requests.append(entry)
            self._by_route[f"{call.method} {call.template}"] += 1
        return entry

    def answered(self, entry: Request, status: int | None, code: int | None) -> None:
        """Note the answer before it is sent, so that a client that has it finds it here."""
        with self._lock:
            entry.status, entry.code = status, code
            self._by_answer["no answer" if status is None else f"{status}/{code}"] += 1

    def apply(self, applied: Applied) -> None:
        """Note that something was done."""
        with self._lock:
            self._applied.append(applied)

    def requests(self, since: int = 0) -> list[Request]:
        """The requests from the given place on."""
        with self._lock:
            return self._requests[since:]

    def applied(self, since: int = 0) -> list[Applied]:
        """What was done, from the given place on."""
        with self._lock:
            return self._applied[since:]

    def count(self, method: str, path: str) -> int:
        """How many requests had this method and path (a prefix when it ends in a slash)."""
        return sum(r.method == method and path_fits(path, r.path) for r in self.requests())

    def stats(self) -> dict[str, Any]:
        """Counts by route and by ``status/code``."""
        with self._lock:
            return {
                "requests": len(self._requests),
                "applied": len(self._applied),
                "by_route": dict(self._by_route),
                "by_answer": dict(self._by_answer),
            }
