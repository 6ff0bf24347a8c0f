import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from kombu import Connection, Consumer, Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

from producer.contract.identifiers import job_id_of
from producer.contract.job import INTERACTIVE
from producer.runtime.celery_transport import transport
from tests.chaos.rubbish import message
from tests.servers import RedisServer
from worker.message_filter import FRONT, QoS, Transport, canonical, install, problem_of

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


class Taken:
    """A consumer with five places, and what it took."""

    def __init__(self, url: str) -> None:
        options = transport(url)["broker_transport_options"]
        self.connection = Connection(url, transport=Transport, transport_options=options)
        self.messages: list[Any] = []

    def take(self, count: int) -> list[str]:
        """Take until there are so many, and then what can be had at once; the ids of all that was taken so far."""
        while len(self.messages) < count:
            self.connection.drain_events(timeout=60)
        with contextlib.suppress(TimeoutError):
            self.connection.drain_events(timeout=0.3)
        return [one.headers["id"] for one in self.messages]

    def __enter__(self) -> Self:
        channel = self.connection.channel()
        channel.basic_qos(0, 5, False)
        consumer = Consumer(
            channel, [Queue(INTERACTIVE, Exchange(INTERACTIVE), INTERACTIVE)], on_message=self.messages.append
        )
        consumer.consume()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as one:
        yield one


@pytest.fixture
def taken(server: RedisServer) -> Iterator[Taken]:
    with Taken(server.url()) as one:
        yield one


def put(server: RedisServer, *messages: object) -> None:
    for one in messages:
        server.client().lpush(INTERACTIVE, one if isinstance(one, str) else json.dumps(one))


def ids(count: int) -> list[str]:
    return [job_id_of(f"k-{number}") for number in range(count)]


def test_a_process_takes_as_many_messages_as_it_has_places_and_notes_nothing_in_redis(
    server: RedisServer, taken: Taken
) -> None:
    put(server, *(message(one) for one in ids(8)))

    assert taken.take(5) == ids(5)
    assert server.client().llen(INTERACTIVE) == 3
    assert [key for key in server.client().scan_iter() if b"unacked" in key] == []


def test_a_place_is_free_once_its_message_is_acknowledged(server: RedisServer, taken: Taken) -> None:
    put(server, *(message(one) for one in ids(8)))
    taken.take(5)

    for one in taken.messages[:2]:
        one.ack()

    assert taken.take(7) == ids(7)


def test_garbage_among_what_is_taken_at_once_costs_nothing_but_itself(server: RedisServer, taken: Taken) -> None:
    good = ids(3)
    put(server, message(good[0]), "{", message(good[1]), {"task": "no"}, "\xff", message(good[2]))

    assert taken.take(3) == good
    assert server.client().llen(INTERACTIVE) == 0


def test_what_is_held_goes_back_in_its_order_when_the_connection_closes(server: RedisServer, taken: Taken) -> None:
    put(server, *(message(one) for one in ids(7)))
    taken.take(5)
    taken.messages[0].ack()

    taken.connection.close()

    with Taken(server.url()) as next_one:
        assert next_one.take(5) == ids(7)[1:6]


def test_what_is_put_to_the_front_is_taken_before_what_lies_there(server: RedisServer, taken: Taken) -> None:
    first, second, last = ids(3)
    put(server, message(second))
    with Connection(server.url(), transport=Transport) as connection:
        for job_id, priority in ((last, 0), (first, FRONT)):
            connection.Producer().publish(
                [[job_id], {}, {}],
                serializer="json",
                headers=message(job_id)["headers"],
                routing_key=INTERACTIVE,
                priority=priority,
            )

    assert taken.take(3) == [first, second, last]


def test_what_is_held_is_left_to_the_ledger_when_the_queue_is_away(server: RedisServer, taken: Taken) -> None:
    put(server, message(ids(1)[0]))
    taken.take(1)
    server.kill()

    taken.connection.close()


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
