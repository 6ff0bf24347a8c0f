import pickle

import pytest

from producer import BillingError, BrokerUnavailable, IdempotencyConflict, SettingsError, UnknownJob


@pytest.mark.parametrize(
    ("step", "accepted", "setting", "words"),
    [
        ("accept", False, "LEDGER_URL", "nothing happened"),
        ("accept", None, "LEDGER_URL", "acceptance is unknown"),
        ("vault", None, "VAULT_URL", "acceptance is unknown"),
        ("publish", True, "BROKER_URL", "the job was accepted and will run"),
    ],
)
def test_unavailable_store_says_which_and_what_is_known(
    step: str, accepted: bool | None, setting: str, words: str
) -> None:
    error = BrokerUnavailable(step, accepted=accepted, idempotency_key="k")

    assert str(error) == (
        f"{setting}: the store cannot be reached, refuses us or does not answer; {words}; "
        "try again with the same idempotency key"
    )


def test_unreadable_ledger_says_nothing_of_acceptance() -> None:
    error = BrokerUnavailable("read", accepted=None)

    assert str(error) == "LEDGER_URL: the store cannot be reached, refuses us or does not answer"


def test_errors_survive_a_pickle() -> None:
    unavailable = pickle.loads(pickle.dumps(BrokerUnavailable("vault", accepted=None, idempotency_key="k")))
    conflict = pickle.loads(pickle.dumps(IdempotencyConflict("k")))

    assert (unavailable.step, unavailable.accepted, unavailable.idempotency_key) == ("vault", None, "k")
    assert conflict.idempotency_key == "k"


def test_one_except_catches_all_of_them() -> None:
    kinds = (BrokerUnavailable, IdempotencyConflict, UnknownJob, SettingsError)

    assert all(issubclass(kind, BillingError) for kind in kinds)
