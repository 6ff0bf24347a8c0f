"""The contract of both halves: cards, envelopes, jobs, outcomes and where they lie.

Pydantic and the standard library only. Nothing here opens or seals anything, nothing connects to anything; importing it
loads neither Celery nor Redis.
"""

from .card import Card
from .envelope import Envelope
from .errors import ContractError, InvalidCard, InvalidRequest, Refused
from .identifiers import Operation
from .job import Job, Request
from .outcome import Outcome, Status

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
