"""The Celery app of the workers: ``celery -A worker`` finds it here.

Owns where Celery meets the rest: the tasks to include, and what starts and stops with a worker process.
"""

import math
import os
import sys
from typing import Any

import redis
import structlog
from celery import Celery, signals

from producer.contract.job import MIGRATION, QUEUES, TASK_NAME
from producer.runtime.alive import EVERY_S, alive_file
from producer.runtime.errors import StoreUnavailable
from producer.runtime.lockdown import MemoryNotLocked, has_scrubbing_allocator, lock_down
from producer.runtime.logs import set_up_logs
from producer.runtime.redis_store import Link, Stores
from producer.runtime.store_errors import trouble
from worker import message_filter
from worker.bootstrap import PROCESS, this_worker
from worker.errors import SettingsError
from worker.liveness import READING_FOLDER
from worker.open_jobs import Due
from worker.settings import WorkerSettings
from worker.start_check import check_stores
from worker.sweeper import Sweeper

message_filter.install()
try:
    app = Celery("billing", config_source="celeryconfig", include=["worker.tasks"])
    app.conf.worker_pool  # noqa: B018 — read the configuration now: a bad setting is one line, not a traceback later
except SettingsError as problem:
    sys.exit(f"worker: {problem}")

MIGRATION_ROOM_LEAST = 10
log = structlog.get_logger()
_sweepers: list[Sweeper] = []
_stores: list[Stores] = []


@signals.setup_logging.connect
def _set_up_logs(loglevel: int = 0, **_: Any) -> None:  # noqa: ANN401 — Celery's
    set_up_logs(loglevel)


@signals.worker_init.connect
def _check_settings(**_: Any) -> None:  # noqa: ANN401 — Celery's
    try:
        this_worker()
        check_stores(WorkerSettings.from_env(), tell=log.warning)
        if WorkerSettings.from_env().require_locked_memory:
            lock_down(require_locked_memory=True)
    except SettingsError as problem:
        sys.exit(f"worker: {problem}")
    except MemoryNotLocked as problem:
        sys.exit(f"worker: REQUIRE_LOCKED_MEMORY: {problem}")
    if not has_scrubbing_allocator():
        log.warning("freed memory is not scrubbed and not locked: python -m worker run does both")


@signals.worker_ready.connect
def _start_sweeper(sender: Any, **_: Any) -> None:  # noqa: ANN401 — Celery's consumer
    worker, number = this_worker(), os.environ.get("BILLING_WORKER_NUMBER", "0")
    sender.timer.call_repeatedly(EVERY_S, alive_file(number, READING_FOLDER).touch)  # while its loop reads the queues
    sweeper = Sweeper(
        worker.open_jobs,
        _publish,
        _depths,
        PROCESS,
        places=sender.initial_prefetch_count or 1,
        migration_room=max(math.ceil(worker.rate_per_s), MIGRATION_ROOM_LEAST),  # about a second's work
        has_front=app.conf.broker_url.startswith("redis"),
        alive=alive_file(number).touch,
    )
    worker.events.connect(lambda: sender.event_dispatcher)
    _sweepers.append(sweeper)
    sweeper.start()
    worker.reconciler.start()


@signals.worker_shutting_down.connect
def _give_back(**_: Any) -> None:  # noqa: ANN401 — Celery's
    this_worker().stopping.set()  # jobs that wait for their turn are given back


@signals.worker_shutdown.connect
def _stop(**_: Any) -> None:  # noqa: ANN401 — Celery's
    while _sweepers:  # until now: what this process still has in hand is its own
        _sweepers.pop().stop()


def _publish(due: list[Due]) -> None:
    try:
        with app.producer_pool.acquire(block=True, timeout=5) as producer:
            for one in due:
                _send(producer, one)
    except Exception as error:
        words, is_lasting = trouble("queue", app.conf.broker_url, error)
        raise StoreUnavailable(words, is_lasting=is_lasting) from None


def _send(producer: Any, due: Due) -> None:  # noqa: ANN401 — kombu's
    app.send_task(
        TASK_NAME,
        args=(due.job_id,),
        task_id=due.job_id,
        queue=due.queue,
        priority=message_filter.FRONT if due.queue == MIGRATION else None,
        headers={message_filter.ACCEPTED_FOR: due.accepted_for},  # for the shared rate; whoever forges it gains nothing
        producer=producer,
        ignore_result=True,
    )


def _depths() -> list[int]:
    if app.conf.broker_url.startswith("redis"):
        if not _stores:
            _stores.append(Stores(app.conf.broker_url, "queue"))
        return [_length(_stores[0].local, queue) for queue in QUEUES]
    with app.connection_for_write() as connection:
        return [_depth(connection, queue) for queue in QUEUES]


def _length(link: Link, queue: str) -> int:
    """The length of a Redis list; another type in its place would stop every worker, so it is deleted."""
    try:
        return int(link.call("LLEN", queue))
    except redis.ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        link.call("DEL", queue)
        log.warning("queue replaced: what lay in its place was no list", queue=queue)
        return 0


def _depth(connection: Any, queue: str) -> int:  # noqa: ANN401 — kombu's
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:  # nobody has declared it yet
        return 0
