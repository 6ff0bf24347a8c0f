"""Requests and answers of the endpoint: models, from which its OpenAPI follows, and the codes of its errors."""

from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from fastapi import Security
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ..contract.card import Card
from ..contract.envelope import ENVELOPE_LIMIT
from ..contract.errors import InvalidRequest, Refused, problems_of
from ..contract.identifiers import CustomerUid, MerchantUid, Operation, printable
from ..contract.job import Amount, OrderName, Request
from ..contract.jose import json_object
from ..contract.outcome import NextStep, Outcome, Status
from .decline import reason_of
from .origin import URL_LIMIT
from .ticket import Ticket

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
FORM_FIELDS_LIMIT = 30
REFUSAL = "billing.refusal"  # of a request's scope: the code that it was refused with
ERRORS = {
    "ticket_invalid": (401, "the ticket does not hold"),
    "return_url_refused": (401, "the ticket leads back to an origin that RETURN_ORIGINS does not name"),
    "api_key_invalid": (401, "the API key is not known"),
    "not_allowed": (403, "this API key may not ask for that"),
    "ticket_of_another_session": (403, "the ticket belongs to another session"),
    "other_site": (403, "the request comes from another site"),
    "unknown_job": (404, "no such job, or not yours"),
    "too_slow": (408, "the body took too long"),
    "ticket_used": (409, "the ticket was used for another request"),
    "ticket_expired": (410, "the ticket has expired; ask the shop for a new one"),
    "too_large": (413, "the body is too large"),
    "not_json": (415, "the body must be JSON"),
    "refused": (422, "the request is not as it should be"),
    "too_many": (429, "too many cards; try again later"),
    "unavailable": (503, "not accepted for sure; try again with the same ticket"),
}  # HTTP status and words, by code


class EndpointError(Exception):
    """A request that is answered with an error.

    Args:
        code: one of :data:`ERRORS`.
        message: in words, safe to show; the code's own by default.
        headers: of the answer.
    """

    def __init__(self, code: str, message: str | None = None, headers: dict[str, str] | None = None) -> None:
        self.code, self._message, self._headers = code, message, headers
        super().__init__(code)

    def response(self) -> JSONResponse:
        """The answer, in JSON."""
        status, words = ERRORS[self.code]
        return _Refusal(self.code, self._message or words, status, self._headers)


class _Refusal(JSONResponse):
    """An answer that leaves its code in the scope, for whoever counts."""

    def __init__(self, code: str, message: str, status: int, headers: dict[str, str] | None) -> None:
        super().__init__({"error": code, "message": message}, status, headers)
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[REFUSAL] = self._code
        await super().__call__(scope, receive, send)


EnvelopeText = Annotated[str, Field(max_length=ENVELOPE_LIMIT, description="The sealed card: a compact JWE.")]
OwnKey = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(printable)]


class PageBody(BaseModel):
    """A page hands a card in with its ticket."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, json_schema_extra={"required": ["ticket", "envelope"]}
    )

    ticket: str = ""  # none is answered like one that does not hold
    envelope: EnvelopeText


class IssueBody(Request):
    """Another backend asks for a billing key."""

    operation: ClassVar[Operation] = Operation.ISSUE  # type: ignore[misc]  # the path says it, no member may
    customer_uid: CustomerUid
    envelope: EnvelopeText
    idempotency_key: OwnKey | None = None


class OnetimeBody(Request):
    """Another backend asks for a payment."""

    operation: ClassVar[Operation] = Operation.ONETIME  # type: ignore[misc]  # as above
    merchant_uid: MerchantUid
    amount: Annotated[Amount, Field(gt=0)]
    name: OrderName
    envelope: EnvelopeText
    idempotency_key: OwnKey | None = None


BACKEND_BODIES: dict[Operation, type[IssueBody | OnetimeBody]] = {
    Operation.ISSUE: IssueBody,
    Operation.ONETIME: OnetimeBody,
}
Body = TypeVar("Body", bound=BaseModel)


class TicketBody(Request):
    """Another backend asks for a ticket."""

    return_url: Annotated[str, Field(max_length=URL_LIMIT)] | None = None
    idempotency_key: OwnKey | None = None


class TicketMade(BaseModel):
    """A ticket, and the path of the page that it opens."""

    ticket: str
    page_url: str


def asked_in(body: Request) -> Request:
    """The request in a body that has more."""
    return Request(**{name: getattr(body, name) for name in Request.model_fields})


class ShownOutcome(BaseModel):
    """The part of an outcome that a customer may see."""

    status: Status
    next_step: NextStep
    card_name: str | None
    card_number: str | None
    pg_code: str | None
    reason: str | None


class SettledJob(BaseModel):
    """A job that has ended; with a new ticket, where the customer may try another card.

    ``repeated``: nothing new was accepted, and the first card of this key counts.
    """

    job_id: str
    status: Status
    outcome: ShownOutcome
    ticket: str = ""
    repeated: bool = False

    @classmethod
    def response(cls, outcome: Outcome, ticket: str, repeated: bool) -> JSONResponse:
        """200 with the outcome; an empty ticket, and ``repeated`` where it is not, are left out."""
        shown = ShownOutcome.model_validate({**outcome.to_dict(), "reason": reason_of(outcome)})
        settled = cls(job_id=outcome.job_id, status=outcome.status, outcome=shown, ticket=ticket, repeated=repeated)
        return JSONResponse(settled.model_dump(mode="json", exclude_defaults=True))


class OpenJob(BaseModel):
    """A job that is accepted, and where to ask for its outcome; ``repeated`` as there."""

    job_id: str
    status_url: str
    status_ticket: str
    repeated: bool = False

    def response(self) -> JSONResponse:
        """202, its address also as ``Location``."""
        return JSONResponse(self.model_dump(exclude_defaults=True), 202, {"Location": self.status_url})


class ErrorBody(BaseModel):
    """An error, by its code."""

    error: str
    message: str


class KeySet(BaseModel):
    """The keys that cards are sealed to (JWKS), and the server's clock, Unix seconds."""

    keys: list[dict[str, Any]]
    now: float


