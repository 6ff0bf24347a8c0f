"""The story, with each part replaced by one that does as told."""

from typing import Any

import pytest

from producer.contract.card import Card
from producer.contract.errors import Refused
from producer.contract.job import Job
from producer.contract.names import Operation
from producer.contract.outcome import Outcome, Status
from tests.fake_iamport import CARDS
from tests.worker.leases import JOB_ID, lease
from worker.errors import LoginRefused, StoreUnavailable, TokenUnavailable, UnknownKid
from worker.iamport.models import Annotation, Answer
from worker.issuance import FINISH_TRIES, Issuance
from worker.lease import Lease, NotClaimed, Sealed
from worker.parts import Held
from worker.retry import Leave, Wait

ISSUED = Answer(200, 0, None, Annotation(card_name="신한카드", card_number="424242******4242", inserted=5, updated=5))
DECLINED = Answer(200, -1, "카드정보 인증 및 빌키 발급에 실패하였습니다. [F112]유효하지않은 카드번호를 입력하셨습니다.")
TOKEN = Held("token-1", b"sealed-1", 1e9)


class LedgerOnPaper:
    """A ledger that holds one job."""

    def __init__(self, claim: Lease | NotClaimed, sealed: Sealed = b"sealed", finish_failures: int = 0) -> None:
        self.claimed, self.sealed = claim, sealed
        self.is_ours, self.finish_failures = True, finish_failures
        self.log: list[str] = []

    def claim(self, job_id: str, delivery: str) -> tuple[Lease | NotClaimed, Sealed]:
        self.log.append("claim")
        return self.claimed, self.sealed

    def mark_sent(self, lease: Lease) -> int | None:
        self.log.append("sent")
        return lease.attempts + self.log.count("sent") if self.is_ours else None

    def wait(self, lease: Lease, delay_s: float, reason: str) -> bool:
        self.log.append("wait")
        return self.is_ours

    def finish(self, lease: Lease, outcome: Outcome) -> Outcome | None:
        self.log.append("finish")
        if self.finish_failures:
            self.finish_failures -= 1
            raise StoreUnavailable
        return outcome


class OpenerOnPaper:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def open(self, sealed: bytes, lease: Lease) -> tuple[Job, Card]:
        if self.error:
            raise self.error
        job = Job(
            operation=lease.operation,
            customer_uid=lease.customer_uid,
            merchant_uid=lease.merchant_uid,
            amount=1000 if lease.merchant_uid else None,
            name="order" if lease.merchant_uid else None,
            job_id=lease.job_id,
            sequence=lease.sequence,
            accepted_at=lease.accepted_at,
            expires_at=lease.expires_at,
            envelope="e",
        )
        return job, Card(**CARDS["visa"].fields())


class TokensOnPaper:
    def __init__(self, error: TokenUnavailable | None = None) -> None:
        self.error = error
        self.dropped: list[Held] = []

    def get(self) -> Held:
        if self.error:
            raise self.error
        return TOKEN._replace(text=f"token-{len(self.dropped) + 1}")

    def drop(self, refused: Held) -> None:
        self.dropped.append(refused)


class IamportOnPaper:
    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.tokens: list[str] = []

    def issue(self, job: Job, card: Card, token: str) -> Answer:
        self.tokens.append(token)
        return self.answers.pop(0)

    onetime = issue


class Scene:
    """A story about to be told."""

    def __init__(self, *answers: Answer, claim: Lease | NotClaimed | None = None, **parts: Any) -> None:
        self.ledger = LedgerOnPaper(claim or lease(), parts.get("sealed", b"sealed"), parts.get("finish_failures", 0))
        self.tokens = TokensOnPaper(parts.get("token_error"))
        self.iamport = IamportOnPaper(*answers)
        self.pauses: list[float] = []
        opener = OpenerOnPaper(parts.get("opening_error"))
        self.issuance = Issuance(
            self.ledger, opener, self.tokens, self.iamport, clock=lambda: 53.0, sleep=self.pauses.append
        )

    def run(self) -> object:
        return self.issuance.run(JOB_ID, "delivery-1")


def test_a_card_that_is_accepted_ends_issued_with_what_imp_said() -> None:
    scene = Scene(ISSUED)

    outcome = scene.run()

    assert outcome == Outcome(
        job_id=JOB_ID,
        status=Status.ISSUED,
        operation=Operation.ISSUE,
        customer_uid="gildong_0001",
        code=0,
        card_name="신한카드",
        card_number="424242******4242",
        inserted=5,
        updated=5,
        attempts=1,
        accepted_at=1000.0,
        finished_at=1004.0,
    )
    assert scene.ledger.log == ["claim", "sent", "finish"]


