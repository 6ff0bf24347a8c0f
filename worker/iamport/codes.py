"""I'mport's statuses and texts, and what each means; each gateway's codes are in :mod:`worker.iamport.gateways`.

Decided by code first and by text last: texts vary by gateway and month. Korean texts are parts that were seen.

Source: observed answers, and the gateways' public manuals; there is no public table of V1 errors.
"""

import re
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
    NOT_REACHED = auto()
    """The bank or card company was not reached: not done, and worth another try soon."""
    GATEWAY_ERROR = auto()
    """Trouble behind the gateway: that nothing was done is likely, and a payment must not rely on it."""
    UNDECIDED = auto()
    """The gateway itself does not know what came of it."""
    THERE_IS_ONE = auto()
    """There is such a key or payment already: look it up."""
    THROTTLED = auto()
    """Not done: too many requests."""
    TOKEN_REFUSED = auto()
    """Not done: the token is not good, or no longer."""
    EDGE_PAGE = auto()
    """A page of something before i'mport, which does not let an issue through."""
    UNSENT = auto()
    """No byte of it left."""
    UNANSWERED = auto()
    """Sent, and no answer of i'mport's came."""


NOT_DONE_BY_STATUS = {401: Verdict.TOKEN_REFUSED, 429: Verdict.THROTTLED}
EDGE_STATUSES = frozenset({*range(300, 400), 403, 404, 405, 413})
"""Of pages: an issue did not get through, a GET that shows no newer key provided."""
UNSURE_STATUSES = frozenset({408, *range(500, 600)})
"""Of envelopes: judged by what they say only where a table knows it."""
BY_STATUS = {403: Verdict.MISCONFIGURED, 413: Verdict.INVALID}
"""Of envelopes that no table knows: the account's list of callers, a request that is too long."""

LOOKUP_FAILED = 1
"""I'mport's own code for what it could not find in its configuration; -1 is a gateway's refusal."""

BY_TEXT = (
    ("비인증결제모듈 사용정보를 찾을 수 없습니다", Verdict.MISCONFIGURED),
    ("이미 주문이 이루어진", Verdict.THERE_IS_ONE),
    ("이미 결제가 이루어진", Verdict.THERE_IS_ONE),
    ("이미 처리된 결제", Verdict.THERE_IS_ONE),
    ("이미 등록된 카드", Verdict.THERE_IS_ONE),
    ("파라메터는 필수", Verdict.INVALID),
    ("파라미터는 필수", Verdict.INVALID),
    ("파라메터가 올바르지", Verdict.INVALID),
    ("필수입니다", Verdict.INVALID),
    ("InvalidLength(field=", Verdict.INVALID),
    ("Please Check this argument", Verdict.INVALID),
)
INVALID_TEXT = re.compile(r"\[400\]\.[\w.]+:Invalid")

SUGGESTS_MORE = (
    *((text, Verdict.MISCONFIGURED) for text in ("미등록PG", "거래정지업체", "거래정지 가맹점", "미등록 가맹점")),
    *(
        (text, Verdict.MISCONFIGURED)
        for text in ("가맹점 정보", "계약이 없는", "MID ", "상점아이디", "허용되지 않은 IP")
    ),
    *((text, Verdict.UNDECIDED) for text in ("통신", "지연", "시간초과", "시간 초과", "타임아웃", "결과 확인")),
    *((text, Verdict.UNDECIDED) for text in ("시스템", "장애", "점검", "내부", "서버", "DB", "처리 중 오류")),
    *((text, Verdict.UNDECIDED) for text in ("처리중 오류", "잠시 후", "네트워크", "전문 수신", "전문수신")),
    *((text, Verdict.UNDECIDED) for text in ("imeout", "IMEOUT", "nternal", "ystem", "erver error", "etwork")),
)
"""Parts of a text whose code no table knows, that suggest more than a refused card."""

MISSING_FIELDS = {"birthOrBusinessRegistrationNumber": "birth", "password2Digits": "pwd_2digit"}
"""How the gateway calls the fields that a contract may want."""
