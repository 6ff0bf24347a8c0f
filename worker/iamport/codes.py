"""I'mport's statuses, texts and codes, and what each means.

Korean texts are literal prefixes that i'mport was seen to send.

Source: observed answers and NICE's published codes; there is no public table of V1 errors.
"""

from enum import Enum, auto


class Verdict(Enum):
    """The meaning of an answer to a POST for its job."""

    APPLIED = auto()
    """Stored, or paid."""
    DECLINED = auto()
    """Refused for this card; sending it again could lock it."""
    INVALID = auto()
    """A parameter is missing or malformed."""
    MISCONFIGURED = auto()
    """Refused for the merchant's keys, gateway or contract."""
    TRANSIENT = auto()
    """Not done, and worth another try soon."""
    THROTTLED = auto()
    """Not done: too many requests."""
    TOKEN_REFUSED = auto()
    """Not done: the token is not good, or no longer."""
    DUPLICATE = auto()
    """A payment of that merchant_uid exists: look it up."""
    UNSENT = auto()
    """No byte of it left."""
    UNKNOWN = auto()
    """Sent, and nobody said what came of it."""


BY_PG_CODE = {
    **dict.fromkeys(("F106", "F107", "F108", "F109", "F110"), Verdict.TRANSIENT),  # NICE: processing, database
    **dict.fromkeys(
        ("F115", "F116", "F117", "A128", "A224", "8901"), Verdict.MISCONFIGURED
    ),  # contract, address, merchant
    "A127": Verdict.DUPLICATE,
}
BY_MESSAGE = (
    ("비인증결제모듈 사용정보를 찾을 수 없습니다", Verdict.MISCONFIGURED),
    ("이미 주문이 이루어진", Verdict.DUPLICATE),
    ("이미 결제가 이루어진", Verdict.DUPLICATE),
    ("파라메터는 필수입니다", Verdict.INVALID),
)
BY_STATUS = {
    401: Verdict.TOKEN_REFUSED,
    403: Verdict.MISCONFIGURED,  # the account's allow-list of callers, a firewall: nothing that a card can change
    429: Verdict.THROTTLED,
}
# A wrong address, not i'mport; any other page leaves us in doubt.
BY_STATUS_OF_A_PAGE = dict.fromkeys((*range(300, 400), 404, 405), Verdict.MISCONFIGURED)
