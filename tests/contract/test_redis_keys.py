import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract import redis_keys

FROM_OUTSIDE = {
    *("CUSTOMER", "CUSTOMER_OPEN", "CUSTOMER_ENDED", "ORDER", "ORDER_OPEN", "ORDER_ENDED"),
    *("LIMITS", "MIGRATION_RECORD", "WEBHOOK_LINE"),
}
NAMES = st.text("abopnX019_.@:+=~-", min_size=1, max_size=80) | st.sampled_from(
    ("open", "X:open", "open:X", "line:X", "lock", "due")
)
KEYS = {name: value for name, value in vars(redis_keys).items() if name.isupper() and isinstance(value, str)}


def test_every_key_of_ours_is_a_thing_of_billing() -> None:
    ours = {value for name, value in KEYS.items() if name != "RESULT"}

    assert {value for value in ours if value.startswith("billing:")} == ours


def test_every_key_is_listed_with_its_expiry() -> None:
    listed = redis_keys.__doc__ or ""

    assert [value for value in KEYS.values() if f"``{value}" not in listed] == []


def test_no_two_keys_can_be_taken_for_each_other() -> None:
    assert len(set(KEYS.values())) == len(KEYS)


@given(st.lists(st.tuples(st.sampled_from(sorted(FROM_OUTSIDE)), NAMES), min_size=2, max_size=8, unique=True))
def test_no_two_things_that_callers_name_have_one_key(things: list[tuple[str, str]]) -> None:
    fixed = {key for key in KEYS.values() if not key.endswith(":")}
    keys = [KEYS[kind] + name for kind, name in things]

    assert len({*keys, *fixed}) == len(keys) + len(fixed)


@pytest.mark.parametrize("kind", sorted(FROM_OUTSIDE))
def test_no_key_begins_as_those_that_callers_name(kind: str) -> None:
    assert [key for key in KEYS.values() if key != KEYS[kind] and key.startswith(KEYS[kind])] == []


def test_results_lie_where_celery_looks_for_them() -> None:
    assert redis_keys.RESULT == "celery-task-meta-"


def test_sealed_requests_lie_where_the_wire_says() -> None:
    assert redis_keys.SEALED == "billing:sealed:"


def test_outcomes_are_kept_seven_days() -> None:
    assert redis_keys.KEPT_S == 7 * 24 * 3600
