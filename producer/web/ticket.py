"""Ticket: a merchant's app lets one customer's page do one job, for a while, in one session.

A compact JWS of the producer's own signing key, ``typ`` ``ticket+jws``. Its payload is the request but for the card,
and ``jti attempt session iat exp`` (Unix seconds of the server's clock). The ticket is the idempotency key: the same
ticket is the same job, however often it comes. A declined card renews it, a few times.
"""

import hmac
import json
import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple, Self

from ..billing_queue import BillingQueue
from ..contract.errors import InvalidRequest, Refused
from ..contract.identifiers import Operation, job_id_of
from ..contract.job import TICKET_LIFE_LIMIT_S, Request
from ..contract.jose import DuplicateMember, loads
from ..contract.open_fields import check_open_fields
from ..sealing import SigningKey

TICKET_TYP = "ticket+jws"
LIFE_S = 1800
RENEWED_LIFE_S = 600  # at least so long a renewed ticket is good
ATTEMPTS = 5  # cards that may be tried with one ticket and what renews it: enough for a customer, few for a card tester
OWN = ("jti", "attempt", "session", "iat", "exp")


class Ticket(NamedTuple):
    """A ticket that was read.

    Args:
        request: all but the card.
        jti: unique; the root of the idempotency key.
        attempt: 1, or one more for each declined card before.
        session: SHA-256 of the session it is bound to, or None.
        iat, exp: Unix seconds between which a card may be handed in with it.
    """

    request: Request
    jti: str
    attempt: int
    session: str | None
    iat: int
    exp: int

    @property
    def idempotency_key(self) -> str:
        """The key that makes the ticket's job."""
        return f"ticket:{self.jti}:{self.attempt}"

    @property
    def job_id(self) -> str:
        """The id of the ticket's job."""
        return job_id_of(self.idempotency_key)

    def renewed(self, now: float) -> Self | None:
        """The ticket that a declined card leads to, always the same one; None after the last attempt."""
        if self.attempt >= ATTEMPTS:
            return None
        return self._replace(attempt=self.attempt + 1, exp=max(self.exp, int(now) + RENEWED_LIFE_S))


class Tickets:
    """Makes and reads tickets.

    Args:
        signing: gives the producer's signing key.
        clock: Unix seconds.
    """

    def __init__(self, signing: Callable[[], SigningKey], clock: Callable[[], float] = time.time) -> None:
        self._signing, self._clock = signing, clock

    @classmethod
    def of(cls, queue: BillingQueue) -> Self:
        """Tickets of the producer that a queue is."""
        return cls(queue.signing_key)

    def now(self) -> float:
        """The server's clock, Unix seconds."""
        return self._clock()

    def for_caller(self, name: str, request: Request, idempotency_key: str | None) -> Ticket:
        """The ticket of another backend's own request: its key makes the job, or a random one does."""
        now = int(self._clock())
        return Ticket(request, f"api:{name}:{idempotency_key or secrets.token_urlsafe(16)}", 1, None, now, now + LIFE_S)

    def mint(
        self, request: Request, *, session: str | None = None, life_s: int = LIFE_S, jti: str | None = None
    ) -> str:
        """Make a ticket.

        Args:
            request: the job that the customer may begin, all but the card.
            session: the app's name for the customer's session; a page in another session cannot use it.
            life_s: seconds for which a card may be handed in, 1 to 86400.
            jti: at most 150 printable characters; the same one is the same job. Random by default.

        Raises:
            InvalidRequest: ``life_s`` or ``jti`` breaks its rule, or an open field reads as personal data.
        """
        if not 1 <= life_s <= TICKET_LIFE_LIMIT_S:
            raise InvalidRequest([("life_s", f"must be 1 to {TICKET_LIFE_LIMIT_S} seconds")])
        if jti is not None and not (0 < len(jti) <= 150 and jti.isprintable()):
            raise InvalidRequest([("jti", "must be 1 to 150 printable characters")])
        now = int(self._clock())
        check_open_fields(dict(request), None, now=now)
        digest = None if session is None else digest_of(session)
        return self.text(Ticket(request, jti or secrets.token_urlsafe(16), 1, digest, now, now + life_s))

    def text(self, ticket: Ticket) -> str:
        """A ticket as it travels."""
        members = {"purpose": str(ticket.request.operation), **ticket.request.fields()}
        del members["operation"]
        members |= {name: value for name in OWN if (value := getattr(ticket, name)) is not None}
        return self._signing().sign_as(TICKET_TYP, json.dumps(members, separators=(",", ":")).encode())

    def read(self, text: str, *, session: str | None = None, is_for_reading: bool = False) -> Ticket:
        """A ticket that holds in this session, now.

        Args:
            text: as it came.
            session: the session that it came in, if the app knows one.
            is_for_reading: to ask for an outcome, which a ticket is good for after its end, too.

        Raises:
            Refused: ``ticket_invalid``, ``ticket_expired`` or ``ticket_of_another_session``.
        """
        ticket = self.parse(text)
        if ticket.session is not None and not hmac.compare_digest(ticket.session, digest_of(session or "")):
            raise Refused("ticket_of_another_session")
        if self._clock() > ticket.exp and not is_for_reading:
            raise Refused("ticket_expired")
        return ticket

    def renewed(self, ticket: Ticket) -> str | None:
        """The text of the ticket that a declined card leads to, if there is one."""
        again = ticket.renewed(self._clock())
        return None if again is None else self.text(again)

    def parse(self, text: str) -> Ticket:
        """A ticket of ours, whatever its session and its end.

        Raises:
            Refused: ``ticket_invalid``.
        """
        try:
            members: Any = loads(self._signing().verify_as(TICKET_TYP, text, now=self._clock()))
            own = {name: members.pop(name, None) for name in OWN}
            request = Request(operation=Operation(members.pop("purpose")), **members)
            return Ticket(request, **own)
        except (Refused, InvalidRequest, DuplicateMember, ValueError, KeyError, TypeError, AttributeError):
            pass
        raise Refused("ticket_invalid")


def digest_of(session: str) -> str:
    """The trace that a session leaves in its tickets."""
    return sha256(b"session:" + session.encode()).hexdigest()
