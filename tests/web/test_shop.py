"""The sample shops, with the card page of the real stack: there and back, in a frame, and whatever comes between."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, Request, expect

from tests.ports import free_port
from tests.sample_shops import Shops
from tests.servers import wait_until
from tests.stack import Stack
from tests.web.customer import CARD, CONSENTS, DECLINED, GOOD, PATIENCE_MS
from tests.web.leaks import found_in
from tests.web.test_looks import AXE, OVERFLOW

REGISTERED, PAID, OPEN = "카드가 등록되었습니다", "결제되었습니다", "처리하고 있습니다"
DECLINED_TITLE, NOT_DONE = "카드사에서 승인하지 않았습니다", "완료되지 않았습니다"
THERE, HERE = "카드 등록 페이지로", "이 페이지에서 등록"
PAY_THERE, PAY_HERE = "결제 페이지로", "이 페이지에서 결제"
Place = Page | FrameLocator


class House:
    """Both shops, and what i'mport has seen of their customers."""

    def __init__(self, stack: Stack, shops: Shops) -> None:
        self.stack, self.fake, self.shops = stack, stack.fake, shops

    def keys(self, order: str) -> list[str]:
        """The cards that i'mport has stored for the order's customer."""
        return [one.card_number for one in self.fake.applied if one.customer_uid == f"subscriber-{order}"]

    def cards_sent(self, order: str) -> int:
        return self.fake.count("POST", f"/subscribe/customers/subscriber-{order}")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    shops = Shops(free_port())
    with Stack() as stack, shops.running(stack, LIMIT_PER_ADDRESS="100000 per minute"):
        stack.worker()
        wait_until(shops.answer, 240, "the shops")
        yield House(stack, shops)


