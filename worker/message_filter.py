"""Intake: looks at every message before Celery does, and lets pass only what our producers send.

A stock worker ends at one message that is not JSON, and Celery logs what it cannot decode with its content. Here such a
message is dropped, counted and logged once without content. A message is a mere hint: it may be lost, or come twice.
On other brokers than Redis Celery's own handling and acknowledgements stay.
"""

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Sequence
from itertools import count
from queue import Empty
from typing import Any

import structlog
from celery.worker import consumer
from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

from producer.contract.job import QUEUES, TASK_NAME
from worker import metrics

JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ACCEPTED_FOR = "billing_queue"  # header of a message on the recovery queue: which queue its job was accepted for
NEVER_SET = ("eta", "expires", "group", "chord", "callbacks", "errbacks")
MESSAGE_LIMIT = 16_384
FRONT = 9  # the priority of a message that goes before those that lie in its queue

log = structlog.get_logger()
_tags = count(1)


def install() -> None:
    """Make this process read its Redis queues through here."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


def problem_of(message: object) -> str | None:
    """The first problem of a message as it came from the queue; None if it is one of ours."""
    if not isinstance(message, dict):
        return "shape"
    headers, properties = message.get("headers"), message.get("properties")
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        return "shape"
    if message.get("content-type") != "application/json" or message.get("content-encoding") != "utf-8":
        return "encoding"
    delivery = properties.get("delivery_info")
    if not isinstance(properties.get("delivery_tag"), str) or not isinstance(delivery, dict):
        return "properties"
    if headers.get("task") != TASK_NAME:
        return "task"
    return _problem_of_headers(headers) or _problem_of_body(message.get("body"), properties, headers["id"])


def _problem_of_headers(headers: dict[str, Any]) -> str | None:
    job_id = headers.get("id")
    if not isinstance(job_id, str) or not JOB_ID.fullmatch(job_id):
        return "id"
    if any(headers.get(name) for name in NEVER_SET) or headers.get("timelimit") not in (None, [None, None]):
        return "options"
    retries = headers.get("retries", 0)
    return None if isinstance(retries, int) and headers.get("lang", "py") == "py" else "options"


def _problem_of_body(body: object, properties: dict[str, Any], job_id: str) -> str | None:
    if properties.get("body_encoding") != "base64" or not isinstance(body, str) or len(body) > MESSAGE_LIMIT:
        return "body"
    try:
        arguments, named_arguments, embed = json.loads(base64.b64decode(body, validate=True))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        return "body"
    is_ours = (arguments, named_arguments) == ([job_id], {})
    return None if is_ours and isinstance(embed, dict) and not any(embed.values()) else "body"


def canonical(message: dict[str, Any], queue: str) -> dict[str, Any]:
    """A message that passed, with headers and properties of our own making: Celery acts on many, and dies of some."""
    job_id = message["headers"]["id"]
    accepted_for = message["headers"].get(ACCEPTED_FOR)
    headers = dict(
        dict.fromkeys(("parent_id", "group", "eta", "expires", "shadow")),
        lang="py",
        task=TASK_NAME,
        id=job_id,
        root_id=job_id,
        retries=0,
        timelimit=[None, None],
        argsrepr=repr((job_id,)),
        kwargsrepr="{}",
        origin="",
        ignore_result=True,
    )
    headers[ACCEPTED_FOR] = accepted_for if accepted_for in QUEUES else queue
    return {
        "body": message["body"],
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": {
            "correlation_id": job_id,
            "delivery_mode": 2,
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(next(_tags)),  # kombu's own name for it here; theirs need be neither unique nor text
            "delivery_info": {"exchange": queue, "routing_key": queue},
        },
    }


def _drop(problem: str) -> None:
    metrics.DROPPED.labels(problem).inc()
    log.warning("message dropped: not one of ours", problem=problem)


class QoS(virtual.QoS):
    """The places of a process, kept in its memory alone: the ledger, not the queue, knows what is done.

    Kombu's own notes each message in Redis when it is taken and deletes that when it is acknowledged, which is most of
    what a job costs in Celery (docs/measurements.md).
    """

    def restore_unacked(self) -> list[object]:
        """Give back what is held; nothing is left for kombu to write down anywhere."""
        self._flush()
        held = list(self._delivered.values())
        self._delivered.clear()
        self.channel.give_back(held)  # never empty: kombu asks only if something is held
        return []


class Channel(redis.Channel):
    """A channel that takes as many messages at once as there are places, and survives what is not JSON."""

    QoS = QoS

    def give_back(self, messages: Sequence[Any]) -> None:
        """Push messages back to where they were taken; a queue that is away does without, since the ledger knows."""
        try:
            with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
                for message in reversed(messages):
                    pipe.rpush(message.delivery_info["routing_key"], dumps(message.serializable()))
                pipe.execute()
        except (*self.connection_errors, *self.connection.channel_errors):
            log.info("messages left to the ledger", count=len(messages))

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:  # noqa: ANN401 — kombu's
        if self._get_message_priority(message) < FRONT:
            super()._put(queue, message, **options)
            return
        with self.conn_or_acquire() as client:
            client.rpush(queue, dumps(message))

    def close(self) -> None:
        """As kombu's; before its connections go, what is held is given back."""
        self._closing = True
        if self._in_poll:
            with contextlib.suppress(Empty):
                self._brpop_read()
        if not self.closed:
            self.qos.restore_unacked_once()
        super().close()

    def _restore(self, message: Any, leftmost: bool = False) -> None:  # noqa: ANN401, ARG002 — kombu's
        self.give_back([message])

    def _brpop_read(self, **options: Any) -> Any:  # noqa: ANN401 — kombu's
        self.connection.delivered_from = ""
        try:
            super()._brpop_read(**options)
        except (Empty, *self.connection_errors, *self.connection.channel_errors):
            raise
        except Exception:
            if self.connection.delivered_from:
                raise
            _drop("not_json")  # popped, and kombu could not read it: it is gone
        else:
            self._take_more(self.connection.delivered_from)
        return True

    def _take_more(self, queue: str) -> None:
        """Fill the free places from the same queue."""
        if self._closing or queue not in self.active_queues:
            return
        free = self.qos.can_consume_max_estimate()
        if free:
            for item in self.client.rpop(queue, free) or ():
                self._take(item, queue)

    def _take(self, item: bytes, queue: str) -> None:
        try:
            message = loads(bytes_to_str(item))
        except Exception:  # noqa: BLE001 — whatever kombu's decoder raises
            _drop("not_json")
            return
        self.connection._deliver(message, queue)  # noqa: SLF001 — kombu's own way


class Transport(redis.Transport):
    """Kombu's Redis transport behind the intake."""

    Channel = Channel
    delivered_from = ""

    def _deliver(self, message: Any, queue: str) -> None:  # noqa: ANN401 — whatever lay in the queue
        self.delivered_from = queue
        problem = problem_of(message)
        if problem is None:
            super()._deliver(canonical(message, queue), queue)
        else:
            _drop(problem)


class Consumer(consumer.Consumer):
    """Celery's consumer without the steps that talk to other workers, however the worker was started.

    Mingle and gossip ask and answer on the control exchange. Whoever may publish there may stop every worker that
    listens, also those of a merchant's own Celery on the same Redis, so the worker's Redis user may not; nothing of
    ours needs them.
    """

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **options: Any) -> None:  # noqa: ANN401 — Celery's
        quiet = {"without_mingle": True, "without_gossip": True}
        super().__init__(*args, worker_options={**(worker_options or {}), **quiet}, **options)
