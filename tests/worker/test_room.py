import pytest

from worker.room import OPEN_JOB_BYTES, Memory, full_store

EMPTY = Memory(0, 1000)


@pytest.mark.parametrize(
    ("used", "before", "expected"),
    [(799, "", ""), (800, "", "ledger"), (1200, "", "ledger"), (751, "ledger", "ledger"), (749, "ledger", "")],
)
def test_jobs_are_refused_from_four_fifths_on_until_there_is_room_again(used: int, before: str, expected: str) -> None:
    assert full_store({"ledger": Memory(used, 1000), "vault": EMPTY}, 0, before) == expected


def test_what_open_jobs_will_still_write_counts() -> None:
    ledger = Memory(OPEN_JOB_BYTES, 100 * OPEN_JOB_BYTES)

    assert full_store({"ledger": ledger, "vault": EMPTY}, 98, "") == ""
    assert full_store({"ledger": ledger, "vault": EMPTY}, 99, "") == "ledger"


def test_a_full_vault_counts_too_and_open_jobs_write_nothing_there() -> None:
    assert full_store({"ledger": EMPTY, "vault": Memory(800, 1000)}, 0, "") == "vault"
    assert full_store({"ledger": Memory(0, 0), "vault": Memory(10, 1000)}, 10**6, "") == ""


def test_a_store_without_a_limit_is_never_full() -> None:
    assert full_store({"ledger": Memory(10**12, 0), "vault": Memory(10**12, 0)}, 10**9, "") == ""
