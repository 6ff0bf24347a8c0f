"""The story, with each part replaced by one that does as told."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from producer.contract.card import Card
from producer.contract.errors import Refused
from producer.contract.identifiers import Operation
from producer.contract.job import Job
from producer.contract.outcome import Outcome, Status
from producer.runtime.errors import StoreUnavailable
from tests.fake_iamport import CARDS
from tests.worker.leases import JOB_ID, lease
from worker.errors import LoginRefused, MarkNotKept, TokenUnavailable, UnknownKid, UnknownProducer
from worker.iamport.answer import Annotation, Answer
from worker.iamport.codes import Verdict
from worker.iamport.verdict import Judged
from worker.issuance import WRITE_RETRY_S, Issuance
from worker.liveness import LEAVE_WITHIN_S
from worker.model import OVERDUE, Lease, Mark, NotClaimed, NotOurs, RatePermit, SealedRequest, SharedToken, Snooze

ISSUED = Answer(200, 0, None, Annotation(card_name="신한카드", card_number="424242******4242", inserted=5, updated=5))
DECLINED = Answer(200, -1, "카드정보 인증 및 빌키 발급에 실패하였습니다. [F112]유효하지않은 카드번호를 입력하셨습니다.")
TOKEN = SharedToken("token-1", b"sealed-1", 1e9)
IMP_NOW = 1004.5


class LedgerOnPaper:
    """A ledger that holds one job."""

    def __init__(self, claim: Lease | NotClaimed, finish_failures: int = 0) -> None:
        self.claimed = claim
        self.is_ours, self.finish_failures = True, finish_failures
        self.is_mark_kept = True
        self.marks: list[float] = []
        self.held: list[Lease] = []
        self.known_until: int | None = None
        self.log: list[str] = []

    def claim(self, job_id: str, delivery: str) -> Lease | NotClaimed:
        self.log.append("claim")
        return self.claimed

    def mark_sent(self, lease: Lease, now: float) -> int | None:
        self.log.append("sent")
        self.marks.append(now)
        if not self.is_mark_kept:
            raise MarkNotKept
        return lease.attempts + self.log.count("sent") if self.is_ours else None

    def hold(self, lease: Lease) -> bool:
        self.log.append("hold")
        self.held.append(lease)
        return self.is_ours

    def wait(self, lease: Lease, wait: Snooze) -> bool:
        self.log.append("wait")
        return self.is_ours

    def finish(self, lease: Lease, outcome: Outcome, known_until: int | None) -> Outcome | None:
        self.log.append("finish")
        self.known_until = known_until
        if self.finish_failures:
            self.finish_failures -= 1
            raise StoreUnavailable
        return outcome

    def forget(self, job_id: str) -> None:
        self.log.append("forget")


class ThrottleOnPaper:
    """Gives these permits one after the other, the last one for ever."""

    def __init__(self, *permits: RatePermit) -> None:
        self.permits = list(permits)
        self.asked: list[bool] = []
        self.reports: list[int] = []

    def ask(self, job_id: str, *, is_migration: bool, is_look_up: bool = False) -> Callable[[], RatePermit]:
        self.asked.append(is_look_up)
        permit = self.permits.pop(0) if len(self.permits) > 1 else self.permits[0]
        return lambda: permit

    def report(self, permit: RatePermit, answer: Answer) -> None:
        self.reports.append(answer.status)


class OpenerOnPaper:
    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.opened = error, 0

    def verify(self, sealed: bytes, lease: Lease) -> SealedRequest:
        if isinstance(self.error, Refused | UnknownProducer):
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
        return SealedRequest(job, cast("Any", None))

    def open(self, request: SealedRequest) -> Card:
        self.opened += 1
        if self.error:
            raise self.error
        return Card(**CARDS["visa"].fields())


class TokensOnPaper:
    def __init__(self, error: TokenUnavailable | None = None) -> None:
        self.error = error
        self.dropped: list[SharedToken] = []

    def get(self) -> SharedToken:
        if self.error:
            raise self.error
        return TOKEN._replace(text=f"token-{len(self.dropped) + 1}")

    def drop(self, refused: SharedToken) -> None:
        self.dropped.append(refused)


class IamportOnPaper:
    """Gives these answers one after the other; its clock is heard of at the first, unless it is known already."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.clock: float | None = IMP_NOW
        self.clock_of_answers: float | None = IMP_NOW
        self.tokens: list[str] = []
        self.jobs: list[Job] = []
        self.look_ups: list[str] = []
        self.leave_by: list[float] = []

    def issue(self, job: Job, card: Card, token: str, leave_by: float) -> Answer:
        self.leave_by.append(leave_by)
        self.tokens.append(token)
        self.jobs.append(job)
        return self._answer()

    onetime = issue

    def find_customer(self, customer_uid: str, token: str) -> Answer:
        self.look_ups.append(customer_uid)
        return self._answer()

    def find_customers(self, customer_uids: Sequence[str], token: str) -> Answer:
        return self.find_customer(",".join(customer_uids), token)

    def find_payment(self, merchant_uid: str, status: str, token: str) -> Answer:
        return self.find_customer(f"{merchant_uid}/{status}", token)

    def find_failed(self, merchant_uid: str, token: str) -> Answer:
        return self.find_customer(f"{merchant_uid}/failed", token)

    def now(self) -> float | None:
        return self.clock

    def _answer(self) -> Answer:
        self.clock = self.clock or self.clock_of_answers
        return self.answers.pop(0)


