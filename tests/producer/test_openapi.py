"""Whatever the endpoint is asked, it answers as its description says, and never with a 500.

schemathesis makes requests that fit the description and requests that do not; ours look right, down to tickets and
envelopes that hold. The same ones every time: nothing is drawn anew.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import CheckFunction, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import APIOperation
from starlette.types import Message

from producer import BillingQueue, Card
from producer.contract import redis_keys
from producer.contract.identifiers import Operation
from producer.contract.job import Request
from producer.contract.outcome import Status
from producer.web import Tickets, WebSettings, card_app
from producer.web.api_key import add_api_key
from producer.web.middleware import REQUEST_LIMIT, Guard
from tests.producer.stage import PAGE, Stage

ISSUE, ONETIME, JOB = "POST /issue-billing", "POST /onetime", "GET /jobs/{job_id}"
OPERATIONS = ("GET /card", "GET /keys", ISSUE, ONETIME, "POST /tickets", JOB)
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
CONFIG: dict[str, Any] = {
    "cache": {"enabled": False},
    "analysis": {"constants": {"enabled": False}},  # of our source: its next change would change the requests
    "checks": {
        "positive_data_acceptance": {"enabled": False},  # no schema says which tickets hold, and what is sealed
        "negative_data_rejection": {"expected-statuses": [401, 403, 405, 413, 415, 422]},
    },
}
ALWAYS_THE_SAME = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
UNLIMITED = {"limit_per_address": "999999 per hour", "limit_per_customer": "999999 per hour"}
UID, ORDER = "gildong", "order-1"


class Api:
    """The app by itself, its description, and what those who call it hold."""

    def __init__(self, stage: Stage, queue: BillingQueue, card: Card, folder: Path, **changes: Any) -> None:
        path = folder / "api_keys.json"
        path.unlink(missing_ok=True)
        self.by_key = {"Authorization": f"Bearer {add_api_key(path, 'node', ['issue', 'onetime'])}"}
        self._stage, self._queue, self._card = stage, queue, card
        self.app = app = card_app(queue, WebSettings(**{**PAGE, **UNLIMITED, "api_keys_file": path, **changes}))
        config = SchemathesisConfig.from_dict(CONFIG)
        self.description = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)

    def operation(self, label: str) -> APIOperation[Any, Any, Any, Any]:
        method, path = label.split()
        return self.description[path][method]

    def ask(self, label: str, *, is_down: bool = False, **how: Any) -> Response:
        """Ask, and check the answer by the description."""
        if label.startswith("POST"):
            how = {"media_type": "application/json", **how}
        unchecked: list[CheckFunction] = [not_a_server_error] if is_down else []
        return self.operation(label).Case(**how).call_and_validate(excluded_checks=unchecked)

    def ticket(self, *, since_s: float = 0, session: str | None = None, **asked: Any) -> str:
        asked = asked or {"operation": Operation.ISSUE, "customer_uid": UID}
        tickets = Tickets(self._queue.signing_key, lambda: time.time() + since_s)
        return tickets.mint(Request(**asked), session=session)

    def seal(self, *, since_s: int = 0, **bound: Any) -> str:
        return self._stage.seal(self._card, since_s=since_s, **(bound or {"customer_uid": UID}))

    def end(self, job_id: str, status: Status) -> None:
        self._stage.finish(self._stage.keys.verified(self._stage.sealed(job_id)), status)


@pytest.fixture
def api(stage: Stage, queue: BillingQueue, card: Card, tmp_path: Path) -> Api:
    return Api(stage, queue, card, tmp_path)


def test_every_operation_is_asked(api: Api) -> None:
    paths = api.description.raw_schema["paths"].items()

    assert {f"{method.upper()} {path}" for path, operations in paths for method in operations} == set(OPERATIONS)


def test_every_error_is_described_as_json(api: Api) -> None:
    operations = [one for path in api.description.raw_schema["paths"].values() for one in path.values()]
    errors = [answer for one in operations for status, answer in one["responses"].items() if int(status) >= 400]

    assert {tuple(answer["content"]) for answer in errors} == {("application/json",)}


@pytest.mark.parametrize(
    ("label", "mode"),
    [(label, mode) for label in OPERATIONS for mode in GenerationMode if (label, mode) != ("GET /keys", NEGATIVE)],
)
def test_requests_that_fit_the_description_and_others_are_answered_as_described(
    api: Api, label: str, mode: GenerationMode
) -> None:
    @ALWAYS_THE_SAME
    @given(case=api.operation(label).as_strategy(generation_mode=mode), headers=st.sampled_from([None, api.by_key]))
    def ask(case: Any, headers: dict[str, str] | None) -> None:
        case.call_and_validate(headers=headers)

    ask()


@pytest.mark.parametrize("label", OPERATIONS)
def test_missing_members_wrong_methods_and_values_at_their_limits_are_answered_as_described(
    api: Api, label: str
) -> None:
    operation = api.operation(label)
    config = api.description.config.generation_for(operation=operation)
    modes = [POSITIVE, NEGATIVE]

    for case in api.description.iter_coverage_cases(operation, generation_modes=modes, generation_config=config):
        case.call_and_validate()


def test_cards_of_a_page_are_answered_as_described_whatever_is_wrong_with_them(api: Api) -> None:
    payment: dict[str, Any] = {"operation": Operation.ONETIME, "merchant_uid": ORDER, "amount": 9900, "name": "책"}
    right = {ISSUE: (api.ticket(), api.seal()), ONETIME: (api.ticket(**payment), api.seal(merchant_uid=ORDER))}
    tickets = [api.ticket(since_s=-7200), api.ticket(session="s-1"), *(ticket for ticket, _ in right.values())]
    envelopes = [api.seal(customer_uid="x"), api.seal(since_s=-900), *(envelope for _, envelope in right.values())]
    seen = set()

    def perhaps(text: str, others: list[str]) -> st.SearchStrategy[str]:
        return st.one_of(st.just(text), st.sampled_from(others), st.sampled_from(others).flatmap(_damaged))

    @settings(ALWAYS_THE_SAME, max_examples=100)
    @given(data=st.data(), label=st.sampled_from([ISSUE, ONETIME]), wait=st.sampled_from([0, 0.001]))
    def ask(data: st.DataObject, label: str, wait: float) -> None:
        ticket, envelope = right[label]
        body = {"ticket": data.draw(perhaps(ticket, tickets)), "envelope": data.draw(perhaps(envelope, envelopes))}
        seen.add((label, api.ask(label, body=body, query={"wait": wait}).status_code))

    ask()

    assert seen == {(label, status) for label in right for status in (202, 401, 403, 410, 422)}


def test_requests_of_a_backend_are_answered_as_described_whatever_is_wrong_with_them(api: Api) -> None:
    envelopes = {ISSUE: [api.seal() for _ in range(30)], ONETIME: [api.seal(merchant_uid=ORDER) for _ in range(30)]}
    right: dict[str, st.SearchStrategy[Any]] = {
        "customer_uid": st.just(UID),
        "idempotency_key": st.sampled_from("abc"),
        "pg": st.just("nice"),
        "merchant_uid": st.just(ORDER),
        "amount": st.integers(1, 10**6),
        "name": st.just("책"),
        "card_quota": st.integers(0, 60),
    }
    needed = {ISSUE: ("customer_uid",), ONETIME: ("merchant_uid", "amount", "name")}
    anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=50))
    more = st.one_of(
        st.just({}),
        st.fixed_dictionaries({}, optional=right),
        st.dictionaries(st.sampled_from([*right, "envelope", "ticket"]), anything, max_size=2),
    )
    seen = set()

    @settings(ALWAYS_THE_SAME, max_examples=100)
    @given(data=st.data(), label=st.sampled_from([ISSUE, ONETIME]), more=more)
    def ask(data: st.DataObject, label: str, more: dict[str, Any]) -> None:
        exact = {name: right[name] for name in needed[label]} | {"envelope": st.sampled_from(envelopes[label])}
        body = data.draw(st.fixed_dictionaries(exact)) | more
        seen.add((label, api.ask(label, headers=api.by_key, body=body).status_code))

    ask()

    assert seen >= {(label, status) for label in needed for status in (202, 422)}


def test_every_answer_that_is_described_for_a_card_is_given(
    api: Api, stage: Stage, queue: BillingQueue, card: Card, tmp_path: Path
) -> None:
    def hand_in(to: Api = api, **how: Any) -> int:
        body = {"ticket": to.ticket(), "envelope": to.seal(), **how.pop("body", {})}
        return to.ask(ISSUE, body=body, **how).status_code

    def by_key(**more: Any) -> int:
        body = {"customer_uid": UID, "envelope": api.seal(), "idempotency_key": "k", **more}
        return api.ask(ISSUE, body=body, headers=api.by_key).status_code

    ticket = api.ticket()
    accepted = api.ask(ISSUE, body={"ticket": ticket, "envelope": api.seal()})
    api.end(accepted.json()["job_id"], Status.DECLINED)
    answers = {
        202: accepted.status_code,
        200: hand_in(body={"ticket": ticket}),
        401: hand_in(body={"ticket": "x"}),
        403: hand_in(body={"ticket": api.ticket(session="s-1")}),
        408: _status_of_a_slow_body(api),
        409: by_key() and by_key(pg="nice"),
        410: hand_in(body={"ticket": api.ticket(since_s=-7200)}),
        413: hand_in(body={"ticket": "x" * REQUEST_LIMIT}),
        415: hand_in(headers={"Content-Type": "text/plain"}),
        422: hand_in(body={"envelope": "x"}),
    }
    strict = Api(stage, queue, card, tmp_path, limit_per_customer="1 per hour")
    answers[429] = max(hand_in(strict) for _ in range(2))
    stage.vault.config_set("maxmemory", "1")
    answers[503] = hand_in(is_down=True)

    assert answers == {status: status for status in answers}
    assert set(answers) == described(api, ISSUE)


def test_every_answer_that_is_described_for_a_job_is_given(api: Api, stage: Stage) -> None:
    def tell(job_id: str, ticket: str, **how: Any) -> int:
        given = {"path_parameters": {"job_id": job_id}, "headers": {"X-Ticket": ticket}, **how}
        return api.ask(JOB, **given).status_code

    ticket = api.ticket()
    job_id = api.ask(ISSUE, body={"ticket": ticket, "envelope": api.seal()}).json()["job_id"]
    answers = {
        202: tell(job_id, ticket, query={"wait": 0.001}),
        401: tell(job_id, "x"),
        403: tell(job_id, api.ticket(session="s-1")),
        404: tell("x", ticket),
        422: tell(job_id, ticket, query={"wait": 31}),
    }
    api.end(job_id, Status.ISSUED)
    answers[200] = tell(job_id, ticket)
    stage.ledger.delete(redis_keys.OUTCOME + job_id)
    stage.ledger.hset(redis_keys.OUTCOME + job_id, "no", "outcome")  # which the ledger answers with an error
    answers[503] = tell(job_id, ticket, is_down=True)

    assert answers == {status: status for status in answers}
    assert set(answers) == described(api, JOB)


def described(api: Api, label: str) -> set[int]:
    return {int(status) for status in api.operation(label).responses.status_codes}


def _status_of_a_slow_body(api: Api) -> int:
    scope = {"type": "http", "method": "POST", "path": ISSUE.split()[1], "headers": [], "query_string": b""}
    sent = []

    async def receive() -> Message:
        return await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(api.app, body_s=0.01)(scope, receive, send))
    return int(sent[0]["status"])


def _damaged(text: str) -> st.SearchStrategy[str]:
    """The text with one character changed, or cut."""
    at = st.integers(0, len(text) - 1)
    changed = st.builds(lambda place, by: text[:place] + by + text[place + 1 :], at, st.characters())
    return st.one_of(changed, at.map(lambda place: text[:place]))
