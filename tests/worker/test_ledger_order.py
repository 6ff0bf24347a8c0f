"""The order of the ledger's jobs: those of one customer_uid, and the payments of one order."""

import pytest

from producer.contract import redis_keys
from producer.contract.job import INTERACTIVE, RECOVERY
from producer.contract.outcome import Status
from tests.servers import RedisServer
from tests.worker.jobs import accept, change, claimed, due, end_lease, end_wait, ended, field, now, sent, waits
from worker.ledger import Ledger
from worker.model import LastPost, NotClaimed, Snooze
from worker.open_jobs import Due

CUSTOMER = redis_keys.CUSTOMER + "gildong_0001"


def test_a_newer_card_goes_first_and_the_older_one_waits_for_it(store: RedisServer, ledger: Ledger) -> None:
    older, newer = accept(store, "older"), accept(store, "newer")

    claim = ledger.claim(older, "d1")
    assert isinstance(claim, NotClaimed)
    assert (claim.reason, str(claim.name)) == ("order", "issue · gildong_0001 · seq 1")
    assert 0 < claim.delay_s <= 30
    lease = claimed(ledger, newer, "d2")
    assert store.client(1).hget(redis_keys.JOB + older, "reason") == b"order"

    ledger.finish(lease, ended(lease))

    assert due(store) == [Due(older, INTERACTIVE, RECOVERY)]
    assert claimed(ledger, older, "d3").newer_applied


def test_the_older_card_runs_when_the_newer_one_is_declined(store: RedisServer, ledger: Ledger) -> None:
    older, newer = accept(store, "older"), accept(store, "newer")
    ledger.claim(older, "d1")
    lease = claimed(ledger, newer, "d2")

    ledger.finish(lease, ended(lease, Status.DECLINED))

    assert not claimed(ledger, older, "d3").newer_applied


def test_a_newer_card_waits_out_an_older_one_that_is_in_flight(store: RedisServer, ledger: Ledger) -> None:
    older = accept(store, "older")
    lease = claimed(ledger, older, "d1")
    newer = accept(store, "newer")

    assert waits(ledger.claim(newer, "d2"))
    ledger.finish(lease, ended(lease))

    assert not claimed(ledger, newer, "d3").newer_applied


@pytest.mark.parametrize("last_post", ["doubt", "presumed"])
def test_a_job_in_doubt_holds_up_older_and_newer_ones_until_its_end(
    store: RedisServer, ledger: Ledger, last_post: LastPost
) -> None:
    older, middle = accept(store, "older"), accept(store, "middle")
    lease = sent(ledger, middle, "d1")
    ledger.wait(lease, Snooze(0, "look_up", last_post))
    newer = accept(store, "newer")

    for _ in range(2):  # however often and however long
        for waiting in (older, newer):
            assert waits(ledger.claim(waiting, "d2"))
            assert field(store, waiting, "next_at") - now(store) <= 30
            end_wait(store, waiting)

    again = claimed(ledger, middle, "d3")
    ledger.finish(again, ended(again, Status.DECLINED))
    claimed(ledger, newer, "d4")


def test_a_mark_whose_process_died_is_a_doubt_that_holds_up_the_others(store: RedisServer, ledger: Ledger) -> None:
    older = accept(store, "older")
    sent(ledger, older)
    end_lease(store, older)
    newer = accept(store, "newer")

    assert waits(ledger.claim(newer, "d2"))
    assert claimed(ledger, older, "d3").is_look_up


def test_the_post_after_an_unanswered_one_goes_before_newer_jobs_but_not_over_a_newer_doubt(
    store: RedisServer, ledger: Ledger
) -> None:
    older = accept(store, "older")
    ledger.wait(sent(ledger, older), Snooze(0, "send_again", "presumed"))
    newer = accept(store, "newer")

    claim = claimed(ledger, older, "d2")
    ledger.wait(claim, Snooze(0, "throttled"))
    change(store, newer, sent_at=now(store))
    store.client(1).hset(CUSTOMER, "busy", f"{older} {newer}")

    assert claim.is_doubtful
    assert waits(ledger.claim(older, "d3"))


def test_a_newer_payment_that_waits_for_its_own_order_does_not_hold_up_an_older_card(
    store: RedisServer, ledger: Ledger
) -> None:
    before_it = accept(store, "first", uid=None, order="order-1")
    older, payment = accept(store, "older"), accept(store, "newer", order="order-1")
    claimed(ledger, before_it, "d1")

    assert waits(ledger.claim(payment, "d2"))
    claimed(ledger, older, "d3")


def test_a_newer_payment_whose_turn_it_is_goes_before_an_older_card(store: RedisServer, ledger: Ledger) -> None:
    older = accept(store, "older")
    accept(store, "newer", order="order-1")

    assert waits(ledger.claim(older, "d1"))


