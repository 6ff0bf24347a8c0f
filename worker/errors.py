"""Errors of the worker; refusals and waiting are values (see model.py).

::

    ProcessError
    ├── SettingsError          one line that names the setting
    └── WorkerError
        ├── NotPossible        an operator asked for what cannot be done
        ├── UnknownKid         no key of that id here yet: the job waits
        │   └── UnknownProducer  for a while only: it may be a forgery
        ├── MarkNotKept        the vault did not take the mark of a POST: it must not leave
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


class NotPossible(WorkerError):
    """An operator asked for what cannot be done; says why."""


class MarkNotKept(WorkerError):
    """The vault did not take the mark of a POST, which must not leave then."""


class TokenUnavailable(WorkerError):
    """There is no i'mport token now.

    Args:
        reason: one word, safe to log.
        delay_s: after how many seconds to ask again, at the earliest; None for the ordinary backoff.
        is_first: True for the one who asked i'mport; for all who heard of it the failure counts once.
    """

    def __init__(self, reason: str, delay_s: float | None = None, *, is_first: bool = False) -> None:
        self.reason, self.delay_s, self.is_first = reason, delay_s, is_first
        super().__init__(reason)

    def again(self) -> Self:
        """The same, without where it was raised."""
        return type(self)(self.reason, self.delay_s)


class LoginRefused(TokenUnavailable):
    """I'mport refuses the merchant's keys; asked again once in 30 s, by one for all."""
