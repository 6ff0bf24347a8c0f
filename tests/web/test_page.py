"""The way from typing to the outcome, in a real browser."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.web.customer import CARD, DECLINED, GOOD, Customer, Watch
from tests.web.heap import strings_of
from tests.web.leaks import found_in
from tests.web.stand_in import StandIn

REGISTERED, DECLINED_TITLE = "카드가 등록되었습니다", "카드사에서 승인하지 않았습니다"


def test_card_is_registered(customer: Customer, page: Page, stand_in: StandIn) -> None:
    customer.hands_in()

    customer.sees(REGISTERED)
    assert page.locator("#facts dd").all_inner_texts() == ["신한카드", "424242******4242"]
    assert [card.reveal() for card in stand_in.opened] == [CARD | {"expiry": "2031-07"}]
    assert page.title() == "카드가 등록되었습니다 · 무지개 서점"


def test_page_speaks_english_and_can_be_switched(customer: Customer, page: Page) -> None:
    customer.arrives(lang="en")
    customer.types()

    page.get_by_role("button", name="한국어").click()

    expect(page.locator("h1")).to_have_text("카드 등록")
    page.get_by_role("button", name="English").click()
    assert customer.values() == ["4242 4242 4242 4242", "07/31", "900101", "12"]
    page.get_by_role("button", name="Register the card").click()
    customer.sees("Your card is registered")
    assert page.evaluate("document.documentElement.lang") == "en"


def test_payment_shows_its_amount(customer: Customer, page: Page, stand_in: StandIn) -> None:
    stand_in.slots["amount_text"] = "9,900원"
    customer.arrives(ticket=stand_in.mint("onetime", merchant_uid="order-2027-0001"))
    customer.types()

    page.get_by_role("button", name="9,900원 결제하기").click()

    customer.sees("결제가 완료되었습니다")
    assert stand_in.posts()[0].path == "/subscription/onetime"
    assert (stand_in.envelopes[0].merchant_uid, stand_in.envelopes[0].customer_uid) == ("order-2027-0001", None)


def test_corporate_card_has_a_business_number_and_may_have_no_password(
    customer: Customer, page: Page, stand_in: StandIn
) -> None:
    customer.arrives()
    page.get_by_label("법인").check()
    customer.types(birth="1234567891", pwd_2digit="")
    assert customer.field("birth").input_value() == "123-45-67891"

    customer.submits()

    customer.sees(REGISTERED)
    assert stand_in.opened[0].reveal() == {"card_number": GOOD, "expiry": "2031-07", "birth": "1234567891"}


def test_declined_card_is_told_and_can_be_tried_again_with_a_new_ticket(
    customer: Customer, page: Page, stand_in: StandIn
) -> None:
    first = customer.hands_in(card_number=DECLINED)
    customer.sees(DECLINED_TITLE)
    assert page.locator("#facts dd").all_inner_texts() == ["F113"]
    customer.sees_form()
    assert customer.values() == ["", "", "", ""]
    assert found_in(customer.dom(), DECLINED) == set()

    customer.types()
    customer.submits()

    customer.sees(REGISTERED)
    tickets = [json.loads(post.raw.partition(b"{")[2].join([b"{", b""]))["ticket"] for post in stand_in.posts()]
    assert tickets[0] == first
    assert tickets[1] != first
    assert len(stand_in.jobs) == 2


def test_reload_after_a_decline_keeps_the_new_ticket(customer: Customer, page: Page, stand_in: StandIn) -> None:
    customer.hands_in(card_number=DECLINED)
    customer.sees(DECLINED_TITLE)

    page.reload()

    customer.sees_form()
    customer.types()
    customer.submits()
    customer.sees(REGISTERED)


@pytest.mark.parametrize(
    ("number", "words"),
    [(DECLINED, "카드 비밀번호 앞 2자리가 다릅니다"), ("4000000001180001", "이곳에서 사용할 수 없는 카드입니다")],
)
def test_decline_says_why_and_that_nothing_was_done(customer: Customer, page: Page, number: str, words: str) -> None:
    customer.hands_in(card_number=number)

    customer.sees(DECLINED_TITLE)
    expect(page.locator("#notice_text")).to_contain_text("카드가 등록되지 않았습니다.")
    expect(page.locator("#notice_text")).to_contain_text(words)


def test_corrected_card_of_another_tab_is_not_mistaken_for_the_declined_one(
    customer: Customer, page: Page, stand_in: StandIn
) -> None:
    other = Customer(page.context.new_page(), stand_in)
    ticket = customer.arrives()
    other.hands_in(ticket, card_number=DECLINED)
    other.sees(DECLINED_TITLE)
    expect(other.page.locator("#notice_then")).to_contain_text("입력했던 카드 정보는 지워졌습니다")
    page.bring_to_front()
    customer.types()
    customer.submits()
    customer.sees(DECLINED_TITLE)
    expect(page.locator("#notice_then")).to_contain_text("방금 입력하신 카드는 접수되지 않았으니")

    customer.types()
    customer.submits()

    customer.sees(REGISTERED)
    assert len(stand_in.jobs) == 2


def test_declined_without_a_new_ticket_ends_there(customer: Customer, page: Page, stand_in: StandIn) -> None:
    stand_in.renews = False

    customer.hands_in(card_number=DECLINED)

    customer.sees(DECLINED_TITLE)
    expect(page.locator("#form")).to_be_hidden()
    expect(page.locator("#notice_then")).to_have_text("다시 하시려면 무지개 서점에서 처음부터 시작해 주세요.")


@pytest.mark.parametrize(
    ("number", "title", "has_form"),
    [
        ("4000000000000101", "결과를 확인하지 못했습니다", False),
        ("4000000000000119", "카드 정보가 카드사에 전달되지 않았습니다", True),
        ("4000000000000127", "지금은 처리할 수 없습니다", False),
        ("4000000000000135", "지금은 처리할 수 없습니다", False),
        ("4000000000000143", "더 최근에 등록한 카드가 있습니다", False),
    ],
)
def test_every_other_end_is_told(customer: Customer, page: Page, number: str, title: str, has_form: bool) -> None:
    customer.hands_in(card_number=number)

    customer.sees(title)
    assert page.locator("#form").is_visible() == has_form


def test_nothing_of_the_card_stays_after_submit(customer: Customer, page: Page, stand_in: StandIn) -> None:
    stand_in.hold()

    customer.hands_in()

    expect(page.locator("#progress_title")).to_have_text("카드를 등록하고 있습니다")
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, history.state, location.href, document.cookie])"
    assert customer.values() == ["", "", "", ""]
    assert found_in(customer.dom(), GOOD) == set()
    assert found_in(page.evaluate(kept), GOOD) == set()
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert page.evaluate("indexedDB.databases().then((all) => all.length)") == 0


def test_nothing_of_the_card_stays_in_the_scripts_memory(customer: Customer, page: Page) -> None:
    customer.arrives()
    customer.types()
    page.evaluate("window.planted = [document.getElementById('card_number').value.replace(/[^0-9]/g, ''), 0]")
    assert GOOD in strings_of(page)
    page.evaluate("delete window.planted")

    customer.submits()

    customer.sees(REGISTERED)
    assert found_in(strings_of(page), GOOD) == set()


def test_wrong_clock_of_the_phone_does_not_matter(customer: Customer, page: Page, stand_in: StandIn) -> None:
    page.clock.install(time=2_500_000_000)

    customer.hands_in()

    customer.sees(REGISTERED)
    assert stand_in.envelopes[0].exp - stand_in.envelopes[0].iat == 600


def test_card_is_not_called_expired_by_the_clock_of_the_phone(
    customer: Customer, page: Page, stand_in: StandIn
) -> None:
    page.clock.install(time=2_500_000_000)
    page.route("**/keys", lambda route: route.abort())
    customer.arrives()
    customer.types()
    page.unroute("**/keys")

    customer.submits()

    customer.sees(REGISTERED)


def test_page_is_small_and_of_one_house(customer: Customer, page: Page, watch: Watch, stand_in: StandIn) -> None:
    sizes: list[int] = []
    page.on("response", lambda response: sizes.append(len(response.body())))

    customer.arrives()
    customer.sees_form()
    page.wait_for_load_state("networkidle")

    assert watch.foreign() == []
    assert len(sizes) >= 10
    assert sum(sizes) < 60_000
