"""Small screens, dark mode, screen readers; and that nothing typed lands on the disk of the browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserType, Page, expect

from producer.web.decline import CODES, TEXTS
from tests.servers import wait_until
from tests.web.conftest import CHROMIUM, FLAGS
from tests.web.customer import DECLINED, GOOD, Customer
from tests.web.leaks import forms_of
from tests.web.node import run
from tests.web.stand_in import STATIC, StandIn

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = {"serious", "critical"}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def form(customer: Customer) -> None:
    customer.sees_form()


def errors(customer: Customer) -> None:
    customer.submits()


def waiting(customer: Customer) -> None:
    customer.stand_in.hold()
    customer.types()
    customer.submits()
    expect(customer.page.locator("#progress")).to_be_visible()


def registered(customer: Customer) -> None:
    customer.types()
    customer.submits()
    expect(customer.page.locator("#facts")).to_be_visible()


def declined(customer: Customer) -> None:
    customer.types(card_number=DECLINED)
    customer.submits()
    expect(customer.page.locator("#facts")).to_be_visible()


STATES = [form, errors, waiting, registered, declined]
State = Callable[[Customer], None]


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("state", STATES)
def test_nothing_scrolls_sideways_at_320_px(customer: Customer, page: Page, state: State, lang: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    customer.arrives(lang)

    state(customer)

    assert page.evaluate("document.documentElement.lang") == lang
    assert page.evaluate(OVERFLOW) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious(browser: Browser, stand_in: StandIn, state: State, scheme: str) -> None:
    # Without the policy: axe is not of this house.
    page = browser.new_context(bypass_csp=True, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    customer = Customer(page, stand_in)
    customer.arrives()
    state(customer)
    page.add_script_tag(content=AXE.read_text())

    found = page.evaluate("axe.run()")

    page.context.close()
    serious = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"] if one["impact"] in SERIOUS]
    assert serious == []
    assert len(found["passes"]) > 10


def test_status_is_a_live_region_and_headings_take_the_focus(customer: Customer, page: Page) -> None:
    customer.arrives()

    waiting(customer)

    expect(page.get_by_role("status")).to_have_text("카드사의 응답을 기다립니다. 몇 초 걸릴 수 있습니다.")
    assert page.evaluate("document.activeElement.id") == "progress_title"


def test_nothing_turns_for_those_who_asked_for_less_motion(browser: Browser, stand_in: StandIn) -> None:
    page = browser.new_context(reduced_motion="reduce").new_page()
    customer = Customer(page, stand_in)
    customer.arrives()

    waiting(customer)

    assert page.evaluate("document.getAnimations().length") == 0
    page.context.close()


def test_without_script_the_page_says_so(browser: Browser, stand_in: StandIn) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()

    page.goto(stand_in.page_url(stand_in.mint()))

    expect(page.get_by_text("JavaScript is needed")).to_be_visible()
    expect(page.locator("#form")).to_be_hidden()
    page.context.close()


def test_what_is_typed_does_not_reach_the_disk(browser: Browser, stand_in: StandIn, tmp_path: Path) -> None:
    kind: BrowserType = browser.browser_type
    context = kind.launch_persistent_context(str(tmp_path), executable_path=CHROMIUM, headless=False, args=FLAGS)
    customer = Customer(context.pages[0], stand_in)
    customer.arrives()
    customer.types()
    other, control = context.new_page(), "1357246813572468"
    other.goto(f"{stand_in.base_url}/elsewhere")

    other.locator("input").press_sequentially(control)

    wait_until(lambda: on_disk(tmp_path, control), 240, "the control, which the browser does write down,")
    context.close()
    assert on_disk(tmp_path, GOOD) == set()


def on_disk(folder: Path, number: str) -> set[Path]:
    """The files in which a number stands in any form."""
    forms = forms_of(number)
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {path for path in files if path.exists() and any(form in path.read_bytes() for form in forms)}


def test_files_hold_no_inline_script_or_style() -> None:
    text = (STATIC / "page.html").read_text()

    assert " style=" not in text
    assert "<style" not in text
    assert text.count("<script") == 1
    assert not any(f" on{event}=" in text for event in ("click", "load", "submit", "input", "error"))


def test_both_languages_have_the_same_texts() -> None:
    told = run("texts.mjs")

    assert told["ko"] == told["en"]


def test_every_reason_of_a_decline_has_its_words() -> None:
    reasons = {reason for _, reason in TEXTS} | set(CODES.values())

    assert {f".reasons.{one}" for one in reasons} == {one for one in run("texts.mjs")["ko"] if ".reasons." in one}


@pytest.mark.parametrize(("colour", "ink"), [("#ffd400", "#000000"), ("#003366", "#ffffff"), ("#ffffff", "#000000")])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_button_has_the_merchants_colour_and_can_be_read(
    browser: Browser, stand_in: StandIn, colour: str, ink: str, scheme: str
) -> None:
    stand_in.slots |= {"colour": colour, "ink": ink}
    page = browser.new_context(bypass_csp=True, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    customer = Customer(page, stand_in)
    customer.arrives()
    page.add_script_tag(content=AXE.read_text())

    found = page.evaluate("axe.run()")

    shown = page.locator("#submit").evaluate("(one) => getComputedStyle(one).backgroundColor")
    page.context.close()
    assert shown == f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"
    assert found["violations"] == []


def test_merchants_colour_needs_no_hole_in_the_policy(customer: Customer, page: Page, stand_in: StandIn) -> None:
    stand_in.slots |= {"colour": "#ffd400", "ink": "#000000"}

    customer.arrives()

    expect(page.locator("#submit")).to_have_css("background-color", "rgb(255, 212, 0)")


def test_password_field_shows_no_dots_that_nobody_typed(customer: Customer, page: Page) -> None:
    customer.arrives()

    assert "•" not in page.locator("body").inner_text()
