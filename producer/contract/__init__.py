"""The contract of both halves: cards, envelopes, jobs, outcomes and where they lie.

Pydantic and the standard library only. Nothing here opens or seals anything, nothing connects to anything; importing it
loads neither Celery nor Redis.
"""

from producer.contract.card import Card
from producer.contract.envelope import Envelope
from producer.contract.errors import ContractError, InvalidCard, InvalidRequest, Refused
from producer.contract.identifiers import Operation
from producer.contract.job import Job, Request
from producer.contract.outcome import Outcome, Status

__all__ = [
    "Card",
    "ContractError",
    "Envelope",
    "InvalidCard",
    "InvalidRequest",
    "Job",
    "Operation",
    "Outcome",
    "Refused",
    "Request",
    "Status",
]
