import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from producer.contract import redis_keys
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.outcome import Outcome, Status
from producer.outcome_stream import Delivery, OutcomeReader
from tests.producer.stage import Stage
from tests.servers import ROOT, wait_until


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


def test_an_entry_that_is_no_outcome_is_dropped_and_the_others_come(stage: Stage) -> None:
    for fields in ({"outcome": "{}"}, {"outcome": "[4242"}, {"other": "x"}):
        stage.ledger.xadd(redis_keys.OUTCOMES, fields)
    job_id = end(stage, "after")

    (delivery,) = take(reader(stage), 1)

    assert delivery.outcome.job_id == job_id
    assert stage.ledger.xpending(redis_keys.OUTCOMES, "g")["pending"] == 1


def test_a_reader_that_is_stopped_ends(stage: Stage) -> None:
    end(stage, "k")
    one = reader(stage)
    found = []
    for delivery in one:
        found.append(delivery)
        one.stop()

    assert len(found) == 1


MINUTE_MS = 61_000


class Quick(OutcomeReader):
    RENEWED_EACH_S = 0.05


def idle(stage: Stage) -> list[tuple[str, bool]]:
    """Whose each outcome in hand is, and True if others may take it over."""
    pending = stage.ledger.xpending_range(redis_keys.OUTCOMES, "g", "-", "+", 100)
    return [(one["consumer"], one["time_since_delivered"] >= MINUTE_MS - 1000) for one in pending]


def let_a_minute_pass(stage: Stage, consumer: str) -> None:
    """What the server's clock does to the outcomes that a consumer has in hand."""
    pending = stage.ledger.xpending_range(redis_keys.OUTCOMES, "g", "-", "+", 100, consumer)
    ids = [one["message_id"] for one in pending]
    stage.ledger.xclaim(redis_keys.OUTCOMES, "g", consumer, 0, ids, idle=MINUTE_MS, justid=True)


def test_what_a_slow_consumer_has_in_hand_comes_to_no_other(stage: Stage) -> None:
    ids = [end(stage, f"k{n}") for n in range(3)]
    slow = iter(Quick(stage.url(1), "g", "slow", block_ms=1))
    first = next(slow)

    let_a_minute_pass(stage, "slow")
    wait_until(lambda: idle(stage) == [("slow", False)] * 3, what="a claim that is renewed")
    others = reader(stage, "other").read()
    first.ack()

    assert others == []
    assert [first.outcome.job_id, next(slow).outcome.job_id, next(slow).outcome.job_id] == ids


def test_what_a_killed_consumer_had_in_hand_comes_to_another_after_a_minute(stage: Stage) -> None:
    ids = [end(stage, f"k{n}") for n in range(3)]
    code = f"""
from producer.outcome_stream import OutcomeReader
for _ in OutcomeReader({stage.url(1)!r}, "g", "killed"):
    print("taken", flush=True)
    input()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)

    at_once = reader(stage, "other").read()
    let_a_minute_pass(stage, "killed")
    found = reader(stage, "other").read()

    assert (at_once, [one.outcome.job_id for one in found]) == ([], ids)


def test_what_another_took_over_is_not_taken_back(stage: Stage) -> None:
    ids = [end(stage, f"k{n}") for n in range(2)]
    suspended: Iterator[Delivery] = iter(reader(stage, "suspended"))
    next(suspended)
    let_a_minute_pass(stage, "suspended")
    assert len(reader(stage, "other").read()) == 2

    again = iter(Quick(stage.url(1), "g", "suspended", block_ms=1))
    ids.append(end(stage, "later"))
    found = next(again).outcome.job_id

    assert (found, idle(stage)) == (ids[2], [("other", False), ("other", False), ("suspended", False)])
