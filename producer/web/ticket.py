"""Ticket: a merchant's app lets one customer's page do one job, for a while, in one session.

A compact JWS of the producer's own signing key, ``typ`` ``ticket+jws``. Its payload is the request but for the card,
and ``jti attempt session iat exp return_url`` (Unix seconds of the server's clock). The ticket is the idempotency key:
the same ticket is the same job, however often it comes. A declined card renews it, a few times.
"""

import hmac
import json
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from hashlib import sha256
from typing import Any, NamedTuple, Self

from ..billing_queue import BillingQueue
from ..contract.errors import InvalidRequest, Refused
from ..contract.identifiers import Operation, job_id_of
from ..contract.job import TICKET_LIFE_LIMIT_S, Request
from ..contract.jose import DuplicateMember, loads
from ..contract.open_fields import check_open_fields
from ..sealing import SigningKey
from .origin import URL_LIMIT, origin_of

TICKET_TYP = "ticket+jws"
LIFE_S = 1800
RENEWED_LIFE_S = 600  # at least so long a renewed ticket is good
ATTEMPTS = 5  # cards that may be tried with one ticket and what renews it: enough for a customer, few for a card tester
OWN = ("jti", "attempt", "session", "iat", "exp", "return_url")


class Ticket(NamedTuple):
    """A ticket that was read.

    Args:
        request: all but the card.
        jti: unique; the root of the idempotency key.
        attempt: 1, or one more for each declined card before.
        session: SHA-256 of the session it is bound to, or None.
        iat, exp: Unix seconds between which a card may be handed in with it.
        return_url: the shop's address that the customer goes back to.
    """

    request: Request
    jti: str
    attempt: int
    session: str | None
    iat: int
    exp: int
    return_url: str | None = None

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

    def tries(self, now: float) -> Iterator[Self]:
        """The ticket and those that declined cards lead to, one after another."""
        one: Self | None = self
        while one is not None:
            yield one
            one = one.renewed(now)


class Tickets:
    """Makes and reads tickets.

    Args:
        signing: gives the producer's signing key.
        clock: Unix seconds.
        return_origins: those that a ticket may lead back to; by default any, and who serves the page is more strict.
    """

    def __init__(
        self,
        signing: Callable[[], SigningKey],
        clock: Callable[[], float] = time.time,
        return_origins: Collection[str] | None = None,
    ) -> None:
        self._signing, self._clock, self._return_origins = signing, clock, return_origins

    @classmethod
    def of(cls, queue: BillingQueue, return_origins: Collection[str] | None = None) -> Self:
        """Tickets of the producer that a queue is."""
        return cls(queue.signing_key, return_origins=return_origins)

    def now(self) -> float:
        """The server's clock, Unix seconds."""
        return self._clock()

    def for_caller(self, request: Request, jti: str) -> Ticket:
        """The ticket of another backend's own request, whose key makes the job."""
        now = int(self._clock())
        return Ticket(request, jti, 1, None, now, now + LIFE_S)

    def mint(
        self,
        request: Request,
        *,
        session: str | None = None,
        life_s: int = LIFE_S,
        jti: str | None = None,
        return_url: str | None = None,
    ) -> str:
        """Make a ticket.

        Args:
            request: the job that the customer may begin, all but the card.
            session: the app's name for the customer's session; a page in another session cannot use it.
            life_s: seconds for which a card may be handed in, 1 to 86400.
            jti: at most 150 printable characters; the same one is the same job. Random by default.
            return_url: the shop's address that the customer goes back to, with ``job_id`` and ``status`` added to its
                query. https, or http on this machine; of an origin that ``RETURN_ORIGINS`` names where the page is
                served. The shop believes neither: it asks for the outcome of :meth:`tried`.

        Raises:
            InvalidRequest: ``life_s``, ``jti`` or ``return_url`` breaks its rule, or an open field reads as personal
                data.
        """
        self._check_how(life_s, jti, return_url)
        now = int(self._clock())
        check_open_fields(dict(request), None, now=now)
        digest = None if session is None else digest_of(session)
        return self.text(Ticket(request, jti or secrets.token_urlsafe(16), 1, digest, now, now + life_s, return_url))

    def _check_how(self, life_s: int, jti: str | None, return_url: str | None) -> None:
        if not 1 <= life_s <= TICKET_LIFE_LIMIT_S:
            raise InvalidRequest([("life_s", f"must be 1 to {TICKET_LIFE_LIMIT_S} seconds")])
        if jti is not None and not (0 < len(jti) <= 150 and jti.isprintable()):
            raise InvalidRequest([("jti", "must be 1 to 150 printable characters")])
        if return_url is not None and (rule := self._rule_broken(return_url)):
            raise InvalidRequest([("return_url", rule)])

    def _rule_broken(self, return_url: str) -> str | None:
        origin = origin_of(return_url)
        if origin is None:
            return f"must be an https URL of at most {URL_LIMIT} ASCII characters with a path and without a fragment"
        allowed = self._return_origins
        return None if allowed is None or origin in allowed else "is of an origin that RETURN_ORIGINS does not name"

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
            Refused: ``ticket_invalid``, ``return_url_refused``, ``ticket_expired`` or ``ticket_of_another_session``.
        """
        ticket = self.parse(text)
        if ticket.session is not None and not hmac.compare_digest(ticket.session, digest_of(session or "")):
            raise Refused("ticket_of_another_session")
        if self._clock() > ticket.exp and not is_for_reading:
            raise Refused("ticket_expired")
        return ticket

    def tried(self, text: str, job_id: str, *, session: str | None = None) -> Ticket | None:
        """The ticket of a job that a customer came back with: the one that was minted, or one that renewed it.

        None if the job is another's, whose outcome says nothing of this ticket.

        Args:
            text: the ticket that the shop has minted and kept with its order.
            job_id: as the customer brought it.
            session: the session that the customer came in.

        Raises:
            Refused: as :meth:`read`; a ticket is good for this after its end, too.
        """
        ticket = self.read(text, session=session, is_for_reading=True)
        return next((one for one in ticket.tries(self._clock()) if one.job_id == job_id), None)

    def renewed(self, ticket: Ticket) -> str | None:
        """The text of the ticket that a declined card leads to, if there is one."""
        again = ticket.renewed(self._clock())
        return None if again is None else self.text(again)

    def parse(self, text: str) -> Ticket:
        """A ticket of ours, whatever its session and its end.

        Raises:
            Refused: ``ticket_invalid``, or ``return_url_refused``.
        """
        ticket = self._parsed(text)
        if ticket is None:
            raise Refused("ticket_invalid")
        if ticket.return_url is not None and self._rule_broken(ticket.return_url):
            raise Refused("return_url_refused")
        return ticket

    def _parsed(self, text: str) -> Ticket | None:
        try:
            members: Any = loads(self._signing().verify_as(TICKET_TYP, text, now=self._clock()))
            own = {name: members.pop(name, None) for name in OWN}
            return Ticket(Request(operation=Operation(members.pop("purpose")), **members), **own)
        except (Refused, InvalidRequest, DuplicateMember, ValueError, KeyError, TypeError, AttributeError):
            return None


def digest_of(session: str) -> str:
    """The trace that a session leaves in its tickets."""
    return sha256(b"session:" + session.encode()).hexdigest()
