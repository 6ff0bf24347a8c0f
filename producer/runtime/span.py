"""A span of ours: what it may be told, and the one that nobody records.

Must never be given an argument of a call, a URL or an error's text: only words and numbers, each by a name of
``NAMES``, and of an error its class.
"""

from contextvars import ContextVar
from typing import Self

NAMES = {
    **{name: f"billing.{name}" for name in ("job_id", "operation", "queue", "attempt", "status", "code", "reason")},
    "method": "http.request.method",  # this and those below: OpenTelemetry's semantic conventions
    "route": "url.template",
    "http_status": "http.response.status_code",
    "error": "error.type",
}


class Span:
    """Whatever a span can do; this one does nothing."""

    traceparent = ""

    def tell(self, *, is_failed: bool = False, **facts: str | int | None) -> None:
        """Note what is known by now.

        Args:
            is_failed: True if it came to no good.
            facts: by the names of ``NAMES``; None is left out.
        """

    def reach(self, step: str) -> None:
        """Note that a step was done just now."""

    def begin(self, traceparent: str, operation: str) -> None:
        """A delivery got its job, and belongs to the trace in which that was accepted."""

    def calling(self, method: str, route: str) -> "Span":  # noqa: ARG002 — of those that are recorded
        """A span for a call to i'mport within this one, by the template of its URL."""
        return UNRECORDED

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        return


UNRECORDED = Span()
at_hand: ContextVar[Span] = ContextVar("billing_delivery", default=UNRECORDED)
