"""The account's channels: one per gateway that takes card data over REST, with its manners.

Gateways differ in what they require, in how they mask a card number and in the type of
``card_type``; i'mport passes all of that through.
"""

from collections.abc import Callable
from dataclasses import dataclass


def _mask_8_4(number: str) -> str:
    return number[:8] + "*" * (len(number) - 12) + number[-4:]


def _mask_6_4(number: str) -> str:
    return number[:6] + "*" * (len(number) - 10) + number[-4:]


def _mask_6_1(number: str) -> str:
    return number[:6] + "*" * (len(number) - 7) + number[-1:]


def _mask_toss(number: str) -> str:
    return number[:8] + "****" + number[12:-1] + "*"


def _mask_all(_: str) -> None:
    return None


@dataclass(frozen=True)
class Channel:
    """A gateway contract of the account.

    Args:
        issue_needs: members that issuing needs beyond card_number and expiry.
        charge_needs: members that charging needs.
        checks_holder: birth must have 6 or 10 characters, and a person's card its password.
        card_types: what ``card_type`` says for credit and for check cards.
    """

    pg_provider: str
    pg_id: str
    channel_key: str
    issue_needs: tuple[str, ...] = ()
    charge_needs: tuple[str, ...] = ()
    checks_holder: bool = False
    mask: Callable[[str], str | None] = _mask_6_4
    card_types: tuple[int | str | None, int | str | None] = (0, 1)


DEFAULT = Channel("nice", "nictest04m", "channel-key-fake-nice", checks_holder=True, mask=_mask_8_4)
CHANNELS = (
    DEFAULT,
    Channel("nice_v2", "nicev2test", "channel-key-fake-nice-v2", checks_holder=True, mask=_mask_8_4),
    Channel("kcp", "T0000", "channel-key-fake-kcp"),
    Channel("daou", "CTS00000", "channel-key-fake-daou"),
    Channel(
        "html5_inicis",
        "INIBillTst",
        "channel-key-fake-inicis",
        charge_needs=("name", "buyer_name"),
        mask=_mask_6_1,
        card_types=("0", "1"),
    ),
    Channel("tosspayments", "iamporttest_4", "channel-key-fake-toss", mask=_mask_toss, card_types=("신용", "체크")),
    Channel(
        "ksnet",
        "2999199999",
        "channel-key-fake-ksnet",
        issue_needs=("birth", "pwd_2digit"),
        charge_needs=("buyer_name", "product_type"),
        mask=_mask_all,
        card_types=(None, None),
    ),
    Channel(
        "welcome",
        "welcometst",
        "channel-key-fake-welcome",
        issue_needs=("customer_name",),
        charge_needs=("buyer_name",),
    ),
)
_BY_KEY = {channel.channel_key: channel for channel in CHANNELS}
_BY_PG = {channel.pg_provider: channel for channel in CHANNELS}
_BY_PG |= {f"{channel.pg_provider}.{channel.pg_id}": channel for channel in CHANNELS}

NO_PG = "none"
"""A ``pg`` that stands for an account whose console has no channel for card data over REST."""


def choose(pg: str, channel_key: str) -> Channel | None:
    """Choose the channel as i'mport does.

    An unknown ``pg`` is not an error: the account's default is used, silently (i'mport's
    schema). That ``channel_key`` wins over ``pg`` is our assumption.

    Returns:
        The channel, or None where there is none for card data over REST.
    """
    if channel_key:
        return _BY_KEY.get(channel_key)
    if pg == NO_PG:
        return None
    return _BY_PG.get(pg, DEFAULT)
