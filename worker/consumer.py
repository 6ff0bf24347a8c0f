"""Consumer: Celery's, without the steps that talk to other workers.

Mingle and gossip ask and answer on the control exchange. Whoever may publish there may stop every worker that listens,
also those of a merchant's own Celery on the same Redis, so the worker's Redis user may not; nothing of ours needs them.
"""

from typing import Any

from celery.worker import consumer


class Consumer(consumer.Consumer):
    """Celery's consumer with mingle and gossip off, however the worker was started."""

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **options: Any) -> None:  # noqa: ANN401 — Celery's
        quiet = {"without_mingle": True, "without_gossip": True}
        super().__init__(*args, worker_options={**(worker_options or {}), **quiet}, **options)
