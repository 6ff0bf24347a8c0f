"""Billing keys: the cards in force, one for each customer_uid."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from tests.fake_iamport import channels
from tests.fake_iamport.answers import ISSUE_FAILED, NO_CHANNEL, Answer, missing, refusal, too_long, unknown_uid_text
from tests.fake_iamport.call import Call
from tests.fake_iamport.cards import BY_NUMBER
from tests.fake_iamport.channels import Channel
from tests.fake_iamport.journal import Applied, Journal
from tests.fake_iamport.screening import Screening

MAX_UID = 80
_HOLDER = tuple(f"customer_{part}" for part in ("name", "tel", "email", "addr", "postcode"))
_COMPANIES = {  # by the first digit: code and name of a card company
    "3": ("365", "삼성카드"),
    "4": ("366", "신한카드"),
    "5": ("367", "현대카드"),
    "9": ("361", "BC카드"),
}


def card_members(channel: Channel, number: str) -> dict[str, Any]:
    """What an annotation says of a card; form and types depend on the gateway."""
    code, name = _COMPANIES.get(number[:1], ("368", "롯데카드"))
    sample = BY_NUMBER.get(number)
    return {
        "card_name": name,
        "card_code": code,
        "card_issuer_code": code,
        "card_issuer_name": name,
        "card_publisher_code": code,
        "card_publisher_name": name,
        "card_number": channel.mask(number),
        "card_type": channel.card_types[bool(sample and sample.check)],
    }


@dataclass(frozen=True)
class Customer:
    """A stored key. ``inserted`` and ``updated`` are whole seconds; equal at the first issue."""

    customer_uid: str
    card_number: str
    channel: Channel
    sandbox: bool
    customer_id: str | None
    holder: dict[str, str | None]
    inserted: int
    updated: int

    def annotate(self) -> dict[str, Any]:
        """The CustomerAnnotation, with members that today's schema does not list.

        i'mport promises to add some at any time, so clients must ignore what they do not know.
        """
        return {
            "customer_uid": self.customer_uid,
            "pg_provider": self.channel.pg_provider,
            "pg_id": self.channel.pg_id,
            "sandbox": self.sandbox,
            "customer_id": self.customer_id,
            **card_members(self.channel, self.card_number),
            **self.holder,
            "inserted": self.inserted,
            "updated": self.updated,
            "card_country": "410",
            "unlisted": {"members": ["may", "appear"]},
        }


class CustomerDesk:
    """Issues, shows and deletes billing keys."""

    def __init__(self, now: Callable[[], float], journal: Journal, screening: Screening) -> None:
        self.customers: dict[str, Customer] = {}
        self.sandbox = True
        self.unknown_uid_style: Literal["404", "200"] = "404"
        self._now = now
        self._journal = journal
        self._screening = screening

    def issue(self, call: Call) -> Answer:
        """Answer POST /subscribe/customers/{customer_uid}."""
        uid = call.params["customer_uid"]
        if len(uid) > MAX_UID:
            return too_long("customer_uid", MAX_UID)
        if absent := call.missing("card_number", "expiry"):
            return missing(absent)
        channel = channels.choose(call.text("pg"), call.text("channel_key"))
        if channel is None:
            return refusal(NO_CHANNEL, code=1)
        if absent := call.missing(*channel.issue_needs):
            return missing(absent)
        refused = self._screening.refuse(channel, call, ISSUE_FAILED, uid)
        if refused:
            return refusal(refused)
        return Answer(response=self.store(uid, channel, call).annotate())

    def store(self, uid: str, channel: Channel, call: Call) -> Customer:
        """Store the card under the uid, over whatever was there."""
        now = self._now()
        customer = Customer(
            customer_uid=uid,
            card_number=call.card_number,
            channel=channel,
            sandbox=self.sandbox,
            customer_id=_customer_id(channel, call),
            holder={name: call.text(name) or None for name in _HOLDER},
            inserted=int(now),
            updated=int(now),
        )
        if known := self.customers.get(uid):
            customer = replace(customer, inserted=known.inserted)
        self.customers[uid] = customer
        merchant_uid = call.text("merchant_uid") or None
        self._journal.apply(
            Applied(now, "issue", uid, merchant_uid, call.card_number, None, call.request_id, call.late)
        )
        return customer

    def show(self, call: Call) -> Answer:
        """Answer GET /subscribe/customers/{customer_uid}."""
        customer = self.customers.get(call.params["customer_uid"])
        return Answer(response=customer.annotate()) if customer else self._unknown(call)

    def show_many(self, call: Call) -> Answer:
        """Answer GET /subscribe/customers: 207 when only some are known, 404 when none is."""
        uids = call.query.get("customer_uid[]") or call.query.get("customer_uid") or []
        found = [self.customers[uid].annotate() for uid in uids if uid in self.customers]
        if not found:
            return refusal(unknown_uid_text(",".join(uids)), code=1, status=404)
        return Answer(status=200 if len(found) == len(uids) else 207, response=found)

    def delete(self, call: Call) -> Answer:
        """Answer DELETE /subscribe/customers/{customer_uid}."""
        customer = self.customers.pop(call.params["customer_uid"], None)
        return Answer(response=customer.annotate()) if customer else self._unknown(call)

    def _unknown(self, call: Call) -> Answer:
        text = unknown_uid_text(call.params["customer_uid"])
        return refusal(text, code=1, status=int(self.unknown_uid_style))


def _customer_id(channel: Channel, call: Call) -> str | None:
    """The gateway's customer; Toss Payments gets a new one at each issue that names none."""
    generated = str(uuid.uuid4()) if channel.pg_provider == "tosspayments" else None
    return call.text("customer_id") or generated