def test_it_is_marked_sent_before_it_is_sent() -> None:
    scene = Scene()
    scene.ledger.is_ours = False

    step = scene.run()

    assert step == Leave()
    assert scene.iamport.tokens == []


def test_a_declined_card_is_sent_once_and_ends_with_the_gateways_code() -> None:
    scene = Scene(DECLINED)

    outcome = scene.run()

    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.pg_code, outcome.attempts) == (Status.DECLINED, "F112", 1)


def test_what_others_have_in_hand_is_left_alone() -> None:
    for word in ("unknown", "finished", "waiting"):
        scene = Scene(claim=NotClaimed(word))

        assert scene.run() == NotClaimed(word)
        assert scene.ledger.log == ["claim"]


def test_a_card_that_the_vault_lost_ends_lost() -> None:
    outcome = Scene(sealed=None).run()

    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.code) == (Status.LOST, "vault_lost")


def test_a_vault_that_is_silent_is_waited_for() -> None:
    step = Scene(sealed=StoreUnavailable()).run()

    assert isinstance(step, Wait)
    assert step.reason == "vault_silent"


def test_a_job_that_may_have_been_sent_is_not_lost_even_if_its_card_is_gone() -> None:
    outcome = Scene(claim=lease(sent_at=1000.5, attempts=1), sealed=None).run()

    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.attempts) == (Status.IN_DOUBT, 1)


def test_a_refused_seal_or_signature_ends_invalid_with_the_reason_and_nothing_sent() -> None:
    scene = Scene(opening_error=Refused("bad_signature"))

    outcome = scene.run()

    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.code) == (Status.INVALID, "bad_signature")
    assert "sent" not in scene.ledger.log


def test_an_unknown_kid_waits_for_the_next_rotation() -> None:
    assert Scene(opening_error=UnknownKid("k9")).run() == Wait(30.0, "unknown_kid")


def test_refused_merchant_keys_are_waited_out_and_nothing_is_sent() -> None:
    scene = Scene(token_error=LoginRefused("login_refused", 30))

    assert scene.run() == Wait(30, "login_refused")
    assert "sent" not in scene.ledger.log


def test_a_refused_token_is_fetched_anew_and_the_card_sent_once_more() -> None:
    scene = Scene(Answer(401, -1), ISSUED)

    outcome = scene.run()

    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.attempts) == (Status.ISSUED, 2)
    assert scene.iamport.tokens == ["token-1", "token-2"]


def test_a_second_refusal_of_the_token_is_an_ordinary_retry() -> None:
    scene = Scene(Answer(401, -1), Answer(401, -1))

    step = scene.run()

    assert isinstance(step, Wait)
    assert step.reason == "token_refused"
    assert len(scene.iamport.tokens) == 2


def test_no_answer_ends_in_doubt_and_is_not_sent_again() -> None:
    scene = Scene(Answer(0))

    outcome = scene.run()

    assert isinstance(outcome, Outcome)
    assert outcome.status is Status.IN_DOUBT
    assert len(scene.iamport.tokens) == 1


def test_a_request_that_surely_did_not_leave_waits() -> None:
    step = Scene(Answer(0, was_sent=False)).run()

    assert isinstance(step, Wait)
    assert step.reason == "unsent"


def test_a_payment_that_fails_is_declined_although_the_code_is_0() -> None:
    failed = Answer(200, 0, None, Annotation(status="failed", fail_reason="[2116] 한도초과", imp_uid="imp_1"))
    claim = lease(operation=Operation.ONETIME, merchant_uid="order-1", customer_uid=None)

    outcome = Scene(failed, claim=claim).run()

    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.pg_code, outcome.imp_uid) == (Status.DECLINED, "2116", "imp_1")


def test_an_outcome_outlasts_a_ledger_that_restarts() -> None:
    scene = Scene(ISSUED, finish_failures=5)

    outcome = scene.run()

    assert isinstance(outcome, Outcome)
    assert len(scene.pauses) == 5


def test_a_ledger_that_stays_away_leaves_the_job_to_its_lease() -> None:
    scene = Scene(ISSUED, finish_failures=FINISH_TRIES + 1)

    with pytest.raises(StoreUnavailable):
        scene.run()
