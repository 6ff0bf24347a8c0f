"""Payments: key-in and by a stored key, look-ups and cancellation."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from tests.fake_iamport import channels
from tests.fake_iamport.answers import (
    ALREADY_CANCELLED,
    CANCEL_TOO_MUCH,
    CARD_CHECK_FAILED,
    DUPLICATE_ORDER,
    KSNET_NO_ISSUE_AND_CHARGE,
    NO_CHANNEL,
    NOTHING_TO_CANCEL,
    UNKNOWN_BUYER,
    UNKNOWN_PAYMENT,
    Answer,
    missing,
    refusal,
    too_long,
)
from tests.fake_iamport.call import Call
from tests.fake_iamport.cards import BY_NUMBER
from tests.fake_iamport.channels import Channel
from tests.fake_iamport.customers import MAX_UID, CustomerDesk, card_members
from tests.fake_iamport.journal import Applied, Journal
from tests.fake_iamport.screening import Screening

MAX_MERCHANT_UID = 40
_BUYER = tuple(f"buyer_{part}" for part in ("name", "email", "tel", "addr", "postcode"))
_NULLS = ("emb_pg_provider", *(f"bank_{part}" for part in ("code", "name")), "user_agent", "receipt_url", "promotion")
_NULLS += tuple(f"vbank_{part}" for part in ("code", "name", "num", "holder"))


@dataclass(frozen=True)
class Payment:
    """One attempt to charge."""

    imp_uid: str
    merchant_uid: str
    amount: int | float
    card_number: str
    channel: Channel
    sandbox: bool
    status: str
    started_at: int
    settled_at: int
    customer_uid: str | None = None
    customer_uid_usage: str | None = None
    fail_reason: str | None = None
    cancelled_at: int = 0
    cancel_amount: int | float = 0
    cancel_reason: str | None = None
    echo: dict[str, Any] = field(default_factory=dict)

    def annotate(self) -> dict[str, Any]:
        """The PaymentAnnotation; instants that do not apply are 0."""
        failed = self.status == "failed"
        return {
            **dict.fromkeys(_NULLS),
            "imp_uid": self.imp_uid,
            "merchant_uid": self.merchant_uid,
            "pay_method": "card",
            "channel": "api",
            "pg_provider": self.channel.pg_provider,
            "pg_tid": None if failed else f"{self.channel.pg_id}{self.imp_uid[4:]}",
            "pg_id": self.channel.pg_id,
            "sandbox": self.sandbox,
            "escrow": False,
            "apply_num": None if failed else self.imp_uid[-8:],
            **card_members(self.channel, self.card_number),
            "vbank_date": 0,
            "vbank_issued_at": 0,
            **self.echo,
            "amount": self.amount,
            "cancel_amount": self.cancel_amount,
            "status": self.status,
            "started_at": self.started_at,
            "paid_at": 0 if failed else self.settled_at,
            "failed_at": self.settled_at if failed else 0,
            "cancelled_at": self.cancelled_at,
            "fail_reason": self.fail_reason,
            "cancel_reason": self.cancel_reason,
            "cancel_history": [],
            "cancel_receipt_urls": [],
            "cash_receipt_issued": False,
            "customer_uid": self.customer_uid,
            "customer_uid_usage": self.customer_uid_usage,
        }


class PaymentDesk:
    """Charges cards, and shows and cancels what was charged."""

    def __init__(
        self, now: Callable[[], float], journal: Journal, screening: Screening, customers: CustomerDesk
    ) -> None:
        self._orders: dict[str, list[Payment]] = {}
        self.hidden_for_s = 0.0
        self.fail_next = False
        self.guards_orders = True
        self._now = now
        self._journal = journal
        self._screening = screening
        self._customers = customers

    @property
    def payments(self) -> dict[str, Payment]:
        """The last attempt of each merchant_uid."""
        return {merchant_uid: attempts[-1] for merchant_uid, attempts in self._orders.items()}

    def onetime(self, call: Call) -> Answer:
        """Answer POST /subscribe/payments/onetime.

        With a customer_uid the key is stored too, but only when the charge succeeds (our assumption).
        """
        refused = self._refuse_order(call, "merchant_uid", "amount", "card_number", "expiry")
        if refused:
            return refused
        uid = call.text("customer_uid") or None
        channel = channels.choose(call.text("pg"), call.text("channel_key"))
        if channel is None:
            return refusal(NO_CHANNEL, code=1)
        if refused := _refuse_charge(channel, call):
            return refused
        if uid and channel.pg_provider == "ksnet":
            return refusal(KSNET_NO_ISSUE_AND_CHARGE)
        order = call.text("merchant_uid")
        declined = self._screening.refuse(channel, call, CARD_CHECK_FAILED, order)
        if declined:
            return refusal(declined)
        payment = self._charge(call, channel, call.card_number, "issue" if uid else None)
        if uid and payment.status == "paid":
            self._customers.store(uid, channel, call)
        return Answer(response=payment.annotate())

    def again(self, call: Call) -> Answer:
        """Answer POST /subscribe/payments/again."""
        refused = self._refuse_order(call, "customer_uid", "merchant_uid", "amount", "name")
        if refused:
            return refused
        customer = self._customers.customers.get(call.text("customer_uid"))
        if customer is None:
            return refusal(UNKNOWN_BUYER, code=1)
        if refused := _refuse_charge(customer.channel, call):
            return refused
        payment = self._charge(call, customer.channel, customer.card_number, "payment")
        return Answer(response=payment.annotate())

    def show(self, call: Call) -> Answer:
        """Answer GET /payments/{imp_uid}."""
        imp_uid = call.params["imp_uid"]
        found = (p for p in self._attempts() if p.imp_uid == imp_uid)
        return _shown(next((p for p in found if not p.sandbox or call.asks("include_sandbox")), None))

    def find(self, call: Call) -> Answer:
        """Answer GET /payments/find/{merchant_uid} with or without a status: the one that was begun last."""
        return _shown(next(iter(self._matching(call)), None))

    def find_all(self, call: Call) -> Answer:
        """Answer GET /payments/findAll/{merchant_uid} with or without a status."""
        found = [p.annotate() for p in self._matching(call)]
        page = {"total": len(found), "previous": 0, "next": 0, "list": found}
        return Answer(response=page) if found else refusal(UNKNOWN_PAYMENT, status=404)

    def cancel(self, call: Call) -> Answer:
        """Answer POST /payments/cancel; part of the amount leaves the payment ``paid``."""
        uids = {call.text("imp_uid"), call.text("merchant_uid")} - {""}
        known = (p for p in self._attempts() if {p.imp_uid, p.merchant_uid} & uids)
        payment = next((p for p in known if p.status != "failed"), None)
        if payment is None or payment.status not in {"paid", "cancelled"}:
            return refusal(NOTHING_TO_CANCEL, code=1)
        if payment.status == "cancelled":
            return refusal(ALREADY_CANCELLED, code=1)
        left = payment.amount - payment.cancel_amount
        amount = _amount(call.body.get("amount")) or left
        if amount > left:
            return refusal(CANCEL_TOO_MUCH, code=1)
        cancelled = replace(
            payment,
            status="cancelled" if amount == left else "paid",
            cancel_amount=payment.cancel_amount + amount,
            cancel_reason=call.text("reason") or None,
            cancelled_at=int(self._now()),
        )
        mine = self._orders[payment.merchant_uid]
        mine[mine.index(payment)] = cancelled
        return Answer(response=cancelled.annotate())

    def _refuse_order(self, call: Call, *needs: str) -> Answer | None:
        if absent := call.missing(*needs):
            return missing(absent)
        merchant_uid = call.text("merchant_uid")
        if len(merchant_uid) > MAX_MERCHANT_UID:
            return too_long("merchant_uid", MAX_MERCHANT_UID)
        if len(call.text("customer_uid")) > MAX_UID:
            return too_long("customer_uid", MAX_UID)
        if _amount(call.body["amount"]) is None:
            return refusal('["amount"] 파라메터가 올바르지 않습니다.', status=400)
        is_done = any(p.status in {"paid", "cancelled"} for p in self._orders.get(merchant_uid, ()))
        return refusal(DUPLICATE_ORDER, code=1) if is_done and self.guards_orders else None

    def _charge(self, call: Call, channel: Channel, number: str, usage: str | None) -> Payment:
        now = self._now()
        sample = BY_NUMBER.get(number)
        fail_reason = sample.charge_refusal if sample else None
        merchant_uid, amount = call.text("merchant_uid"), _amount(call.body["amount"])
        payment = Payment(
            imp_uid=f"imp_{secrets.randbelow(10**12):012d}",
            merchant_uid=merchant_uid,
            amount=amount or 0,
            card_number=number,
            channel=channel,
            sandbox=self._customers.sandbox,
            status="failed" if fail_reason or self.fail_next else "paid",
            started_at=int(now),
            settled_at=int(now),
            customer_uid=call.text("customer_uid") or None,
            customer_uid_usage=usage,
            fail_reason="[2000]DB오류" if self.fail_next else fail_reason,
            echo=_echo(call),
        )
        self._orders.setdefault(merchant_uid, []).append(payment)
        if not fail_reason:
            uid = payment.customer_uid
            self._journal.apply(Applied(now, "payment", uid, merchant_uid, number, amount, call.request_id, call.late))
        return payment

    def _attempts(self) -> Iterator[Payment]:
        return chain.from_iterable(self._orders.values())

    def _matching(self, call: Call) -> list[Payment]:
        """Newest first; what was done just now may be hidden for a while."""
        status, until = call.params.get("status", "all"), self._now() - self.hidden_for_s
        mine = reversed(self._orders.get(call.params["merchant_uid"], []))
        return [p for p in mine if status in {"all", p.status} and p.settled_at <= until]


def _shown(payment: Payment | None) -> Answer:
    return Answer(response=payment.annotate()) if payment else refusal(UNKNOWN_PAYMENT, status=404)


def _refuse_charge(channel: Channel, call: Call) -> Answer | None:
    """What the gateway lacks for a charge; Inicis was seen to answer 400 here."""
    absent = call.missing(*channel.charge_needs)
    status = 400 if channel.pg_provider == "html5_inicis" else 200
    return missing(absent, status) if absent else None


def _amount(value: Any) -> int | float | None:
    try:
        amount = float(value)
    except (TypeError, ValueError):
        return None
    return int(amount) if amount.is_integer() else amount


def _echo(call: Call) -> dict[str, Any]:
    """The members that a payment repeats from its request."""
    quota = _amount(call.body.get("card_quota")) or 0
    texts = {name: call.text(name) or None for name in ("name", "custom_data", *_BUYER)}
    return texts | {"card_quota": quota, "currency": call.text("currency") or "KRW"}
