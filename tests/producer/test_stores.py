from typing import Any

import pytest

from producer import BrokerUnavailable, Card, IdempotencyConflict, Job, UnknownJob
from producer.contract import redis_keys
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.job import Request
from producer.stores import ACCEPT, Acceptance, Accepted, NewJob
from tests.ports import dead_port
from tests.producer.stage import Stage


def asked(key: str, uid: str = "gildong", **changes: Any) -> NewJob:
    """A request on its way in."""
    request = Request(operation=Operation.ISSUE, customer_uid=uid)
    given: dict[str, Any] = {
        "job_id": job_id_of(key),
        "idempotency_key": key,
        "request": request,
        "queue": "interactive",
        "deadline_s": 900.0,
        "kid": "kid-1",
        "envelope": None,
    }
    return NewJob(**given | changes)


@pytest.fixture
def acceptance(stage: Stage) -> Acceptance:
    return Acceptance(stage.url(1), stage.vault_url())


def accept(acceptance: Acceptance, one: NewJob) -> Accepted:
    """Accept one request that is not refused."""
    (answer,) = acceptance.accept([one])
    assert isinstance(answer, Accepted)
    return answer


def test_new_job_is_open_with_its_place_and_times(acceptance: Acceptance) -> None:
    accepted = accept(acceptance, asked("k", deadline_s=60.5))

    assert accepted.open is True
    assert accepted.sequence == 1
    assert accepted.now == accepted.accepted_at
    assert accepted.expires_at - accepted.accepted_at == pytest.approx(60.5)


def test_repeat_gives_the_same_place_and_another_now(acceptance: Acceptance) -> None:
    first = accept(acceptance, asked("k"))

    second = accept(acceptance, asked("k"))

    assert second.now > first.now
    assert second == first._replace(now=second.now)


def test_finished_job_is_not_open(stage: Stage, acceptance: Acceptance) -> None:
    first = accept(acceptance, asked("k"))
    stage.ledger.set(redis_keys.OUTCOME + job_id_of("k"), "{}")

    second = accept(acceptance, asked("k"))

    assert second == first._replace(open=False, now=second.now)


def test_refusals_stand_in_their_places(acceptance: Acceptance) -> None:
    accept(acceptance, asked("b", "somebody-else"))

    answers = acceptance.accept([asked("a"), asked("b"), asked("c")])

    assert [type(answer) for answer in answers] == [Accepted, IdempotencyConflict, Accepted]
    assert [answer.sequence for answer in answers if isinstance(answer, Accepted)] == [1, 2]


def test_ledger_that_forgot_the_script_learns_it_again(stage: Stage, acceptance: Acceptance) -> None:
    accept(acceptance, asked("a"))
    stage.ledger.script_flush()

    accepted = accept(acceptance, asked("b"))

    assert accepted.sequence == 2
    assert stage.ledger.script_exists(ACCEPT.sha) == [True]


def test_many_are_one_round_trip(stage: Stage, acceptance: Acceptance) -> None:
    accept(acceptance, asked("first"))
    before = stage.ledger.info("commandstats")["cmdstat_evalsha"]["calls"]

    answers = acceptance.accept([asked(f"k{i}", f"c{i}") for i in range(200)])

    assert len(answers) == 200
    assert stage.ledger.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 200


def test_customer_who_comes_back_is_no_longer_forgotten(stage: Stage, acceptance: Acceptance) -> None:
    accept(acceptance, asked("a"))
    stage.ledger.expire(redis_keys.CUSTOMER_SEQUENCE + "gildong", 60)

    accepted = accept(acceptance, asked("b"))

    assert accepted.sequence == 2
    assert stage.ledger.ttl(redis_keys.CUSTOMER_SEQUENCE + "gildong") == -1


def test_sequences_go_on_where_earlier_versions_counted_them(stage: Stage, acceptance: Acceptance) -> None:
    stage.ledger.hset(redis_keys.CUSTOMER + "gildong", mapping={"sequence": 7, "applied": 6})

    assert [accept(acceptance, asked(key)).sequence for key in "ab"] == [8, 9]


def test_open_record_does_not_expire(stage: Stage, acceptance: Acceptance) -> None:
    accept(acceptance, asked("a"))

    assert stage.ledger.ttl(redis_keys.REQUEST + job_id_of("a")) == -1


def test_ledger_holds_only_the_keys_that_are_listed(stage: Stage, acceptance: Acceptance) -> None:
    accept(acceptance, asked("a"))

    keys = sorted(stage.ledger.keys())

    assert keys == sorted(
        [
            redis_keys.REQUEST + job_id_of("a"),
            redis_keys.OPEN,
            redis_keys.FRESH + "interactive",
            redis_keys.ACCEPTED + "interactive",
            redis_keys.CUSTOMER_SEQUENCE + "gildong",
            redis_keys.CUSTOMER_OPEN + "gildong",
        ]
    )


def test_sealed_request_that_lies_there_stays_as_it_is(stage: Stage, acceptance: Acceptance) -> None:
    one = asked("k")
    accepted = accept(acceptance, one)
    acceptance.store_sealed([(one, accepted, "first")])

    acceptance.store_sealed([(one, accepted, "second")])

    assert stage.sealed(one.job_id) == "first"


def test_sealed_request_of_an_overdue_job_lives_for_the_grace_only(stage: Stage, acceptance: Acceptance) -> None:
    one = asked("k")
    accepted = accept(acceptance, one)
    overdue = accepted._replace(expires_at=accepted.now - 1000)

    acceptance.store_sealed([(one, overdue, "sealed")])

    assert 0 < stage.vault.ttl(redis_keys.SEALED + one.job_id) <= redis_keys.SEALED_GRACE_S


def test_job_without_outcome_is_open_and_another_unknown(acceptance: Acceptance) -> None:
    accept(acceptance, asked("k"))

    outcome = acceptance.outcome(job_id_of("k"))

    assert outcome is None
    with pytest.raises(UnknownJob):
        acceptance.outcome(job_id_of("other"))


def test_forgotten_connection_is_made_anew(stage: Stage, acceptance: Acceptance) -> None:
    accept(acceptance, asked("a"))
    stage.ledger.client_kill_filter(_type="normal", skipme=True)

    accepted = accept(acceptance, asked("b"))

    assert accepted.sequence == 2


@pytest.mark.parametrize("password", ["", ":wr0ng-passw0rd@"])
def test_error_says_which_store_where_and_why_and_no_password(password: str) -> None:
    port = dead_port()
    acceptance = Acceptance(f"redis://{password}127.0.0.1:{port}/1", "redis://127.0.0.1/0")

    with pytest.raises(BrokerUnavailable) as caught:
        acceptance.accept([asked("k")])

    text = str(caught.value)
    assert text.startswith(f"LEDGER_URL: ledger at 127.0.0.1:{port}, user default: refuses the connection")
    assert "passw0rd" not in text
    assert caught.value.__cause__ is None
    assert caught.value.accepted is False


def test_database_that_does_not_exist_accepts_nothing(stage: Stage) -> None:
    acceptance = Acceptance(stage.url(99), stage.vault_url())

    with pytest.raises(BrokerUnavailable) as caught:
        acceptance.accept([asked("k")])

    assert caught.value.accepted is False


def test_printed_card_is_nowhere_near_acceptance(card: Card) -> None:
    fields = set(NewJob._fields) | set(Accepted._fields) | set(Request.model_fields)

    assert not fields & set(Card.model_fields)
    assert "envelope" in Job.model_fields
    assert card.card_number.get_secret_value() not in repr(asked("k"))
