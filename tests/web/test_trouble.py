"""Lost connections, slow servers, impatient fingers, back and reload."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.web.customer import GOOD, Customer
from tests.web.leaks import found_in
from tests.web.stand_in import StandIn

REGISTERED, WORKING = "카드가 등록되었습니다", "카드를 등록하고 있습니다"
UNKNOWN, UNSENT = "전송되었는지 확인하지 못했습니다", "보내지 않았습니다"


def test_offline_in_the_middle_is_sent_again_without_typing(
    customer: Customer, page: Page, context: BrowserContext, stand_in: StandIn
) -> None:
    customer.arrives()
    customer.types()
    page.wait_for_load_state("networkidle")
    context.set_offline(True)
    customer.submits()
    customer.sees(UNSENT)
    assert customer.values() == ["", "", "", ""]
    assert found_in(customer.dom(), GOOD) == set()

    context.set_offline(False)
    customer.sends_again()

    customer.sees(REGISTERED)
    assert len(stand_in.opened) == 1


def test_lost_answer_is_repeated_with_the_same_envelope(customer: Customer, page: Page, stand_in: StandIn) -> None:
    stand_in.faults += ["lost_answer"]
    customer.hands_in()
    customer.sees(UNKNOWN)

    customer.sends_again()

    customer.sees(REGISTERED)
    assert len(stand_in.posts()) == 2
    assert len({post.raw.partition(b"{")[2] for post in stand_in.posts()}) == 1
    assert len(stand_in.opened) == 1


@pytest.mark.parametrize("fault", ["reset", "too_slow"])
def test_request_that_the_browser_repeats_by_itself_is_one_job(
    customer: Customer, stand_in: StandIn, fault: str
) -> None:
    stand_in.faults += [fault]

    customer.hands_in()

    customer.sees(REGISTERED)
    assert (len(stand_in.posts()), len(stand_in.opened)) == (2, 1)


def test_card_that_was_too_slow_however_often_can_be_sent_again(customer: Customer, stand_in: StandIn) -> None:
    stand_in.faults += ["too_slow"] * 20
    customer.hands_in()
    customer.sees("지금은 서버가 응답하지 않습니다")
    stand_in.faults.clear()

    customer.sends_again()

    customer.sees(REGISTERED)
    assert len(stand_in.opened) == 1


@pytest.mark.parametrize(
    ("fault", "title"),
    [
        ("half_answer", UNKNOWN),
        ("gateway", UNKNOWN),
        ("unavailable", "지금은 서버가 응답하지 않습니다"),
        ("too_many", "시도가 너무 많습니다"),
    ],
)
def test_trouble_that_passes_can_be_tried_again(
    customer: Customer, page: Page, stand_in: StandIn, fault: str, title: str
) -> None:
    stand_in.faults += [fault]
    customer.hands_in()
    customer.sees(title)

    customer.sends_again()

    customer.sees(REGISTERED)
    assert len(stand_in.opened) == 1


def test_refused_card_is_typed_again(customer: Customer, stand_in: StandIn) -> None:
    stand_in.faults += ["refused"]
    customer.hands_in()
    customer.sees("카드 정보를 접수하지 못했습니다")
    assert customer.values() == ["", "", "", ""]

    customer.types()
    customer.submits()

    customer.sees(REGISTERED)


@pytest.mark.parametrize(
    ("fault", "title"),
    [
        ("ticket_expired", "이 페이지의 유효 시간이 지났습니다"),
        ("ticket_used", "이미 사용한 페이지입니다"),
        ("ticket_invalid", "잘못된 주소입니다"),
        ("ticket_of_another_session", "잘못된 주소입니다"),
    ],
)
def test_ticket_that_is_no_good_ends_there(
    customer: Customer, page: Page, stand_in: StandIn, fault: str, title: str
) -> None:
    stand_in.faults += [fault]

    customer.hands_in()

    customer.sees(title)
    expect(page.locator("#form")).to_be_hidden()
    expect(page.locator("#retry")).to_be_hidden()


def test_expired_ticket_is_noticed_before_anything_is_sent(customer: Customer, stand_in: StandIn) -> None:
    customer.hands_in(ticket=stand_in.mint(life_s=-1))

    customer.sees("이 페이지의 유효 시간이 지났습니다")
    assert stand_in.posts() == []


@pytest.mark.parametrize("ticket", ["x", "a.b.c", "e30.e30.x"])
def test_broken_ticket_is_told(customer: Customer, ticket: str) -> None:
    customer.arrives(ticket=ticket)

    customer.sees("잘못된 주소입니다")


def test_keys_that_do_not_come_leave_the_fields_alone(
    customer: Customer, page: Page, context: BrowserContext, stand_in: StandIn
) -> None:
    page.route("**/keys", lambda route: route.abort())
    customer.hands_in()
    customer.sees("연결하지 못했습니다")
    assert customer.values()[0] == "4242 4242 4242 4242"

    page.unroute("**/keys")
    customer.submits()

    customer.sees(REGISTERED)


def test_waiting_is_honest(customer: Customer, page: Page, stand_in: StandIn) -> None:
    stand_in.hold()
    page.clock.install()
    customer.hands_in()
    customer.waits("카드사의 응답을 기다립니다. 몇 초 걸릴 수 있습니다.")

    page.clock.fast_forward(20_000)

    customer.waits("아직 처리 중입니다. 이 페이지를 닫아도 처리는 계속됩니다.")
    stand_in.release()
    customer.sees(REGISTERED)


def test_connection_lost_while_waiting_is_told_and_mended(customer: Customer, page: Page, stand_in: StandIn) -> None:
    stand_in.hold()
    customer.hands_in()
    expect(page.locator("#progress_title")).to_have_text(WORKING)

    stand_in.cut()

    expect(page.locator("#status")).to_contain_text("연결이 끊겨")
    stand_in.release()
    stand_in.mend()
    customer.sees(REGISTERED)


def test_job_that_the_server_forgot_is_told(customer: Customer, page: Page, stand_in: StandIn) -> None:
    stand_in.hold()
    customer.hands_in()
    expect(page.locator("#progress_title")).to_have_text(WORKING)

    stand_in.jobs.clear()
    stand_in.release()

    customer.sees("결과를 찾을 수 없습니다")


def test_double_click_is_one_job(customer: Customer, page: Page, stand_in: StandIn) -> None:
    customer.arrives()
    customer.types()

    page.locator("#submit").dblclick()

    customer.sees(REGISTERED)
    assert (len(stand_in.posts()), len(stand_in.jobs)) == (1, 1)


def test_even_a_script_cannot_submit_twice(customer: Customer, page: Page, stand_in: StandIn) -> None:
    customer.arrives()
    customer.types()

    page.evaluate("for (let n = 0; n < 5; n += 1) document.getElementById('form').requestSubmit()")

    customer.sees(REGISTERED)
    assert len(stand_in.posts()) == 1


def test_reload_while_waiting_shows_the_outcome(customer: Customer, page: Page, stand_in: StandIn) -> None:
    stand_in.hold()
    customer.hands_in()
    expect(page.locator("#progress_title")).to_have_text(WORKING)

    page.reload()

    expect(page.locator("#progress_title")).to_have_text(WORKING)
    stand_in.release()
    customer.sees(REGISTERED)
    page.reload()
    customer.sees(REGISTERED)
    assert (len(stand_in.posts()), len(stand_in.jobs)) == (1, 1)


def test_back_button_brings_no_card_back(customer: Customer, page: Page, stand_in: StandIn) -> None:
    customer.arrives()
    customer.types()
    page.goto(f"{stand_in.base_url}/elsewhere")

    page.go_back()

    customer.sees_form()
    assert customer.values() == ["", "", "", ""]


def test_page_kept_for_the_back_button_is_kept_empty(customer: Customer, page: Page) -> None:
    customer.arrives()
    customer.types()

    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    hidden = customer.values()
    customer.types()
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")

    assert hidden == customer.values() == ["", "", "", ""]


def test_back_after_the_outcome_does_not_offer_the_form_again(
    customer: Customer, page: Page, stand_in: StandIn
) -> None:
    customer.hands_in()
    customer.sees(REGISTERED)
    page.goto(f"{stand_in.base_url}/elsewhere")

    page.go_back()

    customer.sees(REGISTERED)