class Scene:
    """A story about to be told."""

    def __init__(self, *answers: Answer, claim: Lease | NotClaimed | None = None, **parts: Any) -> None:
        self.ledger = LedgerOnPaper(claim or lease(), parts.get("finish_failures", 0))
        self.throttle = ThrottleOnPaper(*parts.get("permits", [RatePermit("granted", sealed=b"sealed")]))
        self.tokens = TokensOnPaper(parts.get("token_error"))
        self.iamport = IamportOnPaper(*answers)
        self.pauses: list[float] = []
        self.now, self.is_stopping, self.oversleeps = 53.0, False, 0.0
        self.opener = OpenerOnPaper(parts.get("opening_error"))
        self.issuance = Issuance(
            self.ledger,
            self.throttle,
            self.opener,
            self.tokens,
            self.iamport,
            clock=lambda: self.now,
            boot_clock=lambda: self.now,
            pause=self.pause,
            sleep=self.pauses.append,
        )

    def pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.now += seconds + self.oversleeps
        return not self.is_stopping

    def run(self) -> object:
        return self.issuance.run(JOB_ID, "delivery-1").step

    def outcome(self) -> Outcome:
        outcome = self.run()
        assert isinstance(outcome, Outcome)
        return outcome

    def snooze(self) -> Snooze:
        step = self.run()
        assert isinstance(step, Snooze)
        return step


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


def test_nothing_is_open_while_a_token_or_a_turn_is_awaited() -> None:
    no_token = Scene(token_error=TokenUnavailable("token_awaited", 1.0))
    no_turn = Scene(permits=[RatePermit("later", 20.0, b"sealed")])

    for scene in (no_token, no_turn):
        scene.snooze()
        assert scene.opener.opened == 0


@pytest.mark.parametrize(("shown", "opened"), [(None, 0), ("424242******4242", 1)])
def test_a_look_up_opens_the_card_only_to_compare_digits_that_came(shown: str | None, opened: int) -> None:
    scene = Scene(Answer(200, 0, None, THERE.model_copy(update={"card_number": shown})), claim=SENT)

    assert scene.outcome().status == "issued"
    assert scene.opener.opened == opened


def test_a_found_key_is_in_doubt_if_the_card_cannot_be_opened_to_compare_its_digits() -> None:
    outcome = Scene(Answer(200, 0, None, THERE), claim=SENT, opening_error=UnknownKid("k9")).outcome()

    assert (outcome.status, outcome.code) == ("in_doubt", "vault_lost")


def test_it_is_marked_sent_before_it_is_sent() -> None:
    scene = Scene()
    scene.ledger.is_ours = False

    step = scene.run()

    assert step == NotOurs()
    assert scene.iamport.tokens == []


