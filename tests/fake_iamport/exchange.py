"""One request from arrival to answer: faults first, then the account."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial
from http import HTTPStatus

from tests.fake_iamport.account import Account
from tests.fake_iamport.answers import BAD_LOGIN, TOO_MANY, UNAUTHORIZED, Answer, error_page, refusal
from tests.fake_iamport.call import Call
from tests.fake_iamport.faults import Fault, FaultBox, Verdict
from tests.fake_iamport.journal import Journal
from tests.fake_iamport.later import Later

JSON = "application/json; charset=UTF-8"
HTML = "text/html"


@dataclass(frozen=True)
class Reply:
    """An answer as bytes.

    Args:
        drip_s: the pause after each byte of the body.
        date: the ``Date`` header's.
        head: more lines of the head, each ended, well-formed or not.
    """

    status: int
    body: bytes
    content_type: str = JSON
    retry_after: str | None = None
    drip_s: float = 0.0
    code: int | None = None
    date: str | None = None
    head: str = ""


@dataclass(frozen=True)
class Cut:
    """No answer: the connection is cut after some silence."""

    silence_s: float = 0.0
    resets: bool = False


class Exchange:
    """Serves calls.

    Args:
        wait: waits some seconds, or less when the fake is stopped.
        clock: for rates, without the offset of i'mport's clock.
        now: i'mport's clock.
    """

    def __init__(
        self,
        account: Account,
        faults: FaultBox,
        journal: Journal,
        later: Later,
        *,
        wait: Callable[[float], object],
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._account = account
        self._faults = faults
        self._journal = journal
        self._later = later
        self._wait = wait
        self._clock = clock
        self._now = now

    def serve(self, call: Call) -> Reply | Cut:
        """Note the call, let the faults at it, do it, and note the answer."""
        call = self._account.route(call)
        entry = self._journal.arrive(call, self._now())
        call = replace(call, request_id=entry.request_id)
        verdict = self._faults.verdict(call, self._clock())
        refused = None
        if verdict.end is None:
            refused = self._account.authenticate(call)
            if refused is None:
                verdict += self._card_verdict(call)
        if verdict.wait_s:
            self._wait(verdict.wait_s)
        reply = _json(refused) if refused else self._conclude(call, verdict)
        if isinstance(reply, Cut):
            self._journal.answered(entry, None, None)
            return reply
        reply = replace(reply, date=formatdate(self._now(), usegmt=True))
        self._journal.answered(entry, reply.status, reply.code)
        return replace(reply, drip_s=verdict.drip_s) if verdict.drip_s else reply

    def _card_verdict(self, call: Call) -> Verdict:
        sample, subject = self._account.sample_of(call)
        if sample is None or sample.fault is None:
            return Verdict()
        return self._faults.card_verdict(sample.fault, sample.card_number, subject)

    def _conclude(self, call: Call, verdict: Verdict) -> Reply | Cut:
        fault = verdict.end
        if fault is None:
            return _json(self._account.handle(call))
        if fault.kind == "rate_limit":
            return _too_many(fault, verdict.retry_after_s)
        if fault.kind == "token_expired":
            return _json(refusal(UNAUTHORIZED, status=401))
        if fault.kind == "refuse_login":
            return _json(refusal(BAD_LOGIN, status=401))
        if fault.kind == "server_error":
            return _html(fault.status)
        self._apply_unanswered(call, fault)
        return _html(fault.status) if fault.cut == "page" else Cut(fault.silence_s, fault.resets)

    def _apply_unanswered(self, call: Call, fault: Fault) -> None:
        """Do what a call asks for although nobody will be told, now or later, or not at all."""
        if fault.kind not in {"lost_answer", "applied_late"} or self._account.authenticate(call):
            return
        if fault.kind == "lost_answer":
            self._account.handle(call)
        else:
            work = partial(self._account.handle, replace(call, late=True))
            self._later.after(fault.delay_s, work)


def _json(answer: Answer) -> Reply:
    return Reply(answer.status, answer.encode(), code=answer.code)


def _html(status: int, retry_after: str | None = None) -> Reply:
    page = error_page(status, HTTPStatus(status).phrase)
    return Reply(status, page, HTML, retry_after)


def _too_many(fault: Fault, retry_after_s: float) -> Reply:
    retry_after = f"{retry_after_s:g}" if retry_after_s >= 0 else None
    if fault.body == "html":
        return _html(429, retry_after)
    return replace(_json(refusal(TOO_MANY, status=429)), retry_after=retry_after)
