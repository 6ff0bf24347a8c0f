"""What tests of the fake call it with: a clock to turn and a merchant's client."""

from typing import Any

import requests

from tests.fake_iamport.cards import SampleCard
from tests.fake_iamport.fake import FakeIamport


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Api:
    """A merchant that calls i'mport."""

    def __init__(self, fake: FakeIamport) -> None:
        self.fake = fake
        self.session = requests.Session()
        self.session.trust_env = False
        if fake.url.startswith("https"):
            self.session.verify = str(fake.ca_file)

    def login(self) -> dict[str, Any]:
        keys = {"imp_key": self.fake.imp_key, "imp_secret": self.fake.imp_secret}
        token: dict[str, Any] = self.call("POST", "/users/getToken", json=keys).json()["response"]
        self.session.headers["Authorization"] = f"Bearer {token['access_token']}"
        return token

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.fake.url + path, timeout=60, **options)

    def issue(self, uid: str, card: SampleCard, **members: Any) -> requests.Response:
        return self.call("POST", f"/subscribe/customers/{uid}", json=card.fields() | members)

    def onetime(self, merchant_uid: str, card: SampleCard, **members: Any) -> requests.Response:
        order = {"merchant_uid": merchant_uid, "amount": 1000, "name": "책"} | members
        return self.call("POST", "/subscribe/payments/onetime", json=card.fields() | order)

    def again(self, merchant_uid: str, uid: str) -> requests.Response:
        order = {"merchant_uid": merchant_uid, "amount": 1000, "name": "책", "customer_uid": uid}
        return self.call("POST", "/subscribe/payments/again", json=order)