def test_it_must_leave_so_soon_after_it_was_to_be_marked_as_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(DECLINED)
    asked_at = scene.now

    def slowly(lease: Lease, now: float) -> int:
        scene.now += 100
        return 1

    monkeypatch.setattr(scene.ledger, "mark_sent", slowly)
    scene.run()

    assert scene.iamport.leave_by == [asked_at + LEAVE_WITHIN_S]


def test_a_declined_card_is_sent_once_and_ends_with_the_gateways_code() -> None:
    scene = Scene(DECLINED)

    outcome = scene.outcome()

    assert (outcome.status, outcome.pg_code, outcome.attempts) == (Status.DECLINED, "F112", 1)


def test_what_others_have_in_hand_is_left_alone() -> None:
    for word in ("unknown", "waiting"):
        scene = Scene(claim=NotClaimed(word))

        assert scene.run() == NotClaimed(word)
        assert scene.ledger.log == ["claim"]


def test_a_request_that_came_back_after_the_end_is_deleted_again() -> None:
    scene = Scene(claim=NotClaimed("finished"))

    scene.run()

    assert scene.ledger.log == ["claim", "forget"]


def test_a_card_that_the_vault_lost_ends_lost() -> None:
    outcome = Scene(claim=lease(claimed_at=1061.0), permits=[RatePermit("no_request")]).outcome()

    assert (outcome.status, outcome.code) == (Status.LOST, "vault_lost")


def test_a_vault_that_is_silent_is_waited_for() -> None:
    step = Scene(permits=[RatePermit("store_down")]).snooze()

    assert (step.reason, step.last_post) == ("vault_silent", "unsent")


def test_a_job_waits_for_its_turn_in_the_slot() -> None:
    scene = Scene(ISSUED, permits=[RatePermit("later", 3.0), RatePermit("granted", 0.25, b"sealed")])

    scene.outcome()

    assert scene.pauses == [1.0, 0.25]


def test_a_job_whose_turn_does_not_come_is_given_back() -> None:
    scene = Scene(permits=[RatePermit("later", 40.0)])

    step = scene.run()

    assert step == Snooze(40.0, "turn", "unsent")
    assert sum(scene.pauses) == 15.0


def test_a_place_that_was_missed_is_asked_for_anew_but_not_for_ever() -> None:
    scene = Scene(ISSUED, permits=[RatePermit("granted", 0.5, b"sealed"), RatePermit("granted", 0.25, b"sealed")])
    scene.oversleeps = 1.0

    scene.outcome()

    assert scene.pauses == [0.5, 0.25, 0.25]
    assert scene.ledger.log == ["claim", "sent", "finish"]


def test_a_process_that_is_to_stop_gives_back_what_waits_for_its_turn() -> None:
    for permit in (RatePermit("later", 3.0), RatePermit("granted", 3.0, b"sealed")):
        scene = Scene(permits=[permit])
        scene.is_stopping = True

        assert scene.run() == Snooze(0.0, "shutdown", "unsent")


SENT = lease(sent_at=1000.5, first_sent_at=1000.5, attempts=1)
GONE = [RatePermit("no_request"), RatePermit("granted")]
THERE = Annotation(card_number="424242******4242", inserted=1001, updated=1001, card_name="신한카드")


def test_a_job_that_may_have_been_sent_is_looked_up_and_not_sent() -> None:
    scene = Scene(Answer(200, 0, None, THERE), claim=SENT)

    outcome = scene.outcome()

    assert (outcome.status, outcome.attempts, outcome.card_name) == (Status.ISSUED, 1, "신한카드")
    assert scene.iamport.look_ups == ["gildong_0001"]
    assert scene.iamport.tokens == []
    assert scene.ledger.log == ["claim", "hold", "finish"]


def test_a_job_that_may_have_been_sent_is_looked_up_even_if_its_card_is_gone() -> None:
    scene = Scene(Answer(200, 0, None, THERE), claim=SENT, permits=GONE)

    outcome = scene.outcome()

    assert outcome.status is Status.ISSUED
    assert scene.throttle.asked == [False, True]


