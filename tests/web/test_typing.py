"""What the fields do while somebody types, and what they say when something is wrong."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.web.customer import CARD, GOOD, Customer
from tests.web.stand_in import StandIn

CARET = "document.activeElement.selectionStart"


@pytest.fixture
def typing(customer: Customer) -> Customer:
    customer.arrives()
    customer.sees_form()
    return customer


@pytest.mark.parametrize(
    ("typed", "shown", "brand"),
    [
        ("4", "4", "Visa"),
        ("4242424242424242", "4242 4242 4242 4242", "Visa"),
        ("5555-5555-5555-4444", "5555 5555 5555 4444", "Mastercard"),
        ("378282246310005", "3782 822463 10005", "American Express"),
        ("3566002020360505", "3566 0020 2036 0505", "JCB"),
        ("30569309025904", "3056 930902 5904", "Diners Club"),
        ("6250941006528599", "6250 9410 0652 8599", "UnionPay"),
        ("999", "999", ""),
        ("9999010000000001", "9999 0100 0000 0001", "국내 카드"),
    ],
)
def test_number_is_grouped_and_its_brand_is_shown(
    typing: Customer, page: Page, typed: str, shown: str, brand: str
) -> None:
    typing.field("card_number").press_sequentially(typed)

    assert typing.field("card_number").input_value() == shown
    assert page.locator("#brand").inner_text() == brand


@pytest.mark.parametrize(
    ("keys", "shown", "caret"),
    [
        (["ArrowLeft"] * 10 + ["1"], "4242 4242 1424 2424 2", 11),
        (["ArrowLeft"] * 9 + ["Backspace"], "4242 4244 2424 242", 8),
        (["Home", *["ArrowRight"] * 4, "Delete"], "4242 2424 2424 242", 4),
        (["ArrowLeft"] * 4 + ["Backspace"], "4242 4242 4244 242", 13),
        (["Home", "Delete"], "2424 2424 2424 242", 0),
    ],
)
def test_caret_stays_where_the_customer_has_it(
    typing: Customer, page: Page, keys: list[str], shown: str, caret: int
) -> None:
    typing.field("card_number").press_sequentially(GOOD)

    for key in keys:
        page.keyboard.press(key)

    assert typing.field("card_number").input_value() == shown
    assert page.evaluate(CARET) == caret


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("0731", "07/31"),
        ("731", "07/31"),
        ("7/31", "07/31"),
        ("1/31", "01/31"),
        ("12/2031", "12/31"),
        ("07 / 31", "07/31"),
    ],
)
def test_expiry_may_be_typed_naturally(typing: Customer, typed: str, shown: str) -> None:
    typing.field("expiry").press_sequentially(typed)

    assert typing.field("expiry").input_value() == shown


@pytest.mark.parametrize("filled", ["2031-07", "07/2031", "7/31", "0731"])
def test_expiry_may_be_filled_in_by_the_browser(typing: Customer, filled: str) -> None:
    typing.field("expiry").fill(filled)

    assert typing.field("expiry").input_value() == "07/31"


BIRTHS = [
    ("20010203", "010203"),
    ("19900101", "900101"),
    ("1990-01-01", "900101"),
    ("010203", "010203"),
    ("200102", "200102"),
    ("20000229", "000229"),
    ("0102033123456", "010203"),
    ("9001011234567", "900101"),
]


@pytest.mark.parametrize(("typed", "shown"), [*BIRTHS, ("20010229", "20010229"), ("2001020", "2001020")])
def test_birth_date_of_eight_digits_becomes_the_right_six_while_it_is_typed(
    typing: Customer, typed: str, shown: str
) -> None:
    typing.field("birth").press_sequentially(typed)

    assert typing.field("birth").input_value() == shown


WRITTEN = [*BIRTHS, ("1990. 1. 1.", "900101"), ("01/2/3", "010203")]


@pytest.mark.parametrize(("given", "shown"), WRITTEN)
def test_birth_date_may_be_pasted(typing: Customer, page: Page, given: str, shown: str) -> None:
    typing.field("birth").focus()

    page.evaluate("(text) => document.execCommand('insertText', false, text)", given)

    assert typing.field("birth").input_value() == shown


@pytest.mark.parametrize("event", ["input", "change"])
@pytest.mark.parametrize(("given", "shown"), WRITTEN)
def test_birth_date_may_be_filled_in_by_a_program(typing: Customer, given: str, shown: str, event: str) -> None:
    fill = "(one, [text, event]) => { one.value = text; one.dispatchEvent(new Event(event, { bubbles: true })); }"

    typing.field("birth").evaluate(fill, [given, event])

    assert typing.field("birth").input_value() == shown


def test_birth_date_of_eight_digits_arrives_as_six(typing: Customer, stand_in: StandIn) -> None:
    typing.types(birth="20010203")

    typing.submits()

    typing.sees("카드가 등록되었습니다")
    assert stand_in.opened[0].reveal()["birth"] == "010203"


def test_birth_date_that_is_none_is_told_whatever_its_length(typing: Customer, page: Page) -> None:
    typing.field("birth").press_sequentially("20010229")

    typing.field("birth").blur()

    expect(page.locator("#birth_error")).to_have_text("생년월일을 연월일 6자리로 입력해 주세요. 예: 900101")


@pytest.mark.parametrize(
    ("name", "typed", "error"),
    [
        ("card_number", "4242", "카드 번호는 14~16자리입니다."),
        ("card_number", "4242424242424243", "카드 번호를 다시 확인해 주세요. 잘못 입력한 숫자가 있습니다."),
        ("card_number", "42424242424242421", "카드 번호는 14~16자리입니다."),
        ("expiry", "1331", "카드에 적힌 대로 월/년을 입력해 주세요. 예: 07/31"),
        ("expiry", "0124", "유효기간이 지난 카드입니다."),
        ("birth", "901301", "생년월일을 연월일 6자리로 입력해 주세요. 예: 900101"),
        ("pwd_2digit", "1", "숫자 2자리를 입력해 주세요."),
    ],
)
def test_error_stands_beside_its_field_and_goes_when_mended(
    typing: Customer, page: Page, name: str, typed: str, error: str
) -> None:
    field = typing.field(name)
    field.press_sequentially(typed)

    field.blur()

    expect(page.locator(f"#{name}_error")).to_have_text(error)
    assert field.get_attribute("aria-invalid") == "true"
    assert f"{name}_error" in field.get_attribute("aria-describedby").split()
    field.fill("")
    field.press_sequentially(CARD[name])
    assert typing.error(name) == ""
    assert field.get_attribute("aria-invalid") is None


def test_focus_moves_to_the_first_error_and_nothing_is_sent(typing: Customer, page: Page, stand_in: StandIn) -> None:
    typing.field("card_number").fill(GOOD)
    page.locator("#terms").check()

    typing.submits()

    assert page.evaluate("document.activeElement.id") == "expiry"
    assert typing.error("privacy") == "개인정보 수집·이용에 동의해 주세요."
    assert typing.error("card_number") == ""
    assert stand_in.posts() == []


@pytest.mark.parametrize("missing", ["terms", "privacy"])
def test_consent_is_required(typing: Customer, page: Page, stand_in: StandIn, missing: str) -> None:
    typing.types()
    page.locator(f"#{missing}").uncheck()

    typing.submits()

    assert page.evaluate("document.activeElement.id") == missing
    assert stand_in.posts() == []


def test_korean_in_the_number_field_is_told_and_does_no_harm(
    typing: Customer, page: Page, context: BrowserContext
) -> None:
    keyboard = context.new_cdp_session(page)
    field = typing.field("card_number")
    field.press_sequentially("4242")

    for composed in ("ㅎ", "하", "한"):
        keyboard.send("Input.imeSetComposition", {"text": composed, "selectionStart": 1, "selectionEnd": 1})
    keyboard.send("Input.insertText", {"text": "한"})

    expect(field).to_have_value("4242")
    assert typing.error("card_number") == "숫자만 입력해 주세요."
    field.press_sequentially("4242")
    assert field.input_value() == "4242 4242"
    assert typing.error("card_number") == ""


def test_wide_digits_of_a_korean_keyboard_count(typing: Customer, page: Page) -> None:
    typing.field("card_number").focus()

    page.keyboard.insert_text("".join(chr(ord(digit) + 0xFEE0) for digit in GOOD))

    assert typing.field("card_number").input_value() == "4242 4242 4242 4242"


def test_everything_can_be_done_with_the_keyboard(typing: Customer, page: Page, stand_in: StandIn) -> None:
    keys = f"Tab Tab Tab {GOOD} Tab 0731 Tab 12 Tab 900101 Tab Space Tab Tab Space Tab Tab Enter"

    for key in (" " if key == "Space" else key for key in keys.split()):
        (page.keyboard.press if key in {"Tab", "Enter", " "} else page.keyboard.type)(key)

    typing.sees("카드가 등록되었습니다")
    assert page.evaluate("document.activeElement.id") == "notice_title"


def test_fields_ask_for_the_right_keyboard_and_the_right_filling(typing: Customer) -> None:
    expected = {"card_number": "cc-number", "expiry": "cc-exp", "birth": "off", "pwd_2digit": "off"}

    assert expected == {name: typing.field(name).get_attribute("autocomplete") for name in CARD}
    assert {typing.field(name).get_attribute("inputmode") for name in CARD} == {"numeric"}
    assert {typing.field(name).get_attribute("spellcheck") for name in CARD} == {"false"}
    assert {typing.field(name).get_attribute("name") for name in CARD} == {None}


def test_change_of_the_kind_of_card_asks_anew(typing: Customer, page: Page) -> None:
    typing.field("birth").fill("900101")

    page.get_by_label("법인").check()

    assert typing.field("birth").input_value() == ""
    expect(page.get_by_label("사업자등록번호 10자리")).to_be_visible()
    typing.field("birth").press_sequentially("1234567890")
    typing.field("birth").blur()
    expect(page.locator("#birth_error")).to_have_text("사업자등록번호 10자리를 다시 확인해 주세요.")


def test_button_does_not_move_away_under_the_finger(customer: Customer, page: Page) -> None:
    page.clock.install()
    customer.arrives()
    customer.field("card_number").press_sequentially("4242424242424243")
    place = page.locator("#submit").bounding_box()
    assert place is not None

    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + 2)
    page.mouse.down()
    expect(page.locator("#card_number")).not_to_be_focused()
    page.clock.run_for(300)
    page.mouse.up()

    expect(page.locator("#privacy_error")).to_have_text("개인정보 수집·이용에 동의해 주세요.")
    assert page.evaluate("document.activeElement.id") == "card_number"
