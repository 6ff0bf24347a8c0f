"""Spans, as OpenTelemetry has them; loaded by :mod:`.tracing` only where something is traced.

No library is instrumented, and nothing is made the process's own: where a merchant's process has set a provider, that
is used, else one of ours, which sends to the collector from a thread of its own.

Source: W3C Trace Context.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from typing import Self

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from .span import NAMES, UNRECORDED, Span, at_hand

TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")

EXPORT_S = 3.0  # for a batch of 512 spans: a process that ends waits for its last ones. The exporter's own word is 10
TIMEOUTS = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")


class Recorded(Span):
    """A span that goes to the collector when its block ends."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:  # type: ignore[override] # read only
        """Its context as a text; empty where OpenTelemetry is switched off."""
        mine = self._span.get_span_context()
        if not mine.is_valid:
            return ""
        return f"00-{mine.trace_id:032x}-{mine.span_id:016x}-{mine.trace_flags & TraceFlags.SAMPLED:02x}"

    def tell(self, *, is_failed: bool = False, **facts: str | int | None) -> None:
        """As its base."""
        for name, value in facts.items():
            if value is not None:
                self._span.set_attribute(NAMES[name], value)
        if is_failed:
            self._span.set_status(StatusCode.ERROR)

    def reach(self, step: str) -> None:
        """As its base."""
        self._span.add_event(step)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.tell(is_failed=True, error=kind.__name__)
        self._span.end()


class _Delivery(Span):
    """A delivery, whose span begins once it is known to which trace it belongs."""

    def __init__(self, tracer: Tracer, job_id: str, queue: str) -> None:
        self._tracer, self._job_id, self._queue = tracer, job_id, queue
        self._began, self._recorded = time.time_ns(), UNRECORDED
        self._within = Context()

    def begin(self, traceparent: str, operation: str) -> None:
        span = self._tracer.start_span("deliver", _told(traceparent), SpanKind.CONSUMER, start_time=self._began)
        self._within = trace.set_span_in_context(span, Context())
        self._recorded = Recorded(span)
        self._recorded.tell(job_id=self._job_id, operation=operation, queue=self._queue)

    def tell(self, *, is_failed: bool = False, **facts: str | int | None) -> None:
        self._recorded.tell(is_failed=is_failed, **facts)

    def calling(self, method: str, route: str) -> Span:
        if self._recorded is UNRECORDED:
            return UNRECORDED
        call = Recorded(self._tracer.start_span(f"{method} {route}", self._within, SpanKind.CLIENT))
        call.tell(method=method, route=route)
        return call

    def __enter__(self) -> Self:
        self._before = at_hand.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        at_hand.reset(self._before)
        self._recorded.__exit__(kind, *rest)


class Spans:
    """Makes the spans of one service.

    Args:
        service: its name, unless the environment has another.
    """

    def __init__(self, service: str) -> None:
        provider = trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider):  # nobody has set one
            provider = _provider(service)
        self._tracer = provider.get_tracer(service)

    def enqueuing(self, job_id: str, operation: str, queue: str) -> Span:
        """As of :mod:`.tracing`."""
        span = Recorded(self._tracer.start_span("enqueue", kind=SpanKind.PRODUCER))
        span.tell(job_id=job_id, operation=operation, queue=queue)
        return span

    def delivering(self, job_id: str, queue: str) -> Span:
        """As of :mod:`.tracing`."""
        return _Delivery(self._tracer, job_id, queue)

    @staticmethod
    @contextlib.contextmanager
    def within(traceparent: str) -> Iterator[None]:
        """As of :mod:`.tracing`."""
        is_within_one = trace.get_current_span().get_span_context().is_valid
        token = context.attach(context.get_current() if is_within_one else _told(traceparent))
        try:
            yield
        finally:
            context.detach(token)


def _provider(service: str) -> trace.TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 — a merchant's own may be another
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 — as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 — as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 — as above

    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service}))
    provider = TracerProvider(resource=resource)
    timeout_s = None if any(map(os.environ.get, TIMEOUTS)) else EXPORT_S
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout_s)))
    return provider


def _told(traceparent: str) -> Context:
    """The context that a text names: an empty one, if it has another form."""
    told = TRACEPARENT.fullmatch(traceparent)
    if told is None:
        return Context()
    trace_id, span_id, flags = (int(part, 16) for part in told.groups())
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags & TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())
