"""The fake i'mport keeps to what is known of the real one: tokens, billing keys, payments."""

from typing import Any

import pytest
import requests

from tests.fake_iamport import CARDS, FakeIamport, Fault, numbered
from tests.fake_iamport.merchant import Api, Clock

ISSUE_FAILED = "카드정보 인증 및 빌키 발급에 실패하였습니다. "


# --- tokens


def test_token_lives_thirty_minutes_and_is_the_same_until_then(api: Api, clock: Clock) -> None:
    first = api.login()
    clock.now += 1740
    second = api.login()

    assert len(first["access_token"]) == 40
    assert first["expired_at"] - first["now"] == 1800
    assert (second["access_token"], second["expired_at"]) == (first["access_token"], first["expired_at"])


def test_token_is_pushed_in_its_last_minute_and_new_after_expiry(api: Api, clock: Clock) -> None:
    first = api.login()
    clock.now += 1741
    pushed = api.login()
    clock.now = pushed["expired_at"]
    renewed = api.login()

    assert pushed["access_token"] == first["access_token"]
    assert pushed["expired_at"] == first["expired_at"] + 300
    assert renewed["access_token"] != first["access_token"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"imp_key": "x"}, 400, "imp_key, imp_secret 파라메터가 누락되었습니다."),
        ({"imp_key": "x", "imp_secret": "y"}, 401, "인증에 실패하였습니다. API키와 secret을 확인하세요."),
    ],
)
@pytest.mark.parametrize("form", ["json", "data"])
def test_login_is_refused(api: Api, body: dict[str, str], status: int, message: str, form: str) -> None:
    answer = api.call("POST", "/users/getToken", **{form: body})

    assert (answer.status_code, answer.json()["code"]) == (status, -1)
    assert answer.json()["message"] == message
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"


def test_token_is_taken_in_three_headers_and_authorization_wins(api: Api) -> None:
    token = api.login()["access_token"]
    api.session.headers.pop("Authorization")

    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return api.call("GET", "/users/pg", headers=named).status_code

    assert status(Authorization=f"Bearer {token}") == 200
    assert status(Authorization=token) == 200
    assert status(X_ImpTokenHeader=token) == 200
    assert status(Authorization="Bearer wrong", X_ImpTokenHeader=token) == 401
    assert status() == 401


def test_expired_tokens_are_refused_until_the_next_login(api: Api, fake: FakeIamport) -> None:
    fake.expire_tokens()
    refused = api.issue("a", CARDS["visa"])
    api.login()

    assert (refused.status_code, refused.json()["code"]) == (401, -1)
    assert api.issue("a", CARDS["visa"]).json()["code"] == 0


# --- billing keys


@pytest.mark.parametrize("name", sorted(CARDS.keys() - {"slow"}))
def test_sample_card_does_what_its_row_says(api: Api, name: str) -> None:
    card = CARDS[name]
    codes: list[int | None] = []
    for _ in range(3):
        try:
            answer = api.issue("gildong", card)
            is_json = "json" in answer.headers["Content-Type"]
            codes.append(answer.json()["code"] if is_json else None)
        except requests.ConnectionError:
            codes.append(None)

    assert codes[-1] == card.code
    if card.refusal:
        assert codes[0] == -1
    if card.fault:
        assert codes[0] in (None, -1)


def test_slow_card_answers_after_three_seconds() -> None:
    assert CARDS["slow"].fault == Fault("latency", latency_s=3.0)


