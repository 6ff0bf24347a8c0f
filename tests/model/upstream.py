"""I'mport as the model sees it: the fake in process, with a say in what becomes of each POST."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import requests

from tests.fake_iamport import FakeIamport
from tests.fake_iamport.call import Call, parse_body
from tests.fake_iamport.exchange import Cut
from tests.fake_iamport.journal import Applied
from worker.iamport.answer import Answer
from worker.iamport.client import IamportClient
from worker.iamport.http import Call as Watched

LATE_S = 120.0  # what is applied later than this after it was sent is excepted from the promises
SILENCE, NOTHING_LEFT = Answer(0, was_sent=True), Answer(0, was_sent=False)
CRASHES, SILENT = {"crash_before", "crash_after"}, {"lost_answer", "dropped", "late"}
UNANSWERED = CRASHES | SILENT | {"server_error"}
FAILED = "카드정보 인증 및 빌키 발급에 실패하였습니다. "
DATABASE_ERROR = Answer(200, -1, FAILED + "[2000]DB오류")
AT_ONCE = {
    "unsent": NOTHING_LEFT,
    "server_error": Answer.read(502, b"<html>Bad Gateway</html>"),
    "filter": Answer.read(403, b"<html>Forbidden</html>"),
    "bank_trouble": Answer(200, -1, FAILED + "[2159]해당은행장애"),
    "undecided": Answer(200, -1, FAILED + "[A299]API 지연처리 발생."),
    "there_is_one": Answer(200, 1, "이미 주문이 이루어진 건입니다."),
    "throttled": Answer.read(429, b"{}", "2"),
    "declined": Answer(200, -1, "빌키 발급에 실패하였습니다. [F112]유효하지않은 카드번호를 입력하셨습니다."),
}


class CrashError(BaseException):
    """The process dies here; nothing in it may notice."""


class Fate(NamedTuple):
    """What becomes of the next POST.

    Args:
        word: ``answered``; ``declined``; ``lost_answer`` (applied, nobody hears); ``dropped`` (not applied, nobody
            hears); ``late`` (applied ``delay_s`` later, nobody hears); ``unsent``; ``throttled``; ``bank_trouble``;
            ``server_error`` and ``filter`` (a page); ``undecided``; ``there_is_one``; ``behind`` (charged or stored
            although the gateway answers with an error, and the order counts as failed); ``filtered`` (applied, and a
            page comes); ``crash_before``; ``crash_after``.
        delay_s: seconds: of ``late``, or what an answer takes.
        meanwhile: what happens in the world while an answer is awaited.
    """

    word: str = "answered"
    delay_s: float = 0.0
    meanwhile: Callable[[], None] | None = None


class Post(NamedTuple):
    """A POST that reached i'mport or may have: the judge's log beside the fake's own."""

    at: float
    card_number: str
    merchant_uid: str | None
    may_be_applied: bool
    is_unanswered: bool


class Late(NamedTuple):
    """A POST that is applied at an instant, long after it was sent."""

    at: float
    sent_at: float
    call: Call


class Upstream(IamportClient):
    """The real client with the fake behind it in place of a network.

    Args:
        fake: i'mport.
        pass_time: lets seconds pass.
    """

    def __init__(self, fake: FakeIamport, pass_time: Callable[[float], None]) -> None:
        super().__init__("https://model.invalid", connect_timeout_s=5, read_timeout_s=60, boot_clock=fake.now)
        self._fake, self._pass_time = fake, pass_time
        self.fate = Fate()
        self.is_down = False
        self.unreached_at: list[float] = []
        self.posts: list[Post] = []
        self.too_late: set[Applied] = set()
        self.unrecorded: set[Applied] = set()  # charged, and i'mport has a failed record
        self._late: list[Late] = []

    def _exchange(self, request: requests.PreparedRequest, timeout: tuple[float, float], _watched: Watched) -> Answer:
        call = _call(request)
        if self.is_down:
            self.unreached_at.append(self._fake.now())
            return NOTHING_LEFT
        if call.method != "POST" or "getToken" in call.path:
            return self._serve(call)
        fate, self.fate, sent_at = self.fate, Fate(), self._fake.now()
        if fate.meanwhile is not None:
            fate.meanwhile()
        answer = self._answer(call, fate)
        order = call.text("merchant_uid") or None
        is_page = fate.word in {"filter", "filtered"} and order is not None
        is_unanswered = fate.word in UNANSWERED or is_page or (fate.word == "undecided" and order is None)
        is_done = is_unanswered or fate.word in {"behind", "undecided"}
        is_done = is_done or (fate.word == "there_is_one" and not self._is_anothers(order, call.card_number))
        may_be_applied = is_done or answer is None or answer.code == 0
        if fate.word != "unsent":
            self.posts.append(Post(sent_at, call.card_number, order, may_be_applied, is_unanswered))
        if answer is None:
            raise CrashError
        return answer

    def _is_anothers(self, order: str | None, card_number: str) -> bool:
        """True if the order was paid with another card, and only with that: then it says nothing of this one."""
        payers = {entry.card_number for entry in self._fake.applied if order and entry.merchant_uid == order}
        return bool(payers) and card_number not in payers

    def next_late(self) -> float:
        """When something was put off to, at the earliest."""
        return min((one.at for one in self._late), default=math.inf)

    def apply_late(self) -> None:
        """Do what was put off until now."""
        now = self._fake.now()
        due, self._late = [one for one in self._late if one.at <= now], [one for one in self._late if one.at > now]
        for one in due:
            before = len(self._fake.applied)
            self._fake.serve(replace(one.call, late=True))
            if one.at - one.sent_at > LATE_S:
                self.too_late.update(self._fake.applied_since(before))

    def _answer(self, call: Call, fate: Fate) -> Answer | None:
        """What the worker sees; None if it dies."""
        if fate.word in {"lost_answer", "crash_after"}:
            self._serve(call)
        if fate.word == "late":
            self._late.append(Late(self._fake.now() + fate.delay_s, self._fake.now(), call))
        if fate.word in CRASHES:
            return None
        if fate.word in SILENT:
            self._pass_time(min(fate.delay_s or 60.0, 60.0))
            return SILENCE
        if fate.word == "filtered":
            self._serve(call)
            return AT_ONCE["filter"]
        if fate.word == "behind":
            before = len(self._fake.applied)
            self._fake.desk.fail_next = bool(call.text("merchant_uid"))
            self._serve(call)
            self._fake.desk.fail_next = False
            self.unrecorded.update(self._fake.applied_since(before))
            return DATABASE_ERROR
        if fate.word in AT_ONCE:
            return AT_ONCE[fate.word]
        self._pass_time(min(fate.delay_s, 60.0))  # the call's own deadline is 70 s
        return self._serve(call)

    def _serve(self, call: Call) -> Answer:
        reply = self._fake.serve(call)
        assert not isinstance(reply, Cut)
        return Answer.read(reply.status, reply.body, reply.retry_after, reply.date)


def _call(request: requests.PreparedRequest) -> Call:
    parts = urlsplit(request.url or "")
    body = parse_body("application/json", request.body if isinstance(request.body, bytes) else b"")
    assert isinstance(body, dict)
    return Call(str(request.method), str(parts.path), parse_qs(str(parts.query)), dict(request.headers.items()), body)
