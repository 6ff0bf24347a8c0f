"""Errors of the worker; refusals and waiting are values (see model.py).

::

    ProcessError
    ├── SettingsError          one line that names the setting
    └── WorkerError
        ├── UnknownKid         no key of that id here yet: the job waits
        │   └── UnknownProducer  for a while only: it may be a forgery
        └── TokenUnavailable   .reason, .delay_s: no i'mport token now: the job waits
            └── LoginRefused   i'mport refuses IMP_KEY and IMP_SECRET
"""

from typing import Self

from producer.runtime.errors import ProcessError
from producer.runtime.settings import SettingsError as SettingsError  # noqa: PLC0414 — part of the tree above


class WorkerError(ProcessError):
    """Root of the worker's own errors."""


class UnknownKid(WorkerError):
    """A job names a key that is not here; it may arrive with the next rotation."""


class UnknownProducer(UnknownKid):
    """A job is signed with a key that is not here; it may arrive in a moment, if a producer was just added."""


class TokenUnavailable(WorkerError):
    """There is no i'mport token now.

    Args:
        reason: one word, safe to log.
        delay_s: after how many seconds to ask again, at the earliest; None for the ordinary backoff.
    """

    def __init__(self, reason: str, delay_s: float | None = None) -> None:
        self.reason, self.delay_s = reason, delay_s
        super().__init__(reason)

    def again(self) -> Self:
        """The same, without where it was raised."""
        return type(self)(self.reason, self.delay_s)


class LoginRefused(TokenUnavailable):
    """I'mport refuses the merchant's keys; asked again once in 30 s, by one for all."""
