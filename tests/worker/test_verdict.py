import json
from collections.abc import Callable

import pytest

from producer.contract.card import Card
from producer.contract.outcome import Outcome, Status
from tests.fake_iamport import CARDS
from tests.worker.leases import lease
from worker.iamport import gateways
from worker.iamport.answer import Annotation, Answer
from worker.iamport.codes import Verdict
from worker.iamport.verdict import (
    Expected,
    Judged,
    LookUpResult,
    judge_cancelled,
    judge_customer,
    judge_failed,
    judge_issue,
    judge_onetime,
    judge_paid,
)
from worker.model import End
from worker.result import outcome_of

OK = Annotation(card_name="신한카드")
NEW_MODULE = "[400]Error From NICEPAY. (message: F113 비밀번호틀림, code:F113)"


@pytest.mark.parametrize(
    ("answer", "verdict", "pg_code"),
    [
        (Answer(200, 0, None, OK), Verdict.APPLIED, None),
        (Answer(201, 0, None, OK), Verdict.APPLIED, None),
        (Answer(200, 0, None, None), Verdict.UNDECIDED, None),
        (Answer(500, 0, None, OK), Verdict.UNDECIDED, None),
        (Answer(200, -1, "카드정보 인증 및 빌키 발급에 실패하였습니다. [F112]유효하지않은"), Verdict.DECLINED, "F112"),
        (Answer(200, -1, f"카드정보 인증에 실패하였습니다. {NEW_MODULE}"), Verdict.DECLINED, "F113"),
        (Answer(400, -1, "[F113]거래거절"), Verdict.DECLINED, "F113"),
        (Answer(404, -1, "[F113]거래거절"), Verdict.DECLINED, "F113"),
        (Answer(409, -1, "[F113]거래거절"), Verdict.DECLINED, "F113"),
        (Answer(200, -1, "what nobody has seen before"), Verdict.DECLINED, None),
        (Answer(200, -1, "[EXCEED_MAX_AUTH_COUNT] 최대 인증 횟수 초과"), Verdict.DECLINED, "EXCEED_MAX_AUTH_COUNT"),
        (Answer(200, -1, "[CC07] 한도초과"), Verdict.DECLINED, "CC07"),
        (Answer(200, 1, "비인증결제모듈 사용정보를 찾을 수 없습니다."), Verdict.MISCONFIGURED, None),
        (Answer(200, 1, "what nobody has seen before"), Verdict.MISCONFIGURED, None),
        (Answer(200, -1, "[8901] 미등록PG업체/거래정지업체"), Verdict.MISCONFIGURED, "8901"),
        (Answer(200, -1, "미등록PG업체"), Verdict.MISCONFIGURED, None),
        (Answer(200, -1, "실패하였습니다. [F117]빌링 계약 없음"), Verdict.MISCONFIGURED, "F117"),
        (Answer(200, -1, "[코드: V023] 가맹점"), Verdict.MISCONFIGURED, "V023"),
        (Answer(403, -1, "허용되지 않은 IP"), Verdict.MISCONFIGURED, None),
        (Answer(200, -1, "[2159] 카드사 연결 실패"), Verdict.NOT_REACHED, "2159"),
        (Answer(200, -1, "실패하였습니다. [F106]처리 오류"), Verdict.GATEWAY_ERROR, "F106"),
        (Answer(200, -1, "실패하였습니다. [F110]DB 오류"), Verdict.GATEWAY_ERROR, "F110"),
        (Answer(200, -1, "[X003] 응답 없음"), Verdict.UNDECIDED, "X003"),
        (Answer(200, -1, "[ZZ99] 시스템 장애"), Verdict.UNDECIDED, "ZZ99"),
        (Answer(200, -1, "Internal error"), Verdict.UNDECIDED, None),
        (Answer(200, -1, '["card_number"] 파라메터는 필수입니다.'), Verdict.INVALID, None),
        (Answer(200, -1, "InvalidLength(field=expiry)"), Verdict.INVALID, None),
        (Answer(413, -1, "what nobody has seen before"), Verdict.INVALID, None),
        (Answer(200, 1, "이미 주문이 이루어진 건입니다. (order-1)"), Verdict.THERE_IS_ONE, None),
        (Answer(200, -1, "[F201] 이미 등록된 카드"), Verdict.THERE_IS_ONE, "F201"),
        (Answer(401, -1, "Unauthorized"), Verdict.TOKEN_REFUSED, None),
        (Answer(429, -1, retry_after_s=3.0), Verdict.THROTTLED, None),
        (Answer(429, retry_after_s=3.0), Verdict.THROTTLED, None),
        (Answer(429, 0, None, OK), Verdict.THROTTLED, None),
        (Answer(0), Verdict.UNANSWERED, None),
        (Answer(0, was_sent=False), Verdict.UNSENT, None),
    ],
)
def test_each_answer_has_its_meaning(answer: Answer, verdict: Verdict, pg_code: str | None) -> None:
    meaning = judge_issue(answer)

    assert (meaning.verdict, meaning.pg_code) == (verdict, pg_code)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_an_envelope_with_a_status_of_trouble_is_an_answer_only_where_a_table_knows_it(status: int) -> None:
    assert judge_issue(Answer(status, -1, "[F112]")).verdict is Verdict.DECLINED
    assert judge_issue(Answer(status, -1, "[A225] 이미")).verdict is Verdict.THERE_IS_ONE
    assert judge_issue(Answer(status, -1, "파라메터는 필수입니다.")).verdict is Verdict.INVALID
    assert judge_issue(Answer(status, -1, "[ZZ99] 거절")).verdict is Verdict.UNANSWERED
    assert judge_issue(Answer(status, -1, "미등록PG")).verdict is Verdict.UNANSWERED
    assert judge_onetime(Answer(status, -1, None)).verdict is Verdict.UNANSWERED


