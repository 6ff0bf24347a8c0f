"""Order: a request with its card or its envelope, before it is accepted."""

from dataclasses import dataclass

from producer.contract.card import Card
from producer.stores import NewJob


@dataclass(frozen=True, kw_only=True)
class IssueRequest:
    """One issuance: the arguments of :meth:`BillingQueue.issue`, or with an envelope of ``issue_sealed``."""

    customer_uid: str
    card: Card | None = None
    envelope: str | None = None
    pg: str | None = None
    channel_key: str | None = None
    customer_id: str | None = None
    idempotency_key: str | None = None
    deadline_s: float | None = None


@dataclass(frozen=True)
class Order:
    """A request with its card or its envelope, before it is accepted."""

    asked: NewJob
    card: Card | None