def test_a_look_up_needs_no_order(store: RedisServer, ledger: Ledger) -> None:
    older = accept(store, "older")
    lease = sent(ledger, older, "d1")
    ledger.wait(lease, Snooze(0, "look_up", "doubt"))
    accept(store, "newer")

    assert claimed(ledger, older, "d2").sent_at is not None


def test_a_waiting_job_ends_at_its_deadline_whatever_its_order(store: RedisServer, ledger: Ledger) -> None:
    older = accept(store, "older")
    accept(store, "newer")
    change(store, older, expires_at=1)

    assert claimed(ledger, older, "d1").is_overdue


def test_jobs_of_other_customers_do_not_wait(store: RedisServer, ledger: Ledger) -> None:
    claimed(ledger, accept(store, "one", uid="one"), "d1")

    claimed(ledger, accept(store, "two", uid="two"), "d2")


def end_in_doubt(ledger: Ledger, job_id: str, look_ups: int = 0) -> None:
    lease = sent(ledger, job_id)
    for _ in range(look_ups):
        ledger.wait(lease, Snooze(0, "look_up", "doubt", found_nothing=True))
        lease = claimed(ledger, job_id)
    ledger.finish(lease, ended(lease, Status.IN_DOUBT))


@pytest.mark.parametrize(("look_ups", "left"), [(0, 12), (9, 3), (12, 0), (20, 0)])
def test_after_an_end_in_doubt_the_next_job_waits_out_the_look_ups_that_were_left(
    store: RedisServer, ledger: Ledger, look_ups: int, left: int
) -> None:
    end_in_doubt(ledger, accept(store, "older"), look_ups)
    newer, db = accept(store, "newer"), store.client(1)
    turns = 0
    while waits(ledger.claim(newer, "d2")):
        assert field(store, newer, "next_at") - now(store) == pytest.approx(15, abs=5)
        turns += 1
        end_wait(store, newer)
        if db.hexists(CUSTOMER, "doubt_next"):
            db.hset(CUSTOMER, "doubt_next", 1)  # hours later: a clock that steps costs one of them

    assert turns == (left + 1 if left else 0)
    assert db.hmget(CUSTOMER, "doubt_left", "doubt_from", "doubt_next") == [None] * 3


def test_those_waits_are_counted_once_however_many_jobs_wait(store: RedisServer, ledger: Ledger) -> None:
    end_in_doubt(ledger, accept(store, "older"))
    waiting = [accept(store, f"newer{number}") for number in range(3)]

    for job_id in (*waiting, *waiting):
        assert waits(ledger.claim(job_id, "d2"))
        end_wait(store, job_id)

    assert store.client(1).hget(CUSTOMER, "doubt_left") == b"12"


def test_an_end_in_doubt_that_sent_nothing_is_not_waited_out(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, accept(store, "older"))
    ledger.finish(lease, ended(lease, Status.IN_DOUBT, "order_in_doubt"))

    assert not claimed(ledger, accept(store, "newer"), "d2").newer_applied


def test_an_older_card_does_not_go_over_a_newer_one_that_may_be_there(store: RedisServer, ledger: Ledger) -> None:
    older, newer = accept(store, "older"), accept(store, "newer")
    lease = sent(ledger, newer)
    ledger.finish(lease, ended(lease, Status.IN_DOUBT, attempts=1))
    store.client(1).hdel(redis_keys.JOB + older, "next_at")

    assert claimed(ledger, older, "d2").newer_applied


def test_a_payment_that_stored_no_key_leaves_the_older_card_its_turn(store: RedisServer, ledger: Ledger) -> None:
    older, payment = accept(store, "older"), accept(store, "newer", order="order-1")
    lease = sent(ledger, payment)
    ledger.finish(lease, ended(lease, Status.PAID, "key_not_stored"))

    assert not claimed(ledger, older, "d2").newer_applied


def test_the_records_of_a_job_that_ended_are_not_taken_for_the_next_ones(store: RedisServer, ledger: Ledger) -> None:
    first = claimed(ledger, accept(store, "first"))
    ledger.finish(first, ended(first), 1234)
    payment = claimed(ledger, accept(store, "payment", order="order-1"))
    ledger.finish(payment, ended(payment, Status.DECLINED), 2345)

    known = [
        claimed(ledger, accept(store, "issue"), "d1").known_until,
        claimed(ledger, accept(store, "other", uid="another"), "d2").known_until,
        claimed(ledger, accept(store, "again", uid=None, order="order-1"), "d3").known_until,
        claimed(ledger, accept(store, "new", uid=None, order="order-2"), "d4").known_until,
    ]

    assert known == [1234, 0, 2345, 0]


def pay(store: RedisServer, key: str) -> str:
    """A payment of the one order, each by another customer."""
    return accept(store, key, uid=f"customer-{key}", order="order-1")


