"""Leases to tell stories with."""

from typing import Any

from producer.contract.identifiers import Operation
from worker.model import Lease

JOB_ID = "00000000-0000-8000-8000-000000000001"


def lease(**changes: Any) -> Lease:
    """A claim of a job that was accepted at 1000 with 900 s to go."""
    plain = Lease(
        job_id=JOB_ID,
        delivery="delivery-1",
        claimed_at=1001.0,
        operation=Operation.ISSUE,
        customer_uid="gildong_0001",
        merchant_uid=None,
        sequence=1,
        accepted_at=1000.0,
        expires_at=1900.0,
        attempts=0,
        claims=1,
        sent_at=None,
        reason="",
        kid="k1",
        first_sent_at=None,
        is_doubtful=False,
        look_ups=0,
        look_up_every_s=15.0,
        answer=None,
        newer_applied=False,
        known_until=0,
        order_ended="",
        transients=0,
        digest="",
        held_since=50.0,
    )
    return plain._replace(**changes)
