"""What a gateway thinks of card data, before any key is stored or money moved."""

import re
import time
from collections import Counter
from collections.abc import Callable

from tests.fake_iamport.answers import BIRTH_LENGTH, EXPIRY_WRONG, PASSWORD_MISSING, UNKNOWN_CARD_NUMBER
from tests.fake_iamport.call import Call
from tests.fake_iamport.cards import BY_NUMBER, SampleCard, luhn_digit
from tests.fake_iamport.channels import Channel

_NUMBER = re.compile(r"[0-9]{14,16}")
_EXPIRY = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_BUSINESS_NUMBER_LENGTH = 10


class Screening:
    """Judges card data; remembers how often a sample card was refused for whom."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._refused: Counter[tuple[str, str]] = Counter()

    def refuse(self, channel: Channel, call: Call, prefix: str, subject: str) -> str | None:
        """The gateway's refusal, with i'mport's prefix; None when the card is accepted."""
        sample = BY_NUMBER.get(call.card_number)
        if sample and sample.bare:
            return sample.refusal
        detail = (
            _refuse_number(call.card_number)
            or (_refuse_holder(call) if channel.checks_holder else None)
            or self._refuse_expiry(call.text("expiry"))
            or (self._refuse_sample(sample, subject) if sample else None)
        )
        return prefix + detail if detail else None

    def _refuse_expiry(self, expiry: str) -> str | None:
        this_month = time.strftime("%Y-%m", time.gmtime(self._now()))
        return None if _EXPIRY.fullmatch(expiry) and expiry >= this_month else EXPIRY_WRONG

    def _refuse_sample(self, sample: SampleCard, subject: str) -> str | None:
        self._refused[sample.card_number, subject] += 1
        times = self._refused[sample.card_number, subject]
        if sample.refused_times is not None and times > sample.refused_times:
            return None
        return sample.refusal


def _refuse_number(number: str) -> str | None:
    right = _NUMBER.fullmatch(number) and (number.startswith("9") or luhn_digit(number[:-1]) == number[-1])
    return None if right else UNKNOWN_CARD_NUMBER


def _refuse_holder(call: Call) -> str | None:
    """What NICE's newer module asks of the holder's data.

    That a business number needs no password is our assumption: holders of corporate cards often have none.
    """
    birth = call.text("birth")
    if len(birth) not in {6, _BUSINESS_NUMBER_LENGTH}:
        return BIRTH_LENGTH
    password = call.text("pwd_2digit")
    if not password and len(birth) == _BUSINESS_NUMBER_LENGTH:
        return None
    return None if re.fullmatch(r"[0-9]{2}", password) else PASSWORD_MISSING
