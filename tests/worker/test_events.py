"""What Flower is told of a delivery."""

from typing import Any

import pytest

from producer.contract.outcome import Outcome, Status
from tests.worker.leases import JOB_ID, lease
from worker.events import TaskEvents
from worker.iamport.answer import Annotation
from worker.iamport.codes import Verdict
from worker.iamport.verdict import Judged
from worker.model import Delivered, End, JobName, NotClaimed, NotOurs, Snooze
from worker.result import outcome_of


class Dispatcher:
    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: str, **fields: Any) -> None:
        self.sent.append((kind, fields))


def told(step: Any, *, enabled: bool = True) -> list[tuple[str, dict[str, Any]]]:
    dispatcher, events = Dispatcher(enabled=enabled), TaskEvents()
    events.connect(lambda: dispatcher)
    events.tell(JOB_ID, Delivered(step, lease().name), 0.2)
    return dispatcher.sent


def outcome(status: Status, code: str | None = None) -> Outcome:
    judged = Judged(Verdict.APPLIED, annotation=Annotation(card_number="424242******4242"))
    return outcome_of(lease(), End(status, code, judged), 1001.0)


@pytest.mark.parametrize("status", list(Status))
def test_an_outcome_is_a_success_or_a_failure_with_its_status_code_and_masked_card(status: Status) -> None:
    ((kind, fields),) = told(outcome(status, "F113"))

    needs_a_person = status in {"misconfigured", "in_doubt", "lost", "failed", "invalid", "expired"}
    assert kind == ("task-failed" if needs_a_person else "task-succeeded")
    assert fields["result"].startswith(f"{status} · F113")
    assert (fields["uuid"], fields["runtime"], fields.get("exception")) == (JOB_ID, 0.2, None)


def test_a_card_is_shown_as_its_outcome_shows_it() -> None:
    ((_, fields),) = told(outcome(Status.ISSUED))

    assert fields["result"] == "issued · 424242******4242"


def test_the_gateways_code_says_more_than_iamports() -> None:
    judged = Judged(Verdict.DECLINED, -1, pg_code="F113", annotation=Annotation(card_number="424242******4242"))
    declined = outcome_of(lease(), End(Status.DECLINED, judged=judged), 1001.0)

    ((_, fields),) = told(declined)

    assert declined.code == -1
    assert fields["result"] == "declined · F113 · 424242******4242"


@pytest.mark.parametrize(
    ("step", "reason"),
    [(Snooze(15, "look_up"), "look_up · 15 s"), (NotClaimed("order", delay_s=30).step, "order · 30 s")],
)
def test_a_wait_is_a_retry_with_its_reason(step: object, reason: str) -> None:
    ((kind, fields),) = told(step)

    assert (kind, fields["exception"]) == ("task-retried", reason)


def test_a_job_is_shown_by_what_people_look_for_it() -> None:
    ((_, issued),) = told(outcome(Status.ISSUED))

    assert issued["args"] == "issue · gildong_0001 · seq 1"
    assert str(JobName("onetime", "gildong", "order-1", 3, 1.0)) == "onetime · order-1 · gildong · seq 3"
    assert str(JobName("onetime", None, "order-1", 0, 1.0)) == "onetime · order-1"


def test_a_delivery_that_finds_its_job_finished_tells_the_outcome_again() -> None:
    known = outcome(Status.DECLINED, "F113")

    assert told(NotClaimed("finished", lease().name, known)) == told(known)


@pytest.mark.parametrize("step", [NotOurs(), NotClaimed("waiting"), NotClaimed("unknown")])
def test_a_delivery_that_came_to_nothing_is_not_told(step: object) -> None:
    assert told(step) == []


def test_nothing_is_told_where_nobody_listens() -> None:
    assert told(Snooze(1.0, "turn"), enabled=False) == []
    TaskEvents().tell(JOB_ID, Delivered(Snooze(1.0, "turn"), None), 0.1)
