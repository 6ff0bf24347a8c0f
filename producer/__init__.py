"""The half without private keys: seals cards, signs jobs, enqueues them, and reads their outcomes.

Names come lazily: a process that only wants the contract loads neither Celery nor Redis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.billing_queue import BillingQueue as BillingQueue
    from producer.contract.card import Card as Card
    from producer.contract.errors import InvalidCard as InvalidCard
    from producer.contract.errors import InvalidRequest as InvalidRequest
    from producer.contract.errors import Refused as Refused
    from producer.contract.job import Job as Job
    from producer.contract.outcome import Outcome as Outcome
    from producer.contract.outcome import Status as Status
    from producer.enqueue import IssueRequest as IssueRequest
    from producer.errors import BillingError as BillingError
    from producer.errors import BrokerUnavailable as BrokerUnavailable
    from producer.errors import IdempotencyConflict as IdempotencyConflict
    from producer.errors import SettingsError as SettingsError
    from producer.errors import UnknownJob as UnknownJob

_HOMES = {
    "BillingQueue": "producer.billing_queue",
    "IssueRequest": "producer.enqueue",
    "Card": "producer.contract",
    "InvalidCard": "producer.contract",
    "InvalidRequest": "producer.contract",
    "Refused": "producer.contract",
    "Job": "producer.contract",
    "Outcome": "producer.contract",
    "Status": "producer.contract",
    "BillingError": "producer.errors",
    "BrokerUnavailable": "producer.errors",
    "IdempotencyConflict": "producer.errors",
    "SettingsError": "producer.errors",
    "UnknownJob": "producer.errors",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 — the names above, once


def __getattr__(name: str) -> Any:  # noqa: ANN401 — whatever the name is
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(_HOMES[name]), name)