@pytest.mark.parametrize("code", ["false", "true", "0.9", "0.0", '"0"', '"text"', "null", "[]", "NaN"])
def test_a_code_that_is_no_whole_number_is_no_envelope(code: str) -> None:
    answer = Answer.read(200, f'{{"code": {code}, "message": "m", "response": {{"status": "paid"}}}}'.encode())

    assert (answer.code, answer.response) == (None, None)
    assert judge_issue(answer).verdict is Verdict.UNANSWERED
    assert judge_onetime(answer).verdict is Verdict.UNANSWERED


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"0", b'"code"', b'{"code"', b"{}", b"[" * 100_000])
def test_what_is_no_envelope_has_no_code(body: bytes) -> None:
    assert Answer.read(200, body, date="Thu, 26 Nov 2026 00:00:00 GMT") == Answer(200)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 403, 404, 405, 413])
def test_a_page_that_lets_no_issue_through_is_one_of_the_edge_and_says_nothing_of_a_payment(status: int) -> None:
    assert judge_issue(Answer(status)).verdict is Verdict.EDGE_PAGE
    assert judge_onetime(Answer(status)).verdict is Verdict.UNANSWERED


@pytest.mark.parametrize("status", [200, 204, 400, 401, 402, 406, 408, 409, 421, 500, 502, 503, 504, 520])
def test_any_other_page_is_no_answer(status: int) -> None:
    assert judge_issue(Answer(status)).verdict is Verdict.UNANSWERED
    assert judge_onetime(Answer(status)).verdict is Verdict.UNANSWERED


def test_a_page_with_429_is_a_throttled_payment_too() -> None:
    assert judge_onetime(Answer(429)).verdict is Verdict.THROTTLED


def test_a_key_of_another_customer_is_not_taken_for_ours() -> None:
    answer = Answer(200, 0, None, Annotation(customer_uid="another"))

    assert judge_issue(answer, "gildong").verdict is Verdict.UNDECIDED
    assert judge_issue(answer, "another").verdict is Verdict.APPLIED


