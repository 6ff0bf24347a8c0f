"""Tickets: what they hold, and what does not hold."""

import json

import pytest

from producer.contract.errors import InvalidRequest, Refused
from producer.contract.job import Request
from producer.contract.jose import b64url, unb64url
from producer.sealing import SigningKey
from producer.web.ticket import ATTEMPTS, Tickets
from tests.vectors.jose import ed25519, private_jwk
from tests.vectors.recipe import PRODUCER_KID

ISSUE = Request.model_validate({"operation": "issue", "customer_uid": "gildong"})
PAYMENT = Request.model_validate({"operation": "onetime", "merchant_uid": "o-1", "amount": 9900, "name": "책"})
KEY = SigningKey(private_jwk(ed25519(PRODUCER_KID)) | {"kid": PRODUCER_KID})


class Scene:
    def __init__(self) -> None:
        self.now = 1000.0
        self.tickets = Tickets(lambda: KEY, lambda: self.now)

    def refusal(self, text: str, **how: object) -> str:
        with pytest.raises(Refused) as caught:
            self.tickets.read(text, **how)  # type: ignore[arg-type]
        return caught.value.code


@pytest.fixture
def scene() -> Scene:
    return Scene()


def changed(text: str, **members: object) -> str:
    head, payload, signature = text.split(".")
    inner = json.loads(unb64url(payload)) | members
    return f"{head}.{b64url(json.dumps(inner).encode())}.{signature}"


@pytest.mark.parametrize("request_", [ISSUE, PAYMENT])
def test_a_ticket_says_what_it_was_made_for(scene: Scene, request_: Request) -> None:
    ticket = scene.tickets.read(scene.tickets.mint(request_))

    assert ticket.request == request_
    assert (ticket.attempt, ticket.iat, ticket.exp) == (1, 1000, 2800)


@pytest.mark.parametrize("uid", ["4242-4242-4242-4242", "5001011234565"])
def test_no_ticket_is_made_for_a_customer_who_is_named_by_a_personal_number(scene: Scene, uid: str) -> None:
    named = ISSUE.model_copy(update={"customer_uid": uid})

    with pytest.raises(InvalidRequest, match=r"^customer_uid: reads as "):
        scene.tickets.mint(named)


def test_the_same_ticket_is_the_same_job_and_another_one_is_another(scene: Scene) -> None:
    text = scene.tickets.mint(ISSUE)

    assert scene.tickets.read(text).job_id == scene.tickets.read(text).job_id
    assert scene.tickets.read(text).job_id != scene.tickets.read(scene.tickets.mint(ISSUE)).job_id


def test_a_changed_ticket_does_not_hold(scene: Scene) -> None:
    text = scene.tickets.mint(ISSUE)

    assert scene.refusal(changed(text, customer_uid="younghee")) == "ticket_invalid"
    assert scene.refusal(changed(text, exp=10**10)) == "ticket_invalid"
    assert scene.refusal(text[:-20] + "A" * 20) == "ticket_invalid"
    assert scene.refusal("") == "ticket_invalid"


def test_a_signed_job_is_no_ticket(scene: Scene) -> None:
    payload = unb64url(scene.tickets.mint(ISSUE).split(".")[1])

    assert scene.refusal(KEY.sign_as("job+jws", payload)) == "ticket_invalid"


def test_a_ticket_ends_but_its_outcome_can_still_be_asked_for(scene: Scene) -> None:
    text = scene.tickets.mint(ISSUE, life_s=60)
    scene.now += 61

    assert scene.refusal(text) == "ticket_expired"
    assert scene.tickets.read(text, is_for_reading=True).request == ISSUE


def test_a_ticket_of_a_session_is_good_in_no_other(scene: Scene) -> None:
    text = scene.tickets.mint(ISSUE, session="session-of-gildong")

    assert scene.tickets.read(text, session="session-of-gildong").request == ISSUE
    assert scene.refusal(text, session="session-of-younghee") == "ticket_of_another_session"
    assert scene.refusal(text) == "ticket_of_another_session"
    assert scene.refusal(text, is_for_reading=True) == "ticket_of_another_session"
    assert "session-of-gildong" not in unb64url(text.split(".")[1]).decode()