@pytest.fixture(params=["fastapi", "node"])
def shop(house: House, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a shop."""
    yield house.shops.fastapi_url if request.param == "fastapi" else house.shops.node_url
    house.fake.gate.set()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 360, "height": 740}, locale="ko-KR")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def asked(context: BrowserContext) -> Iterator[list[Request]]:
    """All requests of the browser: none carries a card, and no error is left unheard."""
    asked: list[Request] = []
    errors: list[str] = []
    context.on("request", lambda request: asked.append(request))  # noqa: PLW0108 — Playwright marks what it is given
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield asked
    texts = [f"{one.url}\n{one.headers}\n{(one.post_data_buffer or b'').decode()}" for one in asked]
    assert {form for text in texts for number in (GOOD, DECLINED) for form in found_in(text, number)} == set()
    assert errors == []


@pytest.fixture
def page(context: BrowserContext, asked: list[Request]) -> Page:
    return context.new_page()


def begin(page: Page, shop: str, how: str) -> None:
    page.goto(shop)
    page.get_by_role("button", name=how).click()


def types(place: Place, **changes: str) -> None:
    expect(place.locator("#form")).to_be_visible()
    for name, text in (CARD | changes).items():
        place.locator(f"#{name}").press_sequentially(text)
    for name in CONSENTS:
        place.locator(f"#{name}").check()
    place.locator("#submit").click()


def frame_of(page: Page) -> FrameLocator:
    return page.frame_locator("#card iframe")


def is_thanked(page: Page, title: str) -> str:
    """Wait for the thank-you page; its order."""
    expect(page.locator("h1")).to_have_text(title)
    assert urlsplit(page.url).path == "/thanks"
    return page.locator("#order").inner_text()


def test_customer_types_a_card_and_lands_on_the_shops_thank_you_page(house: House, page: Page, shop: str) -> None:
    begin(page, shop, THERE)
    expect(page.locator("#next")).to_have_text("카드사 확인에 몇 초 걸리며, 등록되면 무지개 서점(으)로 돌아갑니다.")

    types(page)

    order = is_thanked(page, REGISTERED)
    query = parse_qs(urlsplit(page.url).query)
    assert page.url.startswith(shop)
    assert (query["order"], query["status"], len(query["job_id"])) == ([order], ["issued"], 1)
    assert (house.keys(order), house.cards_sent(order)) == ([GOOD], 1)


def test_a_payment_shows_what_it_is_for_and_comes_back_paid(page: Page, shop: str) -> None:
    begin(page, shop, PAY_THERE)
    expect(page.locator(".order")).to_have_text("무지개 서점의 책 한 권")
    expect(page.locator("#amount")).to_have_text("9,900원")

    types(page)

    is_thanked(page, PAID)


def test_back_button_after_the_thank_you_page_leads_to_the_shop(page: Page, shop: str) -> None:
    begin(page, shop, THERE)
    types(page)
    is_thanked(page, REGISTERED)

    page.go_back()

    expect(page.locator("h1")).to_have_text("무지개 서점")


@pytest.mark.parametrize("is_framed", [False, True], ids=["there", "in a frame"])
def test_declined_card_is_tried_again_and_the_customer_comes_back_with_the_good_one(
    house: House, page: Page, shop: str, is_framed: bool
) -> None:
    begin(page, shop, HERE if is_framed else THERE)
    place: Place = frame_of(page) if is_framed else page
    types(place, card_number=DECLINED)
    expect(place.locator("#notice_title")).to_have_text(DECLINED_TITLE)
    expect(place.locator("#notice_text")).to_contain_text("비밀번호를 확인해 주세요")

    types(place)

    order = is_thanked(page, REGISTERED)
    assert (house.keys(order), house.cards_sent(order)) == ([GOOD], 2)


def test_card_in_a_frame_is_registered_and_the_shops_page_hears_of_it(house: House, page: Page, shop: str) -> None:
    begin(page, shop, HERE)
    heard = "window.heard = []; addEventListener('message', ({ data, origin }) => heard.push([origin, data]))"
    page.evaluate(heard)
    types(frame_of(page), card_number="")
    height = page.locator("#card iframe").bounding_box()
    expect(frame_of(page).locator("#card_number_error")).not_to_be_empty()
    said = page.evaluate("heard")

    types(frame_of(page), expiry="", birth="", pwd_2digit="")

    order = is_thanked(page, REGISTERED)
    assert house.keys(order) == [GOOD]
    assert height is not None
    assert {origin for origin, _ in said} <= {urlsplit(house.shops.page_url)._replace(path="").geturl(), shop}
    assert {tuple(sorted(data)) for _, data in said} == {("height", "type")}


def test_frame_is_as_high_as_its_page_and_shows_no_link_away(page: Page, shop: str) -> None:
    begin(page, shop, HERE)
    place = frame_of(page)
    expect(place.locator("#form")).to_be_visible()

    inner = place.locator("html").evaluate("(one) => [one.scrollHeight, one.clientHeight]")

    assert inner[0] == inner[1]
    expect(place.locator("#back")).to_be_hidden()


@pytest.mark.parametrize("how", [THERE, HERE])
def test_customer_who_closed_the_tab_finds_the_order_where_it_is(
    house: House, page: Page, context: BrowserContext, shop: str, how: str
) -> None:
    house.fake.gate.clear()
    begin(page, shop, how)
    place: Place = frame_of(page) if how == HERE else page
    types(place)
    expect(place.locator("#progress_title")).to_have_text("카드를 등록하고 있습니다")
    order = order_in(page)
    page.close()

    again = context.new_page()
    again.goto(f"{shop}/orders/{order}")
    expect(frame_of(again).locator("#progress_title")).to_have_text("카드를 등록하고 있습니다")
    house.fake.gate.set()

    assert is_thanked(again, REGISTERED) == order
    assert (house.keys(order), house.cards_sent(order)) == ([GOOD], 1)


def order_in(page: Page) -> str:
    """The order whose card is taken: in the shop's address, or in the link back to it."""
    if "/orders/" in page.url:
        return page.url.rpartition("/")[2]
    return parse_qs(urlsplit(page.locator("#back").get_attribute("href") or "").query)["order"][0]


def test_customer_who_leaves_while_it_works_is_told_so_by_the_shop(house: House, page: Page, shop: str) -> None:
    house.fake.gate.clear()
    begin(page, shop, THERE)
    types(page)
    expect(page.locator("#progress_title")).to_have_text("카드를 등록하고 있습니다")

    page.get_by_role("link", name="무지개 서점(으)로 돌아가기").click()

    is_thanked(page, OPEN)
    house.fake.gate.set()


def test_same_order_in_two_tabs_is_one_job_and_both_come_back(
    house: House, page: Page, context: BrowserContext, shop: str
) -> None:
    begin(page, shop, THERE)
    expect(page.locator("#form")).to_be_visible()
    other = context.new_page()
    other.goto(page.url)

    for one in (other, page):
        one.bring_to_front()
        types(one)

    orders = {is_thanked(one, REGISTERED) for one in (page, other)}
    (order,) = orders
    assert (house.keys(order), house.cards_sent(order)) == ([GOOD], 1)


def test_shop_believes_its_server_and_not_the_address(page: Page, shop: str) -> None:
    begin(page, shop, THERE)
    types(page, card_number=DECLINED)
    expect(page.locator("#notice_title")).to_have_text(DECLINED_TITLE)
    back = urlsplit(page.locator("#back").get_attribute("href") or "")
    told = parse_qs(back.query)
    assert told["status"] == ["declined"]
    mine = f"{shop}/thanks?order={told['order'][0]}"
    begin(page, shop, THERE)
    types(page)
    is_thanked(page, REGISTERED)
    others_job = parse_qs(urlsplit(page.url).query)["job_id"][0]

    page.goto(f"{mine}&job_id={told['job_id'][0]}&status=issued")
    expect(page.locator("h1")).to_have_text(NOT_DONE)
    answer = page.goto(f"{mine}&job_id={others_job}&status=issued")

    assert answer is not None
    assert answer.status == 404


def test_another_customer_sees_nothing_of_an_order(page: Page, browser: Browser, shop: str) -> None:
    begin(page, shop, THERE)
    types(page)
    is_thanked(page, REGISTERED)
    other = browser.new_context().new_page()
    other.goto(shop)

    answer = other.goto(page.url)

    assert answer is not None
    assert answer.status == 404
    other.context.close()


def test_page_of_another_origin_cannot_hold_the_card_page_in_a_frame(house: House, page: Page) -> None:
    begin(page, house.shops.node_url, THERE)
    expect(page.locator("#form")).to_be_visible()
    url, stranger = page.url, "http://localhost:9"
    page.route(
        f"{stranger}/*", lambda route: route.fulfill(body=f'<iframe src="{url}"></iframe>', content_type="text/html")
    )

    with page.expect_event("requestfailed") as refused:
        page.goto(f"{stranger}/")

    assert refused.value.url == url
    assert page.frames[1].locator("#form").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_axe_finds_nothing_on_the_whole_way(browser: Browser, house: House, scheme: str, lang: str) -> None:
    shop = house.shops.fastapi_url
    # Without the policy: axe is not of this house.
    context = browser.new_context(bypass_csp=True, color_scheme=scheme, locale=lang)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})

    def nothing_is_wrong() -> None:
        for frame in page.frames:
            frame.evaluate(AXE.read_text() + "; void 0")
            found = frame.evaluate("axe.run(document, { iframes: false })")
            assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
            assert frame.evaluate(OVERFLOW) == 0

    page.goto(shop)
    nothing_is_wrong()
    page.get_by_role("button", name=PAY_THERE).click()
    expect(page.locator("#form")).to_be_visible()
    nothing_is_wrong()
    types(page, card_number=DECLINED)
    expect(page.locator("#facts dd")).to_have_text("F113")
    nothing_is_wrong()
    begin(page, shop, HERE)
    expect(frame_of(page).locator("#form")).to_be_visible()
    nothing_is_wrong()
    types(frame_of(page))
    is_thanked(page, REGISTERED)
    nothing_is_wrong()
    context.close()


@pytest.mark.parametrize("is_framed", [False, True], ids=["there", "in a frame"])
def test_the_whole_way_can_be_gone_with_the_keyboard(house: House, page: Page, shop: str, is_framed: bool) -> None:
    page.goto(shop)
    page.keyboard.press("Tab")
    if is_framed:
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    place: Place = frame_of(page) if is_framed else page
    expect(place.locator("#form")).to_be_visible()

    focus_first_field(page, place)
    for name in ("card_number", "expiry", "pwd_2digit", "birth"):
        page.keyboard.type(CARD[name])
        page.keyboard.press("Tab")
    for key in ("Space", "Tab", "Tab", "Space", "Tab", "Tab", "Enter"):
        page.keyboard.press(key)

    order = is_thanked(page, REGISTERED)
    assert house.keys(order) == [GOOD]


def focus_first_field(page: Page, place: Place) -> None:
    """Press Tab until the card's number has the focus."""
    number = place.locator("#card_number")
    for _ in range(8):
        page.keyboard.press("Tab")
        if number.evaluate("(one) => one === document.activeElement && document.hasFocus()"):
            return
    raise AssertionError("the card's number was not reached")
