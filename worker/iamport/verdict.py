"""The meaning of an answer, and of what a look-up finds; the tables are in :mod:`worker.iamport.codes`."""

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from worker.iamport import codes
from worker.iamport.answer import SERVER_ERROR, Annotation, Answer
from worker.iamport.codes import Verdict


class Judged(NamedTuple):
    """An answer, understood."""

    verdict: Verdict
    code: int | None = None
    message: str | None = None
    pg_code: str | None = None
    annotation: Annotation | None = None
    retry_after_s: float | None = None


NOTHING = Judged(Verdict.UNKNOWN)


class LookUpResult(Enum):
    """The result of looking up an unanswered POST."""

    OURS = auto()
    """Our POST was handled, as the judgement says."""
    ABSENT = auto()
    """Nothing, or nothing as new as what we sent."""
    FOREIGN = auto()
    """Something as new, but not what we sent."""
    UNCLEAR = auto()
    """The look-up itself failed."""


LOOK_UP_TOLERANCE_S = 2.0  # i'mport's instants are whole seconds
PG_CODE = (re.compile(r"code:\s*([A-Z]?\d{3,4})\)"), re.compile(r"\[([A-Z]\d{3}|\d{4})\]"))


def judge_issue(answer: Answer) -> Judged:
    """Judge the answer to an issue."""
    pg_code = _pg_code(answer.message)
    judged = Judged(Verdict.UNKNOWN, answer.code, answer.message, pg_code, answer.response, answer.retry_after_s)
    return judged._replace(verdict=_verdict(answer, pg_code))


def judge_onetime(answer: Answer) -> Judged:
    """As :func:`judge_issue`, but ``code`` 0 says only that the gateway answered: the payment's ``status`` decides."""
    judged = judge_issue(answer)
    payment = judged.annotation
    if judged.verdict is not Verdict.APPLIED or payment is None or payment.status == "paid":
        return judged
    if payment.status == "failed":
        return judged._replace(
            verdict=Verdict.DECLINED, message=payment.fail_reason, pg_code=_pg_code(payment.fail_reason)
        )
    return judged._replace(verdict=Verdict.UNKNOWN)


def judge_customer(
    answer: Answer, sent_at: float, fits: Callable[[str | None], bool | None] | None, key_updated: int | None = None
) -> tuple[LookUpResult, Judged]:
    """Judge GET /subscribe/customers/{customer_uid} after an unanswered issue.

    Args:
        answer: its answer; an unknown one is 404, or 200 with a code that is not 0.
        sent_at: when we sent it, Unix seconds of i'mport's clock.
        fits: whether a masked number can be the card's, None where it does not tell; None if the card is gone.
        key_updated: until when the key that was in force before was last updated, if we know that: it may be as new
            as what we sent.
    """
    judged = Judged(Verdict.APPLIED, answer.code, None, None, answer.response)
    if answer.is_absent:
        return LookUpResult.ABSENT, judged
    found = answer.record
    if found is None or found.updated is None:
        return LookUpResult.UNCLEAR, judged
    is_earlier = found.updated < sent_at - LOOK_UP_TOLERANCE_S
    if is_earlier or found.updated <= (key_updated or 0):
        return LookUpResult.ABSENT, judged
    is_other = fits is not None and fits(found.card_number) is False
    return (LookUpResult.FOREIGN if is_other else LookUpResult.OURS), judged


def judge_payment(answer: Answer, sent_at: float, amount: int | None) -> tuple[LookUpResult, Judged]:
    """Judge GET /payments/find/{merchant_uid} after an unanswered payment.

    Args:
        answer: its answer.
        sent_at: when we first sent it, Unix seconds of i'mport's clock.
        amount: KRW; None if the request is gone.
    """
    judged = judge_onetime(answer)
    if answer.is_absent:
        return LookUpResult.ABSENT, judged
    found = answer.record
    if found is None or judged.verdict not in {Verdict.APPLIED, Verdict.DECLINED}:
        return LookUpResult.UNCLEAR, judged
    is_declined = judged.verdict is Verdict.DECLINED
    at = found.failed_at if is_declined else found.paid_at
    is_earlier = (at or 0) < sent_at - LOOK_UP_TOLERANCE_S
    if is_declined and is_earlier:  # an earlier attempt under the same merchant_uid
        return LookUpResult.ABSENT, judged
    is_other = is_earlier or _differ(found.amount, amount)
    return (LookUpResult.FOREIGN if is_other else LookUpResult.OURS), judged


def _differ(one: int | None, other: int | None) -> bool:
    return None not in {one, other} and one != other


def _verdict(answer: Answer, pg_code: str | None) -> Verdict:
    if not answer.was_sent:
        return Verdict.UNSENT
    if answer.status in codes.BY_STATUS:
        return codes.BY_STATUS[answer.status]
    if answer.code is None:
        return codes.BY_STATUS_OF_A_PAGE.get(answer.status, Verdict.UNKNOWN)
    if answer.code == 0:
        return Verdict.APPLIED if answer.record else Verdict.UNKNOWN
    return Verdict.UNKNOWN if answer.status >= SERVER_ERROR else _verdict_of_refusal(answer.message or "", pg_code)


def _verdict_of_refusal(message: str, pg_code: str | None) -> Verdict:
    by_message = (verdict for text, verdict in codes.BY_MESSAGE if text in message)
    return next(by_message, codes.BY_PG_CODE.get(pg_code or "", Verdict.DECLINED))


def _pg_code(message: str | None) -> str | None:
    found = (pattern.search(message) for pattern in PG_CODE) if message else ()
    return next((match[1] for match in found if match), None)
