"""One trace from the merchant's process through a real worker to i'mport, and nothing in it but our own words."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from producer import Card
from producer.contract import redis_keys
from producer.contract.identifiers import Operation
from producer.sealing import SealingKeys
from producer.web.api_key import add_api_key
from tests.collector import Collector, Span
from tests.fake_iamport import CARDS, Fault
from tests.ports import dead_port, free_port
from tests.servers import answers, run_python, wait_until
from tests.stack import Stack

PATIENCE_S = 240
ISSUES = "POST /subscribe/customers/"
ISSUING, LOGGING_IN = "POST /subscribe/customers/{customer_uid}", "POST /users/getToken"
ALLOWED = {
    *(f"billing.{name}" for name in ("job_id", "operation", "queue", "attempt", "status", "code", "reason")),
    *("http.request.method", "url.template", "http.response.status_code", "error.type"),
}
OF_TRACING = ("producer.runtime.otel", "opentelemetry.exporter", "opentelemetry.sdk.trace", "google")
# A merchant that traces its own requests, by a provider of its own, which has no exporter: ours goes into it.
PROVIDER = """
import sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
from producer import BillingQueue, Card
"""
SHOP = f"""{PROVIDER}
with trace.get_tracer("shop").start_as_current_span("POST /checkout"), BillingQueue.from_env() as queue:
    print(queue.issue(customer_uid="gildong_0001", card=Card.from_json(sys.stdin.buffer.read())).job_id)
"""

PAGE = f"""{PROVIDER}
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from producer.web import card_app
routes = [Mount("/subscription", card_app(BillingQueue.from_env()))]
browser = TestClient(Starlette(routes=routes), raise_server_exceptions=False)
with trace.get_tracer("shop").start_as_current_span("GET /"):
    assert browser.get("/subscription/card", params={{"ticket": "sesame"}}).status_code == 200
    assert browser.post("/subscription/issue-billing", content=b"sesame").status_code >= 400
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as one:
        yield one


def traced_worker(stack: Stack, collector: Collector) -> None:
    stack.worker(processes=1, concurrency=8, **collector.environ)


def enqueued(stack: Stack, environ: dict[str, str], uid: str = "gildong_0001", card: str = "visa") -> str:
    """The id of a job that a producer's process took, which has ended."""
    done = run_python(
        *("-m", "producer", "issue", "--customer-uid", uid),
        given=json.dumps(CARDS[card].fields()),
        environ={**stack.producer_env, **environ},
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["job_id"])


def is_told(collector: Collector, job_id: str, status: str) -> bool:
    return any(one.facts.get("billing.status") == status for one in collector.of(job_id))


def shapes(spans: list[Span]) -> list[tuple[str, str, str, str]]:
    """Service, kind and name of spans, and the name of their parents."""
    names = {one.id: one.name for one in spans}
    return [(one.service, one.kind, one.name, names.get(one.parent, one.parent)) for one in spans]


def facts(span: Span) -> dict[str, Any]:
    return {name.rpartition(".")[2]: value for name, value in span.facts.items()}


def test_a_job_is_one_trace_from_a_producers_process_through_a_worker_to_imports_routes(
    stack: Stack, collector: Collector
) -> None:
    traced_worker(stack, collector)

    job_id = enqueued(stack, collector.environ)
    wait_until(lambda: is_told(collector, job_id, "issued"), PATIENCE_S, "the end of a trace")

    spans = collector.of(job_id)
    assert set(collector.paths) == {"/v1/traces"}
    assert shapes(spans)[:2] == [
        ("billing-producer", "PRODUCER", "enqueue", ""),
        ("billing-worker", "CONSUMER", "deliver", "enqueue"),
    ]
    calls = {("billing-worker", "CLIENT", name, "deliver") for name in (LOGGING_IN, ISSUING)}
    assert calls <= set(shapes(spans)[2:])
    assert spans[0].steps == ["accepted"]
    enqueue, deliver, *_, issue = spans
    known = {"job_id": job_id, "operation": "issue", "queue": "interactive"}
    assert facts(enqueue) == known
    assert facts(deliver) == {**known, "attempt": 1, "status": "issued", "code": "none"}
    assert facts(issue) == {"method": "POST", "template": "/subscribe/customers/{customer_uid}", "status_code": 200}
    assert not any(one.is_failed for one in spans)


