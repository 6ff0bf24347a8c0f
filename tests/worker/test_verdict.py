import pytest

from producer.contract.card import Card
from tests.fake_iamport import CARDS
from worker.iamport.answer import Annotation, Answer
from worker.iamport.codes import Verdict
from worker.iamport.verdict import LookUpResult, judge_customer, judge_issue, judge_onetime, judge_payment

OK = Annotation(card_name="신한카드")
NEW_MODULE = "[400]Error From NICEPAY. (message: F113 비밀번호틀림, code:F113)"


@pytest.mark.parametrize(
    ("answer", "verdict", "pg_code"),
    [
        (Answer(200, 0, None, OK), Verdict.APPLIED, None),
        (Answer(201, 0, None, OK), Verdict.APPLIED, None),
        (Answer(200, 0, None, None), Verdict.UNKNOWN, None),
        (Answer(200, -1, "카드정보 인증 및 빌키 발급에 실패하였습니다. [F112]유효하지않은"), Verdict.DECLINED, "F112"),
        (Answer(200, -1, f"카드정보 인증에 실패하였습니다. {NEW_MODULE}"), Verdict.DECLINED, "F113"),
        (Answer(400, -1, "[F113]거래거절"), Verdict.DECLINED, "F113"),
        (Answer(200, -1, "[400].issueCard.password2Digits:Invalid 2 digits of password!"), Verdict.DECLINED, None),
        (Answer(200, -1, "what nobody has seen before"), Verdict.DECLINED, None),
        (Answer(200, 1, "비인증결제모듈 사용정보를 찾을 수 없습니다."), Verdict.MISCONFIGURED, None),
        (Answer(200, -1, "[8901] 미등록PG업체/거래정지업체"), Verdict.MISCONFIGURED, "8901"),
        (Answer(200, -1, "실패하였습니다. [F117]빌링 계약 없음"), Verdict.MISCONFIGURED, "F117"),
        (Answer(200, -1, "실패하였습니다. [F106]처리 오류"), Verdict.TRANSIENT, "F106"),
        (Answer(200, -1, "실패하였습니다. [F110]DB 오류"), Verdict.TRANSIENT, "F110"),
        (Answer(200, -1, '["card_number"] 파라메터는 필수입니다.'), Verdict.INVALID, None),
        (Answer(200, 1, "이미 주문이 이루어진 건입니다. (order-1)"), Verdict.DUPLICATE, None),
        (Answer(401, -1, "Unauthorized"), Verdict.TOKEN_REFUSED, None),
        (Answer(401), Verdict.TOKEN_REFUSED, None),
        (Answer(403), Verdict.MISCONFIGURED, None),
        (Answer(302), Verdict.MISCONFIGURED, None),
        (Answer(404), Verdict.MISCONFIGURED, None),
        (Answer(429, retry_after_s=3.0), Verdict.THROTTLED, None),
        (Answer(429, 0, None, OK), Verdict.THROTTLED, None),
        (Answer(502), Verdict.UNKNOWN, None),
        (Answer(500, -1, "[F112]"), Verdict.UNKNOWN, "F112"),
        (Answer(200), Verdict.UNKNOWN, None),
        (Answer(408), Verdict.UNKNOWN, None),
        (Answer(0), Verdict.UNKNOWN, None),
        (Answer(0, was_sent=False), Verdict.UNSENT, None),
    ],
)
def test_each_answer_has_its_meaning(answer: Answer, verdict: Verdict, pg_code: str | None) -> None:
    meaning = judge_issue(answer)

    assert (meaning.verdict, meaning.pg_code) == (verdict, pg_code)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("paid", Verdict.APPLIED), ("failed", Verdict.DECLINED), ("ready", Verdict.UNKNOWN), (None, Verdict.UNKNOWN)],
)
def test_a_payment_is_what_its_status_says(status: str | None, verdict: Verdict) -> None:
    answer = Answer(200, 0, None, Annotation(status=status, fail_reason="[2116] 한도초과"))

    assert judge_onetime(answer).verdict is verdict


