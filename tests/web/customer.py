"""Somebody at the card page: types, clicks, reads. And somebody who watches the browser meanwhile."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from playwright.sync_api import ConsoleMessage, Page, Request, expect

from tests.web.leaks import MEMBERS, found_in

GOOD, DECLINED = "4242424242424242", "4000000001130105"
CARD = {"card_number": GOOD, "expiry": "0731", "birth": "900101", "pwd_2digit": "12"}
CONSENTS = ("terms", "privacy")
PATIENCE_MS = 120_000
TELL_VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  violations.push(`${violatedDirective} ${blockedURI}`));
"""

expect.set_options(timeout=PATIENCE_MS)


class Heard(Protocol):
    """Bytes that a server received."""

    @property
    def raw(self) -> bytes: ...


class Server(Protocol):
    """Who serves the page: the stand-in, or the real one."""

    @property
    def origin(self) -> str: ...

    @property
    def received(self) -> Sequence[Heard]: ...

    def mint(self) -> str: ...

    def page_url(self, ticket: str) -> str: ...

    def hold(self) -> None: ...


class Sent(NamedTuple):
    """A request as the browser's own network log has it."""

    method: str
    url: str
    text: str


class Watch:
    """What a page asked of the network and complained about.

    Args:
        page: before it is at any address.
        stand_in: the one server that it may talk to.
    """

    def __init__(self, page: Page, stand_in: Server) -> None:
        self.page, self.stand_in = page, stand_in
        self.sent: list[Sent] = []
        self.errors: list[str] = []
        page.add_init_script(TELL_VIOLATIONS)
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, said: ConsoleMessage) -> None:
        if "Content Security" in said.text:
            self.errors.append(said.text)

    def _note(self, request: Request) -> None:
        body = (request.post_data_buffer or b"").decode("utf-8", "replace")
        self.sent.append(Sent(request.method, request.url, f"{request.url}\n{request.headers}\n{body}"))

    def foreign(self) -> list[str]:
        """Requests to anybody else."""
        allowed = (self.stand_in.origin, "data:")
        return [one.url for one in self.sent if not one.url.startswith(allowed)]

    def leaked(self, number: str) -> set[Any]:
        """Traces of a card in anything that left the browser, or that the server received."""
        texts: list[str | bytes] = [one.text for one in self.sent]
        texts += [one.raw for one in self.stand_in.received]
        named = {
            name for text in texts for name in MEMBERS if name in (text if isinstance(text, str) else text.decode())
        }
        return named | {form for text in texts for form in found_in(text, number)}

    def violations(self) -> list[str]:
        """What the page's policy stopped."""
        return list(self.page.evaluate("window.violations ?? []"))


class Customer:
    """Fills the page in.

    Args:
        page: where.
        stand_in: the server.
    """

    def __init__(self, page: Page, stand_in: Server) -> None:
        self.page, self.stand_in = page, stand_in
        page.set_default_timeout(PATIENCE_MS)

    def arrives(self, lang: str = "ko", ticket: str | None = None) -> str:
        """Open the page with a ticket, a new one by default; returns it."""
        ticket = ticket or self.stand_in.mint()
        self.page.set_extra_http_headers({"Accept-Language": lang})
        self.page.goto(self.stand_in.page_url(ticket))
        expect(self.page.locator("#loading")).to_have_count(0)
        return ticket

    def types(self, **changes: str) -> None:
        """Type a good card, with changes; and give consent."""
        for name, text in (CARD | changes).items():
            self.field(name).press_sequentially(text)
        for name in CONSENTS:
            self.page.locator(f"#{name}").check()

    def hands_in(self, ticket: str | None = None, **changes: str) -> str:
        """Open the page, type a good card with changes, and press the button; the ticket."""
        self.page.bring_to_front()
        ticket = self.arrives(ticket=ticket)
        self.types(**changes)
        self.submits()
        return ticket

    def submits(self) -> None:
        """Press the button."""
        self.page.locator("#submit").click()

    def sends_again(self) -> None:
        """Press the button of a notice that offers it."""
        self.page.get_by_role("button", name="다시 보내기").click()

    def field(self, name: str) -> Any:
        """One input."""
        return self.page.locator(f"#{name}")

    def sees(self, title: str) -> None:
        """Wait for a notice of that title."""
        expect(self.page.locator("#notice_title")).to_have_text(title)

    def waits(self, status: str) -> None:
        """Wait for what the live region says."""
        expect(self.page.locator("#status")).to_have_text(status)

    def sees_form(self) -> None:
        """Wait for the form."""
        expect(self.page.locator("#form")).to_be_visible()

    def error(self, name: str) -> str:
        """The words beside a field."""
        return str(self.page.locator(f"#{name}_error").inner_text())

    def values(self) -> list[str]:
        """What is in the fields."""
        return [str(self.field(name).input_value()) for name in CARD]

    def dom(self) -> str:
        """The whole document as it is now, the values of its fields included."""
        return str(
            self.page.evaluate(
                "document.documentElement.outerHTML + [...document.querySelectorAll('input')].map((one) => one.value)"
            )
        )
