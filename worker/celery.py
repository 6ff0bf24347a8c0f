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

from producer.contract.job import QUEUES, RECOVERY, TASK_NAME
from producer.runtime.alive import alive_file
from producer.runtime.errors import StoreUnavailable
from producer.runtime.lockdown import MemoryNotLocked, has_scrubbing_allocator, lock_down
from producer.runtime.logs import set_up_logs
from producer.runtime.redis_store import Link, Stores
from producer.runtime.store_errors import trouble
from worker import message_filter
from worker.bootstrap import this_worker
from worker.errors import SettingsError
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
def _start_sweeper(**_: Any) -> None:  # noqa: ANN401 — Celery's
    room = max(math.ceil(this_worker().rate_per_s), MIGRATION_ROOM_LEAST)  # about a second's work
    alive = alive_file(os.environ.get("BILLING_WORKER_NUMBER", "0")).touch
    sweeper = Sweeper(this_worker().ledger, _publish, _depths, migration_room=room, alive=alive)
    _sweepers.append(sweeper)
    sweeper.start()
    this_worker().reconciler.start()


@signals.worker_shutting_down.connect
def _stop(**_: Any) -> None:  # noqa: ANN401 — Celery's
    this_worker().stopping.set()  # jobs that wait for their turn are given back
    while _sweepers:
        _sweepers.pop().stop()


def _publish(due: list[tuple[str, str]]) -> None:
    try:
        with app.producer_pool.acquire(block=True, timeout=5) as producer:
            for job_id, queue in due:
                _send(producer, job_id, queue)
    except Exception as error:
        words, is_lasting = trouble("queue", app.conf.broker_url, error)
        raise StoreUnavailable(words, is_lasting=is_lasting) from None


def _send(producer: Any, job_id: str, queue: str) -> None:  # noqa: ANN401 — kombu's
    app.send_task(
        TASK_NAME,
        args=(job_id,),
        task_id=job_id,
        queue=RECOVERY,
        headers={message_filter.ACCEPTED_FOR: queue},  # a hint for the shared rate; whoever forges it gains nothing
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