@pytest.mark.parametrize(
    ("status", "reason", "verdict"),
    [
        ("paid", None, Verdict.APPLIED),
        ("failed", "[2116] 한도초과", Verdict.DECLINED),
        ("failed", "what nobody has seen before", Verdict.DECLINED),
        ("failed", None, Verdict.DECLINED),
        ("failed", "[F106] 처리 오류", Verdict.GATEWAY_ERROR),
        ("failed", "[2159] 연결 실패", Verdict.NOT_REACHED),
        ("failed", "[A225] 중복", Verdict.THERE_IS_ONE),
        ("failed", "[X003] 응답 없음", Verdict.UNDECIDED),
        ("failed", "시스템 점검 중입니다", Verdict.UNDECIDED),
        ("failed", "[8901] 미등록PG업체", Verdict.MISCONFIGURED),
        ("ready", None, Verdict.UNDECIDED),
        ("cancelled", None, Verdict.UNDECIDED),
        (None, None, Verdict.UNDECIDED),
    ],
)
def test_a_payment_is_what_its_status_says_and_a_failed_one_what_its_reason_says(
    status: str | None, reason: str | None, verdict: Verdict
) -> None:
    answer = Answer(200, 0, None, Annotation(status=status, fail_reason=reason))

    assert judge_onetime(answer).verdict is verdict


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("[400].issueCard.birthOrBusinessRegistrationNumber:Invalid length", "birth_required"),
        ("[400].issueCard.password2Digits:Invalid 2 digits of password!", "pwd_2digit_required"),
        ("[400].issueCard.expiry:Invalid", None),
    ],
)
def test_a_field_that_the_contract_wants_is_named(message: str, word: str | None) -> None:
    for judged in (judge_issue(Answer(200, -1, message)), judge_onetime(Answer(200, -1, message))):
        assert (judged.verdict, judged.word) == (Verdict.INVALID, word)


def test_the_refusals_of_all_sample_cards_are_understood_as_they_are_meant() -> None:
    expected = {"no_contract": Verdict.MISCONFIGURED, "unregistered_merchant": Verdict.MISCONFIGURED}
    for name, card in CARDS.items():
        if card.refusal is None or card.code == 0:
            continue
        default = Verdict.GATEWAY_ERROR if name.startswith("processing_error") else Verdict.DECLINED

        verdict = judge_issue(Answer(200, card.code, card.refusal)).verdict

        assert (name, verdict) == (name, expected.get(name, default))


@pytest.mark.parametrize("name", ["OF_ISSUES", "OF_PAYMENTS"])
def test_no_code_has_two_verdicts_over_the_gateways(name: str) -> None:
    seen: dict[str, tuple[str, Verdict]] = {}
    for gateway in gateways.GATEWAYS:
        own = getattr(gateway, name, {})
        of_one = [(code, verdict) for verdict, codes in own.items() for code in codes]
        of_both = [(code, verdict) for verdict, codes in gateway.CODES.items() for code in codes]
        general = [(code, verdict) for code, verdict in of_both if code not in dict(of_one)]

        for code, verdict in of_one + general:
            where, other = seen.setdefault(code, (gateway.__name__, verdict))
            assert (code, where, other) == (code, where, verdict)
    assert {code: verdict for code, (_, verdict) in seen.items()} == getattr(gateways, name)


def test_a_judged_answer_comes_back_from_the_ledger() -> None:
    judged = Judged(Verdict.DECLINED, -1, "[F112] 유효하지", "F112")

    assert Judged.from_json(judged.to_json()) == judged
    assert json.loads(judged.to_json())[0] == "DECLINED"


CARD = Card(**CARDS["visa"].fields())
DIGITS, OTHERS = "42424242****4242", "42424242****0000"
OURS = Expected(1000.0, amount=9900, fits=CARD.fits)


def customer(updated: int | None = 1000, number: str | None = DIGITS) -> Answer:
    return Answer(200, 0, None, Annotation(updated=updated, card_number=number))


@pytest.mark.parametrize(
    ("answer", "sight"),
    [
        (customer(), LookUpResult.OURS),
        (customer(updated=998), LookUpResult.OURS),
        (customer(updated=997), LookUpResult.ABSENT),
        (customer(number=None), LookUpResult.OURS),
        (customer(number="4242********"), LookUpResult.OURS),
        (customer(number=OTHERS), LookUpResult.FOREIGN),
        (customer(updated=997, number=OTHERS), LookUpResult.ABSENT),
        (customer(updated=None), LookUpResult.UNCLEAR),
        (Answer(404, 1), LookUpResult.ABSENT),
        (Answer(404), LookUpResult.UNCLEAR),
        (Answer(200, 1, "찾을 수 없습니다."), LookUpResult.ABSENT),
        (Answer(200, -1, "잠시 후 다시"), LookUpResult.UNCLEAR),
        (Answer(500, 1), LookUpResult.UNCLEAR),
        (Answer(401, -1), LookUpResult.UNCLEAR),
        (Answer(429), LookUpResult.UNCLEAR),
        (Answer(502), LookUpResult.UNCLEAR),
        (Answer(0), LookUpResult.UNCLEAR),
    ],
)
def test_a_customer_that_is_looked_up_is_ours_if_it_is_as_new_as_our_post_and_shows_our_digits(
    answer: Answer, sight: LookUpResult
) -> None:
    assert judge_customer(answer, OURS)[0] is sight


