"""Errors of a producer's calls, beside the contract's InvalidCard, InvalidRequest and Refused.

::

    BillingError
    ├── BrokerUnavailable    .accepted True, False or None; .idempotency_key to try again with
    ├── IdempotencyConflict  another request has that key already
    ├── UnknownJob           never accepted, or forgotten after 7 days
    └── SettingsError        one line that names the setting
"""

from .runtime.errors import BillingError
from .runtime.settings import SettingsError

__all__ = ["BillingError", "BrokerUnavailable", "IdempotencyConflict", "SettingsError", "UnknownJob"]


class BrokerUnavailable(BillingError):
    """A store could not be reached, or did not answer.

    Args:
        step: where it happened: ``accept``, ``vault``, ``publish`` or ``read``.
        accepted: True: the job will run. False: nothing happened. None: unknown; it may be known to the ledger without
            its card, and ends as ``lost`` if nobody completes it. In every case a second call with the same
            ``idempotency_key`` is safe, and completes the job if anything is missing.
        idempotency_key: the one to try again with; None when nothing was being enqueued.
        trouble: which store, where, as which user, and why: without a password.
        is_lasting: whether only a person can mend it (a wrong password, a missing right): waiting does not help.
    """

    def __init__(
        self,
        step: str,
        *,
        accepted: bool | None,
        idempotency_key: str | None = None,
        trouble: str = "the store cannot be reached, refuses us or does not answer",
        is_lasting: bool = False,
    ) -> None:
        self.step, self.accepted, self.idempotency_key = step, accepted, idempotency_key
        self.trouble, self.is_lasting = trouble, is_lasting
        setting = {"vault": "VAULT_URL", "publish": "BROKER_URL"}.get(step, "LEDGER_URL")
        word = {True: "the job was accepted and will run", False: "nothing happened", None: "acceptance is unknown"}
        again = "" if idempotency_key is None else f"; {word[accepted]}; try again with the same idempotency key"
        super().__init__(f"{setting}: {trouble}{again}")

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (self.step, self.accepted, self.idempotency_key, self.trouble, self.is_lasting)


def _unpickled(step: str, accepted: bool | None, key: str | None, trouble: str, is_lasting: bool) -> BrokerUnavailable:
    return BrokerUnavailable(step, accepted=accepted, idempotency_key=key, trouble=trouble, is_lasting=is_lasting)


class IdempotencyConflict(BillingError):
    """The idempotency key belongs to a request with other non-card content."""

    def __init__(self, idempotency_key: str) -> None:
        self.idempotency_key = idempotency_key
        super().__init__("idempotency_key: another request has it already, with other content")


class UnknownJob(BillingError):
    """No job of that id was ever accepted, or it was finished more than 7 days ago."""
