"""What a span shows of where it belongs, and what OpenTelemetry's own variables change."""

import os
from collections.abc import Iterator

import pytest

from producer.runtime import tracing
from producer.runtime.otel import Recorded, Spans
from tests.collector import Collector
from tests.ports import dead_port
from tests.servers import environment, run_python, wait_until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
JOB_ID = "00000000-0000-8000-8000-000000000001"
ENQUEUE = f"""
from producer.runtime import tracing
with tracing.enqueuing("{JOB_ID}", "issue", "interactive") as span:
    print(span.traceparent)
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as one:
        yield one


@pytest.fixture
def spans(collector: Collector) -> Iterator[Spans]:
    with environment(collector.environ):
        yield Spans(tracing.WORKER)


def delivered(spans: Spans, traceparent: str) -> None:
    with spans.delivering(JOB_ID, "interactive") as span:
        span.begin(traceparent, "issue")


def test_a_delivery_belongs_to_the_span_that_its_record_names(spans: Spans, collector: Collector) -> None:
    delivered(spans, f"00-{TRACE}-{SPAN}-01")
    wait_until(lambda: collector.spans, what="a span")

    (one,) = collector.spans
    assert (one.trace, one.parent) == (TRACE, SPAN)


@pytest.mark.parametrize("traceparent", ["", "sesame", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01"])
def test_a_delivery_of_a_job_without_a_trace_begins_one(spans: Spans, collector: Collector, traceparent: str) -> None:
    delivered(spans, traceparent)
    wait_until(lambda: collector.spans, what="a span")

    (one,) = collector.spans
    assert one.parent == ""
    assert one.trace != TRACE


def test_what_its_producer_did_not_sample_is_not_exported(spans: Spans, collector: Collector) -> None:
    delivered(spans, f"00-{TRACE}-{SPAN}-00")
    delivered(spans, f"00-{TRACE}-{SPAN}-01")
    wait_until(lambda: collector.spans, what="a span")

    assert len(collector.spans) == 1


def test_a_delivery_without_a_job_is_no_span_and_neither_are_calls_outside_of_one(
    spans: Spans, collector: Collector
) -> None:
    with spans.delivering(JOB_ID, "interactive") as nothing, nothing.calling("GET", "/"):
        assert tracing.delivery() is nothing
        nothing.tell(reason="order")
    with tracing.delivery().calling("GET", "/") as outside:
        assert not isinstance(outside, Recorded)
    delivered(spans, "")
    wait_until(lambda: collector.spans, what="a span")

    assert [one.name for one in collector.spans] == ["deliver"]


def test_of_an_error_a_span_has_the_class_and_no_word(spans: Spans, collector: Collector) -> None:
    def fail() -> None:
        with spans.delivering(JOB_ID, "interactive") as span:
            span.begin("", "issue")
            raise ValueError("sesame")

    with pytest.raises(ValueError, match="sesame"):
        fail()
    wait_until(lambda: collector.spans, what="a span")

    (one,) = collector.spans
    assert (one.is_failed, one.facts["error.type"], one.words) == (True, "ValueError", "")
    assert b"sesame" not in b"".join(collector.bodies)


def test_what_has_no_name_cannot_be_told(spans: Spans) -> None:
    with spans.enqueuing(JOB_ID, "issue", "interactive") as span, pytest.raises(KeyError):
        span.tell(customer_uid="gildong_0001")


def test_a_callers_trace_goes_on_unless_there_is_one_already(spans: Spans) -> None:
    with spans.within(f"00-{TRACE}-{SPAN}-01"), spans.within(f"00-{TRACE[::-1]}-{SPAN}-01"):
        inner = spans.enqueuing(JOB_ID, "issue", "interactive").traceparent
    with spans.within("sesame"):
        outer = spans.enqueuing(JOB_ID, "issue", "interactive").traceparent

    assert inner.startswith(f"00-{TRACE}-")
    assert not outer.startswith(f"00-{TRACE}-")


def test_the_environment_names_the_service(collector: Collector) -> None:
    run_python("-c", ENQUEUE, environ={**collector.environ, "OTEL_SERVICE_NAME": "checkout"})
    run_python("-c", ENQUEUE, environ=collector.environ)

    assert [one.service for one in collector.spans] == ["checkout", tracing.PRODUCER]


def test_opentelemetry_that_is_switched_off_leaves_no_context(collector: Collector) -> None:
    done = run_python("-c", ENQUEUE, environ={**collector.environ, "OTEL_SDK_DISABLED": "true"})

    assert (done.returncode, done.stdout) == (0, "\n")
    assert collector.bodies == []


def test_a_variable_that_opentelemetry_cannot_use_costs_the_trace_and_no_job(collector: Collector) -> None:
    done = run_python("-c", ENQUEUE, environ={**collector.environ, "OTEL_BSP_MAX_QUEUE_SIZE": "-1"})

    assert (done.returncode, done.stdout) == (0, "\n")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT: nothing is traced: ValueError" in done.stderr


def test_a_process_ends_although_the_collector_is_away() -> None:
    dead = f"http://127.0.0.1:{dead_port()}"

    done = run_python("-c", ENQUEUE, environ={"OTEL_EXPORTER_OTLP_ENDPOINT": dead, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"})

    assert done.returncode == 0
    assert os.environ["PATH"] not in done.stderr
