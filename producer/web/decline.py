"""The reason of a decline as one word, for the page to put in the customer's words.

I'mport's text goes to no browser. It says more than the gateway's code: NICE has one code, F113, for a wrong number,
expiry, birth date and password. So parts of the texts come first, then codes that say it by themselves.

Source: the code books that ``worker/iamport/gateways`` names; the texts of F113 as they were observed.
"""

import re

from ..contract.outcome import Outcome, Status

TEXTS = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"비밀번호.*(초과|횟수|회수)|인증오류.*초과", "password_locked"),
        (r"비밀번호", "password"),
        (r"잔액", "balance"),
        (r"한도", "limit"),
        (r"횟수\s*초과|횟수초과", "too_often"),
        (r"주민|생년월일|생일|사업자", "birth"),
        (r"유효\s*기간", "expiry"),
        (r"분실|도난", "lost"),
        (r"정지|연체", "stopped"),
        (r"CVC", "cvc"),
        (
            r"타\s?카드|타사카드|사용\s?불가|사용이 불가|사용할 수 없는|서비스 대상|할부불가|지원하지|거래불가",
            "not_usable",
        ),
        (r"카드\s?번호", "number"),
    )
)
CODES = {
    **dict.fromkeys(("F112", "3011", "CC14", "8108", "2204", "INVALID_CARD_NUMBER", "INVALID_CARD"), "number"),
    **dict.fromkeys(("3021", "CC54", "CC55", "8484", "INVALID_CARD_EXPIRATION"), "expiry"),
    **dict.fromkeys(("CC66", "INVALID_CARD_IDENTITY"), "birth"),
    **dict.fromkeys(("CC63", "INVALID_CARD_PASSWORD"), "password"),
    **dict.fromkeys(("CC69", "EXCEED_MAX_AUTH_COUNT"), "password_locked"),
    **dict.fromkeys(("2116", "CC07", "CC08", "CC61", "8186", "8188"), "limit"),
    **dict.fromkeys(("EXCEED_MAX_ONE_DAY_AMOUNT", "EXCEED_MAX_PAYMENT_AMOUNT"), "limit"),
    **dict.fromkeys(("CC65", "CC85", "CC86", "8187", "8189", "EXCEED_MAX_DAILY_PAYMENT_COUNT"), "too_often"),
    **dict.fromkeys(("CC43", "INVALID_CARD_LOST_OR_STOLEN"), "lost"),
    **dict.fromkeys(("CC44", "CC45", "INVALID_STOPPED_CARD"), "stopped"),
    **dict.fromkeys(("F118", "3057", "CC39", "CC46", "CC47", "CC80", "CC81"), "not_usable"),
    **dict.fromkeys(("NOT_SUPPORTED_CARD_TYPE", "NOT_REGISTERED_CARD_COMPANY"), "not_usable"),
    "CC10": "balance",
    "CC64": "cvc",
}


def reason_of(outcome: Outcome) -> str | None:
    """The reason, if the outcome is a decline that says it."""
    if outcome.status is not Status.DECLINED:
        return None
    found = (reason for pattern, reason in TEXTS if pattern.search(outcome.message or ""))
    return next(found, None) or CODES.get(outcome.pg_code or "")
