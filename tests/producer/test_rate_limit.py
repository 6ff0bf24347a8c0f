"""Counts of cards, on a real Redis: who shares one, and what their keys show."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.contract import redis_keys
from producer.web.rate_limit import Limits
from producer.web.schema import EndpointError
from tests.producer.stage import Stage

NAMES = st.text("a/{}:1-", min_size=1, max_size=12) | st.sampled_from(
    ("a/10/10/minute}/-1", "customer/a", "a/2/10/minute", "2001:db8::1", "2001:db8::", "192.0.2.1", "::ffff:192.0.2.1")
)
KINDS = ("customer", "order")


@pytest.fixture
def limits(stage: Stage) -> Limits:
    return Limits(stage.url(1), "2 per 10 minutes", "2 per 10 minutes")


def keys(stage: Stage) -> list[str]:
    found: list[str] = stage.ledger.keys(redis_keys.LIMITS + "*")
    return found


@pytest.mark.parametrize(
    "addresses",
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:0DB8:1:2::3"),
        ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"),
        ("fe80::1%eth0", "fe80::2%eth0", "fe80::3"),
        ("no address", "no address", "no address"),
    ],
)
def test_addresses_that_one_customer_can_have_at_once_are_counted_as_one(
    limits: Limits, addresses: tuple[str, ...]
) -> None:
    *before, last = addresses
    for address in before:
        limits.count(address=address)

    with pytest.raises(EndpointError, match="too_many"):
        limits.count(address=last)


@pytest.mark.parametrize(
    "addresses",
    [
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("192.0.2.1", "192.0.2.2"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("::ffff:192.0.2.1", "::1"),
    ],
)
def test_addresses_of_two_customers_are_counted_apart(limits: Limits, addresses: tuple[str, str]) -> None:
    for address in addresses * 2:
        limits.count(address=address)


def test_no_key_shows_who_handed_a_card_in(stage: Stage, limits: Limits) -> None:
    limits.count(address="192.0.2.123", customer="gildong", order="order-8471")
    limits.count(address="2001:db8:1:2::1")

    found = keys(stage)

    assert len(found) == 4
    assert [word for word in ("192.0", "2001", "gildong", "order-8471") if word in " ".join(found)] == []


def test_no_two_things_share_a_count_whatever_they_are_called(stage: Stage, limits: Limits) -> None:
    things = st.lists(st.tuples(st.sampled_from(KINDS), NAMES), min_size=2, max_size=8, unique=True)

    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(things=things)
    def count(things: list[tuple[str, str]]) -> None:
        stage.ledger.flushdb()
        for kind, name in things:
            limits.count(**{kind: name})

        assert len(keys(stage)) == len(things)

    count()
