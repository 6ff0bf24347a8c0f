"""I'mport's records of a job, asked for by a person: with the shared token, in the shared rate, and nothing is written.

Keys: those of :mod:`worker.rate_limit` and :mod:`worker.token_cache`.
"""

import time
from functools import partial
from typing import Any, NamedTuple

from producer.contract.identifiers import Operation
from producer.runtime.redis_store import Stores
from worker.bootstrap import iamport_client, token_cache
from worker.errors import NotPossible, TokenUnavailable
from worker.iamport.answer import Answer
from worker.issuance import pause
from worker.look_up import Asker, LookUps
from worker.model import NotNow
from worker.operator.seen import Seen
from worker.rate_limit import SharedRate, Turns
from worker.settings import WorkerSettings

NOBODY = ""  # in place of a job's id: a permit for no job


class Said(NamedTuple):
    """I'mport's word on a question.

    Args:
        asked: ``customer``; of a payment ``paid``, ``cancelled`` or ``failed``.
        answered: False if it gave no answer that tells.
        records: masked.
    """

    asked: str
    answered: bool
    records: list[dict[str, Any]]

    @property
    def words(self) -> str:
        """A line for people."""
        if not self.answered:
            return f"i'mport, {self.asked}: no answer that tells"
        told = [" ".join(f"{name}={value}" for name, value in one.items()) for one in self.records]
        return f"i'mport, {self.asked}: {'; '.join(told) or 'nothing'}"


def desk(settings: WorkerSettings, *, is_migration: bool) -> tuple[LookUps, Asker]:
    """The way to i'mport for a person's questions; those about a migration leave a part of the rate to customers."""
    vault, iamport = Stores(settings.vault_url, "vault"), iamport_client(settings)
    rate, tokens = SharedRate(vault, settings.imp_rate_per_s), token_cache(settings, iamport, vault)
    turns = Turns(time.monotonic, pause)
    permits = iter(partial(turns.take, partial(rate.ask, NOBODY, is_migration=is_migration, is_look_up=True)), None)
    return LookUps(rate, tokens, iamport), Asker(permits, lambda _: tokens.get(), lambda: None)


def not_possible(error: TokenUnavailable | NotNow) -> NotPossible:
    """The same in words for people."""
    if isinstance(error, TokenUnavailable):
        return NotPossible(f"i'mport cannot be asked now: {error.reason}")
    return NotPossible(f"i'mport cannot be asked now: {getattr(error.step, 'reason', error)}")


def ask(settings: WorkerSettings, job: Seen) -> list[Said]:
    """Ask i'mport now what it has of a job's customer_uid, or of its order.

    Raises:
        NotPossible: it cannot be asked now; says why.
    """
    look_ups, asker = desk(settings, is_migration=False)
    operation, customer_uid, merchant_uid = job.about
    name = merchant_uid if operation == Operation.ONETIME else customer_uid
    try:
        found = list(look_ups.records(operation, name, asker))
    except (TokenUnavailable, NotNow) as error:
        raise not_possible(error) from None
    return [_said(question, answer) for question, answer in found]


def _said(question: str, answer: Answer) -> Said:
    found = answer.records or ((answer.record,) if answer.record else ())
    return Said(
        question, answer.is_absent or answer.record is not None, [one.model_dump(exclude_none=True) for one in found]
    )
