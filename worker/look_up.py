"""Look-ups: asking i'mport what became of a POST, for the story of a job and for what ended in doubt."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from producer.contract.errors import Refused
from producer.contract.identifiers import Operation
from worker.errors import UnknownKid
from worker.iamport.answer import NO_ANSWER, Answer
from worker.iamport.verdict import (
    Expected,
    Judged,
    LookUpResult,
    judge_cancelled,
    judge_customer,
    judge_failed,
    judge_paid,
)
from worker.model import Doubtful, Lease, RatePermit, SealedRequest, SharedToken
from worker.parts import IamportLike, OpenerLike, SharedRateLike, TokensLike


class Asker(NamedTuple):
    """The way to i'mport for one job; what cannot be had now is raised.

    Args:
        permits: places in the shared rate, one for each question.
        token: gives the shared token.
        hold: called before each question, to keep the job in hand.
    """

    permits: Iterator[RatePermit]
    token: Callable[[RatePermit], SharedToken]
    hold: Callable[[], None]


class SealedCard:
    """A card that is opened for a moment each time its digits must be compared.

    Args:
        opener: opens it.
        request: what it is sealed in, verified.
    """

    def __init__(self, opener: OpenerLike, request: SealedRequest) -> None:
        self._opener, self.request, self.is_lost = opener, request, False

    def fits(self, masked: str | None) -> bool | None:
        """As :meth:`Card.fits`; None if it cannot be opened, which ``is_lost`` tells from then on."""
        if masked is None:
            return None
        try:
            return self._opener.open(self.request).fits(masked)
        except (UnknownKid, Refused):
            self.is_lost = True
        return None


class LookUps:
    """Questions to i'mport. Safe to share between threads.

    Args:
        rate, tokens, iamport: as of :class:`worker.issuance.Issuance`.
    """

    def __init__(self, rate: SharedRateLike, tokens: TokensLike, iamport: IamportLike) -> None:
        self._rate, self._tokens, self._iamport = rate, tokens, iamport

    def of(
        self, job: Lease | Doubtful, ours: Expected, asker: Asker, *, paid_only: bool = False
    ) -> tuple[LookUpResult, Judged]:
        """Look a job up.

        Args:
            job: its ``operation``, ``customer_uid`` and ``merchant_uid`` count.
            ours: what to compare with.
            asker: the way to i'mport.
            paid_only: True to ask of a payment only whether it was made.
        """
        if job.operation == Operation.ONETIME:
            return self._payment(job.merchant_uid or "", ours, asker, paid_only=paid_only)
        return judge_customer(self._ask(asker, partial(self._iamport.find_customer, job.customer_uid or "")), ours)

    def records(self, operation: str, name: str, asker: Asker) -> Iterator[tuple[str, Answer]]:
        """All that i'mport has of a customer_uid, or of a payment's order; with each the question.

        Args:
            operation: of the job.
            name: its customer_uid, of a payment its merchant_uid.
        """
        if operation != Operation.ONETIME:
            yield "customer", self._ask(asker, partial(self._iamport.find_customer, name))
            return
        for status in ("paid", "cancelled"):
            yield status, self._ask(asker, partial(self._iamport.find_payment, name, status))
        yield "failed", self._ask(asker, partial(self._iamport.find_failed, name))

    def customers(self, customer_uids: Sequence[str], asker: Asker) -> Answer:
        """All that i'mport has of several customer_uids, in one call."""
        return self._ask(asker, partial(self._iamport.find_customers, customer_uids))

    def _payment(self, order: str, ours: Expected, asker: Asker, *, paid_only: bool) -> tuple[LookUpResult, Judged]:
        """Ask for a payment that was made, then for one that was cancelled since, then for those that failed."""
        found = judge_paid(self._ask(asker, partial(self._iamport.find_payment, order, "paid")), ours)
        if found[0] is not LookUpResult.ABSENT or paid_only:
            return found
        found = judge_cancelled(self._ask(asker, partial(self._iamport.find_payment, order, "cancelled")), ours)
        if found[0] is not LookUpResult.ABSENT:
            return found
        return judge_failed(self._ask(asker, partial(self._iamport.find_failed, order)), ours)

    def _ask(self, asker: Asker, question: Callable[[str], Answer]) -> Answer:
        """Ask once; if the token is refused, once more with a new one."""
        answer = NO_ANSWER
        for _ in range(2):
            permit = next(asker.permits)
            token = asker.token(permit)
            asker.hold()
            answer = question(token.text)
            self._rate.report(permit, answer)
            if not answer.refuses_token:
                break
            self._tokens.drop(token)
        return answer
