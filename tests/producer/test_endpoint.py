"""The endpoint over HTTP, on real Redis; workers are played by writing outcomes into the ledger."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import AsyncMock, Mock

import httpx
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Message

from producer import BillingQueue, Card, SettingsError
from producer.contract import redis_keys
from producer.contract.identifiers import Operation
from producer.contract.job import INTERACTIVE, Request
from producer.contract.outcome import Outcome, Status
from producer.errors import BrokerUnavailable
from producer.sealing import SealingKeys
from producer.web import Tickets, WebSettings, card_app
from producer.web.api_key import add_api_key
from producer.web.middleware import HEADERS, REQUEST_LIMIT, Guard
from producer.web.ticket import ATTEMPTS
from tests.producer.stage import PAGE, Stage


class Shop:
    """A merchant's app with the card page in it, and a customer's browser."""

    def __init__(self, stage: Stage, queue: BillingQueue, card: Card, **settings: Any) -> None:
        self.stage, self.queue, self.card = stage, queue, card
        self.tickets = Tickets.of(queue)
        app = card_app(queue, WebSettings(**PAGE, **settings))
        self.browser = TestClient(Starlette(routes=[Mount("/subscription", app)]), base_url="https://shop.example")

    def ticket(self, uid: str = "gildong", **how: Any) -> str:
        return self.tickets.mint(Request(operation=Operation.ISSUE, customer_uid=uid), **how)

    def seal(self, uid: str = "gildong", **purpose: Any) -> str:
        keys = SealingKeys({"keys": self.browser.get("/subscription/keys").json()["keys"]})
        now = int(time.time())
        bound = {"purpose": Operation.ISSUE, "customer_uid": uid, "merchant_uid": None, **purpose}
        return keys.seal(self.card, **bound, iat=now, exp=now + 600)

    def post(self, body: Any, path: str = "issue-billing", **how: Any) -> httpx.Response:
        answer: httpx.Response = self.browser.post(f"/subscription/{path}", json=body, **how)
        return answer

    def hand_in(self, ticket: str | None = None, **how: Any) -> httpx.Response:
        return self.post({"ticket": ticket or self.ticket(), "envelope": self.seal()}, **how)

    def end(self, job_id: str, status: Status) -> None:
        """What a worker would write."""
        outcome = Outcome(
            job_id=job_id,
            status=status,
            operation=Operation.ISSUE,
            customer_uid="gildong",
            message="sesame",
            card_number="424242******4242",
            attempts=1,
            accepted_at=1.0,
            finished_at=2.0,
        )
        self.stage.ledger.set(redis_keys.OUTCOME + job_id, outcome.model_dump_json())


@pytest.fixture
def shop(stage: Stage, queue: BillingQueue, card: Card) -> Shop:
    return Shop(stage, queue, card)


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def test_a_sealed_card_is_accepted_and_its_job_enqueued(shop: Shop) -> None:
    ticket = shop.ticket()

    answer = shop.hand_in(ticket)

    job_id = shop.tickets.read(ticket).job_id
    assert answer.status_code == 202
    assert answer.json()["job_id"] == job_id
    assert answer.headers["location"] == answer.json()["status_url"] == f"/subscription/jobs/{job_id}"
    assert shop.stage.published(INTERACTIVE) == [job_id]
    assert shop.stage.sealed(job_id)


def test_a_double_click_is_one_job_also_when_it_is_sealed_anew(shop: Shop) -> None:
    ticket = shop.ticket()

    answers = [shop.hand_in(ticket) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert shop.stage.ledger.zcard(redis_keys.OPEN) == 1


def test_a_card_that_came_second_is_told_so_with_what_became_of_the_first(shop: Shop) -> None:
    ticket = shop.ticket()

    first, second = shop.hand_in(ticket).json(), shop.hand_in(ticket).json()

    assert ("repeated" in first, second["repeated"]) == (False, True)
    shop.end(first["job_id"], Status.DECLINED)
    told = shop.hand_in(ticket).json()
    assert (told["repeated"], told["status"]) == (True, "declined")
    assert "repeated" not in shop.hand_in(told["ticket"]).json()
    status = shop.browser.get(f"/subscription/jobs/{first['job_id']}", headers={"X-Ticket": ticket}).json()
    assert "repeated" not in status


def test_the_outcome_is_told_to_the_holder_of_the_ticket_and_shows_no_more_than_it_should(shop: Shop) -> None:
    ticket = shop.ticket()
    job_id = shop.hand_in(ticket).json()["job_id"]
    path = f"/subscription/jobs/{job_id}"
    assert shop.browser.get(path, headers={"X-Ticket": ticket}).status_code == 202

    shop.end(job_id, Status.ISSUED)

    answer = shop.browser.get(path, headers={"X-Ticket": ticket}, params={"wait": 5})
    assert answer.status_code == 200
    assert answer.json()["outcome"]["card_number"] == "424242******4242"
    assert "sesame" not in answer.text
    assert error(shop.browser.get(path)) == (401, "ticket_invalid")
    assert error(shop.browser.get(path, headers={"X-Ticket": shop.ticket()})) == (404, "unknown_job")


def test_a_declined_card_gets_a_new_ticket_which_is_another_job_and_not_for_ever(shop: Shop) -> None:
    ticket, jobs = shop.ticket(), set()
    for attempt in range(ATTEMPTS):
        job_id = shop.hand_in(ticket).json()["job_id"]
        jobs.add(job_id)
        shop.end(job_id, Status.DECLINED)
        answer = shop.hand_in(ticket)
        assert answer.json()["status"] == "declined"
        assert ("ticket" in answer.json()) == (attempt < ATTEMPTS - 1)
        ticket = answer.json().get("ticket", "")

    assert len(jobs) == ATTEMPTS


def test_an_issued_card_gets_no_new_ticket(shop: Shop) -> None:
    ticket = shop.ticket()
    job_id = shop.hand_in(ticket).json()["job_id"]
    shop.end(job_id, Status.ISSUED)

    assert "ticket" not in shop.hand_in(ticket).json()


def test_a_payment_takes_its_amount_from_the_ticket(shop: Shop) -> None:
    asked = Request(operation=Operation.ONETIME, merchant_uid="o-1", amount=9900, name="책")
    ticket = shop.tickets.mint(asked)
    envelope = shop.seal(purpose=Operation.ONETIME, customer_uid=None, merchant_uid="o-1")

    answer = shop.post({"ticket": ticket, "envelope": envelope}, "onetime")

    assert answer.status_code == 202
    signed = shop.stage.sealed(answer.json()["job_id"])
    assert signed is not None
    assert error(shop.post({"ticket": ticket, "envelope": envelope, "amount": 1}, "onetime")) == (422, "refused")
    assert error(shop.post({"ticket": ticket, "envelope": envelope})) == (401, "ticket_invalid")


def test_an_envelope_for_somebody_else_is_refused(shop: Shop) -> None:
    answer = shop.post({"ticket": shop.ticket(), "envelope": shop.seal("younghee")})

    assert error(answer) == (422, "refused")
    assert shop.stage.ledger.zcard(redis_keys.OPEN) == 0


def test_an_envelope_is_good_for_one_ticket(shop: Shop) -> None:
    envelope = shop.seal()
    shop.post({"ticket": shop.ticket(), "envelope": envelope})

    assert error(shop.post({"ticket": shop.ticket(), "envelope": envelope})) == (422, "refused")


def test_tickets_of_a_session_come_with_the_merchants_cookie(stage: Stage, queue: BillingQueue, card: Card) -> None:
    shop = Shop(stage, queue, card, session_cookie="sid")
    ticket = shop.ticket(session="s-1")

    assert error(shop.hand_in(ticket)) == (403, "ticket_of_another_session")
    shop.browser.cookies.set("sid", "s-2")
    assert error(shop.hand_in(ticket)) == (403, "ticket_of_another_session")
    shop.browser.cookies.set("sid", "s-1")
    assert shop.hand_in(ticket).status_code == 202


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (b"{", "application/json", (422, "refused")),
        (b'{"ticket": "a", "ticket": "b", "envelope": "c"}', "application/json", (422, "refused")),
        (b"[" * 10_000, "application/json", (422, "refused")),
        (b'{"ticket": 1, "envelope": "c"}', "application/json", (422, "refused")),
        (b'{"ticket": "a"}', "application/json", (422, "refused")),
        (b'{"ticket": "a", "envelope": "c", "customer_uid": "x"}', "application/json", (422, "refused")),
        (b"ticket=a&envelope=c", "application/x-www-form-urlencoded", (415, "not_json")),
        (b"{}", "text/plain", (415, "not_json")),
        (b"x" * (REQUEST_LIMIT + 1), "application/json", (413, "too_large")),
    ],
)
def test_a_body_that_is_not_as_it_should_be_is_refused(
    shop: Shop, content: bytes, kind: str, expected: tuple[int, str]
) -> None:
    answer = shop.browser.post("/subscription/issue-billing", content=content, headers={"Content-Type": kind})

    assert error(answer) == expected


def test_a_body_without_a_length_is_bounded_too(shop: Shop) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    answer = shop.browser.post(
        "/subscription/issue-billing", content=endless(), headers={"Content-Type": "application/json"}
    )

    assert error(answer) == (413, "too_large")


def test_a_body_whose_sender_is_gone_goes_no_further() -> None:
    app, send = AsyncMock(), AsyncMock()
    receive = AsyncMock(return_value={"type": "http.disconnect"})

    asyncio.run(Guard(app)({"type": "http", "path": "/", "headers": []}, receive, send))

    assert (app.await_count, send.await_count) == (0, 0)


def test_a_body_that_takes_too_long_is_408_and_the_end_of_its_connection() -> None:
    app, send = AsyncMock(), AsyncMock()
    parts: Iterator[Message] = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> Message:
        return next(parts, {}) or await asyncio.Future()

    asyncio.run(Guard(app, body_s=0.01)({"type": "http", "path": "/", "headers": []}, receive, send))

    start, body = (call.args[0] for call in send.await_args_list)
    assert (start["status"], json.loads(body["body"])["error"]) == (408, "too_slow")
    assert Headers(raw=start["headers"])["connection"] == "close"
    assert "default-src 'none'" in Headers(raw=start["headers"])["content-security-policy"]
    assert app.await_count == 0


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    [
        ("POST", "issue-billing", {"headers": {"Authorization": "Bearer x"}}, 401),
        ("POST", "issue-billing", {"headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
        ("GET", "nowhere", {}, 404),
        ("GET", "static/nowhere.js", {}, 404),
        ("DELETE", "card", {}, 405),
        ("POST", "static/page.js", {}, 405),
        ("POST", "issue-billing", {"content": b"x" * (REQUEST_LIMIT + 1)}, 413),
        ("POST", "static/page.js", {"content": b"x" * (REQUEST_LIMIT + 1)}, 413),
        ("POST", "issue-billing", {"content": b"x"}, 415),
        ("GET", "jobs/x?wait=x", {}, 422),
        ("GET", "jobs/x", {}, 500),
    ],
)
def test_every_answer_has_its_headers_whatever_is_wrong(
    queue: BillingQueue, method: str, path: str, how: dict[str, Any], status: int
) -> None:
    app = card_app(
        queue, WebSettings(**PAGE), session_of=Mock(side_effect=RuntimeError)
    )  # a bug in the merchant's function
    mounted = Starlette(routes=[Mount("/subscription", app)])
    browser = TestClient(mounted, base_url="https://shop.example", raise_server_exceptions=False)

    answer = browser.request(method, f"/subscription/{path}", **how)

    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize("path", ["static", "static/", "card/", "keys/", "jobs/x/", "issue-billing/"])
def test_no_answer_leads_to_where_the_host_header_says(shop: Shop, path: str) -> None:
    answer = shop.browser.get(f"/subscription/{path}", headers={"Host": "thief.example"}, follow_redirects=False)

    assert answer.status_code in {401, 404}
    assert "thief.example" not in answer.text + repr(answer.headers)


def test_every_answer_has_its_headers(shop: Shop) -> None:
    ticket = shop.ticket()
    for path in ("card", "keys", "static/page.js", "jobs/x", "nowhere"):
        headers = shop.browser.get(f"/subscription/{path}", params={"ticket": ticket}).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["strict-transport-security"].startswith("max-age=")
        caching = {"keys": "private, max-age=300", "static/page.js": "no-cache"}
        assert headers["cache-control"] == caching.get(path, "no-store")


def test_another_sites_page_is_refused(shop: Shop) -> None:
    for site in ("cross-site", "same-site"):
        assert error(shop.hand_in(headers={"Sec-Fetch-Site": site})) == (403, "other_site")
    assert shop.hand_in(headers={"Sec-Fetch-Site": "same-origin"}).status_code == 202


def test_too_many_cards_from_one_address_or_for_one_customer_are_429(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    shop = Shop(stage, queue, card, limit_per_address="3 per 10 minutes")
    answers = [shop.hand_in() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert answers[3].headers["retry-after"] == "600"

    stage.reset()
    shop = Shop(stage, queue, card, limit_per_customer="2 per 10 minutes")
    assert [shop.hand_in().status_code for _ in range(3)] == [202, 202, 429]
    other = shop.post({"ticket": shop.ticket("younghee"), "envelope": shop.seal("younghee")})
    assert other.status_code == 202


def test_an_order_is_not_limited_by_the_cards_of_a_customer_of_its_name(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    shop = Shop(stage, queue, card, limit_per_customer="1 per 10 minutes")
    ticket = shop.tickets.mint(Request(operation=Operation.ONETIME, merchant_uid="gildong", amount=9900, name="책"))
    envelope = shop.seal(purpose=Operation.ONETIME, customer_uid=None, merchant_uid="gildong")
    assert shop.hand_in().status_code == 202

    assert shop.post({"ticket": ticket, "envelope": envelope}, "onetime").status_code == 202


def test_a_card_that_is_handed_in_again_with_its_ticket_is_not_counted_again(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    shop = Shop(stage, queue, card, limit_per_address="2 per 10 minutes")
    ticket = shop.ticket()

    assert {shop.hand_in(ticket).status_code for _ in range(5)} == {202}


def test_a_store_that_is_gone_is_503_and_the_same_ticket_can_be_repeated(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    shop = Shop(stage, queue, card)
    body = {"ticket": shop.ticket(), "envelope": shop.seal()}
    stage.vault.config_set("maxmemory", "1")
    try:
        assert error(shop.post(body)) == (503, "unavailable")
    finally:
        stage.vault.config_set("maxmemory", "0")

    assert shop.post(body).status_code == 202
    assert stage.ledger.zcard(redis_keys.OPEN) == 1


def test_a_plain_form_works_only_where_it_is_allowed(stage: Stage, queue: BillingQueue, card: Card) -> None:
    fields = {"card_number": "4242424242424242", "expiry": "2031-07", "birth": "900101", "pwd_2digit": "12"}
    closed, open_ = Shop(stage, queue, card), Shop(stage, queue, card, allow_plain_form=True)
    path = "/subscription/issue-billing"

    assert error(closed.browser.post(path, data={**fields, "ticket": closed.ticket()})) == (415, "not_json")
    answer = open_.browser.post(path, data={**fields, "customer_uid": "somebody", "ticket": open_.ticket()})
    assert answer.status_code == 202
    assert stage.record(answer.json()["job_id"])["customer_uid"] == "gildong"
    endless = {**{f"x{n}": "1" for n in range(40)}, "ticket": open_.ticket()}
    assert error(open_.browser.post(path, data=endless)) == (422, "refused")
    wrong = open_.browser.post(path, data={**fields, "card_number": "4242424242424241", "ticket": open_.ticket()})
    assert error(wrong) == (422, "refused")
    assert "4242424242424241" not in wrong.text


def test_a_plain_form_whose_ticket_shows_the_card_is_refused_with_the_field_named(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    shop = Shop(stage, queue, card, allow_plain_form=True)
    fields = {**card.reveal(), "ticket": shop.ticket("u900101-1234567")}

    answer = shop.browser.post("/subscription/issue-billing", data=fields)

    assert error(answer) == (422, "refused")
    assert answer.json()["message"].startswith("customer_uid: holds the birth date")
    assert stage.records() == []


def test_another_backends_customer_who_is_named_by_a_card_number_is_refused_with_the_field_named(
    stage: Stage, queue: BillingQueue, card: Card, tmp_path: Any
) -> None:
    path = tmp_path / "api_keys.json"
    headers = {"Authorization": f"Bearer {add_api_key(path, 'node', ['issue'])}"}
    shop, uid = Shop(stage, queue, card, api_keys_file=path), "5555-5555-5555-4444"

    answer = shop.post({"customer_uid": uid, "envelope": shop.seal(uid)}, headers=headers)

    assert error(answer) == (422, "refused")
    assert answer.json()["message"].startswith("customer_uid: reads as a card number")
    assert "5555" not in answer.text


def test_another_backend_enqueues_with_its_api_key_and_asks_with_its_ticket(
    stage: Stage, queue: BillingQueue, card: Card, tmp_path: Any
) -> None:
    path = tmp_path / "api_keys.json"
    key = add_api_key(path, "node", ["issue"])
    shop = Shop(stage, queue, card, api_keys_file=path)
    headers = {"Authorization": f"Bearer {key}"}
    body = {"customer_uid": "gildong", "envelope": shop.seal(), "idempotency_key": "signup-1"}

    first = shop.post(body, headers=headers)
    again = shop.post({**body, "envelope": shop.seal()}, headers=headers)

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["job_id"] == again.json()["job_id"]
    shop.end(first.json()["job_id"], Status.ISSUED)
    told = shop.browser.get(first.json()["status_url"], headers={"X-Ticket": first.json()["status_ticket"]})
    assert told.json()["status"] == "issued"
    assert error(shop.post(body, headers={"Authorization": "Bearer wrong"})) == (401, "api_key_invalid")
    pays = {"merchant_uid": "o-1", "amount": 1, "name": "x", "envelope": "e"}
    assert error(shop.post(pays, "onetime", headers=headers)) == (403, "not_allowed")
    assert key not in path.read_text()


def test_a_page_behind_http_basic_is_a_page(shop: Shop) -> None:
    assert shop.hand_in(headers={"Authorization": "Basic c2hvcDpzZXNhbWU="}).status_code == 202


def test_the_page_escapes_what_it_is_given(shop: Shop) -> None:
    text = shop.browser.get("/subscription/card", params={"ticket": '"><script>alert(1)</script>'}).text

    assert "<script>alert" not in text
    assert "{{" not in text


def test_the_page_goes_on_where_its_ticket_is_and_is_shown_while_the_store_is_gone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = shop.ticket()
    path = f"/subscription/card?ticket={ticket}"
    assert 'data-job=""' in shop.browser.get(path).text

    job_id = shop.hand_in(ticket).json()["job_id"]

    assert f'data-job="{job_id}"' in shop.browser.get(path).text
    monkeypatch.setattr(shop.queue, "outcome", Mock(side_effect=BrokerUnavailable("read", accepted=False)))
    answer = shop.browser.get(path)
    assert (answer.status_code, 'data-job=""' in answer.text) == (200, True)


SHOP_URL = "https://shop.example"
JUST_ISSUED = {"operation": "issue", "customer_uid": "gildong"}


def test_the_page_leads_back_to_the_shop_and_nowhere_else(
    stage: Stage, queue: BillingQueue, card: Card, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(stage, queue, card, return_origins=(SHOP_URL,))
    path, back = "/subscription/card", f"{SHOP_URL}/thanks?order=1"

    ours = shop.browser.get(path, params={"ticket": shop.ticket(return_url=back)})
    foreign = shop.ticket(return_url="https://thief.example/thanks")
    theirs = shop.browser.get(path, params={"ticket": foreign})

    assert f'data-shop="{back}"' in ours.text
    assert "thief.example" not in theirs.text
    assert 'data-ticket=""' in theirs.text
    assert "RETURN_ORIGINS" in caplog.text
    assert error(shop.hand_in(foreign)) == (401, "return_url_refused")


def test_only_the_page_may_be_held_in_a_frame_and_only_by_the_shop(
    stage: Stage, queue: BillingQueue, card: Card
) -> None:
    shop = Shop(stage, queue, card, frame_ancestors=(SHOP_URL, "https://m.shop.example"))

    page = shop.browser.get("/subscription/card").headers
    others = [shop.browser.get(f"/subscription/{path}").headers for path in ("keys", "static/page.js", "nowhere")]

    assert f"frame-ancestors {SHOP_URL} https://m.shop.example;" in page["content-security-policy"]
    assert "x-frame-options" not in page
    for headers in others:
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"


def test_without_a_setting_nobody_may_hold_the_page_in_a_frame(shop: Shop) -> None:
    headers = shop.browser.get("/subscription/card").headers

    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


def test_the_one_script_for_the_shops_pages_may_be_loaded_by_them(shop: Shop) -> None:
    policies = [
        shop.browser.get(f"/subscription/static/{name}").headers["cross-origin-resource-policy"]
        for name in ("embed.js", "page.js")
    ]

    assert policies == ["cross-origin", "same-origin"]


def test_the_page_goes_on_where_the_last_card_is_and_not_where_an_earlier_one_was_declined(shop: Shop) -> None:
    first = shop.ticket()
    job_id = shop.hand_in(first).json()["job_id"]
    shop.end(job_id, Status.DECLINED)
    second = shop.hand_in(first).json()["ticket"]
    last = shop.hand_in(second).json()["job_id"]

    page = shop.browser.get("/subscription/card", params={"ticket": first}).text

    assert f'data-job="{last}"' in page
    shop.end(last, Status.ISSUED)
    told = shop.browser.get(f"/subscription/jobs/{last}", headers={"X-Ticket": first})
    assert told.json()["status"] == "issued"


def test_another_backend_gets_a_ticket_for_its_customer_and_the_same_key_is_the_same_job(
    stage: Stage, queue: BillingQueue, card: Card, tmp_path: Any
) -> None:
    path = tmp_path / "api_keys.json"
    headers = {"Authorization": f"Bearer {add_api_key(path, 'node', ['issue'])}"}
    shop = Shop(stage, queue, card, api_keys_file=path, return_origins=(SHOP_URL,))
    body = {**JUST_ISSUED, "idempotency_key": "order-1", "return_url": f"{SHOP_URL}/thanks"}

    answers = [shop.post(body, "tickets", headers=headers) for _ in range(2)]

    tickets = [shop.tickets.parse(one.json()["ticket"]) for one in answers]
    assert [one.status_code for one in answers] == [201, 201]
    assert answers[0].json()["page_url"] == f"/subscription/card?ticket={answers[0].json()['ticket']}"
    assert tickets[0].job_id == tickets[1].job_id
    assert tickets[0].return_url == f"{SHOP_URL}/thanks"
    assert shop.hand_in(answers[0].json()["ticket"]).status_code == 202
    foreign = {**body, "return_url": "https://thief.example/"}
    assert error(shop.post(foreign, "tickets", headers=headers)) == (422, "refused")
    pays = {"operation": "onetime", "merchant_uid": "o-1", "amount": 1, "name": "x"}
    assert error(shop.post(pays, "tickets", headers=headers)) == (403, "not_allowed")
    assert error(shop.post(body, "tickets")) == (401, "api_key_invalid")


def test_the_page_has_the_merchants_logo_and_colour_and_the_orders_name(
    stage: Stage, queue: BillingQueue, card: Card, tmp_path: Any
) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    shop = Shop(stage, queue, card, merchant_logo_file=logo, merchant_colour="#ffd400")
    asked = Request(operation=Operation.ONETIME, merchant_uid="o-1", amount=9900, name="{{terms_url}} <b>")

    page = shop.browser.get("/subscription/card", params={"ticket": shop.tickets.mint(asked)}).text

    assert 'src="data:image/svg+xml;base64,' in page
    assert 'data-colour="#ffd400" data-ink="#000000"' in page
    assert "{{terms_url}} &lt;b&gt;" in page
    logo.write_text("x" * 40_000)
    with pytest.raises(SettingsError, match="MERCHANT_LOGO_FILE: must have at most"):
        Shop(stage, queue, card, merchant_logo_file=logo)


def test_the_page_speaks_the_customers_language(shop: Shop) -> None:
    for accepted, language in (("en-US,en;q=0.9,ko;q=0.8", "en"), ("ko-KR", "ko"), ("fr", "ko")):
        text = shop.browser.get("/subscription/card", headers={"Accept-Language": accepted}).text
        assert f'<html lang="{language}">' in text


def test_the_description_matches_the_paths(shop: Shop) -> None:
    described = json.loads(shop.browser.get("/subscription/openapi.json").text)

    assert set(described["paths"]) == {"/card", "/keys", "/issue-billing", "/onetime", "/tickets", "/jobs/{job_id}"}