def test_what_is_not_there_yet_is_looked_up_again() -> None:
    step = Scene(Answer(404, 1), claim=SENT).run()

    assert step == Snooze(1.0, "look_up", "doubt", found_nothing=True)


def test_what_is_still_not_there_after_long_enough_is_sent_again() -> None:
    step = Scene(Answer(404, 1), claim=SENT._replace(look_ups=12)).run()

    assert step == Snooze(0.0, "send_again", "presumed")


def test_a_silent_vault_leaves_a_job_that_may_have_been_sent_in_doubt() -> None:
    step = Scene(claim=SENT, permits=[RatePermit("store_down")]).snooze()

    assert step.last_post == "doubt"


def test_a_look_up_without_a_token_waits_and_an_overdue_one_ends_in_doubt() -> None:
    error = TokenUnavailable("login_failed")

    waiting = Scene(claim=SENT, token_error=error).run()
    ended = Scene(claim=SENT._replace(claimed_at=1900.0), token_error=error).run()

    assert isinstance(waiting, Snooze)
    assert (waiting.reason, waiting.last_post) == ("look_up", "doubt")
    assert isinstance(ended, Outcome)
    assert ended.status is Status.IN_DOUBT


def test_a_job_that_was_ever_in_doubt_never_ends_as_though_it_had_not_been_sent() -> None:
    doubtful = lease(is_doubtful=True, first_sent_at=1000.0, attempts=1)
    scenes = {
        "expired": Scene(Answer(404, 1), claim=doubtful._replace(claimed_at=1900.0)),
        "lost": Scene(Answer(404, 1), claim=doubtful._replace(claimed_at=1900.0), permits=GONE),
        "failed": Scene(claim=doubtful._replace(claims=11)),
        "invalid": Scene(claim=doubtful, opening_error=Refused("bad_signature")),
        "misconfigured": Scene(Answer(502), claim=doubtful._replace(claimed_at=1900.0, reason="login_refused")),
    }

    found = {name: scene.run() for name, scene in scenes.items()}

    assert {name: one.status for name, one in found.items() if isinstance(one, Outcome)} == dict.fromkeys(
        scenes, Status.IN_DOUBT
    )


def test_a_payment_beside_a_newer_card_stores_no_key_and_says_so() -> None:
    paid = Answer(200, 0, None, Annotation(status="paid", imp_uid="imp_1"))
    claim = lease(operation=Operation.ONETIME, merchant_uid="order-1", newer_applied=True)
    scene = Scene(paid, claim=claim)

    outcome = scene.outcome()

    assert (outcome.status, outcome.code) == (Status.PAID, "newer_card")
    assert scene.iamport.jobs[0].customer_uid is None


def test_a_refused_seal_or_signature_ends_invalid_with_the_reason_and_nothing_sent() -> None:
    scene = Scene(opening_error=Refused("bad_signature"))

    outcome = scene.outcome()

    assert (outcome.status, outcome.code) == (Status.INVALID, "bad_signature")
    assert "sent" not in scene.ledger.log


def test_an_unknown_kid_waits_for_the_next_rotation() -> None:
    assert Scene(opening_error=UnknownKid("k9")).run() == Snooze(30.0, "unknown_kid")


def test_refused_merchant_keys_are_waited_out_and_nothing_is_sent() -> None:
    scene = Scene(token_error=LoginRefused("login_refused", 30))

    assert scene.run() == Snooze(30, "login_refused")
    assert "sent" not in scene.ledger.log


def test_a_refused_token_is_fetched_anew_and_the_card_sent_once_more() -> None:
    scene = Scene(Answer(401, -1), ISSUED)

    outcome = scene.outcome()

    assert (outcome.status, outcome.attempts) == (Status.ISSUED, 2)
    assert scene.iamport.tokens == ["token-1", "token-2"]


def test_a_second_refusal_of_the_token_is_an_ordinary_retry() -> None:
    scene = Scene(Answer(401, -1), Answer(401, -1))

    step = scene.snooze()

    assert step.reason == "token_refused"
    assert len(scene.iamport.tokens) == 2