def test_a_merchants_own_span_and_provider_are_where_a_trace_begins(stack: Stack, collector: Collector) -> None:
    traced_worker(stack, collector)

    card = json.dumps(CARDS["visa"].fields())
    done = run_python("-c", SHOP, given=card, environ={**stack.producer_env, **collector.environ})
    assert done.returncode == 0, done.stderr
    job_id = done.stdout.strip()
    wait_until(lambda: is_told(collector, job_id, "issued"), PATIENCE_S, "the end of a trace")

    assert shapes(collector.of(job_id))[:3] == [
        ("shop", "INTERNAL", "POST /checkout", ""),
        ("shop", "PRODUCER", "enqueue", "POST /checkout"),
        ("billing-worker", "CONSUMER", "deliver", "enqueue"),
    ]


def test_another_backends_trace_goes_on_through_the_endpoint(stack: Stack, collector: Collector) -> None:
    theirs, port, now = "0af7651916cd43dd8448eb211c80319c", free_port(), int(time.time())
    api_key = add_api_key(stack.folder / "api_keys.json", "node", ["issue"])
    environ = {**stack.producer_env, **collector.environ, "API_KEYS_FILE": str(stack.folder / "api_keys.json")}
    keys = SealingKeys.load(Path(stack.producer_env["SEALING_KEYS_FILE"]))
    bound: dict[str, Any] = {"purpose": Operation.ISSUE, "customer_uid": "gildong", "merchant_uid": None}
    envelope = keys.seal(Card(**CARDS["visa"].fields()), **bound, iat=now, exp=now + 600)

    with stack.running("serve", ["-m", "producer", "serve", f"--port={port}"], **environ):
        wait_until(lambda: answers(port), PATIENCE_S, "the endpoint")
        answer = httpx.post(
            f"http://127.0.0.1:{port}/subscription/issue-billing",
            json={"customer_uid": "gildong", "envelope": envelope},
            headers={"Authorization": f"Bearer {api_key}", "traceparent": f"00-{theirs}-b7ad6b7169203331-01"},
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 202
        wait_until(lambda: collector.spans, PATIENCE_S, "a span")

    (enqueue,) = collector.spans
    assert (enqueue.name, enqueue.trace, enqueue.parent) == ("enqueue", theirs, "b7ad6b7169203331")


def test_the_card_page_in_a_traced_app_puts_no_address_of_its_own_on_spans(stack: Stack, collector: Collector) -> None:
    environ = {**stack.producer_env, **collector.environ, "LIMITS_URL": stack.queue.url(1, "limits")}

    done = run_python("-c", PAGE, environ=environ)

    assert done.returncode == 0, done.stderr
    assert [one.name for one in collector.spans] == ["GET /"]
    assert b"sesame" not in b"".join(collector.bodies)


def test_a_late_retry_is_a_span_of_its_own_in_the_same_trace(stack: Stack, collector: Collector) -> None:
    stack.fake.add_fault(Fault("rate_limit", ISSUES, times=1, retry_after_s=2))
    traced_worker(stack, collector)

    job_id = enqueued(stack, collector.environ)
    wait_until(lambda: is_told(collector, job_id, "issued"), PATIENCE_S, "the end of a trace")

    spans = collector.of(job_id)
    deliveries = [one for one in spans if one.name == "deliver" and "billing.attempt" in one.facts]
    assert {one.trace for one in spans} == {spans[0].trace}
    assert {one.parent for one in deliveries} == {spans[0].id}
    assert [(facts(one).get("attempt"), facts(one).get("reason")) for one in deliveries] == [
        (1, "throttled"),
        (2, None),
    ]
    refused, issued = (one for one in spans if one.name == ISSUING)
    assert (refused.parent, issued.parent) == (deliveries[0].id, deliveries[1].id)
    assert [(facts(one)["status_code"], one.is_failed) for one in (refused, issued)] == [(429, True), (200, False)]


def test_spans_hold_our_own_words_only(stack: Stack, collector: Collector) -> None:
    stack.fake.add_fault(Fault("lost_answer", ISSUES, times=1))
    traced_worker(stack, collector)
    uids = {"doubtful_0001": "visa", "declined_0001": "bad_number", "gildong_0001": "mastercard"}
    jobs = [enqueued(stack, collector.environ, uid, card) for uid, card in uids.items()]
    for job_id, status in zip(jobs, ("issued", "declined", "issued"), strict=True):
        wait_until(lambda told=(job_id, status): is_told(collector, *told), PATIENCE_S, status)  # type: ignore[misc]

    spans = collector.spans
    exported = b"".join(collector.bodies)
    assert {name for one in spans for name in one.facts} <= ALLOWED
    assert {one.words for one in spans} == {""}
    assert {step for one in spans for step in one.steps} == {"accepted"}
    assert {one.name for one in spans} == {
        *("enqueue", "deliver", LOGGING_IN, ISSUING, "GET /subscribe/customers/{customer_uid}")
    }
    for uid, card in uids.items():
        assert uid.encode() not in exported
        assert CARDS[card].card_number[-8:].encode() not in exported
    for secret in (stack.fake.imp_key, stack.fake.imp_secret, stack.fake.url, os.environ["PATH"], "Traceback"):
        assert secret.encode() not in exported


def test_what_a_producer_leaves_names_the_trace_and_what_it_signs_does_not(stack: Stack, collector: Collector) -> None:
    job_id = enqueued(stack, collector.environ)

    asked = json.loads(stack.ledger.get(redis_keys.REQUEST + job_id))
    (enqueue,) = collector.spans
    assert asked["traceparent"] == f"00-{enqueue.trace}-{enqueue.id}-01"
    signed = stack.vault.client().get(redis_keys.SEALED + job_id)
    message = b"".join(stack.queue.client(0).lrange("interactive", 0, -1))
    assert not [place for place in (signed, message) if enqueue.trace.encode() in place or b"traceparent" in place]


def test_without_the_variable_nothing_is_exported_imported_or_written(stack: Stack, collector: Collector) -> None:
    program = (
        "import sys, worker.tasks; from producer import BillingQueue, Card\n"
        "card = Card.from_json(sys.stdin.buffer.read())\n"
        "BillingQueue.from_env().issue(customer_uid='gildong', card=card)\n"
        f"print([name for name in sys.modules if name.startswith({OF_TRACING})])"  # redis-py imports the SDK's metrics
    )

    done = run_python(
        *("-c", program),
        given=json.dumps(CARDS["visa"].fields()),
        environ={**stack.worker_env, **stack.producer_env, **dict.fromkeys(collector.environ, "")},
    )

    (key,) = stack.ledger.keys(f"{redis_keys.REQUEST}*")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert "traceparent" not in json.loads(stack.ledger.get(key))


def test_a_collector_that_is_away_or_an_extra_that_is_not_there_stop_no_job(stack: Stack) -> None:
    dead = f"http://127.0.0.1:{dead_port()}"
    hidden = stack.folder / "hidden" / "opentelemetry"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError(name='opentelemetry')")
    path = os.pathsep.join([str(hidden.parent), *sys.path])
    worker = stack.worker(OTEL_EXPORTER_OTLP_ENDPOINT=dead, PYTHONPATH=path)

    with stack.billing_queue() as queue:
        job_id = enqueued(stack, {"OTEL_EXPORTER_OTLP_ENDPOINT": dead, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"})
        outcome = queue.wait(job_id, PATIENCE_S)

    assert outcome.status == "issued"
    line = 'OTEL_EXPORTER_OTLP_ENDPOINT: nothing is traced: that needs the extra \\"otel\\"'
    wait_until(lambda: line in worker.log.read_text(), PATIENCE_S, "a line of the log")
