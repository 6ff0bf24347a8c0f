"""The reason of a decline, of the texts that gateways are known to give."""

import pytest

from producer.contract.identifiers import Operation
from producer.contract.outcome import Outcome, Status
from producer.web.decline import reason_of


def outcome(message: str | None, pg_code: str | None, status: Status = Status.DECLINED) -> Outcome:
    known = {"customer_uid": "u", "attempts": 1, "accepted_at": 1.0, "finished_at": 2.0}
    return Outcome.model_validate(
        {"job_id": "j", "status": status, "operation": Operation.ISSUE, "message": message, "pg_code": pg_code, **known}
    )


@pytest.mark.parametrize(
    ("message", "pg_code", "reason"),
    [
        ("[F112]유효하지않은 카드번호를 입력하셨습니다. (card_bin 없음)", "F112", "number"),
        ("[F113]거래거절 카드번호틀림", "F113", "number"),
        ("[F113]거래거절 비밀번호틀림", "F113", "password"),
        ("[F113]거래거절 비밀번호 회수초과", "F113", "password_locked"),
        ("[F113]거래거절 주민OR사업자등록번호오류", "F113", "birth"),
        ("[F113]거래거절 유효기간오류", "F113", "expiry"),
        ("[F113]거래거절 해당카드 사용불가 가맹점(타카드 사용요망)", "F113", "not_usable"),
        ("[F113]본인의 신용카드 확인중 오류가 발생하였습니다", "F113", None),
        ("[F118]사용이 불가능한 카드입니다.", "F118", "not_usable"),
        ("[2116]개인 월 한도금액 초과", "2116", "limit"),
        ("[3011]카드번호 오류", "3011", "number"),
        ("[3021]유효기간 오류", "3021", "expiry"),
        ("[CC04]분실 혹은 거래불가 카드", "CC04", "lost"),
        ("[CC10]통장 잔액부족", "CC10", "balance"),
        ("[CC43]도난카드", "CC43", "lost"),
        ("[CC45]정지카드", "CC45", "stopped"),
        ("[CC54]카드유효기간만료 또는 불일치", "CC54", "expiry"),
        ("[CC63]비밀번호 오류", "CC63", "password"),
        ("[CC64]CVC 오류", "CC64", "cvc"),
        ("[CC66]주민번호 오류", "CC66", "birth"),
        ("[CC69]인증오류 3회초과(당일거래 불가)", "CC69", "password_locked"),
        ("[CC80]서비스 대상카드 아님", "CC80", "not_usable"),
        ("[CC85]서비스 사용 횟수초과", "CC85", "too_often"),
        ("[2204]유효하지 않은 카드번호 입니다. 신한BC카드의 경우 ISP 서비스를 이용해주세요.", "2204", "number"),
        ("[8186]거래불가카드(일최대승인한도초과)", "8186", "limit"),
        ("[8484]카드유효기간만료", "8484", "expiry"),
        ("code: INVALID_CARD_PASSWORD", "INVALID_CARD_PASSWORD", "password"),
        (None, "INVALID_STOPPED_CARD", "stopped"),
        ("거절되었습니다", None, None),
        (None, None, None),
    ],
)
def test_reason_is_read_from_the_text_and_else_from_the_code(
    message: str | None, pg_code: str | None, reason: str | None
) -> None:
    assert reason_of(outcome(message, pg_code)) == reason


def test_other_ends_have_no_reason() -> None:
    assert reason_of(outcome("비밀번호", "F113", Status.MISCONFIGURED)) is None