def test_sample_numbers_are_as_long_as_their_brand_has_them_and_check() -> None:
    business = [int(digit) for digit in CARDS["corporate"].birth]
    weighted = sum(a * b for a, b in zip(business, (1, 3, 7, 1, 3, 7, 1, 3, 5), strict=False))

    assert [len(CARDS[name].card_number) for name in ("visa", "amex", "diners")] == [16, 15, 14]
    assert (weighted + business[8] * 5 // 10 + business[9]) % 10 == 0
    assert len({card.card_number for card in CARDS.values()} | {numbered(7)}) == len(CARDS) + 1


def test_first_issue_and_replacement_are_told_apart(api: Api, fake: FakeIamport, clock: Clock) -> None:
    first = api.issue("gil@dong", CARDS["visa"], customer_name="홍길동").json()["response"]
    clock.now += 5
    second = api.issue("gil@dong", CARDS["amex"]).json()["response"]
    shown = api.call("GET", "/subscribe/customers/gil%40dong").json()["response"]

    assert first["inserted"] == first["updated"] == 1_800_000_000
    assert first["customer_name"] == "홍길동"
    assert first["card_number"] == "42424242****4242"
    assert (second["inserted"], second["updated"]) == (1_800_000_000, 1_800_000_005)
    assert shown == second
    assert fake.customers["gil@dong"].card_number == CARDS["amex"].card_number
    assert [applied.card_number for applied in fake.applied] == [CARDS["visa"].card_number, CARDS["amex"].card_number]


@pytest.mark.parametrize("written", ["4242-4242-4242-4242", "4242 4242 4242 4242"])
def test_separators_and_forms_are_taken(api: Api, fake: FakeIamport, written: str) -> None:
    form = CARDS["visa"].fields() | {"card_number": written}
    answer = api.call("POST", "/subscribe/customers/a", data=form)

    assert answer.json()["code"] == 0
    assert fake.customers["a"].card_number == CARDS["visa"].card_number


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        ({"card_number": ""}, -1, '["card_number"] 파라메터는 필수입니다.'),
        ({"expiry": None}, -1, '["expiry"] 파라메터는 필수입니다.'),
        ({"pg": "none"}, 1, "비인증결제모듈 사용정보를 찾을 수 없습니다."),
        ({"pg": "ksnet", "birth": ""}, -1, '["birth"] 파라메터는 필수입니다.'),
        ({"pg": "welcome"}, -1, '["customer_name"] 파라메터는 필수입니다.'),
        ({"birth": "19900101"}, -1, "must be one of [6, 10]"),
        ({"pwd_2digit": ""}, -1, f"{ISSUE_FAILED}[400].issueCard.password2Digits:Invalid 2 d"),
        ({"card_number": "4242424242424241"}, -1, f"{ISSUE_FAILED}[F112]유효하지않은"),
        ({"expiry": "2026-12"}, -1, "(message: 유효기간오류, code:F113)"),
    ],
)
def test_issue_is_refused_with_http_200(
    api: Api, fake: FakeIamport, members: dict[str, Any], code: int, message: str
) -> None:
    answer = api.issue("a", CARDS["visa"], **members)

    assert (answer.status_code, answer.json()["code"]) == (200, code)
    assert message in answer.json()["message"]
    assert answer.json()["response"] is None
    assert fake.applied == []


def test_unknown_pg_falls_back_to_the_default_silently(api: Api) -> None:
    fallen = api.issue("a", CARDS["visa"], pg="typo.MID").json()["response"]
    toss = api.issue("b", CARDS["visa"], pg="tosspayments").json()["response"]
    ksnet = api.issue("c", CARDS["visa"], pg="ksnet").json()["response"]

    assert (fallen["pg_provider"], fallen["card_type"]) == ("nice", 0)
    assert len(toss["customer_id"]) == 36
    assert (toss["card_type"], ksnet["card_type"], ksnet["card_number"]) == ("신용", None, None)


def test_unknown_customer_is_404_or_200_by_choice(clock: Clock) -> None:
    for style, status in (("404", 404), ("200", 200)):
        with FakeIamport(clock=clock, unknown_uid_style=style) as fake:  # type: ignore[arg-type]
            api = Api(fake)
            api.login()
            for method in ("GET", "DELETE"):
                answer = api.call(method, "/subscribe/customers/nobody")

                assert (answer.status_code, answer.json()["code"]) == (status, 1)
            api.session.close()


