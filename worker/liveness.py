"""Liveness: how long a process may be silent before it is given up, and how late a POST may leave because of that."""

import time

GIVEN_UP_S = 8.0  # a process without a sign of life for so long is taken for dead, and what it held is free
READING_FOLDER = "BILLING_READING_FOLDER"  # variable: where processes show that Celery's loop goes round
LEAVE_WITHIN_S = GIVEN_UP_S / 2  # a POST leaves so soon after it was marked as sent, or it does not leave


def since_boot() -> float:
    """Seconds since the machine was started, suspensions included; CLOCK_MONOTONIC stands still in them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
