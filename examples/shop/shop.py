"""A shop that takes cards on the card page, in FastAPI: the customer goes there and comes back, or stays in a frame.

    uvicorn --app-dir examples/shop shop:app --port 8001

Its settings are the producer's; SHOP_URL, where customers find it, http://127.0.0.1:8001 by default; and the same in
RETURN_ORIGINS and FRAME_ANCESTORS. An order is stored before the first call, and its id is the key of its job: whatever
is lost on the way, the same order is the same job.
"""

import os
import secrets
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Annotated

from fastapi import Cookie, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from producer import BillingQueue
from producer.contract.identifiers import Operation
from producer.contract.job import Request as Job
from producer.contract.outcome import Outcome
from producer.web import Tickets, card_app

PAGES = Path(__file__).parent / "pages"
SHOP_URL = os.environ.get("SHOP_URL", "http://127.0.0.1:8001")
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
TITLES = {
    "issued": "카드가 등록되었습니다",
    "paid": "결제되었습니다",
    None: "처리하고 있습니다",
    "else": "완료되지 않았습니다",
}


@dataclass
class Order:
    """What a shop has in its database."""

    id: str
    session: str
    what: str
    outcome: str | None = None

    def job(self) -> Job:
        """What the customer's card is for: no word of it comes from the browser."""
        if self.what == "book":
            return Job(operation=Operation.ONETIME, merchant_uid=self.id, amount=9900, name="무지개 서점의 책 한 권")
        return Job(operation=Operation.ISSUE, customer_uid=f"subscriber-{self.id}")


def session_of(request: Request) -> str | None:
    return request.cookies.get("sid")


queue = BillingQueue.from_env()
tickets = Tickets.of(queue)
orders: dict[str, Order] = {}
app = FastAPI(openapi_url=None)
app.mount("/subscription", card_app(queue, session_of=session_of))
app.mount("/pages", StaticFiles(directory=PAGES))
Session = Annotated[str, Cookie(alias="sid")]


def show(name: str, **values: str) -> HTMLResponse:
    text = (PAGES / name).read_text()
    for slot, value in values.items():
        text = text.replace("{{" + slot + "}}", escape(value))
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})


def order_of(order_id: str, session: str) -> Order:
    """The customer's own order; another's is none."""
    order = orders.get(order_id)
    if order is None or order.session != session:
        raise HTTPException(404)
    return order


def ticket_of(order: Order) -> str:
    """A ticket as long as it is wanted: made anew, it is the same job."""
    back = f"{SHOP_URL}/thanks?order={order.id}"
    return tickets.mint(order.job(), session=order.session, jti=f"order:{order.id}", return_url=back)


@app.get("/")
def index(sid: Session = "") -> HTMLResponse:
    page = show("index.html")
    if not sid:
        page.set_cookie("sid", secrets.token_urlsafe(16), httponly=True, samesite="lax", secure=SHOP_URL[:5] == "https")
    return page


@app.post("/orders")
def begin(what: str, sid: Session, frame: bool = False) -> RedirectResponse:
    order = Order(secrets.token_hex(4), sid, what)
    orders[order.id] = order
    path = f"/orders/{order.id}" if frame else f"/subscription/card?ticket={ticket_of(order)}"
    return RedirectResponse(path, 303)


@app.get("/orders/{order_id}")
def order(order_id: str, sid: Session) -> HTMLResponse:
    mine = order_of(order_id, sid)
    if mine.outcome:
        return show("thanks.html", title=TITLES.get(mine.outcome, TITLES["else"]), order=mine.id)
    page = f"/subscription/card?ticket={ticket_of(mine)}"
    return show("order.html", order=mine.id, page=page, base="/subscription")


@app.get("/thanks")
def thanks(order: str, job_id: str, sid: Session) -> HTMLResponse:
    """The customer is back. What the address says of the status is not even read."""
    mine = order_of(order, sid)
    if tickets.tried(ticket_of(mine), job_id, session=sid) is None:
        raise HTTPException(404)  # the job is not this order's
    outcome: Outcome | None = queue.outcome(job_id)
    if outcome is not None:
        mine.outcome = outcome.status
    return show("thanks.html", title=TITLES.get(mine.outcome, TITLES["else"]), order=mine.id)