def test_without_its_card_a_customer_is_judged_by_its_time_alone() -> None:
    assert judge_customer(customer(number=OTHERS), Expected(1000.0))[0] is LookUpResult.OURS


@pytest.mark.parametrize(("updated", "sight"), [(1000, LookUpResult.ABSENT), (1001, LookUpResult.OURS)])
def test_the_key_that_was_there_before_is_not_taken_for_ours_however_new_it_is(
    updated: int, sight: LookUpResult
) -> None:
    assert judge_customer(customer(updated), OURS._replace(known_until=1000))[0] is sight


def payment(state: str, **members: object) -> Answer:
    shown = {"status": state, "amount": 9900, "card_number": DIGITS, "started_at": 1000}
    return Answer(200, 0, None, Annotation.model_validate(shown | members))


UNCLEAR = [
    Answer(404),
    Answer(200, -1, "잠시 후"),
    Answer(401, -1),
    Answer(429),
    Answer(502),
    Answer(200, 0),
    Answer(0),
]


@pytest.mark.parametrize(
    ("answer", "ours", "sight"),
    [
        (payment("paid"), OURS, LookUpResult.OURS),
        (payment("paid", started_at=998), OURS, LookUpResult.OURS),
        (payment("paid", started_at=None, paid_at=1000), OURS, LookUpResult.OURS),
        (payment("paid", card_number=None), OURS, LookUpResult.OURS),
        (payment("paid", amount=None), OURS, LookUpResult.OURS),
        (payment("paid", card_number=OTHERS), OURS._replace(amount=None, fits=None), LookUpResult.OURS),
        (payment("paid", started_at=997, paid_at=1000), OURS, LookUpResult.FOREIGN),
        (payment("paid", started_at=997, card_number=None), OURS, LookUpResult.FOREIGN),
        (payment("paid", started_at=997, card_number=OTHERS), OURS, LookUpResult.ANOTHERS),
        (payment("paid", card_number=OTHERS), OURS, LookUpResult.FOREIGN),
        (payment("paid", amount=1), OURS, LookUpResult.FOREIGN),
        (payment("paid"), OURS._replace(since=None), LookUpResult.FOREIGN),
        (payment("failed"), OURS, LookUpResult.ABSENT),
        (payment("ready"), OURS, LookUpResult.ABSENT),
        (Answer(404, 1), OURS, LookUpResult.ABSENT),
        (Answer(200, 1), OURS, LookUpResult.ABSENT),
        *((answer, OURS, LookUpResult.UNCLEAR) for answer in UNCLEAR),
    ],
)
def test_a_paid_record_is_ours_if_it_began_since_we_sent_and_shows_our_amount_and_digits(
    answer: Answer, ours: Expected, sight: LookUpResult
) -> None:
    assert judge_paid(answer, ours)[0] is sight


@pytest.mark.parametrize(
    ("answer", "ours", "sight"),
    [
        (payment("cancelled"), OURS, LookUpResult.CANCELLED),
        (payment("cancelled", started_at=998, card_number=None), OURS, LookUpResult.CANCELLED),
        (payment("cancelled", started_at=997), OURS, LookUpResult.ABSENT),
        (payment("cancelled"), OURS._replace(known_until=1000), LookUpResult.ABSENT),
        (payment("cancelled"), OURS._replace(since=None), LookUpResult.ABSENT),
        (payment("cancelled", card_number=OTHERS), OURS, LookUpResult.ABSENT),
        (payment("cancelled", amount=1), OURS, LookUpResult.ABSENT),
        (payment("paid"), OURS, LookUpResult.ABSENT),
        (Answer(404, 1), OURS, LookUpResult.ABSENT),
        *((answer, OURS, LookUpResult.UNCLEAR) for answer in UNCLEAR),
    ],
)
def test_a_cancelled_record_counts_if_it_may_be_ours(answer: Answer, ours: Expected, sight: LookUpResult) -> None:
    assert judge_cancelled(answer, ours)[0] is sight


def failed(**members: object) -> Annotation:
    record = payment("failed", **{"fail_reason": "[2116] 한도초과", **members}).response
    assert record is not None
    return record


def listed(*records: Annotation) -> Answer:
    return Answer(200, 0, None, Annotation(), records=records)


