import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from producer.contract.identifiers import Operation
from producer.contract.outcome import AFTER_SENDING, Outcome, Status

FIELDS = ["job_id", "status", "operation", "customer_uid", "merchant_uid", "imp_uid", "code", "message", "pg_code"]
FIELDS += ["card_name", "card_number", "pg_provider", "inserted", "updated", "attempts", "accepted_at", "finished_at"]
FIELDS += ["next_step"]
PLAIN: dict[str, Any] = {
    "job_id": "5ce0e9a5-6015-8fec-aadf-a328ae398115",
    "operation": "issue",
    "accepted_at": 1_800_000_000.25,
    "finished_at": 1_800_000_001.5,
}


def outcome(**members: Any) -> Outcome:
    return Outcome(**(PLAIN | {"status": "issued"} | members))


@pytest.mark.parametrize(
    ("status", "next_step"),
    [
        *(("issued", "none"), ("paid", "none"), ("superseded", "none"), ("declined", "ask_customer")),
        *(("invalid", "fix_request"), ("misconfigured", "fix_configuration"), ("in_doubt", "look_up")),
        *(("expired", "resubmit"), ("lost", "resubmit"), ("failed", "contact_operator")),
    ],
)
def test_next_step_follows_from_the_status(status: str, next_step: str) -> None:
    assert next_step == outcome(status=status).to_dict()["next_step"]


def test_there_are_ten_statuses() -> None:
    assert len(Status) == 10


def test_job_that_may_have_been_sent_ends_in_five_ways() -> None:
    assert {"issued", "paid", "declined", "superseded", "in_doubt"} == {str(status) for status in AFTER_SENDING}


def test_json_has_exactly_the_promised_fields_in_order() -> None:
    assert list(outcome().to_dict()) == FIELDS


def test_unused_fields_are_null() -> None:
    unused = [name for name, value in outcome().to_dict().items() if value is None]

    assert FIELDS[3:14] == unused


@pytest.mark.parametrize(
    ("status", "succeeded"), [(status, status in {"issued", "paid"}) for status in map(str, Status)]
)
def test_only_issued_and_paid_are_success(status: str, *, succeeded: bool) -> None:
    assert succeeded is outcome(status=status).succeeded


@pytest.mark.parametrize("code", [-1, 0, 1, "-1", "bad_signature", None])
def test_code_stays_the_number_or_the_word_that_it_was(code: object) -> None:
    assert code == Outcome.from_json(outcome(code=code).model_dump_json()).code


@given(
    st.builds(
        Outcome,
        job_id=st.text(),
        status=st.sampled_from(Status),
        operation=st.sampled_from(Operation),
        message=st.none() | st.text(st.characters(codec="utf-8")),
        inserted=st.none() | st.integers(0, 2**40),
        attempts=st.integers(0, 10),
        accepted_at=st.floats(0, 1e11),
        finished_at=st.floats(0, 1e11),
    )
)
def test_outcome_is_read_as_it_was_written(written: Outcome) -> None:
    assert written == Outcome.from_json(json.dumps(written.to_dict()))


def test_outcome_of_a_newer_release_is_read() -> None:
    assert outcome() == Outcome.from_json(json.dumps(outcome().to_dict() | {"receipt_url": "…"}))


def test_outcome_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        outcome().attempts = 2  # type: ignore[misc]


@pytest.mark.parametrize("members", [{"status": "done"}, {"operation": "refund"}, {"attempts": -1}])
def test_outcome_outside_the_contract_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        outcome(**members)
