import json
from typing import Any

import pytest
from kombu.transport import TRANSPORT_ALIASES
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.contract.identifiers import job_id_of
from tests.chaos.rubbish import message
from worker.message_filter import QoS, Transport, canonical, install, problem_of

GOOD = message(job_id_of("k"))


def changed(part: str, **members: Any) -> dict[str, Any]:
    return {**GOOD, part: {**GOOD[part], **members}}


OPTIONS: tuple[dict[str, Any], ...] = (
    *({"timelimit": ["x", {}]}, {"eta": "2026-01-01"}, {"retries": "many"}, {"callbacks": [{"task": "x"}]}),
)


def test_a_producers_message_passes() -> None:
    assert problem_of(json.loads(json.dumps(GOOD))) is None


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        *((given, "shape") for given in (None, [1, 2], {}, {**GOOD, "headers": []})),
        ({**GOOD, "content-type": "application/x-python-serialize"}, "encoding"),
        ({**GOOD, "content-encoding": "latin-1"}, "encoding"),
        (changed("properties", delivery_tag=None), "properties"),
        (changed("properties", delivery_info=None), "properties"),
        (changed("headers", task="no.such"), "task"),
        (changed("headers", id="4242424242424242"), "id"),
        *((changed("headers", **option), "options") for option in OPTIONS),
        (changed("properties", body_encoding="none"), "body"),
        *(({**GOOD, "body": body}, "body") for body in ("%%%", "e30=", "A" * 20_000)),
        ({**GOOD, "body": message(job_id_of("another"))["body"]}, "body"),
    ],
)
def test_what_no_producer_sends_is_named_by_its_part(given: object, problem: str) -> None:
    assert problem_of(given) == problem


def test_a_worker_reads_redis_through_the_intake() -> None:
    install()

    assert TRANSPORT_ALIASES["redis"] == TRANSPORT_ALIASES["rediss"] == "worker.message_filter:Transport"
    assert Transport.Channel.QoS is QoS


def test_an_acknowledgement_that_fails_frees_its_place() -> None:
    class Connection:
        connection_errors = (RedisConnectionError,)

    class Channel:
        connection = Connection()
        do_restore = False

        def conn_or_acquire(self, client: object = None) -> object:
            raise RedisConnectionError

    qos = QoS(Channel(), prefetch_count=1)
    qos._delivered["tag"] = "message"  # noqa: SLF001 — as kombu does at receipt

    qos.ack("tag")

    assert qos.can_consume()


@pytest.mark.parametrize(
    "members",
    [
        {"stamped_headers": 5},
        {"stamped_headers": ["x"], "stamps": 3},
        {"compression": "zlib"},
        {"get": 1, "request": 2},
        {"billing_queue": "elsewhere"},
        {"origin": "\ud800"},
        {"reply_to": "somebody", "replaced_task_nesting": "x", "shadow": "sesame"},
    ],
)
def test_what_a_message_says_besides_its_job_id_does_not_reach_celery(members: dict[str, Any]) -> None:
    passed = canonical(changed("headers", **members), "interactive")

    tags = {
        passed["properties"].pop("delivery_tag"),
        (good := canonical(GOOD, "interactive"))["properties"].pop("delivery_tag"),
    }
    assert passed == good
    assert len(tags) == 2
    assert passed["headers"]["billing_queue"] == "interactive"


def test_the_queue_that_a_job_was_accepted_for_is_kept() -> None:
    passed = canonical(changed("headers", billing_queue="migration"), "recovery")

    assert passed["headers"]["billing_queue"] == "migration"
    assert passed["properties"]["delivery_info"] == {"exchange": "recovery", "routing_key": "recovery"}


def test_a_delivery_tag_that_is_no_text_reaches_nobody() -> None:
    passed = canonical(changed("properties", delivery_tag="\ud800"), "interactive")

    assert passed["properties"]["delivery_tag"].isalnum()