def test_no_answer_is_looked_up_and_not_sent_again() -> None:
    scene = Scene(Answer(0))

    step = scene.run()

    assert step == Snooze(0.0, "look_up", "doubt")
    assert len(scene.iamport.tokens) == 1


def test_a_request_that_surely_did_not_leave_waits() -> None:
    step = Scene(Answer(0, was_sent=False)).snooze()

    assert step.reason == "unsent"


def test_a_payment_that_fails_is_declined_although_the_code_is_0() -> None:
    failed = Answer(200, 0, None, Annotation(status="failed", fail_reason="[2116] 한도초과", imp_uid="imp_1"))
    claim = lease(operation=Operation.ONETIME, merchant_uid="order-1", customer_uid=None)

    outcome = Scene(failed, claim=claim).outcome()

    assert (outcome.status, outcome.pg_code, outcome.imp_uid) == (Status.DECLINED, "2116", "imp_1")


def test_an_outcome_outlasts_a_ledger_that_restarts() -> None:
    scene = Scene(ISSUED, finish_failures=5)

    scene.outcome()

    assert len(scene.pauses) == 5


def test_a_ledger_that_stays_away_leaves_the_job_to_its_lease() -> None:
    scene = Scene(ISSUED, finish_failures=2 * int(WRITE_RETRY_S) + 2)

    with pytest.raises(StoreUnavailable):
        scene.run()


def test_a_mark_is_written_on_imps_clock() -> None:
    scene = Scene(ISSUED)

    scene.outcome()

    assert scene.ledger.marks == [IMP_NOW]


def test_a_vault_that_does_not_take_the_mark_lets_nothing_leave() -> None:
    scene = Scene()
    scene.ledger.is_mark_kept = False

    step = scene.snooze()

    assert (step.reason, step.last_post) == ("vault_silent", "unsent")
    assert scene.iamport.jobs == []


def test_a_deadline_that_passed_on_the_way_lets_nothing_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, doubtful = Scene(), Scene(claim=lease(is_doubtful=True, first_sent_at=1000.0, attempts=1))
    for scene in (fresh, doubtful):
        monkeypatch.setattr(scene.ledger, "mark_sent", lambda lease, now: OVERDUE)

    assert (fresh.outcome().status, fresh.iamport.jobs) == (Status.EXPIRED, [])
    assert (doubtful.run(), doubtful.iamport.jobs) == (Snooze(0.0, "look_up", "presumed"), [])


@pytest.mark.parametrize(
    ("claim", "asked"),
    [(lease(), "gildong_0001"), (lease(operation=Operation.ONETIME, merchant_uid="order-1"), "order-1/paid")],
)
def test_a_process_that_never_heard_imps_clock_asks_for_something_first(claim: Lease, asked: str) -> None:
    scene = Scene(Answer(404, 1), Answer(200, 0, None, Annotation(status="paid")), claim=claim)
    scene.iamport.clock = None

    outcome = scene.outcome()

    assert outcome.succeeded
    assert scene.iamport.look_ups == [asked]
    assert scene.ledger.log == ["claim", "hold", "sent", "finish"]
    assert scene.ledger.marks == [IMP_NOW]
    assert len(scene.throttle.asked) == 2  # each call has its permit


OLD_ROW = lease(as_of=900, is_unsure=True)


def at_imports(updated: int | None) -> Answer:
    return Answer(200, 0, None, Annotation(card_number="555555******4444", inserted=5, updated=updated))


@pytest.mark.parametrize("before", [Answer(404, 1), Answer(200, 1), at_imports(897)])
@pytest.mark.parametrize("clock", [None, IMP_NOW])
def test_a_row_from_before_the_ledgers_memory_is_sent_if_imp_has_no_newer_card(
    before: Answer, clock: float | None
) -> None:
    scene = Scene(before, ISSUED, claim=OLD_ROW)
    scene.iamport.clock = clock

    assert scene.outcome().status == "issued"
    assert scene.iamport.look_ups == ["gildong_0001"]
    assert scene.ledger.log == ["claim", "hold", "sent", "finish"]
    assert len(scene.throttle.asked) == 2  # each call has its permit


