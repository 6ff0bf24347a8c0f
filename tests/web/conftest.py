from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.web.customer import DECLINED, GOOD, Customer, Server, Watch
from tests.web.stand_in import StandIn

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


@pytest.fixture
def server(stand_in: StandIn) -> Server:
    """Who serves the page; a module of tests may have another."""
    return stand_in


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(120_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def watch(page: Page, server: Server) -> Iterator[Watch]:
    """Whatever a test is about: no card in the clear, nobody else asked, no violation, no error."""
    watch = Watch(page, server)
    yield watch
    assert watch.leaked(GOOD) | watch.leaked(DECLINED) == set()
    assert watch.foreign() == []
    assert watch.errors == []
    assert watch.violations() == []


@pytest.fixture
def customer(page: Page, server: Server, watch: Watch) -> Customer:
    return Customer(page, server)