def media_type(request: HttpRequest) -> str:
    """The type of a request's body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: HttpRequest, model: type[Body]) -> Body:
    """Read a JSON body as a model.

    Raises:
        EndpointError: it is no JSON object.
        InvalidRequest: a member breaks its rule.
    """
    if media_type(request) != JSON:
        raise EndpointError("not_json")
    try:
        return model.model_validate(json_object(await request.body()))
    except Refused:
        problem: Exception = EndpointError("refused", "the body must be a JSON object, each member once")
    except ValidationError as error:
        problem = InvalidRequest(problems_of(error))
    raise problem


async def read_form(request: HttpRequest, operation: Operation) -> tuple[str, Card]:
    """Read the guide's form: ticket and card. The customer_uid that it may hold is not believed, the ticket's is.

    Raises:
        EndpointError: it has too many fields.
        InvalidCard: a field breaks its rule.
    """
    text = (await request.body()).decode("utf-8", "replace")
    try:
        fields = dict(parse_qsl(text, max_num_fields=FORM_FIELDS_LIMIT))
    except ValueError:
        raise EndpointError("refused", "the form has too many fields") from None
    allowed = Card.fields_of_issue if operation is Operation.ISSUE else Card.fields_of_onetime
    return fields.get("ticket", ""), Card(**{name: value for name, value in fields.items() if name in allowed})


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Errors, as OpenAPI describes them: in JSON, also where the answer itself is a page."""
    described = {"description": "An error, by its code.", "content": {JSON: {"schema": ErrorBody.model_json_schema()}}}
    return dict.fromkeys(statuses, described)


JOB_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": SettledJob, "description": "Settled."},
    202: {"model": OpenJob, "description": "Accepted, still open."},
}
GET_JOB: dict[str, Any] = {
    "responses": JOB_ANSWERS | errors(401, 403, 404, 422, 503),
    "openapi_extra": {
        "parameters": [{"name": "X-Ticket", "in": "header", "required": True, "schema": {"type": "string"}}]
    },
}


BY_KEY = [Security(HTTPBearer(auto_error=False, scheme_name="apiKey"))]
POST_TICKET: dict[str, Any] = {
    "status_code": 201,
    "responses": {201: {"model": TicketMade, "description": "Made."}} | errors(401, 403, 408, 413, 415, 422),
    "dependencies": BY_KEY,
    "openapi_extra": {"requestBody": {"required": True, "content": {JSON: {"schema": TicketBody.model_json_schema()}}}},
}


def post_card(operation: Operation) -> dict[str, Any]:
    """A card that is handed in, by a page with a ticket or by another backend with its API key, as OpenAPI has it."""
    bodies = [model.model_json_schema() for model in (PageBody, BACKEND_BODIES[operation])]
    content = {JSON: {"schema": {"oneOf": bodies}}}
    return {
        "responses": JOB_ANSWERS | errors(401, 403, 408, 409, 410, 413, 415, 422, 429, 503),
        "dependencies": BY_KEY,
        "openapi_extra": {"requestBody": {"required": True, "content": content}, "security": [{}]},
    }


class SubmittedCard(NamedTuple):
    """A card that was handed in.

    Args:
        ticket: the job that the card is for.
        card: a sealed one, or that of a plain form, which lives until it is sealed, a moment later.
        address: the customer's, if a page handed it in.
        traceparent: another backend's, in whose trace it is.
    """

    ticket: Ticket
    card: str | Card
    address: str | None = None
    traceparent: str | None = None
