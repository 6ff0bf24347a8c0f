"""The HTTP client of i'mport: one connection a thread, a total deadline, and a sure word on whether a request left.

Must never keep a request body beyond its call: exceptions and responses of requests hold it, so neither leaves here.

Source: i'mport's V1 API documentation, as quoted at each call.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests
from pydantic import SecretStr

from producer.contract.card import Card
from producer.contract.job import Job
from producer.runtime import tracing
from producer.runtime.redaction import wipe
from worker import metrics
from worker.iamport.answer import Answer
from worker.iamport.http import Call, Watchdog, WatchedAdapter
from worker.liveness import since_boot

BODY_LIMIT = 1 << 20
CUSTOMER = "/subscribe/customers/{customer_uid}"
LOGIN_CONNECT_S, LOGIN_READ_S, LOGIN_DEADLINE_S = 5.0, 10.0, 16.0
ISSUE_FIELDS = ("pg", "channel_key", "customer_id")
ONETIME_FIELDS = (
    *("merchant_uid", "customer_uid", "amount", "name", "pg", "channel_group_id"),
    *("card_quota", "vat_amount", "tax_free", "product_type"),
)
UNSURE_S = 60.0  # so much this machine's clock may be ahead of i'mport's
STATUSES = {0, *HTTPStatus}
SPELLED = {"channel_group_id": "channelGroupId"}  # at onetime, and only there


def hyphenated(digits: str) -> str:
    """A card number in groups of four, the form that i'mport's schema shows."""
    return "-".join(digits[i : i + 4] for i in range(0, len(digits), 4))


class IamportClient:
    """Calls to i'mport. Safe to share between threads.

    Args:
        base_url: ``IMP_API_URL``, without a slash at its end.
        auth_style: ``bearer``, or ``bare`` for the older form.
        connect_timeout_s, read_timeout_s: for each socket operation; the whole call ends within their sum and
            ``slack_s``: ``call_deadline_s``.
        ca_file: PEM file of the authorities to trust instead of the system's.
        proxy_url: proxy of every call; environment variables are not looked at.
        slack_s: what a whole call may take beyond one connect and one read timeout.
        clock: monotonic seconds.
        boot_clock: the same, and it goes on while the machine is suspended.
        wall_clock: Unix seconds; where no answer has a ``Date``, and only there.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth_style: str = "bearer",
        connect_timeout_s: float = 5,
        read_timeout_s: float = 60,
        ca_file: str | None = None,
        proxy_url: str | None = None,
        slack_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        boot_clock: Callable[[], float] = since_boot,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._prefix = "Bearer " if auth_style == "bearer" else ""
        self._timeout = (connect_timeout_s, read_timeout_s)
        self.call_deadline_s = connect_timeout_s + read_timeout_s + slack_s
        self._login_timeout = (min(connect_timeout_s, LOGIN_CONNECT_S), min(read_timeout_s, LOGIN_READ_S))
        self._verify: str | bool = ca_file or True
        self._proxies = {"http": proxy_url, "https": proxy_url} if proxy_url else {}
        self._clock, self._boot_clock, self._wall_clock = clock, boot_clock, wall_clock
        self._heard: tuple[float, float] | None = None
        self._watchdog = Watchdog(clock)
        self._mine = threading.local()

    def login(self, key: str, secret: SecretStr) -> Answer:
        """POST /users/getToken: ``imp_key`` and ``imp_secret`` for a token of 30 minutes."""
        body = {"imp_key": key, "imp_secret": secret.get_secret_value()}
        return self._post("login", "/users/getToken", body, None)

    def issue(self, job: Job, card: Card, token: str, leave_by: float = math.inf) -> Answer:
        """POST /subscribe/customers/{customer_uid}: store the card, or replace the one that is stored.

        Args:
            leave_by: seconds of ``boot_clock``; what has not left by then does not leave.
        """
        body = _body(job, ISSUE_FIELDS, card, Card.fields_of_issue)
        return self._post("issue", CUSTOMER, body, token, leave_by, customer_uid=job.customer_uid or "")

    def onetime(self, job: Job, card: Card, token: str, leave_by: float = math.inf) -> Answer:
        """POST /subscribe/payments/onetime: pay with the card; store it too if a customer_uid is given."""
        body = _body(job, ONETIME_FIELDS, card, Card.fields_of_onetime)
        return self._post("onetime", "/subscribe/payments/onetime", body, token, leave_by)

    def find_customer(self, customer_uid: str, token: str) -> Answer:
        """GET /subscribe/customers/{customer_uid}: the billing key's record, if there is one."""
        return self._get(CUSTOMER, token, customer_uid=customer_uid)

    def find_customers(self, customer_uids: Sequence[str], token: str) -> Answer:
        """GET /subscribe/customers?customer_uid[]=…: the records of those that are stored, 404 if none is."""
        return self._get("/subscribe/customers", token, [("customer_uid[]", uid) for uid in customer_uids])

    def find_payment(self, merchant_uid: str, status: str, token: str) -> Answer:
        """GET /payments/find/{merchant_uid}/{status}: the newest payment of an order that has this status."""
        return self._get("/payments/find/{merchant_uid}/{status}", token, merchant_uid=merchant_uid, status=status)

    def find_failed(self, merchant_uid: str, token: str) -> Answer:
        """GET /payments/findAll/{merchant_uid}/failed: the payments of an order that failed, newest first."""
        return self._get("/payments/findAll/{merchant_uid}/failed", token, merchant_uid=merchant_uid)

    def now(self) -> float | None:
        """I'mport's clock, Unix seconds, never ahead of it: its newest ``Date`` and what has passed since.

        Where something answers for it without a ``Date``, this machine's clock stands in, a minute back. None while
        nothing was heard of it.
        """
        heard = self._heard
        return None if heard is None else heard[0] + self._boot_clock() - heard[1]

    def _get(self, route: str, token: str, query: Sequence[tuple[str, str]] = (), **parts: str) -> Answer:
        headers = {"Accept": "application/json", "Authorization": self._prefix + token}
        request = requests.Request("GET", self._url(route, parts), headers=headers, params=list(query))
        return self._traced("look_up", route, request.prepare())

    def _post(
        self,
        name: str,
        route: str,
        body: dict[str, Any],
        token: str | None,
        leave_by: float = math.inf,
        **parts: str,
    ) -> Answer:
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = self._prefix + token
        request = requests.Request("POST", self._url(route, parts), headers=headers, json=body)
        return self._traced(name, route, request.prepare(), leave_by)

    def _url(self, route: str, parts: dict[str, str]) -> str:
        return self._base_url + route.format(**{name: quote(part, safe="") for name, part in parts.items()})

    def _traced(self, name: str, route: str, request: requests.PreparedRequest, leave_by: float = math.inf) -> Answer:
        with tracing.delivery().calling(request.method or "", route) as span:
            answer = self._timed(name, request, leave_by)
            error = None if answer.status else "no_answer"
            span.tell(is_failed=not 0 < answer.status < 400, http_status=answer.status or None, error=error)
            return answer

    def _timed(self, name: str, request: requests.PreparedRequest, leave_by: float) -> Answer:
        """Exchange, count and time it; a login has less time, since a claimed job waits for it."""
        began, is_login = self._clock(), name == "login"
        timeout, deadline_s = (
            (self._login_timeout, LOGIN_DEADLINE_S) if is_login else (self._timeout, self.call_deadline_s)
        )
        call = Call(began + deadline_s, self._clock, leave_by, self._boot_clock)
        answer = self._exchange(request, timeout, call)
        if answer.date is not None:
            self._heard = (answer.date, self._boot_clock())
        elif answer.code is not None and self._heard is None:
            self._heard = (self._wall_clock() - UNSURE_S, self._boot_clock())
        metrics.CALLS.labels(name, *_labels(answer)).observe(self._clock() - began)
        return answer

    def _exchange(self, request: requests.PreparedRequest, timeout: tuple[float, float], call: Call) -> Answer:
        with self._watchdog.watching(call):
            try:
                response = self._adapter.send(
                    request, stream=True, timeout=timeout, verify=self._verify, proxies=self._proxies
                )
                with response:
                    body = response.raw.read(BODY_LIMIT, decode_content=True)
                    return Answer.read(
                        response.status_code, body, response.headers.get("Retry-After"), response.headers.get("Date")
                    )
            except (requests.RequestException, OSError, ValueError, *WatchedAdapter.errors) as error:
                # What was caught holds the request and its body: it goes no further, not even as __context__.
                wipe(error)
                return Answer(0, was_sent=call.has_left)

    @property
    def _adapter(self) -> WatchedAdapter:
        """This thread's connection.

        No session above it: that would follow or parse redirects, keep cookies, and hear of ``.netrc`` and
        ``REQUESTS_CA_BUNDLE``.
        """
        adapter: WatchedAdapter | None = getattr(self._mine, "adapter", None)
        if adapter is None:
            adapter = self._mine.adapter = WatchedAdapter()
        return adapter


def _labels(answer: Answer) -> tuple[str, str]:
    """The HTTP status, 0 without an answer, and i'mport's word, ``page`` where it was not i'mport's."""
    status = str(answer.status) if answer.status in STATUSES else "other"
    if answer.code is None:
        return status, "page" if answer.status else "silent"
    return status, "refused" if answer.code else "done"


def _body(job: Job, fields: tuple[str, ...], card: Card, card_fields: frozenset[str]) -> dict[str, Any]:
    found = ((SPELLED.get(name, name), getattr(job, name)) for name in fields)
    body: dict[str, Any] = {name: value for name, value in found if value is not None}
    body.update(card.reveal(card_fields))
    body["card_number"] = hyphenated(body["card_number"])
    return body
