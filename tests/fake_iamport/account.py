"""The merchant's account at i'mport: which request does what. No sockets, no faults."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote

from tests.fake_iamport.answers import NO_SUCH_PATH, Answer, refusal
from tests.fake_iamport.call import Call
from tests.fake_iamport.cards import BY_NUMBER, SampleCard
from tests.fake_iamport.channels import CHANNELS
from tests.fake_iamport.customers import CustomerDesk
from tests.fake_iamport.journal import Journal
from tests.fake_iamport.payments import PaymentDesk
from tests.fake_iamport.screening import Screening
from tests.fake_iamport.tokens import TokenDesk

LOGIN = "/users/getToken"


class _Route(NamedTuple):
    template: str
    parts: list[str]
    work: Callable[[Call], Answer]

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """What the placeholders match; None when a fixed part differs."""
        params = {}
        for mine, sent in zip(self.parts, parts, strict=True):
            if mine.startswith("{") and sent:
                params[mine[1:-1]] = unquote(sent)
            elif mine != sent:
                return None
        return params


class Account:
    """Tokens, customers and payments behind one lock, so that each request is atomic."""

    def __init__(self, imp_key: str, imp_secret: str, now: Callable[[], float], journal: Journal) -> None:
        screening = Screening(now)
        self.tokens = TokenDesk(imp_key, imp_secret, now)
        self.customers = CustomerDesk(now, journal, screening)
        self.payments = PaymentDesk(now, journal, screening, self.customers)
        self._lock = threading.RLock()
        self._routes: dict[tuple[str, int], list[_Route]] = {}
        for method, template, work in self._table():
            parts = template.split("/")
            self._routes.setdefault((method, len(parts)), []).append(_Route(template, parts, work))

    def route(self, call: Call) -> Call:
        """The call with its template and parameters filled in."""
        parts = call.path.split("/")
        for route in self._routes.get((call.method, len(parts)), ()):
            params = route.match(parts)
            if params is not None:
                return replace(call, template=route.template, params=params)
        return replace(call, template="(none)")

    def authenticate(self, call: Call) -> Answer | None:
        """Refuse a call that needs a token and has no living one; None lets it pass."""
        if call.template == LOGIN:
            return None
        with self._lock:
            return self.tokens.refuse(call)

    def handle(self, call: Call) -> Answer:
        """Do what a routed, authenticated call asks for."""
        for route in self._routes.get((call.method, call.template.count("/") + 1), ()):
            if route.template == call.template:
                with self._lock:
                    return route.work(call)
        return refusal(NO_SUCH_PATH, status=404)

    def sample_of(self, call: Call) -> tuple[SampleCard | None, str]:
        """The sample card that a call uses, with the customer or order for which its faults count."""
        if call.method != "POST" or not call.template.startswith("/subscribe/"):
            return None, ""
        number = call.card_number
        if not number and (customer := self.customers.customers.get(call.text("customer_uid"))):
            number = customer.card_number
        subject = call.params.get("customer_uid") or call.text("merchant_uid")
        return BY_NUMBER.get(number), subject

    def _channels(self, _: Call) -> Answer:
        """Answer GET /users/pg."""
        also = {"sandbox": self.customers.sandbox, "type": "PAYMENT"}
        names = ("pg_provider", "pg_id", "channel_key")
        return Answer(response=[{name: getattr(one, name) for name in names} | also for one in CHANNELS])

    def _table(self) -> list[tuple[str, str, Callable[[Call], Answer]]]:
        """Method, path and work; where two paths fit, the earlier one counts."""
        customers, payments = self.customers, self.payments
        return [
            ("POST", LOGIN, self.tokens.get_token),
            ("GET", "/users/pg", self._channels),
            ("POST", "/subscribe/customers/{customer_uid}", customers.issue),
            ("GET", "/subscribe/customers/{customer_uid}", customers.show),
            ("DELETE", "/subscribe/customers/{customer_uid}", customers.delete),
            ("GET", "/subscribe/customers", customers.show_many),
            ("POST", "/subscribe/payments/onetime", payments.onetime),
            ("POST", "/subscribe/payments/again", payments.again),
            ("POST", "/payments/cancel", payments.cancel),
            ("GET", "/payments/{imp_uid}", payments.show),
            ("GET", "/payments/find/{merchant_uid}", payments.find),
            ("GET", "/payments/find/{merchant_uid}/{status}", payments.find),
            ("GET", "/payments/findAll/{merchant_uid}", payments.find_all),
            ("GET", "/payments/findAll/{merchant_uid}/{status}", payments.find_all),
        ]