@pytest.mark.parametrize("updated", [900, 899, 1000])
def test_a_row_from_before_the_ledgers_memory_is_not_sent_over_what_imp_has_since(updated: int) -> None:
    scene = Scene(at_imports(updated), claim=OLD_ROW)

    outcome = scene.outcome()

    assert (outcome.status, outcome.code, outcome.updated, outcome.attempts) == ("superseded", "newer_card", updated, 0)
    assert scene.opener.opened == 0
    assert "sent" not in scene.ledger.log


@pytest.mark.parametrize("answer", [Answer(502), Answer(200, 0), at_imports(None)])
def test_a_row_from_before_the_ledgers_memory_waits_while_imp_does_not_say(answer: Answer) -> None:
    scene = Scene(answer, claim=OLD_ROW)

    step = scene.snooze()

    assert (step.reason, step.last_post) == ("newer_unknown", "unsent")
    assert "sent" not in scene.ledger.log


def test_imp_is_not_asked_about_a_row_that_the_ledger_remembers() -> None:
    scene = Scene(ISSUED, claim=lease(as_of=900))

    assert scene.outcome().status == "issued"
    assert scene.iamport.look_ups == []


def test_imp_is_not_asked_for_the_sake_of_a_forged_row() -> None:
    scene = Scene(claim=OLD_ROW, opening_error=Refused("bad_signature"))

    assert scene.outcome().code == "bad_signature"
    assert scene.iamport.look_ups == []


def test_nothing_is_sent_while_imps_clock_is_not_known() -> None:
    scene = Scene(Answer(502))
    scene.iamport.clock = scene.iamport.clock_of_answers = None

    step = scene.snooze()

    assert (step.reason, step.last_post) == ("no_clock", "unsent")
    assert "sent" not in scene.ledger.log


@pytest.mark.parametrize(
    ("known_until", "operation", "is_sent"),
    [
        (1004, Operation.ISSUE, False),
        (1005, Operation.ISSUE, False),
        (1003, Operation.ISSUE, True),
        (1100, Operation.ISSUE, True),  # i'mport's clock went back by more than a second or two: nothing to wait for
        (1004, Operation.ONETIME, True),
    ],
)
def test_no_card_is_sent_in_the_second_in_which_the_last_one_was_stored(
    known_until: int, operation: Operation, is_sent: bool
) -> None:
    paid = Answer(200, 0, None, Annotation(status="paid"))
    order = "order-1" if operation is Operation.ONETIME else None
    scene = Scene(paid, claim=lease(known_until=known_until, operation=operation, merchant_uid=order))

    step = scene.run()

    assert ("sent" in scene.ledger.log) is is_sent
    if isinstance(step, Snooze):
        assert (step.delay_s, step.reason, step.last_post) == (1.0, "order", "unsent")


def marked(attempts: int, *, is_doubtful: bool = False) -> RatePermit:
    return RatePermit("granted", sealed=b"sealed", mark=Mark(attempts, 1000.25, is_doubtful))


@pytest.mark.parametrize("is_doubtful", [False, True])
def test_a_vault_that_counts_more_posts_than_the_ledger_has_them_looked_up(is_doubtful: bool) -> None:
    scene = Scene(Answer(200, 0, None, THERE), permits=[marked(2, is_doubtful=is_doubtful)])

    outcome = scene.outcome()

    assert (outcome.status, outcome.attempts) == (Status.ISSUED, 2)
    assert scene.iamport.jobs == []
    (held,) = scene.ledger.held  # the ledger learns of it
    assert (held.attempts, held.first_sent_at, held.is_doubtful) == (2, 1000.25, is_doubtful)


def test_an_overdue_job_that_only_the_vault_knows_to_be_sent_does_not_expire() -> None:
    scene = Scene(Answer(404, 1), claim=lease(claimed_at=1900.0), permits=[marked(1)])

    assert scene.outcome().status is Status.IN_DOUBT


