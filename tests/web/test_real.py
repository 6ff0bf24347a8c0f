"""From typing to i'mport and back through the real stack: what the customer is told, and what was done, once."""

import contextlib
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.canary.needles import Hit, Needles, canary
from tests.fake_iamport import Fault
from tests.servers import wait_until
from tests.web.customer import DECLINED, GOOD, Customer, Server, Watch
from tests.web.leaks import found_in
from tests.web.real import BASE, IMPATIENT, UNSCRUBBED, Site, Web, clear_cards

REGISTERED, WORKING = "카드가 등록되었습니다", "카드를 등록하고 있습니다"
DECLINED_TITLE = "카드사에서 승인하지 않았습니다"
UNKNOWN, UNSENT = "전송되었는지 확인하지 못했습니다", "보내지 않았습니다"
FACTS = ["신한카드", "424242******4242"]
EARLIER = "4000000000000002"
POST = f"POST {BASE}/issue-billing".encode()
PATIENCE_S = 240
TAG, EVERYBODY = 4711, set(range(10))
CANARIES, NEEDLES = [canary(TAG, index) for index in EVERYBODY], Needles(TAG, EVERYBODY)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the memory of another process")


@pytest.fixture(scope="module")
def house() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def site(house: Site) -> Iterator[Site]:
    yield house
    house.mend()


@pytest.fixture
def server(site: Site) -> Server:
    return site


def is_working(page: Page) -> None:
    expect(page.locator("#progress_title")).to_have_text(WORKING)


def test_card_is_registered_once_and_the_page_says_which(customer: Customer, page: Page, site: Site) -> None:
    ticket = customer.hands_in()

    customer.sees(REGISTERED)
    assert page.locator("#facts dd").all_inner_texts() == FACTS
    assert site.keys(ticket) == [GOOD]
    assert (site.posts(ticket), site.cards_sent(ticket)) == (1, 1)


@pytest.mark.parametrize("is_reloaded", [False, True], ids=["at once", "after a reload"])
def test_declined_card_is_explained_and_another_one_is_registered(
    customer: Customer, page: Page, site: Site, is_reloaded: bool
) -> None:
    ticket = customer.hands_in(card_number=DECLINED)
    customer.sees(DECLINED_TITLE)
    assert page.locator("#facts dd").all_inner_texts() == ["F113"]
    expect(page.locator("#notice_text")).to_contain_text("비밀번호를 확인해 주세요")
    expect(page.locator("#notice_then")).to_contain_text("다른 카드를 이용해 주세요")
    if is_reloaded:
        page.reload()
    customer.sees_form()

    customer.types()
    customer.submits()

    customer.sees(REGISTERED)
    assert page.locator("#facts dd").all_inner_texts() == FACTS
    assert site.keys(ticket) == [GOOD]
    assert site.cards_sent(ticket) == 2


def test_page_says_that_it_waits_while_iamport_takes_its_time(customer: Customer, page: Page, site: Site) -> None:
    site.hold()
    page.clock.install()
    ticket = customer.hands_in()
    customer.waits("카드사의 응답을 기다립니다. 몇 초 걸릴 수 있습니다.")
    wait_until(lambda: site.fake.waiting, PATIENCE_S, "the card at i'mport")

    page.clock.fast_forward(20_000)

    customer.waits("아직 처리 중입니다. 이 페이지를 닫아도 처리는 계속됩니다.")
    is_working(page)
    site.release()
    customer.sees(REGISTERED)
    assert site.keys(ticket) == [GOOD]


def test_reload_after_the_serving_process_was_killed_shows_the_outcome(
    customer: Customer, page: Page, site: Site
) -> None:
    site.hold()
    ticket = customer.hands_in()
    is_working(page)

    site.web.kill()
    expect(page.locator("#status")).to_contain_text("연결이 끊겨")
    site.web.start()
    page.reload()

    is_working(page)
    site.release()
    customer.sees(REGISTERED)
    assert site.keys(ticket) == [GOOD]


def test_page_goes_on_by_itself_after_the_serving_process_was_killed(
    customer: Customer, page: Page, site: Site
) -> None:
    site.hold()
    ticket = customer.hands_in()
    is_working(page)

    site.web.kill()
    expect(page.locator("#status")).to_contain_text("연결이 끊겨")
    site.release()
    assert site.outcome(ticket).status == "issued"
    site.web.start()

    customer.sees(REGISTERED)
    assert page.locator("#facts dd").all_inner_texts() == FACTS
    assert (site.posts(ticket), site.keys(ticket)) == (1, [GOOD])


def test_card_that_the_serving_process_died_over_is_sent_again_without_typing(
    customer: Customer, page: Page, site: Site
) -> None:
    ticket = customer.arrives()
    customer.types()
    page.wait_for_load_state("networkidle")
    os.kill(site.web.process.pid, signal.SIGSTOP)
    customer.submits()
    wait_until(lambda: site.posts(ticket), PATIENCE_S, "the card on its way")

    site.web.kill()

    customer.sees(UNKNOWN)
    assert not site.is_known(ticket)
    site.web.start()
    customer.sends_again()
    customer.sees(REGISTERED)
    assert site.keys(ticket) == [GOOD]


