"""Publishing: the one place where a producer meets Celery. A job id goes onto a queue, nothing else.

The Celery app is ours alone: it is never made current, has no result backend, and reads neither a module named
``celeryconfig`` nor ``CELERY_BROKER_URL``, since both may belong to the merchant's own Celery.
"""

from collections.abc import Sequence
from typing import Any

from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as KombuOperationalError
from kombu.pools import ProducerPool

from .contract.job import TASK_NAME
from .errors import BrokerUnavailable
from .runtime.celery_transport import transport
from .runtime.redaction import wipe
from .runtime.store_errors import place, trouble

QUEUE_CONNECT_TIMEOUT_S, QUEUE_ANSWER_TIMEOUT_S = 1.0, 1.5
POOL = 32
SPARE = {"argsrepr": "", "kwargsrepr": "", "reply_to": "-"}  # what a message needs not carry; a waiting one is 1 KB


class Publisher:
    """Puts job ids on queues.

    Args:
        broker_url: ``BROKER_URL``.
    """

    def __init__(self, broker_url: str) -> None:
        self._broker_url, settings = broker_url, transport(broker_url)
        # In Redis a queue is a list, and there is nothing to declare.
        self._options: dict[str, Any] = {"declare": ()} if broker_url.startswith("redis") else {}
        self._app = Celery("billing", set_as_current=False, backend="disabled", changes=settings)
        options = dict(settings.get("broker_transport_options", {}))
        if options:
            options.update(socket_connect_timeout=QUEUE_CONNECT_TIMEOUT_S, socket_timeout=QUEUE_ANSWER_TIMEOUT_S)
        connection = Connection(broker_url, connect_timeout=QUEUE_CONNECT_TIMEOUT_S, transport_options=options)
        self._failures = (
            *connection.connection_errors,
            *connection.channel_errors,
            KombuError,
            KombuOperationalError,
            OSError,
        )
        self._connections = connection.Pool(limit=POOL)
        self._producers = ProducerPool(self._connections, limit=POOL)

    def publish(self, jobs: Sequence[tuple[str, str]], idempotency_key: str, *, is_late: bool = False) -> None:
        """Put job ids on their queues; several are sent in batches.

        Args:
            jobs: ``(job_id, queue)`` pairs.
            idempotency_key: for the error.
            is_late: leave it to the sweeper, since the call has taken too long already.

        Raises:
            BrokerUnavailable: with ``accepted`` True, since ledger and vault hold the jobs.
        """
        if is_late:
            words = f"{place('queue', self._broker_url)}: left to the sweeper, the other stores took too long"
            raise BrokerUnavailable("publish", accepted=True, idempotency_key=idempotency_key, trouble=words)
        try:
            with self._producers.acquire(block=True, timeout=2.0) as producer:
                if len(jobs) == 1:
                    self._send(producer, *jobs[0])
                else:
                    with producer.batch(max_size=len(jobs)):
                        for job_id, queue in jobs:
                            self._send(producer, job_id, queue)
        except self._failures as error:
            words, is_lasting = trouble("queue", self._broker_url, error)
            wipe(error)
            raise BrokerUnavailable(
                "publish", accepted=True, idempotency_key=idempotency_key, trouble=words, is_lasting=is_lasting
            ) from None

    def _send(self, producer: object, job_id: str, queue: str) -> None:
        """As ``send_task``, which costs as much again."""
        message = self._app.amqp.create_task_message(job_id, TASK_NAME, (job_id,), {}, ignore_result=True, **SPARE)
        self._app.amqp.send_task_message(producer, TASK_NAME, message, queue=queue, retry=False, **self._options)

    def close(self) -> None:
        """Give the connections back."""
        self._producers.force_close_all()
        self._connections.force_close_all()
