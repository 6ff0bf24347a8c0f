import pytest

from tests.fake_iamport import CARDS
from worker.iamport.meaning import Kind, understand, understand_payment
from worker.iamport.models import Annotation, Answer

OK = Annotation(card_name="신한카드")
NEW_MODULE = "[400]Error From NICEPAY. (message: F113 비밀번호틀림, code:F113)"


@pytest.mark.parametrize(
    ("answer", "kind", "pg_code"),
    [
        (Answer(200, 0, None, OK), Kind.APPLIED, None),
        (Answer(201, 0, None, OK), Kind.APPLIED, None),
        (Answer(200, 0, None, None), Kind.UNKNOWN, None),
        (Answer(200, -1, "카드정보 인증 및 빌키 발급에 실패하였습니다. [F112]유효하지않은"), Kind.DECLINED, "F112"),
        (Answer(200, -1, f"카드정보 인증에 실패하였습니다. {NEW_MODULE}"), Kind.DECLINED, "F113"),
        (Answer(400, -1, "[F113]거래거절"), Kind.DECLINED, "F113"),
        (Answer(200, -1, "[400].issueCard.password2Digits:Invalid 2 digits of password!"), Kind.DECLINED, None),
        (Answer(200, -1, "what nobody has seen before"), Kind.DECLINED, None),
        (Answer(200, 1, "비인증결제모듈 사용정보를 찾을 수 없습니다."), Kind.MISCONFIGURED, None),
        (Answer(200, -1, "[8901] 미등록PG업체/거래정지업체"), Kind.MISCONFIGURED, "8901"),
        (Answer(200, -1, "실패하였습니다. [F117]빌링 계약 없음"), Kind.MISCONFIGURED, "F117"),
        (Answer(200, -1, "실패하였습니다. [F106]처리 오류"), Kind.TRANSIENT, "F106"),
        (Answer(200, -1, "실패하였습니다. [F110]DB 오류"), Kind.TRANSIENT, "F110"),
        (Answer(200, -1, '["card_number"] 파라메터는 필수입니다.'), Kind.INVALID, None),
        (Answer(200, 1, "이미 주문이 이루어진 건입니다. (order-1)"), Kind.DUPLICATE, None),
        (Answer(401, -1, "Unauthorized"), Kind.TOKEN_REFUSED, None),
        (Answer(401), Kind.TOKEN_REFUSED, None),
        (Answer(403), Kind.MISCONFIGURED, None),
        (Answer(302), Kind.MISCONFIGURED, None),
        (Answer(404), Kind.MISCONFIGURED, None),
        (Answer(429, retry_after_s=3.0), Kind.THROTTLED, None),
        (Answer(429, 0, None, OK), Kind.THROTTLED, None),
        (Answer(502), Kind.UNKNOWN, None),
        (Answer(500, -1, "[F112]"), Kind.UNKNOWN, "F112"),
        (Answer(200), Kind.UNKNOWN, None),
        (Answer(408), Kind.UNKNOWN, None),
        (Answer(0), Kind.UNKNOWN, None),
        (Answer(0, was_sent=False), Kind.UNSENT, None),
    ],
)
def test_each_answer_has_its_meaning(answer: Answer, kind: Kind, pg_code: str | None) -> None:
    meaning = understand(answer)

    assert (meaning.kind, meaning.pg_code) == (kind, pg_code)


@pytest.mark.parametrize(
    ("status", "kind"),
    [("paid", Kind.APPLIED), ("failed", Kind.DECLINED), ("ready", Kind.UNKNOWN), (None, Kind.UNKNOWN)],
)
def test_a_payment_is_what_its_status_says(status: str | None, kind: Kind) -> None:
    answer = Answer(200, 0, None, Annotation(status=status, fail_reason="[2116] 한도초과"))

    assert understand_payment(answer).kind is kind


def test_the_refusals_of_all_sample_cards_are_understood_as_they_are_meant() -> None:
    expected = {"no_contract": Kind.MISCONFIGURED, "unregistered_merchant": Kind.MISCONFIGURED}
    for name, card in CARDS.items():
        if card.refusal is None or card.code == 0:
            continue
        is_transient = name.startswith("processing_error")

        kind = understand(Answer(200, card.code, card.refusal)).kind

        assert (name, kind) == (name, expected.get(name, Kind.TRANSIENT if is_transient else Kind.DECLINED))
