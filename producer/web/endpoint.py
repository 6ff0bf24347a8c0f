"""The card page and its endpoint, for ``python -m producer serve`` and to be mounted in a merchant's own app.

::

    app.mount("/subscription", card_app(queue))                     # FastAPI or Starlette
    ticket = Tickets.of(queue).mint(Request(operation="issue", customer_uid="gildong_0001"), session=session_id)
    redirect(f"/subscription/card?ticket={ticket}")

``GET /card`` ``/static/…`` ``/keys``; ``POST /issue-billing`` ``/onetime``; ``GET /jobs/{id}``. All times are the
server's.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response

from producer.billing_queue import BillingQueue
from producer.contract.errors import ContractError, Refused
from producer.contract.identifiers import Operation
from producer.contract.outcome import Status
from producer.errors import BrokerUnavailable, IdempotencyConflict, UnknownJob
from producer.runtime.key_file import WatchedFile
from producer.web import described, page
from producer.web.answer import Accepted, Problem, problem_of
from producer.web.api_key import ApiKeys, bearer
from producer.web.form import SubmittedCard, read_handed
from producer.web.middleware import Guard, Limits, check_site
from producer.web.settings import WebSettings
from producer.web.ticket import Ticket, Tickets

STATIC = Path(__file__).parent / "static"
KEYS_LIFE_S = 300  # how long a key set may be cached; `worker retire` waits that out
WAIT_LIMIT_S = 30
TRY_AGAIN = {Status.DECLINED, Status.EXPIRED, Status.LOST}  # another card, or the same one once more
Wait = Annotated[float, Query(ge=0, le=WAIT_LIMIT_S, description="Seconds to wait for the outcome.")]
SessionOf = Callable[[HttpRequest], str | None]


def card_app(
    queue: BillingQueue, settings: WebSettings | None = None, *, session_of: SessionOf | None = None
) -> FastAPI:
    """The app.

    Args:
        queue: where the jobs go.
        settings: by default those of the environment.
        session_of: the session that a request came in, as the merchant's app names it; by default the value of
            ``SESSION_COOKIE``, if that is set.

    Raises:
        SettingsError, KeyFileError: a setting or key file cannot be used.
    """
    desk = CardEndpoint(queue, settings or WebSettings.from_env(), session_of)
    app = FastAPI(title="Card registration", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.add_middleware(Guard)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _add_routes(app, desk)
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)
    return app


def _add_routes(app: FastAPI, desk: "CardEndpoint") -> None:
    @app.get("/card", response_class=HTMLResponse, responses=described.PAGE, summary="The card page")
    async def card(request: HttpRequest, ticket: str = "") -> Response:
        return await asyncio.to_thread(desk.show, request, ticket)

    @app.get(
        "/keys", responses=described.KEYS, summary="The key set that cards are sealed to (JWKS), and the server's clock"
    )
    async def keys() -> JSONResponse:
        members = {**desk.queue.sealing_keys(), "now": desk.now()}
        return JSONResponse(members, headers={"Cache-Control": f"private, max-age={KEYS_LIFE_S}"})

    @app.post("/issue-billing", **described.post(Operation.ISSUE), summary="Register a card that was sealed elsewhere")
    async def issue_billing(request: HttpRequest, wait: Wait = 0) -> JSONResponse:
        return await desk.take(request, Operation.ISSUE, wait)

    @app.post("/onetime", **described.post(Operation.ONETIME), summary="Pay with a card that was sealed elsewhere")
    async def onetime(request: HttpRequest, wait: Wait = 0) -> JSONResponse:
        return await desk.take(request, Operation.ONETIME, wait)

    @app.get("/jobs/{job_id}", **described.GET, summary="What became of the job of a ticket (header X-Ticket)")
    async def job(request: HttpRequest, job_id: str, wait: Wait = 0) -> JSONResponse:
        return await desk.tell(request, job_id, wait)


class CardEndpoint:
    """Takes cards in and tells outcomes.

    Args:
        queue, settings, session_of: as for :func:`card_app`.
    """

    def __init__(self, queue: BillingQueue, settings: WebSettings, session_of: SessionOf | None) -> None:
        self.queue, self.settings = queue, settings
        self.tickets = Tickets.of(queue)
        cookie = settings.session_cookie
        self._session_of = session_of or (lambda request: request.cookies.get(cookie) if cookie else None)
        self._limits = Limits(
            settings.limits_url or queue.settings.ledger_url, settings.limit_per_address, settings.limit_per_customer
        )
        path = settings.api_keys_file
        self._api_keys = None if path is None else WatchedFile(path, ApiKeys.load)

    def now(self) -> float:
        """The server's clock, Unix seconds."""
        return self.tickets.now()

    def show(self, request: HttpRequest, text: str) -> Response:
        """The page; it goes on where the ticket's job is, also after a reload or on another device."""
        ticket, job_id = None, ""
        with contextlib.suppress(Refused, BrokerUnavailable):
            ticket = self.tickets.read(text, is_for_reading=True, any_session=True)
            job_id = "" if self._is_new(ticket) else ticket.job_id
        return page.render(self.settings, text, ticket, job_id, request)

    async def take(self, request: HttpRequest, operation: Operation, wait_s: float) -> JSONResponse:
        """Take a card in, from a page or from another backend."""
        key = bearer(request.headers)
        if key is None:
            check_site(request.headers)
        plain = self.settings.allow_plain_form
        handed = await read_handed(request, operation, allow_plain=plain, is_backend=key is not None)
        ticket = self._ticket(request, handed) if key is None else self._own_ticket(key, handed, operation)
        if ticket.request.operation is not operation:
            raise Problem("ticket_invalid", "the ticket is for something else")
        address = request.client.host if request.client and key is None else None
        is_new = await asyncio.to_thread(self._enqueue, ticket, handed, address)
        return await self._answer(request, ticket, wait_s, is_open=is_new and not wait_s)

    async def tell(self, request: HttpRequest, job_id: str, wait_s: float) -> JSONResponse:
        """Tell the holder of a ticket what became of its job."""
        text = request.headers.get("x-ticket", "")
        ticket = self.tickets.read(text, session=self._session_of(request), is_for_reading=True)
        if job_id != ticket.job_id:
            raise Problem("unknown_job")
        return await self._answer(request, ticket, wait_s)

    def _ticket(self, request: HttpRequest, handed: SubmittedCard) -> Ticket:
        return self.tickets.read(handed.ticket, session=self._session_of(request))

    def _own_ticket(self, key: str, handed: SubmittedCard, operation: Operation) -> Ticket:
        """Another backend says itself what it wants; its idempotency key makes the ticket."""
        caller = self._api_keys.get().caller(key) if self._api_keys else None
        if caller is None:
            raise Problem("api_key_invalid")
        if operation not in caller.may:
            raise Problem("not_allowed")
        return self.tickets.for_caller(caller.name, handed.request(operation), handed.idempotency_key)

    def _enqueue(self, ticket: Ticket, handed: SubmittedCard, address: str | None) -> bool:
        """Enqueue the ticket's job; whether this is the first time that it is asked for."""
        is_new = self._is_new(ticket)
        if is_new:
            customer = ticket.request.customer_uid or ticket.request.merchant_uid
            self._limits.count(address=address, customer=customer)
        arguments = {name: value for name, value in ticket.request.fields().items() if name != "operation"}
        arguments["idempotency_key"] = ticket.idempotency_key
        try:
            if ticket.request.operation is Operation.ONETIME:
                self.queue.onetime(**arguments, card=handed.card, envelope=handed.envelope)
            elif handed.envelope is not None:
                self.queue.issue_sealed(**arguments, envelope=handed.envelope)
            else:
                assert handed.card is not None  # noqa: S101 — one of the two is there
                self.queue.issue(**arguments, card=handed.card)
        except BrokerUnavailable as error:
            if not error.accepted:
                raise
        return is_new

    def _is_new(self, ticket: Ticket) -> bool:
        """Whether this is the first time that its job is asked for: repeating it is no second card."""
        try:
            self.queue.outcome(ticket.job_id)
        except UnknownJob:
            return True
        return False

    async def _answer(
        self, request: HttpRequest, ticket: Ticket, wait_s: float, *, is_open: bool = False
    ) -> JSONResponse:
        outcome = None
        if wait_s:
            with contextlib.suppress(TimeoutError):
                outcome = await self.queue.await_outcome(ticket.job_id, wait_s)
        elif not is_open:
            outcome = await self.queue.aoutcome(ticket.job_id)
        may_retry = outcome is not None and outcome.status in TRY_AGAIN
        renewed = self.tickets.renewed(ticket) if may_retry else None
        text = self.tickets.text(ticket)
        return Accepted(ticket.job_id, outcome, text, renewed).response(request.scope.get("root_path", ""))


async def _contract(_request: HttpRequest, error: Exception) -> JSONResponse:
    assert isinstance(error, ContractError)  # noqa: S101 — registered for it
    return problem_of(error).response()


def _always(code: str) -> Callable[[HttpRequest, Exception], Awaitable[JSONResponse]]:
    async def answer(_request: HttpRequest, _error: Exception) -> JSONResponse:
        return Problem(code, "the request is not as it should be" if code == "refused" else None).response()

    return answer


async def _problem(_request: HttpRequest, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 — registered for it
    return error.response()


_ANSWERS: dict[type[Exception], Callable[[HttpRequest, Exception], Awaitable[JSONResponse]]] = {
    Problem: _problem,
    ContractError: _contract,
    BrokerUnavailable: _always("unavailable"),
    IdempotencyConflict: _always("ticket_used"),
    UnknownJob: _always("unknown_job"),
    RequestValidationError: _always("refused"),
}