def test_a_declined_card_renews_it_a_few_times_always_in_the_same_way(scene: Scene) -> None:
    ticket = scene.tickets.read(scene.tickets.mint(ISSUE, life_s=60, session="s-1"), session="s-1")
    jobs = {ticket.job_id}
    for _ in range(ATTEMPTS - 1):
        scene.now += 30
        text = scene.tickets.renewed(ticket)
        assert text is not None
        again = scene.tickets.read(text, session="s-1")
        assert again.job_id == scene.tickets.read(str(scene.tickets.renewed(ticket)), session="s-1").job_id
        assert again.exp >= scene.now + 500
        ticket = again
        jobs.add(ticket.job_id)

    assert len(jobs) == ATTEMPTS
    assert scene.tickets.renewed(ticket) is None


@pytest.mark.parametrize(
    "how", [{"life_s": 0}, {"life_s": 86_401}, {"jti": ""}, {"jti": "x" * 151}, {"jti": "a\u202eb"}]
)
def test_a_ticket_that_cannot_be_is_not_made(scene: Scene, how: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        scene.tickets.mint(ISSUE, **how)  # type: ignore[arg-type]


SHOP = "https://shop.example"


def test_a_ticket_leads_back_to_where_it_was_made_for(scene: Scene) -> None:
    ticket = scene.tickets.read(scene.tickets.mint(ISSUE, return_url=f"{SHOP}/thanks?order=1"))

    assert ticket.return_url == f"{SHOP}/thanks?order=1"
    again = ticket.renewed(scene.now)
    assert again is not None
    assert again.return_url == ticket.return_url
    with pytest.raises(Refused):
        scene.tickets.read(changed(scene.tickets.text(ticket), return_url="https://thief.example/"))


@pytest.mark.parametrize(
    "url",
    [
        *("http://shop.example/", "//shop.example/", "javascript:alert(1)//x.example/", "ftp://shop.example/x"),
        *("https://shop.example", "https://shop.example/#x", "https://user@shop.example/", "https://Shop.example/"),
        *(
            "https://shop.example\\@thief.example/",
            "https://shop.example/a b",
            "https://shop.example/\n",
            "/thanks",
            "",
        ),
        *("https://shop.example:0/", "https://shop.example:/", "https://상점.example/", f"{SHOP}/{'x' * 500}"),
    ],
)
def test_an_address_that_browsers_could_read_otherwise_is_refused(scene: Scene, url: str) -> None:
    with pytest.raises(InvalidRequest, match="return_url: must be an https URL"):
        scene.tickets.mint(ISSUE, return_url=url)


@pytest.mark.parametrize(
    ("url", "holds"),
    [
        (f"{SHOP}/thanks", True),
        ("https://shop.example:443/thanks", True),
        ("http://127.0.0.1:8001/thanks", True),
        ("https://shop.example.thief.example/thanks", False),
        ("https://shop.example:8443/thanks", False),
        ("http://127.0.0.1:8002/thanks", False),
    ],
)
def test_a_ticket_leads_to_no_origin_but_those_that_the_server_knows(scene: Scene, url: str, holds: bool) -> None:
    strict = Tickets(lambda: KEY, lambda: scene.now, (SHOP, "http://127.0.0.1:8001"))
    text = scene.tickets.mint(ISSUE, return_url=url)

    if holds:
        assert strict.read(text).return_url == url
        return
    with pytest.raises(Refused, match="return_url_refused"):
        strict.read(text)
    with pytest.raises(InvalidRequest, match="RETURN_ORIGINS"):
        strict.mint(ISSUE, return_url=url)


def test_a_job_that_a_customer_comes_back_with_is_the_tickets_or_one_that_renewed_it(scene: Scene) -> None:
    text = scene.tickets.mint(ISSUE, session="s-1")
    tries = list(scene.tickets.parse(text).tries(scene.now))
    scene.now += 90_000

    assert len({one.job_id for one in tries}) == ATTEMPTS
    assert all(scene.tickets.tried(text, one.job_id, session="s-1") for one in tries)
    assert scene.tickets.tried(text, scene.tickets.parse(scene.tickets.mint(ISSUE)).job_id, session="s-1") is None
    with pytest.raises(Refused, match="ticket_of_another_session"):
        scene.tickets.tried(text, tries[0].job_id, session="s-2")