def test_worker_that_is_killed_leaves_one_key_whether_or_not_the_card_had_arrived(
    customer: Customer, page: Page, context: BrowserContext, site: Site
) -> None:
    site.replace_worker(**IMPATIENT)
    site.hold()
    other_page = context.new_page()
    arrived, lost = customer.hands_in(), Customer(other_page, site).hands_in()
    wait_until(lambda: site.fake.waiting == 2, PATIENCE_S, "both cards at i'mport")
    is_working(page)
    is_working(other_page)

    site.worker.kill()
    site.fake.add_fault(Fault("reset", f"POST /subscribe/customers/{site.uid(lost)}", times=1))
    site.release()
    site.replace_worker()

    outcomes = [site.outcome(ticket, within_s=PATIENCE_S) for ticket in (arrived, lost)]
    assert [one.status for one in outcomes] == ["issued", "issued"]
    assert [site.keys(arrived), site.keys(lost)] == [[GOOD], [GOOD]]
    assert [site.cards_sent(arrived), site.cards_sent(lost)] == [1, 2]
    for one in (page, other_page):
        one.reload()
        Customer(one, site).sees(REGISTERED)
        assert one.locator("#facts dd").all_inner_texts() == FACTS


def test_double_click_is_one_job_and_one_card_at_iamport(customer: Customer, page: Page, site: Site) -> None:
    ticket = customer.arrives()
    customer.types()

    page.locator("#submit").dblclick()

    customer.sees(REGISTERED)
    assert (site.posts(ticket), site.cards_sent(ticket), site.keys(ticket)) == (1, 1, [GOOD])


def test_same_page_in_two_tabs_is_one_job(customer: Customer, context: BrowserContext, site: Site) -> None:
    other = Customer(context.new_page(), site)
    ticket = customer.arrives()
    other.arrives(ticket=ticket)
    for one in (customer, other):
        one.page.bring_to_front()
        one.types()

    for one in (other, customer):
        one.submits()

    customer.sees(REGISTERED)
    other.sees(REGISTERED)
    assert (site.posts(ticket), site.cards_sent(ticket), site.keys(ticket)) == (2, 1, [GOOD])


def test_tab_whose_card_came_second_is_told_that_the_first_one_is_registered(
    customer: Customer, context: BrowserContext, site: Site
) -> None:
    other = Customer(context.new_page(), site)
    ticket = customer.arrives()
    other.arrives(ticket=ticket)
    other.page.bring_to_front()
    other.types(card_number=EARLIER)
    other.submits()
    other.sees(REGISTERED)
    customer.page.bring_to_front()
    customer.types()

    customer.submits()

    customer.sees(REGISTERED)
    expect(customer.page.locator("#notice_then")).to_contain_text("먼저 보내신 카드")
    expect(other.page.locator("#notice_then")).to_be_empty()
    assert site.keys(ticket) == [EARLIER]


def test_back_button_after_the_outcome_brings_no_card_back(customer: Customer, page: Page, site: Site) -> None:
    ticket = customer.hands_in()
    customer.sees(REGISTERED)
    page.goto(f"{site.origin}/healthz")

    page.go_back()

    customer.sees(REGISTERED)
    expect(page.locator("#form")).to_be_hidden()
    assert customer.values() == ["", "", "", ""]
    assert found_in(customer.dom(), GOOD) == set()
    assert site.keys(ticket) == [GOOD]


def test_card_pressed_for_without_a_connection_is_sent_once_there_is_one(
    customer: Customer, page: Page, context: BrowserContext, site: Site
) -> None:
    ticket = customer.arrives()
    customer.types()
    page.wait_for_load_state("networkidle")
    context.set_offline(True)
    customer.submits()
    customer.sees(UNSENT)
    assert not site.is_known(ticket)

    context.set_offline(False)
    customer.sends_again()

    customer.sees(REGISTERED)
    assert (site.cards_sent(ticket), site.keys(ticket)) == (1, [GOOD])


def test_connection_lost_before_the_answer_is_told_and_sending_again_is_no_second_card(
    customer: Customer, page: Page, context: BrowserContext, site: Site
) -> None:
    with site.web.tap.withholding(POST):
        ticket = customer.hands_in()
        assert site.outcome(ticket).status == "issued"
        context.set_offline(True)
        with site.web.tap.unplugged():
            customer.sees(UNKNOWN)

    context.set_offline(False)
    customer.sends_again()

    customer.sees(REGISTERED)
    assert site.posts(ticket) >= 2
    assert (site.cards_sent(ticket), site.keys(ticket)) == (1, [GOOD])


