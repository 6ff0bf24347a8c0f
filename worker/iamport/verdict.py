"""The meaning of an answer, and of what a look-up finds; the tables are in :mod:`worker.iamport.codes`."""

import json
import math
import re
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import NamedTuple, Self

from producer.runtime.redaction import scrub
from worker.iamport import codes, gateways
from worker.iamport.answer import Annotation, Answer
from worker.iamport.codes import Verdict


class Judged(NamedTuple):
    """An answer, understood.

    Args:
        word: our own code, where it says more than i'mport's.
    """

    verdict: Verdict
    code: int | None = None
    message: str | None = None
    pg_code: str | None = None
    annotation: Annotation | None = None
    retry_after_s: float | None = None
    word: str | None = None

    def to_json(self) -> str:
        """As the ledger keeps it while a look-up decides."""
        return json.dumps([self.verdict.name, self.code, self.message, self.pg_code], ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote."""
        verdict, code, message, pg_code = json.loads(text)
        return cls(Verdict[verdict], code, scrub(message), pg_code)


NOTHING = Judged(Verdict.UNANSWERED)


class LookUpResult(Enum):
    """The result of looking up what became of a POST."""

    OURS = auto()
    """It was applied."""
    REFUSED = auto()
    """A payment: i'mport has a failed record of each POST, and the reason is the card."""
    CANCELLED = auto()
    """A payment was made, and cancelled since."""
    FAILED_OTHERWISE = auto()
    """A payment: a failed record that may be ours, and does not say for sure that nothing was charged."""
    ABSENT = auto()
    """Nothing, or nothing as new as what we sent."""
    FOREIGN = auto()
    """Something, but not what we sent."""
    ANOTHERS = auto()
    """The order was paid before we sent anything, and surely with another card."""
    UNCLEAR = auto()
    """The look-up itself failed."""


class Expected(NamedTuple):
    """A record of our own POST, as it would look.

    Args:
        since: when the first POST left whose fate is not known, Unix seconds of i'mport's clock, not ahead of it; None
            if no store knows of one.
        known_until: i'mport's records up to this instant are of other jobs; Unix seconds of its clock.
        amount: KRW; None if the request is gone.
        fits: whether a masked number can be the card's, None where it does not tell; None if the card is gone.
        posts: how many POSTs may have left since then.
    """

    since: float | None
    known_until: int = 0
    amount: int | None = None
    fits: Callable[[str | None], bool | None] | None = None
    posts: int = 1

    def is_other(self, found: Annotation) -> bool:
        """True if its amount or its visible digits are surely not ours."""
        has_other_amount = None not in {found.amount, self.amount} and found.amount != self.amount
        return has_other_amount or self.shows(found) is False

    def shows(self, found: Annotation) -> bool | None:
        """True if its digits are our card's, False if they are another's; None where they do not tell."""
        return self.fits(found.card_number) if self.fits else None

    def is_earlier(self, at: int) -> bool:
        """True if what happened at that instant was surely before our POST."""
        return self.since is None or at < self.since - TOLERANCE_S or at <= self.known_until


TOLERANCE_S = 2.0  # i'mport's instants are whole seconds, and so is its Date
WORD = "|".join(
    (
        *(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", r"[A-Z]{1,2}\d{2,4}", "CC[A-Z0-9]{2}"),  # Toss; NICE and KSNET; KCP
        *("(?:12|1200)[A-Z][A-Z0-9]", r"\dR\d\d", r"\d{4}"),  # Inicis; KCP; NICE, KCP and Inicis
    )
)
PG_CODE = (re.compile(rf"code:\s*({WORD})\)"), re.compile(rf"\[(?:코드:\s*)?({WORD})[\]|]"))


def judge_issue(answer: Answer, customer_uid: str | None = None) -> Judged:
    """Judge the answer to an issue of a customer_uid."""
    judged = _judged(answer, gateways.OF_ISSUES)
    names = judged.annotation.customer_uid if judged.annotation else None
    return _unless_anothers(judged, names, customer_uid)


def judge_onetime(answer: Answer, merchant_uid: str | None = None) -> Judged:
    """Judge the answer to a payment of an order: ``code`` 0 says only that the gateway answered, ``status`` decides.

    No page says that a payment was not made: a filter may stop the answer to what was charged.
    """
    judged = _judged(answer, gateways.OF_PAYMENTS)
    if judged.verdict is Verdict.EDGE_PAGE:
        return judged._replace(verdict=Verdict.UNANSWERED)
    payment = judged.annotation
    if judged.verdict is not Verdict.APPLIED or payment is None or payment.status == "paid":
        return _unless_anothers(judged, payment.merchant_uid if payment else None, merchant_uid)
    return _failed(payment) if payment.status == "failed" else judged._replace(verdict=Verdict.UNDECIDED)


def _unless_anothers(judged: Judged, named: str | None, asked: str | None) -> Judged:
    """A success that names somebody else's key or order is none."""
    is_anothers = named is not None and asked is not None and named != asked
    return judged._replace(verdict=Verdict.UNDECIDED) if is_anothers and judged.verdict is Verdict.APPLIED else judged


def judge_customer(answer: Answer, ours: Expected) -> tuple[LookUpResult, Judged]:
    """Judge GET /subscribe/customers/{customer_uid}; an unknown one is 404, or 200 with a code that is not 0."""
    judged = Judged(Verdict.APPLIED, answer.code, None, None, answer.response)
    if answer.is_absent:
        return LookUpResult.ABSENT, judged
    found = answer.record
    if found is None or found.updated is None:
        return LookUpResult.UNCLEAR, judged
    if ours.is_earlier(found.updated):
        return LookUpResult.ABSENT, judged
    return (LookUpResult.FOREIGN if ours.is_other(found) else LookUpResult.OURS), judged


def judge_paid(answer: Answer, ours: Expected) -> tuple[LookUpResult, Judged]:
    """Judge GET /payments/find/{merchant_uid}/paid."""
    result, found = _found(answer, "paid")
    judged = Judged(Verdict.APPLIED, answer.code, None, None, found)
    if found is None:
        return result, judged
    is_before = ours.since is not None and found.began_at < ours.since - TOLERANCE_S
    if is_before and ours.shows(found) is False:
        return LookUpResult.ANOTHERS, judged
    is_foreign = ours.since is None or is_before or ours.is_other(found)
    return (LookUpResult.FOREIGN if is_foreign else LookUpResult.OURS), judged


def judge_cancelled(answer: Answer, ours: Expected) -> tuple[LookUpResult, Judged]:
    """Judge GET /payments/find/{merchant_uid}/cancelled: it was charged before."""
    result, found = _found(answer, "cancelled")
    judged = Judged(Verdict.UNDECIDED, answer.code, None, None, found)
    if found is None or ours.is_earlier(found.began_at) or ours.is_other(found):
        return (result if found is None else LookUpResult.ABSENT), judged
    return LookUpResult.CANCELLED, judged


def judge_failed(answer: Answer, ours: Expected) -> tuple[LookUpResult, Judged]:
    """Judge GET /payments/findAll/{merchant_uid}/failed.

    A record proves that a POST of ours was refused if it began after we sent, shows our amount and digits, and its
    reason is the card; and only if there is one for each POST, and none that says anything else.
    """
    if answer.is_absent:
        return LookUpResult.ABSENT, NOTHING
    if answer.code != 0 or answer.record is None:
        return LookUpResult.UNCLEAR, NOTHING
    near = _failed_since(answer, math.inf if ours.since is None else ours.since - TOLERANCE_S)
    if not near:
        return LookUpResult.ABSENT, NOTHING
    is_settled = len(near) >= ours.posts and all(_is_proof(found, ours) for found in near)
    return (LookUpResult.REFUSED if is_settled else LookUpResult.FAILED_OTHERWISE), _failed(near[0])


def _failed_since(answer: Answer, since: float) -> list[Annotation]:
    return [found for found in answer.records if found.status == "failed" and found.began_at >= since]


def _is_proof(found: Annotation, ours: Expected) -> bool:
    since = max(math.floor(ours.since or 0), ours.known_until + 1)
    is_ours = found.began_at >= since and found.amount == ours.amount and ours.shows(found) is True
    return is_ours and bool(found.fail_reason) and _failed(found).verdict is Verdict.DECLINED


def _found(answer: Answer, status: str) -> tuple[LookUpResult, Annotation | None]:
    if answer.is_absent:
        return LookUpResult.ABSENT, None
    found = answer.record
    if found is None or found.status is None:
        return LookUpResult.UNCLEAR, None
    return (LookUpResult.OURS, found) if found.status == status else (LookUpResult.ABSENT, None)


def _judged(answer: Answer, by_code: Mapping[str, Verdict]) -> Judged:
    pg_code = _pg_code(answer.message)
    verdict = _verdict(answer, pg_code, by_code)
    word = next((name for part, name in codes.MISSING_FIELDS.items() if part in (answer.message or "")), None)
    return Judged(
        *(verdict, answer.code, answer.message, pg_code, answer.response, answer.retry_after_s),
        f"{word}_required" if word and verdict is Verdict.INVALID else None,
    )


def _failed(payment: Annotation) -> Judged:
    """A payment that failed, judged by its reason."""
    reason, pg_code = payment.fail_reason, _pg_code(payment.fail_reason)
    verdict = _verdict_of_words(reason or "", pg_code, gateways.OF_PAYMENTS) or _suggested(reason or "")
    return Judged(verdict, 0, reason, pg_code, payment)


def _verdict(answer: Answer, pg_code: str | None, by_code: Mapping[str, Verdict]) -> Verdict:
    if not answer.was_sent:
        return Verdict.UNSENT
    if answer.code is None:
        return _verdict_of_page(answer.status)
    if answer.status in codes.NOT_DONE_BY_STATUS:
        return codes.NOT_DONE_BY_STATUS[answer.status]
    if answer.code == 0:
        return Verdict.APPLIED if answer.record else Verdict.UNDECIDED
    return _verdict_of_refusal(answer, answer.message or "", pg_code, by_code)


def _verdict_of_refusal(answer: Answer, message: str, pg_code: str | None, by_code: Mapping[str, Verdict]) -> Verdict:
    known = _verdict_of_words(message, pg_code, by_code)
    if known or answer.status in codes.UNSURE_STATUSES:
        return known or Verdict.UNANSWERED
    return codes.BY_STATUS.get(answer.status) or _suggested(message, answer.code or -1)


def _verdict_of_page(status: int) -> Verdict:
    if status in codes.EDGE_STATUSES:
        return Verdict.EDGE_PAGE
    return Verdict.THROTTLED if codes.NOT_DONE_BY_STATUS.get(status) is Verdict.THROTTLED else Verdict.UNANSWERED


def _verdict_of_words(message: str, pg_code: str | None, by_code: Mapping[str, Verdict]) -> Verdict | None:
    if pg_code is not None and pg_code in by_code:
        return by_code[pg_code]
    if codes.INVALID_TEXT.search(message):
        return Verdict.INVALID
    return next((verdict for text, verdict in codes.BY_TEXT if text in message), None)


def _suggested(message: str, code: int = -1) -> Verdict:
    """The verdict of what no table knows: a refusal of the card only where nothing suggests more."""
    by_default = Verdict.MISCONFIGURED if code == codes.LOOKUP_FAILED else Verdict.DECLINED
    return next((verdict for text, verdict in codes.SUGGESTS_MORE if text in message), by_default)


def _pg_code(message: str | None) -> str | None:
    found = (pattern.search(message) for pattern in PG_CODE) if message else ()
    return next((match[1] for match in found if match), None)
