from producer.contract import redis_keys

KEYS = {name: value for name, value in vars(redis_keys).items() if name.isupper() and isinstance(value, str)}


def test_every_key_of_ours_is_a_thing_of_billing() -> None:
    ours = {value for name, value in KEYS.items() if name != "RESULT"}

    assert {value for value in ours if value.startswith("billing:")} == ours


def test_every_key_is_listed_with_its_expiry() -> None:
    listed = redis_keys.__doc__ or ""

    assert [value for value in KEYS.values() if f"``{value}" not in listed] == []


def test_no_two_keys_can_be_taken_for_each_other() -> None:
    assert len(set(KEYS.values())) == len(KEYS)


def test_results_lie_where_celery_looks_for_them() -> None:
    assert redis_keys.RESULT == "celery-task-meta-"


def test_sealed_requests_lie_where_the_wire_says() -> None:
    assert redis_keys.SEALED == "billing:sealed:"


def test_outcomes_are_kept_seven_days() -> None:
    assert redis_keys.KEPT_S == 7 * 24 * 3600
