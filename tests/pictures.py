"""Flower's pages as pictures, for docs/operations.md: ``python -m tests.pictures [FOLDER]``; needs Chromium.

Everything of ``make dev`` over jobs that end in most ways, and one that waits. This machine's name is put out of the
workers' names before a picture is taken; a page that shows a card number or a password in the clear ends it.
"""

import socket
import sys
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from producer import BillingQueue, Card
from tests.dev import everything
from tests.fake_iamport import CARDS
from tests.servers import ROOT, wait_until
from tests.stack import Stack
from tests.system.test_flower import Flower
from tests.web.conftest import CHROMIUM, FLAGS

ISSUES = ("visa", "wrong_password", "bad_number", "no_contract", "lost_answer")
PAYMENTS = ("visa", "limit_exceeded")
WAITS = "server_error"
SETTLED_S, LOADED_MS = 120, 60_000
VIEW = ViewportSize(width=1600, height=420)
SCALE = 0.8  # small files
WITHOUT_NAME = """name => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(name, 'host')
}"""


def accept(queue: BillingQueue) -> str:
    """Jobs of many kinds; gives the id of one that was declined."""

    def issue(customer_uid: str, name: str) -> str:
        return queue.issue(customer_uid=customer_uid, card=Card(**CARDS[name].fields())).job_id

    ended = [issue(f"gildong_{number:04}", name) for number, name in enumerate(ISSUES, 1)]
    ended += [issue("chunhyang_0001", "visa") for _ in range(2)]
    for number, name in enumerate(PAYMENTS, 1):
        card = Card(**CARDS[name].fields())
        ended.append(queue.onetime(merchant_uid=f"order_{number:04}", amount=1000, name="tea", card=card).job_id)
    for job_id in ended:
        queue.wait(job_id, SETTLED_S)
    issue("mongryong_0001", WAITS)
    return ended[ISSUES.index("wrong_password")]


def take(page: Page, address: str, shown: str, path: Path, secrets: set[str]) -> None:
    """One picture, once a text is on the page."""
    page.goto(address)
    page.get_by_text(shown).first.wait_for(timeout=LOADED_MS)
    page.evaluate(WITHOUT_NAME, socket.gethostname())
    if any(secret in page.content() for secret in secrets):
        raise RuntimeError(f"{path.name} would show a secret")
    page.screenshot(path=path, full_page=True)
    print(f"{path.name} {path.stat().st_size / 1000:.0f} kB")


def main(folder: Path) -> None:
    """Take all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with Stack() as stack, stack.billing_queue() as queue, everything(stack) as ports, sync_playwright() as playwright:
        wait_until(lambda: stack.queue.client().pubsub_numpat(), SETTLED_S, "Flower's subscription")
        declined, flower = accept(queue), Flower(ports.flower)
        states = {"SUCCESS", "FAILURE", "RETRY"}
        jobs = len(ISSUES) + len(PAYMENTS) + 3
        wait_until(
            lambda: len(tasks := flower.tasks()) == jobs and {one["state"] for one in tasks.values()} == states,
            SETTLED_S,
            "every job in Flower",
        )
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page, url = browser.new_page(viewport=VIEW, device_scale_factor=SCALE), f"http://127.0.0.1:{ports.flower}"
        secrets = {card.card_number for card in CARDS.values()} | {
            str(address).rpartition("@")[0].rpartition(":")[2] for address in stack.stores("flower").values()
        }
        for name, path, shown in (
            ("tasks", "/tasks", "mongryong_0001"),
            ("task", f"/task/{declined}", "declined"),
            ("workers", "/workers", "Online"),
            ("broker", "/broker", "interactive"),
        ):
            take(page, url + path, shown, folder / f"flower-{name}.png", secrets)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/pictures")