def test_connection_lost_while_waiting_is_told_and_the_outcome_comes_once_it_is_back(
    customer: Customer, page: Page, context: BrowserContext, site: Site
) -> None:
    site.hold()
    ticket = customer.hands_in()
    is_working(page)
    with site.web.tap.unplugged():
        context.set_offline(True)
        expect(page.locator("#status")).to_contain_text("연결이 끊겨")
        site.release()
        assert site.outcome(ticket).status == "issued"

    context.set_offline(False)

    customer.sees(REGISTERED)
    assert (site.posts(ticket), site.cards_sent(ticket), site.keys(ticket)) == (1, 1, [GOOD])


def test_reload_before_the_answer_was_read_shows_the_outcome_and_not_the_form(
    customer: Customer, page: Page, site: Site
) -> None:
    site.hold()
    with site.web.tap.withholding(POST):
        ticket = customer.hands_in()
        wait_until(lambda: site.is_known(ticket), PATIENCE_S, "a job")

        page.reload()

    is_working(page)
    expect(page.locator("#form")).to_be_hidden()
    site.release()
    customer.sees(REGISTERED)
    assert (site.posts(ticket), site.cards_sent(ticket), site.keys(ticket)) == (1, 1, [GOOD])


def test_outcome_is_shown_on_another_device_too(customer: Customer, page: Page, browser: Browser, site: Site) -> None:
    ticket = customer.hands_in()
    customer.sees(REGISTERED)

    with contextlib.closing(browser.new_context()) as elsewhere:
        other = Customer(elsewhere.new_page(), site)
        other.arrives(ticket=ticket)

        other.sees(REGISTERED)
        assert other.page.locator("#facts dd").all_inner_texts() == FACTS


@pytest.fixture
def web(site: Site, request: pytest.FixtureRequest) -> Iterator[Web]:
    """Who serves meanwhile: a process with settings of its own, given as the parameter."""
    with site.serving(**request.param) as web:
        usual, site.web = site.web, web
        yield web
        site.web = usual


@needs_root
@pytest.mark.parametrize("web", [{}, UNSCRUBBED], ids=["as it is", "never scrubbed"], indirect=True)
def test_serving_process_never_holds_a_card(web: Web, customer: Customer, page: Page, watch: Watch, site: Site) -> None:
    tickets = []
    for one in CANARIES:
        tickets.append(customer.arrives())
        page.locator("#corporate" if len(one.birth) == 10 else "#personal").check()
        customer.types(card_number=one.number, birth=one.birth, pwd_2digit=one.pwd_2digit)
        customer.submits()
        customer.sees(REGISTERED)

    found = web.cards(NEEDLES) | {"browser": left_in_clear(watch)}

    assert [site.keys(ticket) for ticket in tickets] == [[one.number] for one in CANARIES]
    assert [site.posts(ticket) for ticket in tickets] == [1] * len(CANARIES)
    assert found == {"memory": set(), "log": set(), "requests": set(), "browser": set()}


@needs_root
@pytest.mark.parametrize("web", [{"ALLOW_PLAIN_FORM": "1"}], ids=["plain form"], indirect=True)
def test_the_search_finds_every_card_that_a_serving_process_holds(web: Web, page: Page, site: Site) -> None:
    watch, looks = Watch(page, site), []
    with contextlib.ExitStack() as undo, web.log.open("a") as log:
        for one in CANARIES:
            page.goto(f"{site.origin}/healthz?{one.number}")
            print(one.members(), file=log, flush=True)

        def are_all_found() -> bool:
            for one in CANARIES:  # anew for each look: a body is waited for 10 s
                begun = undo.enter_context(socket.create_connection(("127.0.0.1", web.tap.port)))
                kind = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9999"
                head = f"{POST.decode()} HTTP/1.1\r\nHost: {site.origin}\r\n{kind}\r\n\r\n"
                begun.sendall(head.encode() + urlencode(one.members()).encode())
            looks.append(web.cards(NEEDLES))
            return holders(looks[-1]["memory"]) == EVERYBODY

        wait_until(are_all_found, PATIENCE_S, "cards in memory")

    found = looks[-1] | {"browser": left_in_clear(watch)}
    assert {name: holders(hits) for name, hits in found.items()} == dict.fromkeys(found, EVERYBODY)


@needs_root
@pytest.mark.parametrize("web", [UNSCRUBBED | {"ALLOW_PLAIN_FORM": "1"}], ids=["plain form"], indirect=True)
def test_the_search_finds_cards_that_an_unscrubbed_process_held_long_ago(web: Web, site: Site) -> None:
    for one in CANARIES:
        ticket = site.mint()
        body = urlencode(one.members() | {"ticket": ticket}).encode()
        with urllib.request.urlopen(f"{site.origin}{BASE}/issue-billing", body) as answer:
            answer.read()
        assert site.outcome(ticket).status == "issued"

    assert holders(web.cards(NEEDLES)["memory"]) != set()


def left_in_clear(watch: Watch) -> set[Hit]:
    return clear_cards(NEEDLES, *(one.text.encode() for one in watch.sent))


def holders(hits: set[Hit]) -> set[int]:
    return {hit.owner for hit in hits if hit.kind == "number"}
