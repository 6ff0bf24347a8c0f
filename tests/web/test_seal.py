"""What is sealed in the browser, and by others, opens where it must; and nowhere else."""

import time
from typing import Any

import pytest
from playwright.sync_api import Page

from producer.contract.envelope import ISSUE_MEMBERS, ONETIME_MEMBERS, Envelope
from producer.contract.errors import Refused
from tests.vectors.jose import OpeningKey, private_jwk, public_jwk, unseal
from tests.vectors.recipe import CARD, IAT, NEWER_KID, OPENING, ORDER, P256_KID, UID, X25519_KID
from tests.web.customer import Customer
from tests.web.node import run
from tests.web.stand_in import StandIn
from worker.keys.opening import OpeningKeys

KEYS = OpeningKeys({"keys": [private_jwk(key) | {"kid": kid} for kid, key in OPENING.items()]})
PUBLIC = {kid: public_jwk(key) | {"kid": kid, "use": "enc", "alg": "ECDH-ES"} for kid, key in OPENING.items()}
ISSUE: dict[str, Any] = {"purpose": "issue", "customerUid": UID}
ONETIME: dict[str, Any] = {"purpose": "onetime", "merchantUid": ORDER}
REQUESTS = [ISSUE, ONETIME, ONETIME | {"customerUid": UID}]
WITHOUT_X25519 = """
const generate = SubtleCrypto.prototype.generateKey;
SubtleCrypto.prototype.generateKey = function (algorithm, ...rest) {
  if (algorithm.name === "X25519") return Promise.reject(new DOMException("", "NotSupportedError"));
  return generate.call(this, algorithm, ...rest);
};
"""
SEAL = """
async ([base, card, request]) => (await import(`${base}/static/seal.js`)).seal(card, request)
"""


def request_for(kids: list[str], bound: dict[str, Any], now: float = IAT + 0.75) -> dict[str, Any]:
    return bound | {"keys": [PUBLIC[kid] for kid in kids], "now": now}


def opened(text: str, now: float = IAT) -> dict[str, str]:
    return KEYS.open_card(Envelope.parse(text), now=now).reveal()


@pytest.mark.parametrize("bound", REQUESTS, ids=["issue", "onetime", "onetime that stores"])
@pytest.mark.parametrize("kid", [NEWER_KID, P256_KID])
def test_envelope_of_the_browser_opens_at_the_worker(
    page: Page, stand_in: StandIn, kid: str, bound: dict[str, Any]
) -> None:
    page.goto(f"{stand_in.base_url}/elsewhere")

    text = page.evaluate(SEAL, [stand_in.base_url, CARD, request_for([kid], bound)])

    envelope = Envelope.parse(text)
    assert opened(text) == CARD
    assert (envelope.kid, envelope.purpose) == (kid, bound["purpose"])
    assert (envelope.customer_uid, envelope.merchant_uid) == (bound.get("customerUid"), bound.get("merchantUid"))
    assert (envelope.iat, envelope.exp) == (IAT, IAT + 600)


def test_browser_without_x25519_seals_on_p256(customer: Customer, page: Page, stand_in: StandIn) -> None:
    page.add_init_script(WITHOUT_X25519)

    customer.hands_in()

    customer.sees("카드가 등록되었습니다")
    assert stand_in.envelopes[0].crv == "P-256"


def test_browser_with_x25519_seals_on_it(customer: Customer, stand_in: StandIn) -> None:
    customer.hands_in()

    customer.sees("카드가 등록되었습니다")
    assert (stand_in.envelopes[0].crv, stand_in.envelopes[0].kid) == ("X25519", NEWER_KID)


def test_browser_without_any_usable_key_says_so(customer: Customer, page: Page, stand_in: StandIn) -> None:
    stand_in.curves = ("X25519",)
    page.add_init_script(WITHOUT_X25519)

    customer.hands_in()

    customer.sees("이 브라우저에서는 카드를 안전하게 보낼 수 없습니다")
    assert customer.values() == ["", "", "", ""]
    assert stand_in.posts() == []


@pytest.mark.parametrize(
    ("kids", "newest"),
    [
        ([X25519_KID, P256_KID, NEWER_KID], NEWER_KID),
        ([NEWER_KID, P256_KID, X25519_KID], X25519_KID),
        ([P256_KID], P256_KID),
    ],
)
def test_newest_key_of_the_best_curve_is_taken(kids: list[str], newest: str) -> None:
    [text] = run("seal.mjs", [{"card": CARD, "request": request_for(kids, ISSUE)}])

    assert Envelope.parse(text).kid == newest


@pytest.mark.parametrize("kid", [NEWER_KID, P256_KID])
def test_envelope_opens_with_jose_and_says_no_more_than_it_must(kid: str) -> None:
    texts = run("seal.mjs", [{"card": CARD, "request": request_for([kid], bound)} for bound in REQUESTS])

    answers = run("jose_open.mjs", [{"text": text, "jwk": private_jwk(OPENING[kid])} for text in texts])

    assert [one["card"] for one in answers] == [CARD] * 3
    expected = [ISSUE_MEMBERS, ONETIME_MEMBERS, ONETIME_MEMBERS | {"customer_uid"}]
    assert expected == [set(one["header"]) for one in answers]
    assert {tuple(one["header"]["epk"]) for one in answers} == {tuple(public_jwk(OPENING[kid]))}


@pytest.mark.parametrize("kid", [NEWER_KID, P256_KID])
def test_envelope_of_jose_opens_at_the_worker(kid: str) -> None:
    header: dict[str, Any] = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": kid, "typ": "card+jwe", "purpose": "issue"}
    header |= {"customer_uid": UID, "iat": IAT, "exp": IAT + 600}

    [text] = run("jose_seal.mjs", [{"card": CARD, "header": header, "jwk": PUBLIC[kid]}])

    assert opened(text) == CARD


def test_envelope_opens_by_the_plain_reading_of_the_rfc_too() -> None:
    key: OpeningKey = OPENING[P256_KID]

    [text] = run("seal.mjs", [{"card": CARD, "request": request_for([P256_KID], ISSUE)}])

    assert unseal(text, key)[0]["kid"] == P256_KID


def test_no_two_envelopes_share_an_ephemeral_key_or_a_nonce() -> None:
    texts = run("seal.mjs", [{"card": CARD, "request": request_for([NEWER_KID], ISSUE)}] * 50)

    assert len({text.split(".")[0] for text in texts}) == 50
    assert len({text.split(".")[2] for text in texts}) == 50


def test_altered_envelope_does_not_open() -> None:
    [text] = run("seal.mjs", [{"card": CARD, "request": request_for([NEWER_KID], ISSUE, time.time())}])
    head, _, iv, ciphertext, tag = text.split(".")
    swapped = "".join({"A": "B"}.get(one, "A") if at == 5 else one for at, one in enumerate(ciphertext))

    with pytest.raises(Refused, match="does_not_open"):
        opened(f"{head}..{iv}.{swapped}.{tag}")