TWO_POSTS = OURS._replace(posts=2)
OTHERWISE = LookUpResult.FAILED_OTHERWISE


@pytest.mark.parametrize(
    ("answer", "ours", "sight"),
    [
        (listed(failed()), OURS, LookUpResult.REFUSED),
        (listed(failed(), failed()), TWO_POSTS, LookUpResult.REFUSED),
        (listed(failed()), TWO_POSTS, OTHERWISE),  # what of the other POST?
        (listed(failed(), failed(started_at=900)), TWO_POSTS, OTHERWISE),
        (listed(failed(), failed(amount=1)), OURS, OTHERWISE),  # one that says anything else
        (listed(failed(), failed(fail_reason="[F106] 처리 오류")), OURS, OTHERWISE),
        (listed(failed(fail_reason="[X003]")), OURS, OTHERWISE),
        (listed(failed(fail_reason=None)), OURS, OTHERWISE),
        (listed(failed(fail_reason="시스템 점검")), OURS, OTHERWISE),
        (listed(failed(card_number=OTHERS)), OURS, OTHERWISE),
        (listed(failed(card_number=None)), OURS, OTHERWISE),
        (listed(failed(amount=None)), OURS, OTHERWISE),
        (listed(failed(started_at=998)), OURS, OTHERWISE),  # so late it may be ours, so early it is no proof
        (listed(failed()), OURS._replace(known_until=1000), OTHERWISE),
        (listed(failed()), OURS._replace(fits=None, amount=None), OTHERWISE),
        (listed(failed(started_at=900)), OURS, LookUpResult.ABSENT),
        (listed(failed()), OURS._replace(since=None), LookUpResult.ABSENT),
        (listed(failed(status="ready")), OURS, LookUpResult.ABSENT),
        (listed(), OURS, LookUpResult.ABSENT),
        (Answer(404, 1), OURS, LookUpResult.ABSENT),
        (Answer(200, 1), OURS, LookUpResult.ABSENT),
        *((answer, OURS, LookUpResult.UNCLEAR) for answer in UNCLEAR),
    ],
)
def test_a_refusal_is_proved_by_one_failed_record_for_each_post_and_none_that_says_anything_else(
    answer: Answer, ours: Expected, sight: LookUpResult
) -> None:
    assert judge_failed(answer, ours)[0] is sight


def test_a_proved_refusal_says_what_the_gateway_said() -> None:
    judged = judge_failed(listed(failed(imp_uid="imp_1")), OURS)[1]

    assert (judged.verdict, judged.code, judged.pg_code) == (Verdict.DECLINED, 0, "2116")
    assert judged.annotation is not None
    assert judged.annotation.imp_uid == "imp_1"


@pytest.mark.parametrize("form", [lambda records: {"total": 2, "list": records}, list])
def test_a_list_of_records_is_read_out_of_an_answer(form: Callable[[list[object]], object]) -> None:
    body = {"code": 0, "message": None, "response": form([{"status": "failed", "amount": 1}, "no record"])}

    answer = Answer.read(200, json.dumps(body).encode())

    assert answer.records == (Annotation(status="failed", amount=1),)


@pytest.mark.parametrize("retry_after", ["3153600000", "1e300", "9" * 400])
def test_however_long_a_429_asks_to_wait_it_is_300_s_at_most_or_nothing(retry_after: str) -> None:
    answer = Answer.read(429, b"{}", retry_after)

    assert answer.retry_after_s in {300.0, None}


def test_whatever_an_answer_says_its_outcome_can_be_written_down() -> None:
    answer = Answer.read(200, rb'{"code": 0, "response": {"imp_uid": "\ud800", "pg_provider": "\ud800", "updated": 1}}')

    outcome = outcome_of(lease(), End(Status.ISSUED, None, judge_issue(answer), 1), 1002.0)

    assert Outcome.from_json(outcome.model_dump_json()).status is Status.ISSUED


def test_names_that_imp_gives_come_in_one_line_without_control_characters() -> None:
    unruly = {"imp_uid": "imp_1\x1b[2J\n", "pg_provider": "nice\u202e\u2028\x9b", "card_name": "BC\r\u2066"}

    answer = Answer.read(200, json.dumps({"code": 0, "response": unruly}).encode())

    assert answer.response == Annotation(imp_uid="imp_1 [2J ", pg_provider="nice   ", card_name="BC  ")
