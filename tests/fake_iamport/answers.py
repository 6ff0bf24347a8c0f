"""What i'mport says: the envelope and the texts that clients meet.

Texts marked *observed* were seen in live answers or in clients that match them literally. The
others have an observed shape (prefix, code in brackets) and wording of our own.
"""

import json
from dataclasses import dataclass
from typing import Any

BAD_LOGIN = "인증에 실패하였습니다. API키와 secret을 확인하세요."  # observed
LOGIN_INCOMPLETE = "imp_key, imp_secret 파라메터가 누락되었습니다."  # observed
UNAUTHORIZED = "Unauthorized"  # observed
NO_CHANNEL = "비인증결제모듈 사용정보를 찾을 수 없습니다."  # observed
DUPLICATE_ORDER = (  # observed
    "이미 주문이 이루어진 건입니다. (동일한 merchant_uid로 결제 또는 취소된 기록이 있습니다)"
)
UNKNOWN_BUYER = "등록되지 않은 구매자입니다."  # observed
UNKNOWN_PAYMENT = "존재하지 않는 결제정보입니다."  # observed
NOTHING_TO_CANCEL = "취소할 결제건이 존재하지 않습니다."  # observed
ALREADY_CANCELLED = "이미 전액취소된 주문입니다."  # observed
CANCEL_TOO_MUCH = "취소 가능한 금액을 초과하였습니다."
KSNET_NO_ISSUE_AND_CHARGE = "KSNET은 결제와 동시에 빌링키를 발급할 수 없습니다."
NO_SUCH_PATH = "Not Found"
TOO_MANY = "Too Many Requests"

ISSUE_FAILED = "카드정보 인증 및 빌키 발급에 실패하였습니다. "  # observed
CARD_CHECK_FAILED = "카드정보 인증에 실패하였습니다. "  # observed, on key-in payments
CHARGE_FAILED = "결제승인에 실패하였습니다. "  # observed

UNKNOWN_CARD_NUMBER = "[F112]유효하지않은 카드번호를 입력하셨습니다. (card_bin 없음)"  # observed
PASSWORD_MISSING = "[400].issueCard.password2Digits:Invalid 2 digits of password!"  # observed
BIRTH_LENGTH = (  # observed
    "[400]Invalid Request. Please Check this argument: birthOrBusinessRegistrationNumber "
    "InvalidLength(field=birthOrBusinessRegistrationNumber, message=Length of "
    "birthOrBusinessRegistrationNumber must be one of [6, 10], rule=Fixed(allowedLengths=[6, 10]))"
)


def from_nice(text: str, pg_code: str = "F113") -> str:
    """The shape in which NICE's newer module hands its refusals on (observed)."""
    return f"[400]Error From NICEPAY. (message: {text}, code:{pg_code})"


EXPIRY_WRONG = from_nice("유효기간오류")  # observed


@dataclass(frozen=True)
class Answer:
    """An HTTP status and i'mport's envelope; ``code`` 0 means handled."""

    status: int = 200
    code: int = 0
    message: str | None = None
    response: Any = None

    def encode(self) -> bytes:
        """The envelope as UTF-8 JSON, Korean unescaped, as i'mport writes it."""
        envelope = {"code": self.code, "message": self.message, "response": self.response}
        return json.dumps(envelope, ensure_ascii=False).encode()


def refusal(message: str, code: int = -1, status: int = 200) -> Answer:
    """A refusal: most of them are HTTP 200, with code -1 from the gateway or 1 from i'mport."""
    return Answer(status=status, code=code, message=message)


def missing(names: list[str], status: int = 200) -> Answer:
    """The refusal of a request that lacks required members (observed)."""
    listed = json.dumps(names, separators=(",", ":"))
    return refusal(f"{listed} 파라메터는 필수입니다.", status=status)


def too_long(name: str, limit: int) -> Answer:
    """The refusal of a value beyond the schema's length."""
    return refusal(f"{name}은(는) {limit}자를 초과할 수 없습니다.", status=400)


def unknown_uid_text(customer_uid: str) -> str:
    """What a look-up of an unknown customer_uid says (observed)."""
    return f"요청하신 customer_uid({customer_uid})로 등록된 정보를 찾을 수 없습니다."


def error_page(status: int, reason: str) -> bytes:
    """The HTML that stands before i'mport answers with when it is not i'mport that answers."""
    return (
        f"<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {reason}</h1></center>\r\n<hr><center>nginx</center>\r\n"
        "</body>\r\n</html>\r\n"
    ).encode()
