"""The card page and its endpoint, for ``python -m producer serve`` and to be mounted in a merchant's own app.

::

    app.mount("/subscription", card_app(queue))                     # FastAPI or Starlette
    ticket = Tickets.of(queue).mint(Request(operation="issue", customer_uid="gildong_0001"), session=session_id)
    redirect(f"/subscription/card?ticket={ticket}")

``GET /card`` ``/static/…`` ``/keys``; ``POST /issue-billing`` ``/onetime`` ``/tickets``; ``GET /jobs/{id}``. All times
are the server's.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp

from ..billing_queue import BillingQueue
from ..contract.card import Card
from ..contract.errors import ContractError, Refused
from ..contract.identifiers import Operation
from ..contract.outcome import Outcome, Status
from ..errors import BrokerUnavailable, IdempotencyConflict, UnknownJob
from ..runtime import tracing
from ..runtime.key_file import WatchedFile
from . import schema
from .api_key import ApiKeys, Caller, bearer
from .middleware import Guard, check_site
from .page import Page
from .rate_limit import Limits
from .schema import ERRORS, EndpointError, OpenJob, PageBody, SettledJob, SubmittedCard, post_card
from .settings import WebSettings
from .ticket import Ticket, Tickets

STATIC = Path(__file__).parent / "static"
KEYS_LIFE_S = 300  # how long a key set may be cached; `worker retire` waits that out
WAIT_LIMIT_S = 30
TRY_AGAIN = {Status.DECLINED, Status.EXPIRED, Status.LOST}  # another card, or the same one once more
Wait = Annotated[float, Query(ge=0, le=WAIT_LIMIT_S, description="Seconds to wait for the outcome.")]
SessionOf = Callable[[HttpRequest], str | None]


class _GuardedApp(FastAPI):
    """An app in its guard: middleware that is added to an app does not see its answers to bugs."""

    def build_middleware_stack(self) -> ASGIApp:
        return Guard(super().build_middleware_stack())


def card_app(
    queue: BillingQueue, settings: WebSettings | None = None, *, session_of: SessionOf | None = None
) -> FastAPI:
    """The card page and its endpoint as an app.

    Args:
        queue: where the jobs go.
        settings: by default those of the environment.
        session_of: the session that a request came in, as the merchant's app names it; by default the value of
            ``SESSION_COOKIE``, if that is set.

    Raises:
        SettingsError, KeyFileError: a setting or key file cannot be used.
    """
    endpoint = CardEndpoint(queue, settings or WebSettings.from_env(), session_of)
    app = _GuardedApp(
        title="Card registration",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,  # a redirect would lead to whatever the Host header says
        telemetry={"tracing": False, "metrics": False, "logs": False},  # its spans have paths, and tickets in queries
    )
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _add_routes(app, endpoint)
    for kind, error_of in _ERRORS.items():
        app.add_exception_handler(kind, _handler(error_of))
    return app


def _add_routes(app: FastAPI, endpoint: "CardEndpoint") -> None:
    @app.get("/card", response_class=HTMLResponse, responses=schema.errors(422), summary="The card page")
    async def card(request: HttpRequest, ticket: str = "") -> Response:
        return await asyncio.to_thread(endpoint.show, request, ticket)

    @app.get(
        "/keys",
        responses={200: {"model": schema.KeySet, "description": "The key set."}},
        summary="The key set that cards are sealed to (JWKS), and the server's clock",
    )
    async def keys() -> JSONResponse:
        members = {**endpoint.queue.sealing_keys(), "now": endpoint.tickets.now()}
        return JSONResponse(members, headers={"Cache-Control": f"private, max-age={KEYS_LIFE_S}"})

    @app.post("/issue-billing", **post_card(Operation.ISSUE), summary="Register a card that was sealed elsewhere")
    async def issue_billing(request: HttpRequest, wait: Wait = 0) -> JSONResponse:
        return await endpoint.take(request, Operation.ISSUE, wait)

    @app.post("/onetime", **post_card(Operation.ONETIME), summary="Pay with a card that was sealed elsewhere")
    async def onetime(request: HttpRequest, wait: Wait = 0) -> JSONResponse:
        return await endpoint.take(request, Operation.ONETIME, wait)

    @app.post("/tickets", **schema.POST_TICKET, summary="A ticket for the card page, for another backend's customer")
    async def ticket(request: HttpRequest) -> JSONResponse:
        return await endpoint.mint(request)

    @app.get("/jobs/{job_id}", **schema.GET_JOB, summary="What became of the job of a ticket (header X-Ticket)")
    async def job(request: HttpRequest, job_id: str, wait: Wait = 0) -> JSONResponse:
        return await endpoint.tell(request, job_id, wait)


class CardEndpoint:
    """Takes cards in and tells outcomes.

    Args:
        queue, settings, session_of: as for :func:`card_app`.
    """

    def __init__(self, queue: BillingQueue, settings: WebSettings, session_of: SessionOf | None) -> None:
        self.queue, self.settings = queue, settings
        self.tickets = Tickets.of(queue, settings.return_origins)
        self._page = Page(settings)
        cookie = settings.session_cookie
        self._session_of = session_of or (lambda request: request.cookies.get(cookie) if cookie else None)
        self._limits = Limits(
            settings.limits_url or queue.settings.ledger_url, settings.limit_per_address, settings.limit_per_customer
        )
        self._limits.check()
        path = settings.api_keys_file
        self._api_keys = None if path is None else WatchedFile(path, ApiKeys.load)

    def show(self, request: HttpRequest, text: str) -> Response:
        """The page; it goes on where the ticket's job is, also after a reload or on another device."""
        ticket, job_id = None, ""
        try:
            ticket, job_id = self._last_try(self.tickets.parse(text))
            text = self.tickets.text(ticket)
        except Refused as refused:
            text = ""
            if refused.code == "return_url_refused":  # a ticket of ours: a setting is missing
                logging.getLogger(__name__).warning("a ticket was refused: %s", ERRORS[refused.code][1])
        return self._page.render(text, ticket, job_id, request)

    def _last_try(self, ticket: Ticket) -> tuple[Ticket, str]:
        """The ticket of the last card that was tried, and its job: an earlier one that was declined is past."""
        last, job_id = ticket, ""
        with contextlib.suppress(UnknownJob, BrokerUnavailable):
            for one in ticket.tries(self.tickets.now()):
                outcome = self.queue.outcome(one.job_id)
                last, job_id = one, one.job_id
                if outcome is None or outcome.status not in TRY_AGAIN:
                    break
        return last, job_id

    async def take(self, request: HttpRequest, operation: Operation, wait_s: float) -> JSONResponse:
        """Take a card in, from a page or from another backend."""
        key = bearer(request.headers)
        submitted = await (
            self._of_page(request, operation) if key is None else self._of_backend(request, operation, key)
        )
        repeated = await asyncio.to_thread(self._enqueue, submitted)
        outcome = await self._outcome(submitted.ticket.job_id, wait_s) if repeated or wait_s else None
        return self._answer(request, submitted.ticket, outcome, repeated=repeated)

    async def tell(self, request: HttpRequest, job_id: str, wait_s: float) -> JSONResponse:
        """Tell the holder of a ticket its job's outcome."""
        text = request.headers.get("x-ticket", "")
        ticket = self.tickets.tried(text, job_id, session=self._session_of(request))
        if ticket is None:
            raise EndpointError("unknown_job")
        return self._answer(request, ticket, await self._outcome(job_id, wait_s))

    async def mint(self, request: HttpRequest) -> JSONResponse:
        """Make a ticket for another backend's customer; the backend's own key makes its job."""
        caller = self._caller(bearer(request.headers) or "")
        body = await schema.read_json(request, schema.TicketBody)
        _check_may(caller, body.operation)
        asked, jti = schema.asked_in(body), caller.jti(body.idempotency_key)
        text = self.tickets.mint(asked, jti=jti, return_url=body.return_url)
        return JSONResponse(
            {"ticket": text, "page_url": f"{request.scope.get('root_path', '')}/card?ticket={text}"}, 201
        )

    def _caller(self, key: str) -> Caller:
        caller = self._api_keys.get().caller(key) if self._api_keys else None
        if caller is None:
            raise EndpointError("api_key_invalid", headers={"WWW-Authenticate": "Bearer"})
        return caller

    async def _of_page(self, request: HttpRequest, operation: Operation) -> SubmittedCard:
        """The card of a customer's page: all else stands in its ticket."""
        check_site(request.headers)
        card: str | Card
        if self.settings.allow_plain_form and schema.media_type(request) == schema.FORM:
            text, card = await schema.read_form(request, operation)
        else:
            body = await schema.read_json(request, PageBody)
            text, card = body.ticket, body.envelope
        ticket = self.tickets.read(text, session=self._session_of(request))
        if ticket.request.operation is not operation:
            raise EndpointError("ticket_invalid", "the ticket is for something else")
        return SubmittedCard(ticket, card, request.client.host if request.client else None)

    async def _of_backend(self, request: HttpRequest, operation: Operation, key: str) -> SubmittedCard:
        """The card of another backend, which says itself what it wants; its idempotency key makes the ticket."""
        caller = self._caller(key)
        _check_may(caller, operation)
        body = await schema.read_json(request, schema.BACKEND_BODIES[operation])
        ticket = self.tickets.for_caller(schema.asked_in(body), caller.jti(body.idempotency_key))
        return SubmittedCard(ticket, body.envelope, traceparent=request.headers.get("traceparent"))

    def _enqueue(self, submitted: SubmittedCard) -> bool:
        """Enqueue the ticket's job; True if an earlier card of it counts."""
        ticket = submitted.ticket
        is_new = self._is_new(ticket)
        if is_new:
            uid, order = ticket.request.customer_uid, ticket.request.merchant_uid
            self._limits.count(address=submitted.address, customer=uid, order=None if uid else order)
        arguments = {**ticket.request.fields(), "idempotency_key": ticket.idempotency_key}
        operation = Operation(arguments.pop("operation"))
        form = "card" if isinstance(submitted.card, Card) else "envelope"
        try:
            with tracing.within(submitted.traceparent):
                return bool(self._sender(operation, form)(**arguments, **{form: submitted.card}).repeated)
        except BrokerUnavailable as error:
            if not error.accepted:
                raise
        return not is_new

    def _sender(self, operation: Operation, form: str) -> Callable[..., Any]:
        if operation is Operation.ONETIME:
            return self.queue.onetime
        return self.queue.issue if form == "card" else self.queue.issue_sealed

    def _is_new(self, ticket: Ticket) -> bool:
        """True if its job is asked for the first time: repeating it is no second card."""
        try:
            self.queue.outcome(ticket.job_id)
        except UnknownJob:
            return True
        return False

    async def _outcome(self, job_id: str, wait_s: float) -> Outcome | None:
        if not wait_s:
            return await self.queue.aoutcome(job_id)
        with contextlib.suppress(TimeoutError):
            return await self.queue.await_outcome(job_id, wait_s)
        return None

    def _answer(
        self, request: HttpRequest, ticket: Ticket, outcome: Outcome | None, *, repeated: bool = False
    ) -> JSONResponse:
        if outcome is None:
            where = f"{request.scope.get('root_path', '')}/jobs/{ticket.job_id}"
            text = self.tickets.text(ticket)
            return OpenJob(job_id=ticket.job_id, status_url=where, status_ticket=text, repeated=repeated).response()
        renewed = self.tickets.renewed(ticket) if outcome.status in TRY_AGAIN else None
        return SettledJob.response(outcome, renewed or "", repeated)


def _check_may(caller: Caller, operation: Operation) -> None:
    if operation not in caller.may:
        raise EndpointError("not_allowed")


_ERRORS: dict[type[Exception], Callable[[Any], EndpointError]] = {
    EndpointError: lambda error: error,
    Refused: lambda error: EndpointError(error.code) if error.code in ERRORS else EndpointError("refused", error.code),
    ContractError: lambda error: EndpointError("refused", str(error)),
    BrokerUnavailable: lambda _error: EndpointError("unavailable"),
    IdempotencyConflict: lambda _error: EndpointError("ticket_used"),
    UnknownJob: lambda _error: EndpointError("unknown_job"),
    RequestValidationError: lambda _error: EndpointError("refused"),
}


def _handler(error_of: Callable[[Any], EndpointError]) -> Callable[[HttpRequest, Exception], Awaitable[JSONResponse]]:
    async def handle(_request: HttpRequest, error: Exception) -> JSONResponse:
        return error_of(error).response()

    return handle
