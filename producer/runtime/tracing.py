"""Tracing: a few spans of our own where ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set; else nothing is imported, made or sent.

What a span may be told is in :mod:`.span`; what knows OpenTelemetry is :mod:`.otel`, which is loaded only then. The
context of a job's trace lies in its record, as ``traceparent``: neither in the signed request nor in the message.
"""

import contextlib
import logging
import os
import threading
from functools import cache
from typing import TYPE_CHECKING

from .span import UNRECORDED, Span, at_hand

if TYPE_CHECKING:
    from .otel import Spans

SWITCH = "OTEL_EXPORTER_OTLP_ENDPOINT"
PRODUCER, WORKER = "billing-producer", "billing-worker"  # the services, unless OTEL_SERVICE_NAME names them

log = logging.getLogger(__name__)
_making = threading.Lock()


def enqueuing(job_id: str, operation: str, queue: str) -> Span:
    """A span of a job's way onto its queue, within the caller's own if there is one."""
    spans = _spans(PRODUCER)
    return UNRECORDED if spans is None else spans.enqueuing(job_id, operation, queue)


def delivering(job_id: str, queue: str) -> Span:
    """A span of a delivery, :func:`delivery` for this thread within its block; none if it does not get its job."""
    spans = _spans(WORKER)
    return UNRECORDED if spans is None else spans.delivering(job_id, queue)


def delivery() -> Span:
    """The span of the delivery that this thread is at."""
    return at_hand.get()


def within(traceparent: str | None) -> contextlib.AbstractContextManager[None]:
    """Let what is enqueued in a block belong to a trace that a caller named, unless this process is in one already.

    Args:
        traceparent: as W3C Trace Context writes it; what has another form names none.
    """
    spans = _spans(PRODUCER)
    return contextlib.nullcontext() if spans is None else spans.within(traceparent or "")


@cache
def _spans(service: str) -> "Spans | None":
    if not os.environ.get(SWITCH):
        return None
    with _making:
        return _made(service)


@cache  # and within a lock: threads that come first together share one exporter
def _made(service: str) -> "Spans | None":
    try:
        from .otel import Spans  # noqa: PLC0415 — whoever traces nothing need not have it

        return Spans(service)
    except ImportError:
        log.warning('%s: nothing is traced: that needs the extra "otel"', SWITCH)
    except Exception as error:  # noqa: BLE001 — whatever a variable of OpenTelemetry's may hold: the job is what counts
        log.warning("%s: nothing is traced: %s", SWITCH, type(error).__name__)
    return None