def test_a_mark_that_the_ledger_has_too_is_no_doubt() -> None:
    scene = Scene(ISSUED, claim=lease(attempts=1, reason="unsent"), permits=[marked(1)])

    assert (scene.outcome().status, scene.iamport.look_ups) == (Status.ISSUED, [])


def test_a_job_in_doubt_whose_token_is_refused_is_not_posted_twice() -> None:
    scene = Scene(Answer(401, -1), claim=lease(is_doubtful=True, first_sent_at=1000.0, attempts=1))

    step = scene.snooze()

    assert (step.reason, step.last_post) == ("look_up", "doubt")
    assert len(scene.iamport.jobs) == 1


def test_a_look_up_whose_token_is_refused_is_made_once_more_with_a_new_one() -> None:
    scene = Scene(Answer(401, -1), Answer(200, 0, None, THERE), claim=SENT)

    assert scene.outcome().status is Status.ISSUED
    assert [one.text for one in scene.tokens.dropped] == ["token-1"]
    assert len(scene.throttle.asked) == 2


PAYMENT_SENT = SENT._replace(operation=Operation.ONETIME, merchant_uid="order-1")
NO_SUCH = Answer(404, 1)
ORDER = ["order-1/paid", "order-1/cancelled", "order-1/failed"]


def record(status: str, **members: object) -> Annotation:
    shown = {"status": status, "amount": 1000, "card_number": "42424242****4242", "started_at": 1001}
    return Annotation.model_validate(shown | members)


def listed(*records: Annotation) -> Answer:
    return Answer(200, 0, None, Annotation(), records=records)


@pytest.mark.parametrize(
    ("answers", "status", "code"),
    [
        ([Answer(200, 0, None, record("paid"))], Status.PAID, 0),
        ([NO_SUCH, Answer(200, 0, None, record("cancelled"))], Status.IN_DOUBT, "cancelled"),
        ([NO_SUCH, NO_SUCH, listed(record("failed", fail_reason="[2116] 한도초과"))], Status.DECLINED, 0),
    ],
)
def test_a_payment_is_looked_up_under_paid_then_cancelled_then_failed(
    answers: list[Answer], status: Status, code: object
) -> None:
    scene = Scene(*answers, claim=PAYMENT_SENT)

    outcome = scene.outcome()

    assert (outcome.status, outcome.code) == (status, code)
    assert scene.iamport.look_ups == ORDER[: len(answers)]
    assert len(scene.throttle.asked) == len(answers)
    assert scene.ledger.known_until == int(IMP_NOW) + 1  # no later job of the order takes these records for its own


@pytest.mark.parametrize(
    ("answers", "found_nothing"),
    [
        ([NO_SUCH] * 3, True),
        ([Answer(502)], False),
        ([NO_SUCH, Answer(502)], False),
        ([NO_SUCH, NO_SUCH, Answer(0)], False),
    ],
)
def test_a_payment_that_is_not_found_stays_in_doubt_and_the_first_look_up_that_fails_ends_the_asking(
    answers: list[Answer], found_nothing: bool
) -> None:
    scene = Scene(*answers, claim=PAYMENT_SENT)

    assert scene.run() == Snooze(1.0, "look_up", "doubt", found_nothing)
    assert scene.iamport.look_ups == ORDER[: len(answers)]


def test_a_payment_after_a_second_post_wants_a_proof_for_each() -> None:
    one = record("failed", fail_reason="[2116] 한도초과")
    doubtful = PAYMENT_SENT._replace(is_doubtful=True, attempts=2)

    assert isinstance(Scene(NO_SUCH, NO_SUCH, listed(one), claim=doubtful).run(), Snooze)
    assert Scene(NO_SUCH, NO_SUCH, listed(one, one), claim=doubtful).outcome().status is Status.DECLINED


def test_a_payment_that_did_not_reach_the_bank_asks_only_whether_it_was_paid_and_is_sent_again() -> None:
    told = Judged(Verdict.NOT_REACHED, -1, "[2159]")
    scene = Scene(NO_SUCH, claim=PAYMENT_SENT._replace(answer=told))

    step = scene.snooze()

    assert (step.reason, step.last_post) == ("gateway_trouble", "unsent")
    assert scene.iamport.look_ups == ORDER[:1]