def test_many_customers_are_partly_found(api: Api) -> None:
    api.issue("a", CARDS["visa"])

    def status(*uids: str) -> int:
        query = {"customer_uid[]": uids}
        return api.call("GET", "/subscribe/customers", params=query).status_code

    assert (status("a"), status("a", "b"), status("b")) == (200, 207, 404)


# --- payments


def test_payment_is_charged_once_and_its_page_hidden_as_sandbox_unless_asked_for(api: Api, fake: FakeIamport) -> None:
    paid = api.onetime("order-1", CARDS["visa"], customer_uid="a").json()["response"]
    double = api.onetime("order-1", CARDS["visa"]).json()
    again = api.again("order-2", "a").json()["response"]

    assert (paid["status"], paid["customer_uid_usage"]) == ("paid", "issue")
    assert double["code"] == 1
    assert double["message"].startswith("이미 주문이 이루어진 건입니다.")
    assert again["status"] == "paid"
    assert [(a.kind, a.merchant_uid) for a in fake.applied] == [
        ("payment", "order-1"),
        ("issue", "order-1"),
        ("payment", "order-2"),
    ]
    one = f"/payments/{paid['imp_uid']}"
    assert api.call("GET", one).status_code == 404
    assert api.call("GET", f"{one}?include_sandbox=true").json()["response"] == paid
    assert api.call("GET", "/payments/find/order-1/paid").json()["response"] == paid
    assert api.call("GET", "/payments/find/order-1/failed").status_code == 404


def test_declined_charge_is_code_0_with_status_failed(api: Api, fake: FakeIamport) -> None:
    issued = api.issue("a", CARDS["limit_exceeded"]).json()
    charged = api.again("order-1", "a").json()

    assert (issued["code"], charged["code"]) == (0, 0)
    assert charged["response"]["status"] == "failed"
    assert "[2116]" in charged["response"]["fail_reason"]
    assert [applied.kind for applied in fake.applied] == ["issue"]


def test_payment_is_refused(api: Api) -> None:
    unknown = api.again("order-1", "nobody").json()
    declined = api.onetime("order-1", CARDS["bad_number"]).json()
    nameless = api.onetime("order-1", CARDS["visa"], pg="html5_inicis", name="")
    ksnet = {"pg": "ksnet", "buyer_name": "a", "product_type": "real", "customer_uid": "a"}

    assert (unknown["code"], unknown["message"]) == (1, "등록되지 않은 구매자입니다.")
    assert declined["message"].startswith("카드정보 인증에 실패하였습니다. [F112]")
    assert (nameless.status_code, nameless.json()["code"]) == (400, -1)
    assert api.onetime("order-1", CARDS["visa"], **ksnet).json()["code"] == -1


def test_cancelled_payment_is_cancelled_once_and_its_order_not_charged_again(api: Api) -> None:
    imp_uid = api.onetime("order-1", CARDS["visa"]).json()["response"]["imp_uid"]
    cancelled = api.call("POST", "/payments/cancel", json={"imp_uid": imp_uid}).json()
    twice = api.call("POST", "/payments/cancel", json={"imp_uid": imp_uid}).json()

    assert cancelled["response"]["status"] == "cancelled"
    assert (twice["code"], twice["message"]) == (1, "이미 전액취소된 주문입니다.")
    assert api.onetime("order-1", CARDS["visa"]).json()["code"] == 1


def test_every_attempt_of_an_order_is_kept_under_its_status(api: Api, fake: FakeIamport) -> None:
    for card in (CARDS["limit_exceeded"], CARDS["visa"]):
        api.onetime("order-1", card)

    failed = api.call("GET", "/payments/findAll/order-1/failed").json()["response"]

    assert [one["fail_reason"] for one in failed["list"]] == [CARDS["limit_exceeded"].charge_refusal]
    assert api.call("GET", "/payments/find/order-1").json()["response"]["status"] == "paid"
    fake.desk.hidden_for_s = 60.0
    assert api.call("GET", "/payments/find/order-1/paid").status_code == 404
