"""The half without private keys: seals cards, signs jobs, enqueues them, and reads their outcomes.

Names come lazily: a process that only wants the contract loads neither Celery nor Redis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .billing_queue import BillingQueue as BillingQueue
    from .contract.card import Card as Card
    from .contract.errors import InvalidCard as InvalidCard
    from .contract.errors import InvalidRequest as InvalidRequest
    from .contract.errors import Refused as Refused
    from .contract.job import Job as Job
    from .contract.outcome import Outcome as Outcome
    from .contract.outcome import Status as Status
    from .enqueue import IssueRequest as IssueRequest
    from .errors import BillingError as BillingError
    from .errors import BrokerUnavailable as BrokerUnavailable
    from .errors import IdempotencyConflict as IdempotencyConflict
    from .errors import SettingsError as SettingsError
    from .errors import UnknownJob as UnknownJob

_HOMES = {
    "BillingQueue": ".billing_queue",
    "IssueRequest": ".enqueue",
    "Card": ".contract",
    "InvalidCard": ".contract",
    "InvalidRequest": ".contract",
    "Refused": ".contract",
    "Job": ".contract",
    "Outcome": ".contract",
    "Status": ".contract",
    "BillingError": ".errors",
    "BrokerUnavailable": ".errors",
    "IdempotencyConflict": ".errors",
    "SettingsError": ".errors",
    "UnknownJob": ".errors",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 — the names above, once


def __getattr__(name: str) -> Any:  # noqa: ANN401 — whatever the name is
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(_HOMES[name], __name__), name)
