"""Errors that end in one line for whoever runs a process of ours.

::

    ProcessError
    ├── KeyFileError       a key file is missing or unusable
    ├── StoreUnavailable   a store does not answer or refuses
    └── BillingError       the root of a producer's errors
        └── SettingsError  a setting is missing or wrong, of a worker, too
"""


class ProcessError(Exception):
    """Root of these errors; the text holds no card data, no key and no password."""


class BillingError(ProcessError):
    """Root of the errors of a producer's calls."""


class StoreUnavailable(ProcessError):
    """A store does not answer, or refuses a command for the state that it is in or for want of a right.

    Args:
        words: which store, where, as which user, and why: without a password.
        is_lasting: True if only a person can mend it (a wrong password, a missing right).
    """

    def __init__(self, words: str = "the store does not answer", *, is_lasting: bool = False) -> None:
        self.is_lasting = is_lasting
        super().__init__(words)