def test_a_payment_whose_order_is_there_already_is_looked_up_on_its_first_post() -> None:
    scene = Scene(
        Answer(200, 1, "이미 결제가 이루어진 거래건입니다."), claim=PAYMENT_SENT._replace(sent_at=None, attempts=0)
    )

    step = scene.snooze()

    assert (step.delay_s, step.reason, step.last_post) == (0.0, "look_up", "doubt")
    assert step.answer is not None
    assert step.answer.verdict is Verdict.THERE_IS_ONE


def test_a_payment_whose_request_is_gone_and_that_no_store_knows_to_be_sent_is_looked_up() -> None:
    claim = lease(operation=Operation.ONETIME, merchant_uid="order-1", claimed_at=1061.0)
    scenes = [Scene(*[NO_SUCH] * 3, claim=one, permits=GONE) for one in (claim, claim._replace(look_ups=12))]

    first, last = (scene.run() for scene in scenes)

    assert first == Snooze(1.0, "vault_lost", "unsent", found_nothing=True)
    assert isinstance(last, Outcome)
    assert (last.status, last.code) == (Status.LOST, "vault_lost")


def test_a_payment_that_could_not_be_looked_up_for_lack_of_a_vault_does_not_expire() -> None:
    claim = lease(operation=Operation.ONETIME, merchant_uid="order-1", claimed_at=1900.0)

    step = Scene(claim=claim, permits=[RatePermit("store_down")]).snooze()

    assert step.reason == "vault_silent"


@pytest.mark.parametrize(
    ("ended", "status", "code"),
    [("paid", Status.INVALID, "duplicate_merchant_uid"), ("in_doubt", Status.IN_DOUBT, "order_in_doubt")],
)
def test_the_next_payment_of_an_order_that_ended_so_is_not_sent(ended: str, status: Status, code: str) -> None:
    scene = Scene(claim=lease(operation=Operation.ONETIME, merchant_uid="order-1", order_ended=ended))

    outcome = scene.outcome()

    assert (outcome.status, outcome.code) == (status, code)
    assert scene.iamport.jobs == []


def test_a_payment_that_stored_no_key_says_so() -> None:
    paid = Answer(200, 0, None, Annotation(status="paid", customer_uid_usage=None))

    outcome = Scene(paid, claim=lease(operation=Operation.ONETIME, merchant_uid="order-1")).outcome()

    assert (outcome.status, outcome.code) == (Status.PAID, "key_not_stored")


def test_a_field_that_the_contract_wants_is_named_in_the_outcome() -> None:
    refused = Answer(200, -1, "[400].issueCard.password2Digits:Invalid 2 digits of password!")

    outcome = Scene(refused).outcome()

    assert (outcome.status, outcome.code) == (Status.INVALID, "pwd_2digit_required")


def test_the_key_of_a_producer_that_was_just_added_is_waited_for_and_then_no_longer() -> None:
    unknown = UnknownProducer("p9")

    early = Scene(opening_error=unknown).run()
    late = Scene(opening_error=unknown, claim=lease(claimed_at=1301.0)).outcome()

    assert early == Snooze(30.0, "unknown_kid")
    assert (late.status, late.code) == (Status.INVALID, "unknown_producer")


@pytest.mark.parametrize(
    ("error", "reports"),
    [
        (TokenUnavailable("login_failed", is_first=True), [0]),
        (TokenUnavailable("login_throttled", 7.0, is_first=True), [429]),
        (TokenUnavailable("login_failed"), []),
        (TokenUnavailable("login_throttled", 7.0), []),
        (LoginRefused("login_refused", 30), []),
    ],
)
def test_a_login_that_failed_counts_once_for_all_who_heard_of_it(error: TokenUnavailable, reports: list[int]) -> None:
    scene = Scene(token_error=error)

    step = scene.snooze()

    assert (step.reason, scene.throttle.reports) == (error.reason, reports)