def test_the_refusals_of_all_sample_cards_are_understood_as_they_are_meant() -> None:
    expected = {"no_contract": Verdict.MISCONFIGURED, "unregistered_merchant": Verdict.MISCONFIGURED}
    for name, card in CARDS.items():
        if card.refusal is None or card.code == 0:
            continue
        is_transient = name.startswith("processing_error")

        verdict = judge_issue(Answer(200, card.code, card.refusal)).verdict

        assert (name, verdict) == (name, expected.get(name, Verdict.TRANSIENT if is_transient else Verdict.DECLINED))


CARD = Card(**CARDS["visa"].fields())


def customer(updated: int | None = 1000, number: str | None = "42424242****4242") -> Answer:
    return Answer(200, 0, None, Annotation(updated=updated, card_number=number))


@pytest.mark.parametrize(
    ("answer", "sight"),
    [
        (customer(), LookUpResult.OURS),
        (customer(updated=998), LookUpResult.OURS),
        (customer(updated=997), LookUpResult.ABSENT),
        (customer(number=None), LookUpResult.OURS),
        (customer(number="4242********"), LookUpResult.OURS),
        (customer(number="42424242****0000"), LookUpResult.FOREIGN),
        (customer(updated=None), LookUpResult.UNCLEAR),
        (Answer(404, 1), LookUpResult.ABSENT),
        (Answer(404), LookUpResult.UNCLEAR),
        (Answer(200, 1, "찾을 수 없습니다."), LookUpResult.ABSENT),
        (Answer(200, -1, "잠시 후 다시"), LookUpResult.UNCLEAR),
        (Answer(401, -1), LookUpResult.UNCLEAR),
        (Answer(429), LookUpResult.UNCLEAR),
        (Answer(502), LookUpResult.UNCLEAR),
        (Answer(0), LookUpResult.UNCLEAR),
    ],
)
def test_a_customer_that_is_looked_up_is_ours_if_it_is_as_new_as_our_post_and_shows_our_digits(
    answer: Answer, sight: LookUpResult
) -> None:
    assert judge_customer(answer, 1000.0, CARD.fits)[0] is sight


def test_without_its_card_a_customer_is_judged_by_its_time_alone() -> None:
    assert judge_customer(customer(number="42424242****0000"), 1000.0, None)[0] is LookUpResult.OURS


@pytest.mark.parametrize(("updated", "sight"), [(1000, LookUpResult.ABSENT), (1001, LookUpResult.OURS)])
def test_the_key_that_was_there_before_is_not_taken_for_ours_however_new_it_is(
    updated: int, sight: LookUpResult
) -> None:
    assert judge_customer(customer(updated), 1000.0, CARD.fits, 1000)[0] is sight


def payment(status: str, **members: object) -> Answer:
    return Answer(200, 0, None, Annotation.model_validate({"status": status, "amount": 9900, **members}))


@pytest.mark.parametrize(
    ("answer", "sight", "verdict"),
    [
        (payment("paid", paid_at=1000), LookUpResult.OURS, Verdict.APPLIED),
        (payment("failed", failed_at=1000, fail_reason="[2116]"), LookUpResult.OURS, Verdict.DECLINED),
        (payment("failed", failed_at=900), LookUpResult.ABSENT, Verdict.DECLINED),
        (payment("paid", paid_at=900), LookUpResult.FOREIGN, Verdict.APPLIED),
        (payment("paid", paid_at=1000, amount=1), LookUpResult.FOREIGN, Verdict.APPLIED),
        (payment("ready"), LookUpResult.UNCLEAR, Verdict.UNKNOWN),
        (Answer(404, 1), LookUpResult.ABSENT, Verdict.MISCONFIGURED),
    ],
)
def test_a_payment_that_is_looked_up_is_ours_if_it_is_as_new_as_our_post_and_of_our_amount(
    answer: Answer, sight: LookUpResult, verdict: Verdict
) -> None:
    found, meaning = judge_payment(answer, 1000.0, 9900)

    assert found is sight
    if sight is LookUpResult.OURS:
        assert meaning.verdict is verdict
