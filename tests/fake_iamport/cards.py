"""Sample cards: what each number does, as the tables ``_ISSUED``, ``_REFUSED`` and ``_FAULTY`` below.

None of them is a real card. Those that are issued are numbers that gateways and card brands publish for tests, or
domestic ones in a range that is not given out; the others lie in 4000 00…, which gateways use for test numbers, and
carry the refusal's code in their digits.

How often a card is refused, or meets its fault, counts for each customer_uid, and for each merchant_uid of a payment.
Any other number is issued if it has 14 to 16 digits and either begins with 9 or has a right check digit; otherwise it
is refused with F112.
"""

import itertools
from dataclasses import dataclass

from tests.fake_iamport.answers import CHARGE_FAILED, EXPIRY_WRONG, UNKNOWN_CARD_NUMBER, from_nice
from tests.fake_iamport.faults import Fault


@dataclass(frozen=True)
class SampleCard:
    """A card that the fake knows.

    Args:
        code: the envelope's code of an issue call in the end; None if none ever comes.
        pg_code: the gateway's code in the message, of a refusal or a failed charge.
        refusal: the message's part after i'mport's own prefix; None: issued.
        bare: the refusal comes without that prefix.
        refused_times: how often it is refused; None: always.
        charge_refusal: ``fail_reason`` of a charge; None: paid.
        fault: trouble on the way.
        check: a check (debit) card.
    """

    name: str
    card_number: str
    code: int | None = 0
    pg_code: str | None = None
    refusal: str | None = None
    bare: bool = False
    refused_times: int | None = None
    charge_refusal: str | None = None
    fault: Fault | None = None
    check: bool = False
    expiry: str = "2031-07"
    birth: str = "900101"
    pwd_2digit: str | None = "12"

    def fields(self) -> dict[str, str]:
        """The members of a request that carry the card."""
        card = {"card_number": self.card_number, "expiry": self.expiry, "birth": self.birth}
        return card | ({"pwd_2digit": self.pwd_2digit} if self.pwd_2digit else {})


def _refused(
    name: str, number: str, pg_code: str, text: str, *, times: int | None = None, bare: bool = False
) -> SampleCard:
    code = -1 if times is None else 0
    return SampleCard(name, number, code=code, pg_code=pg_code, refusal=text, bare=bare, refused_times=times)


def _faulty(name: str, number: str, fault: Fault, code: int | None = 0) -> SampleCard:
    return SampleCard(name, number, code=code, fault=fault)


_ISSUED = (
    SampleCard("visa", "4242424242424242"),
    SampleCard("mastercard", "5555555555554444"),
    SampleCard("amex", "378282246310005"),
    SampleCard("jcb", "3566002020360505"),
    SampleCard("diners", "30569309025904"),
    SampleCard("domestic", "9999010000000001"),  # no Luhn check digit
    SampleCard("check", "5105105105105100", check=True),
    # a business number with the right check digit, and no password
    SampleCard("corporate", "4012888888881881", birth="1234567891", pwd_2digit=None),
)
_PROCESSING = "[F106]빌키 발급 처리 중 오류가 발생하였습니다."
_REFUSED = (
    _refused("bad_number", "4000000001120007", "F112", UNKNOWN_CARD_NUMBER),
    _refused("verification_failed", "4000000001130006", "F113", "[F113]거래거절 카드번호틀림"),
    _refused("wrong_password", "4000000001130105", "F113", from_nice("비밀번호틀림")),
    _refused("password_exceeded", "4000000001130204", "F113", from_nice("비밀번호 회수초과")),
    _refused("birth_wrong", "4000000001130303", "F113", from_nice("주민OR사업자등록번호오류")),
    _refused("expired", "4000000001130402", "F113", EXPIRY_WRONG),
    _refused("not_accepted", "4000000001130501", "F113", from_nice("해당카드 사용불가 가맹점(타카드 사용요망)")),
    _refused("not_usable", "4000000001180001", "F118", "[F118]사용이 불가능한 카드입니다."),
    _refused("no_contract", "4000000001170002", "F117", "[F117]빌링 계약이 없는 상점입니다."),
    _refused("unregistered_merchant", "4000000089010005", "8901", "[8901] 미등록PG업체/거래정지업체", bare=True),
    _refused("processing_error", "4000000001060005", "F106", _PROCESSING),
    _refused("processing_error_twice", "4000000001060104", "F106", _PROCESSING, times=2),
    SampleCard("limit_exceeded", "4000000021160009", pg_code="2116", charge_refusal=CHARGE_FAILED + "[2116]한도초과"),
)
_FAULTY = (
    _faulty("slow", "4000000030000006", Fault("latency", latency_s=3.0)),
    _faulty("server_error", "4000000050200007", Fault("server_error"), code=None),
    _faulty("server_error_once", "4000000050200106", Fault("server_error", times=1)),
    _faulty("lost_answer", "4000000090010002", Fault("lost_answer", times=1)),
    _faulty("reset", "4000000090020001", Fault("reset"), code=None),
    _faulty("reset_once", "4000000090020100", Fault("reset", times=1)),
    _faulty("rate_limited", "4000000042900003", Fault("rate_limit", times=1, retry_after_s=1), code=0),
)

CARDS: dict[str, SampleCard] = {card.name: card for card in _ISSUED + _REFUSED + _FAULTY}
BY_NUMBER: dict[str, SampleCard] = {card.card_number: card for card in CARDS.values()}


def luhn_digit(digits: str) -> str:
    """The check digit that makes ``digits`` a card number."""
    doubled = "".join(
        str(2 * int(digit)) if odd else digit
        for digit, odd in zip(reversed(digits), itertools.cycle((True, False)), strict=False)
    )
    return str(-sum(map(int, doubled)) % 10)


def numbered(index: int) -> str:
    """The ``index``-th of a billion made-up card numbers, all of which are issued.

    For benchmarks and crash tests, which need to tell cards apart.
    """
    digits = f"400002{index:09d}"
    return digits + luhn_digit(digits)


def made_up(index: int) -> dict[str, str]:
    """The members of a request that carry the sample Visa, with the ``index``-th made-up number."""
    return CARDS["visa"].fields() | {"card_number": numbered(index)}
