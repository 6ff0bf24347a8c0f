"""The meaning of an answer: one table, tried from the top. Korean texts are literal prefixes that i'mport was seen to send.

Source: observed answers and NICE's published codes; there is no public table of V1 errors.
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from worker.iamport.answer import Annotation, Answer


class Verdict(Enum):
    """The meaning of an answer to a POST for its job."""

    APPLIED = auto()
    """Stored, or paid."""
    DECLINED = auto()
    """Refused for this card; sending it again could lock it."""
    INVALID = auto()
    """A parameter is missing or malformed."""
    MISCONFIGURED = auto()
    """Refused for the merchant's keys, gateway or contract."""
    TRANSIENT = auto()
    """Not done, and worth another try soon."""
    THROTTLED = auto()
    """Not done: too many requests."""
    TOKEN_REFUSED = auto()
    """Not done: the token is not good, or no longer."""
    DUPLICATE = auto()
    """A payment of that merchant_uid exists: look it up."""
    UNSENT = auto()
    """No byte of it left."""
    UNKNOWN = auto()
    """Sent, and nobody said what came of it."""


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
NOT_FOUND, UNKNOWN_UID = 404, 1

PG_CODE = (re.compile(r"code:\s*([A-Z]?\d{3,4})\)"), re.compile(r"\[([A-Z]\d{3}|\d{4})\]"))

BY_PG_CODE = {
    **dict.fromkeys(("F106", "F107", "F108", "F109", "F110"), Verdict.TRANSIENT),  # NICE: processing, database
    **dict.fromkeys(
        ("F115", "F116", "F117", "A128", "A224", "8901"), Verdict.MISCONFIGURED
    ),  # contract, address, merchant
    "A127": Verdict.DUPLICATE,
}
BY_MESSAGE = (
    ("비인증결제모듈 사용정보를 찾을 수 없습니다", Verdict.MISCONFIGURED),
    ("이미 주문이 이루어진", Verdict.DUPLICATE),
    ("이미 결제가 이루어진", Verdict.DUPLICATE),
    ("파라메터는 필수입니다", Verdict.INVALID),
)
BY_STATUS = {
    401: Verdict.TOKEN_REFUSED,
    403: Verdict.MISCONFIGURED,  # the account's allow-list of callers, a firewall: nothing that a card can change
    429: Verdict.THROTTLED,
}


def judge_issue(answer: Answer) -> Judged:
    """Judge the answer to an issue."""
    pg_code = _pg_code(answer.message)
    judged = Judged(Verdict.UNKNOWN, answer.code, answer.message, pg_code, answer.response, answer.retry_after_s)
    return judged._replace(verdict=_kind(answer, pg_code))


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
    found = answer.response
    if _is_absent(answer):
        return LookUpResult.ABSENT, judged
    if answer.code != 0 or found is None or found.updated is None or answer.status >= 300:
        return LookUpResult.UNCLEAR, judged
    if found.updated < sent_at - LOOK_UP_TOLERANCE_S:
        return LookUpResult.ABSENT, judged
    if key_updated is not None and found.updated <= key_updated:
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
    found = answer.response
    judged = judge_onetime(answer)
    if _is_absent(answer):
        return LookUpResult.ABSENT, judged
    if (
        answer.code != 0
        or found is None
        or answer.status >= 300
        or judged.verdict not in {Verdict.APPLIED, Verdict.DECLINED}
    ):
        return LookUpResult.UNCLEAR, judged
    at = (found.failed_at if judged.verdict is Verdict.DECLINED else found.paid_at) or 0
    if judged.verdict is Verdict.DECLINED and at < sent_at - LOOK_UP_TOLERANCE_S:
        return LookUpResult.ABSENT, judged  # an earlier attempt under the same merchant_uid
    is_other = at < sent_at - LOOK_UP_TOLERANCE_S or (amount is not None and found.amount not in {None, amount})
    return (LookUpResult.FOREIGN if is_other else LookUpResult.OURS), judged


def _is_absent(answer: Answer) -> bool:
    """Documented is 404, observed was 200 with code 1; an HTML page of something in between says nothing."""
    if answer.code is None:
        return False
    return answer.status == NOT_FOUND or (answer.code == UNKNOWN_UID and answer.status < 300)


def _kind(answer: Answer, pg_code: str | None) -> Verdict:
    if not answer.was_sent:
        return Verdict.UNSENT
    if answer.status in BY_STATUS:
        return BY_STATUS[answer.status]
    if answer.code is None:
        return _kind_without_body(answer.status)
    if answer.status >= 500:
        return Verdict.UNKNOWN
    if answer.code == 0:
        is_ok = 200 <= answer.status < 300 and answer.response is not None
        return Verdict.APPLIED if is_ok else Verdict.UNKNOWN
    return _kind_of_refusal(answer.message or "", pg_code)


def _kind_without_body(status: int) -> Verdict:
    """Redirects and unknown paths come from a wrong address, not from i'mport; the rest leaves us in doubt."""
    return Verdict.MISCONFIGURED if 300 <= status < 400 or status in {404, 405} else Verdict.UNKNOWN


def _kind_of_refusal(message: str, pg_code: str | None) -> Verdict:
    for text, verdict in BY_MESSAGE:
        if text in message:
            return verdict
    return BY_PG_CODE.get(pg_code or "", Verdict.DECLINED)


def _pg_code(message: str | None) -> str | None:
    found = (pattern.search(message) for pattern in PG_CODE) if message else ()
    return next((match[1] for match in found if match), None)
