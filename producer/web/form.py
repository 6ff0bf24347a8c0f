"""Form: what is handed in: a ticket and a sealed card, as JSON; or a plain form, where the merchant allows that."""

import contextlib
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request as HttpRequest

from producer.contract.card import Card
from producer.contract.identifiers import Operation
from producer.contract.job import Request
from producer.contract.jose import DuplicateMember, loads
from producer.web.answer import Problem

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
OF_A_PAGE = frozenset({"ticket", "envelope"})
OF_A_BACKEND = frozenset(Request.model_fields) - {"operation"} | {"envelope", "idempotency_key"}


class SubmittedCard(NamedTuple):
    """What was handed in.

    Args:
        members: JSON members but for ticket and envelope: of another backend only.
        card: of a plain form; it lives until it is sealed, a moment later.
    """

    ticket: str
    envelope: str | None
    card: Card | None
    members: dict[str, Any]

    @property
    def idempotency_key(self) -> str | None:
        """Another backend's own key."""
        key = self.members.get("idempotency_key")
        if key is not None and (not isinstance(key, str) or not 0 < len(key) <= 100 or not key.isprintable()):
            raise Problem("refused", "idempotency_key: must be 1 to 100 printable characters")
        return key

    def request(self, operation: Operation) -> Request:
        """What another backend asks.

        Raises:
            InvalidRequest: a field breaks its rule.
        """
        fields = {name: value for name, value in self.members.items() if name != "idempotency_key"}
        return Request(**{**fields, "operation": operation})


async def read_handed(
    request: HttpRequest, operation: Operation, *, allow_plain: bool, is_backend: bool
) -> SubmittedCard:
    """Read a body.

    Args:
        request, operation: what came, and what it asks.
        allow_plain: a form with the card in clear may be.
        is_backend: who came with an API key may say more than a page.

    Raises:
        Problem: it is not as it should be.
        InvalidCard: of a plain form, a field breaks its rule.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind == FORM and allow_plain:
        return _plain(body, operation)
    if kind != JSON:
        raise Problem("not_json")
    return _sealed(body, is_backend=is_backend)


def _sealed(body: bytes, *, is_backend: bool) -> SubmittedCard:
    members: Any = None
    with contextlib.suppress(DuplicateMember, ValueError, RecursionError):
        members = loads(body)
    if not isinstance(members, dict):
        raise Problem("refused", "the body must be a JSON object, each member once")
    ticket, envelope = members.get("ticket", ""), members.get("envelope")
    if not isinstance(envelope, str) or not isinstance(ticket, str):
        raise Problem("refused", "envelope: must be text" if isinstance(ticket, str) else "ticket: must be text")
    if members.keys() - (OF_A_BACKEND if is_backend else OF_A_PAGE):
        raise Problem("refused", "there is a member that has no use here")
    others = {name: value for name, value in members.items() if name not in OF_A_PAGE}
    return SubmittedCard(ticket, envelope, None, others)


def _plain(body: bytes, operation: Operation) -> SubmittedCard:
    """The guide's form; the customer_uid that it may hold is not believed, the ticket's is."""
    try:
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=30))
    except ValueError:
        raise Problem("refused", "the form has too many fields") from None
    allowed = Card.fields_of_issue if operation is Operation.ISSUE else Card.fields_of_onetime
    card = Card(**{name: value for name, value in fields.items() if name in allowed and value})
    return SubmittedCard(fields.get("ticket", ""), None, card, {})
