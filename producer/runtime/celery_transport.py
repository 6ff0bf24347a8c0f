"""Celery transport settings that both halves agree on, each with its reason.

A plain dict, so that a producer inside a merchant's process can build its Celery app from it without a module named
``celeryconfig``, which may be the merchant's own.
"""

from typing import Any

from ..contract.job import INTERACTIVE, QUEUES

SOCKET = {
    "socket_connect_timeout": 2.0,  # the default is to wait for ever
    "socket_timeout": 5.0,
    "socket_keepalive": True,
    "health_check_interval": 25,
}


def transport(broker_url: str) -> dict[str, Any]:
    """Celery settings for producers and workers alike.

    Args:
        broker_url: ``BROKER_URL``.
    """
    settings: dict[str, Any] = {
        "broker_url": broker_url,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],  # never pickle
        "task_queues": {name: {"exchange": name, "routing_key": name} for name in QUEUES},
        "task_default_queue": INTERACTIVE,
        "task_create_missing_queues": False,  # a misspelt queue is an error, not a place where jobs vanish
        "task_ignore_result": True,  # the ledger writes the result, atomically with the outcome
        "broker_connection_timeout": 2.0,
        "enable_utc": True,
    }
    if broker_url.startswith("redis"):
        settings["broker_transport_options"] = {
            **SOCKET,
            "priority_steps": [0],  # one list a queue; priorities would be four
            "queue_order_strategy": "priority",  # recovery, then interactive, then migration
            "global_keyprefix": "",
        }
    return settings
