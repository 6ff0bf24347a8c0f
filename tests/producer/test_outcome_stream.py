from producer.contract import redis_keys
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.outcome import Outcome, Status
from producer.outcome_stream import Delivery, OutcomeReader
from tests.producer.stage import Stage


def end(stage: Stage, key: str) -> str:
    outcome = Outcome(
        job_id=job_id_of(key), status=Status.ISSUED, operation=Operation.ISSUE, attempts=1, accepted_at=1, finished_at=2
    )
    stage.ledger.xadd(redis_keys.OUTCOMES, {"outcome": outcome.model_dump_json()})
    return outcome.job_id


def reader(stage: Stage, consumer: str = "c", group: str = "g") -> OutcomeReader:
    return OutcomeReader(stage.url(1), group, consumer, block_ms=1)


def take(one: OutcomeReader, count: int) -> list[Delivery]:
    found = []
    for delivery in one:
        found.append(delivery)
        if len(found) == count:
            break
    return found


def test_outcomes_come_in_order_and_once_they_are_acknowledged_never_again(stage: Stage) -> None:
    ids = [end(stage, f"k{n}") for n in range(3)]

    deliveries = take(reader(stage), 3)
    for delivery in deliveries:
        delivery.ack()
    last = end(stage, "last")

    assert [one.outcome.job_id for one in deliveries] == ids
    assert [one.outcome.job_id for one in take(reader(stage), 1)] == [last]


def test_what_was_not_acknowledged_comes_again_after_a_crash(stage: Stage) -> None:
    ids = [end(stage, f"k{n}") for n in range(3)]
    first, *_ = take(reader(stage), 3)
    first.ack()

    assert [one.outcome.job_id for one in take(reader(stage), 2)] == ids[1:]


def test_consumers_of_a_group_share_and_groups_do_not(stage: Stage) -> None:
    ids = [end(stage, f"k{n}") for n in range(2)]

    mine = take(reader(stage, "a"), 2)
    end(stage, "later")
    others = take(reader(stage, "b"), 1)
    another_group = take(reader(stage, "a", "h"), 3)

    assert [one.outcome.job_id for one in mine] == ids
    assert others[0].outcome.job_id == job_id_of("later")
    assert len(another_group) == 3


def test_a_reader_that_is_stopped_ends(stage: Stage) -> None:
    end(stage, "k")
    one = reader(stage)
    found = []
    for delivery in one:
        found.append(delivery)
        one.stop()

    assert len(found) == 1
