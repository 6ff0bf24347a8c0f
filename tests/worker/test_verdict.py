import pytest

from producer.contract.card import Card
from tests.fake_iamport import CARDS
from worker.iamport.answer import Annotation, Answer
from worker.iamport.verdict import Kind, Sight, see_customer, see_payment, understand, understand_payment

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


CARD = Card(**CARDS["visa"].fields())


def customer(updated: int | None = 1000, number: str | None = "42424242****4242") -> Answer:
    return Answer(200, 0, None, Annotation(updated=updated, card_number=number))


@pytest.mark.parametrize(
    ("answer", "sight"),
    [
        (customer(), Sight.OURS),
        (customer(updated=998), Sight.OURS),
        (customer(updated=997), Sight.ABSENT),
        (customer(number=None), Sight.OURS),
        (customer(number="4242********"), Sight.OURS),
        (customer(number="42424242****0000"), Sight.FOREIGN),
        (customer(updated=None), Sight.UNCLEAR),
        (Answer(404, 1), Sight.ABSENT),
        (Answer(404), Sight.UNCLEAR),
        (Answer(200, 1, "찾을 수 없습니다."), Sight.ABSENT),
        (Answer(200, -1, "잠시 후 다시"), Sight.UNCLEAR),
        (Answer(401, -1), Sight.UNCLEAR),
        (Answer(429), Sight.UNCLEAR),
        (Answer(502), Sight.UNCLEAR),
        (Answer(0), Sight.UNCLEAR),
    ],
)
def test_a_customer_that_is_looked_up_is_ours_if_it_is_as_new_as_our_post_and_shows_our_digits(
    answer: Answer, sight: Sight
) -> None:
    assert see_customer(answer, 1000.0, CARD.fits)[0] is sight


def test_without_its_card_a_customer_is_judged_by_its_time_alone() -> None:
    assert see_customer(customer(number="42424242****0000"), 1000.0, None)[0] is Sight.OURS


@pytest.mark.parametrize(("updated", "sight"), [(1000, Sight.ABSENT), (1001, Sight.OURS)])
def test_the_key_that_was_there_before_is_not_taken_for_ours_however_new_it_is(updated: int, sight: Sight) -> None:
    assert see_customer(customer(updated), 1000.0, CARD.fits, 1000)[0] is sight


def payment(status: str, **members: object) -> Answer:
    return Answer(200, 0, None, Annotation.model_validate({"status": status, "amount": 9900, **members}))


@pytest.mark.parametrize(
    ("answer", "sight", "kind"),
    [
        (payment("paid", paid_at=1000), Sight.OURS, Kind.APPLIED),
        (payment("failed", failed_at=1000, fail_reason="[2116]"), Sight.OURS, Kind.DECLINED),
        (payment("failed", failed_at=900), Sight.ABSENT, Kind.DECLINED),
        (payment("paid", paid_at=900), Sight.FOREIGN, Kind.APPLIED),
        (payment("paid", paid_at=1000, amount=1), Sight.FOREIGN, Kind.APPLIED),
        (payment("ready"), Sight.UNCLEAR, Kind.UNKNOWN),
        (Answer(404, 1), Sight.ABSENT, Kind.MISCONFIGURED),
    ],
)
def test_a_payment_that_is_looked_up_is_ours_if_it_is_as_new_as_our_post_and_of_our_amount(
    answer: Answer, sight: Sight, kind: Kind
) -> None:
    found, meaning = see_payment(answer, 1000.0, 9900)

    assert found is sight
    if sight is Sight.OURS:
        assert meaning.kind is kind
