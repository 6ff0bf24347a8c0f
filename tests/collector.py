"""A collector of OpenTelemetry's: takes what is exported over OTLP/HTTP on loopback, and shows it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanOnTheWire
from opentelemetry.proto.trace.v1.trace_pb2 import Status

BATCHES_MS = {"OTEL_BSP_SCHEDULE_DELAY": "100"}  # instead of 5 s


class Span(NamedTuple):
    """A span, and whose it is."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    facts: dict[str, Any]
    steps: list[str]
    is_failed: bool
    took_ns: tuple[int, int]
    words: str  # all texts beside those: of its status, its events' facts, its links


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of processes that are killed."""


class Collector:
    """Takes spans until its block ends.

    Attributes:
        bodies: as they came.
        paths: where to.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environ(self) -> dict[str, str]:
        """What has a process export to here, soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, **BATCHES_MS}

    @property
    def spans(self) -> list[Span]:
        """All that came, in order of their beginning."""
        found = []
        for body in list(self.bodies):
            for process in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = {one.key: one.value.string_value for one in process.resource.attributes}
                found += [_span(about["service.name"], one) for scope in process.scope_spans for one in scope.spans]
        return sorted(found, key=lambda one: one.took_ns)

    def of(self, job_id: str) -> list[Span]:
        """The spans of the trace that a job's acceptance is in."""
        spans = self.spans
        traces = {one.trace for one in spans if one.facts.get("billing.job_id") == job_id}
        return [one for one in spans if one.trace in traces]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                collector.paths.append(self.path)
                collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — as the base class
                """Say nothing."""

        return Handler

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _span(service: str, one: SpanOnTheWire) -> Span:
    words = [one.status.message, *map(str, one.links), *(str(fact) for step in one.events for fact in step.attributes)]
    facts = {fact.key: getattr(fact.value, str(fact.value.WhichOneof("value"))) for fact in one.attributes}
    return Span(
        service,
        one.name,
        SpanOnTheWire.SpanKind.Name(one.kind).removeprefix("SPAN_KIND_"),
        one.trace_id.hex(),
        one.span_id.hex(),
        one.parent_span_id.hex(),
        facts,
        [event.name for event in one.events],
        one.status.code == Status.STATUS_CODE_ERROR,
        (one.start_time_unix_nano, one.end_time_unix_nano),
        "".join(words),
    )