def test_payments_of_one_order_go_one_after_another_as_they_were_accepted(store: RedisServer, ledger: Ledger) -> None:
    first, second, third = (pay(store, key) for key in ("1", "2", "3"))

    for later in (second, third):
        assert waits(ledger.claim(later, "d2"))
    lease = claimed(ledger, first)
    assert waits(ledger.claim(third, "d3"))
    ledger.finish(lease, ended(lease, Status.DECLINED))

    assert [one.job_id for one in due(store)] == [second]  # whose turn it is
    end_wait(store, third)
    assert waits(ledger.claim(third, "d3"))
    assert claimed(ledger, second, "d2").order_ended == ""


@pytest.mark.parametrize("last_post", ["unsent", "doubt", "presumed"])
def test_a_payment_holds_up_its_order_while_it_waits(store: RedisServer, ledger: Ledger, last_post: LastPost) -> None:
    first, second = pay(store, "1"), pay(store, "2")
    ledger.wait(sent(ledger, first), Snooze(60, "any", last_post))

    assert waits(ledger.claim(second, "d2"))


@pytest.mark.parametrize(
    ("statuses", "ended_so"),
    [
        ([Status.PAID], "paid"),
        ([Status.IN_DOUBT], "in_doubt"),
        ([Status.PAID, Status.IN_DOUBT], "paid"),
        ([Status.IN_DOUBT, Status.PAID], "paid"),
        ([Status.DECLINED], ""),
        ([Status.PAID, Status.INVALID], "paid"),
        ([Status.EXPIRED, Status.LOST], ""),
    ],
)
def test_the_next_payment_of_an_order_hears_how_the_others_ended(
    store: RedisServer, ledger: Ledger, statuses: list[Status], ended_so: str
) -> None:
    for number, status in enumerate(statuses):
        lease = claimed(ledger, pay(store, str(number)))
        ledger.finish(lease, ended(lease, status, attempts=1))

    assert claimed(ledger, pay(store, "next"), "d9").order_ended == ended_so


def test_a_payment_that_was_not_sent_says_nothing_of_its_order(store: RedisServer, ledger: Ledger) -> None:
    lease = claimed(ledger, pay(store, "1"))
    ledger.finish(lease, ended(lease, Status.IN_DOUBT))

    assert claimed(ledger, pay(store, "next"), "d9").order_ended == ""


def test_what_is_no_open_job_leaves_a_line(store: RedisServer, ledger: Ledger) -> None:
    db = store.client(1)
    db.zadd(redis_keys.ORDER_OPEN + "order-1", {"made up": "-inf"})
    db.zadd(redis_keys.CUSTOMER_OPEN + "gildong_0001", {"made up": "inf"})

    claimed(ledger, accept(store, "1", order="order-1"))

    assert db.zscore(redis_keys.ORDER_OPEN + "order-1", "made up") is None
    assert db.zscore(redis_keys.CUSTOMER_OPEN + "gildong_0001", "made up") is None


def test_payments_of_an_order_are_never_in_flight_together_whatever_their_places(
    store: RedisServer, ledger: Ledger
) -> None:
    first, second = pay(store, "1"), pay(store, "2")
    claimed(ledger, first)
    line = {first: 1e9, second: -9.0} | {accept(store, f"k{n}", order=f"o{n}", uid=None): 5.0 for n in range(25)}
    store.client(1).zadd(redis_keys.ORDER_OPEN + "order-1", line)

    assert waits(ledger.claim(second, "d2"))


def test_a_payment_of_an_order_that_is_paid_does_not_wait_for_those_before_it(
    store: RedisServer, ledger: Ledger
) -> None:
    first, _, third = (pay(store, key) for key in ("1", "2", "3"))
    lease = claimed(ledger, first)
    ledger.finish(lease, ended(lease, Status.PAID))

    assert claimed(ledger, third, "d3").order_ended == "paid"


def test_other_orders_do_not_wait(store: RedisServer, ledger: Ledger) -> None:
    claimed(ledger, accept(store, "one", uid=None, order="order-1"))

    claimed(ledger, accept(store, "two", uid=None, order="order-2"), "d2")


def test_an_order_is_forgotten_7_days_after_its_last_payment_and_not_while_one_is_open(
    store: RedisServer, ledger: Ledger
) -> None:
    db, name = store.client(1), redis_keys.ORDER_SEQUENCE + "order-1"
    lease = claimed(ledger, pay(store, "1"))
    ledger.finish(lease, ended(lease, Status.DECLINED))
    assert 7 * 86400 - 60 < db.ttl(name) <= 7 * 86400
    assert not db.exists(redis_keys.ORDER_OPEN + "order-1")

    pay(store, "2")

    assert db.ttl(name) == -1
