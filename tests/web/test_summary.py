"""The summary of a migration, on a phone and on paper."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from producer.migrate.report import Summary
from producer.migrate.work_file import ReportRow, WorkFile

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WIDTHS = "(name) => [...document.querySelectorAll(name)].map((one) => one.getBoundingClientRect().width)"
REASON = "invalid · row · card_number: the check digit does not hold; a digit is wrong or two are swapped"


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    work = WorkFile(tmp_path / "spring.report.csv.partial", "spring", 1)
    for line in range(2, 90):
        work.keep(ReportRow(line, f"uid-{line}", "issued", card_name="신한카드"))
    _, code, message = REASON.split(" · ")
    for line in range(90, 120):  # more reasons than one sheet has room for
        work.keep(ReportRow(line, f"uid-{line}", "invalid", f"{code}{line}", message=message))
    work.commit()
    page = tmp_path / "summary.html"
    page.write_text(Summary("spring, run 1", work).page(), encoding="utf-8")
    work.close()
    return page


def opened(browser: Browser, path: Path, width: int) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 740})
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("width", [320, 360, 390, 1280])
def test_a_summary_needs_no_scrolling_sideways_and_its_words_and_bars_have_room(
    browser: Browser, summary: Path, width: int
) -> None:
    page = opened(browser, summary, width)

    assert page.evaluate(OVERFLOW) == 0
    assert min(page.evaluate(WIDTHS, "th")) >= 180
    assert min(page.evaluate(WIDTHS, "svg")) >= 180
    page.close()


def test_a_summary_is_printed_dark_on_light_and_without_cut_rows(browser: Browser, summary: Path) -> None:
    page = opened(browser, summary, 1280)
    page.emulate_media(media="print", color_scheme="dark")

    style = "(name) => { const s = getComputedStyle(document.querySelector(name)); return [s.color, s.breakInside]; }"
    assert page.evaluate(style, "body")[0] == "rgb(28, 36, 48)"
    assert page.evaluate(style, "tr")[1] == "avoid"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()
