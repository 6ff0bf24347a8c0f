"""The HTTP client against the fake i'mport: what leaves, and what is known of it afterwards."""

import contextlib
import json
import re
import socket
import socketserver
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from urllib3.connection import HTTPConnection

from producer.contract.card import Card
from producer.contract.identifiers import Operation
from producer.contract.job import Job
from tests.fake_iamport import CARDS, FakeIamport, Fault
from tests.fake_iamport.faults import Kind as FaultKind
from tests.ports import dead_port
from tests.servers import run_python
from tests.worker.cycles import kept_texts, left_in_cycles
from tests.worker.leases import JOB_ID
from worker.iamport import http
from worker.iamport.answer import Answer, Health
from worker.iamport.client import IamportClient, hyphenated
from worker.iamport.codes import Verdict
from worker.iamport.verdict import judge_issue

NOT_SENT = Answer(0, was_sent=False)
LONG_S = 300  # what is held for so long is held for ever


def job(operation: Operation = Operation.ISSUE, **fields: object) -> Job:
    names: dict[str, object] = {"job_id": JOB_ID, "customer_uid": "gildong_0001", "envelope": "e", "sequence": 1}
    return Job.model_validate({"operation": operation, "accepted_at": 1000.0, "expires_at": 1900.0} | names | fields)


def card(name: str = "visa", **fields: str) -> Card:
    return Card(**{**CARDS[name].fields(), **fields})


def token_of(client: IamportClient, fake: FakeIamport) -> str:
    token = client.login(fake.imp_key, SecretStr(fake.imp_secret)).token
    assert token is not None
    return token.text


def token_from(fake: FakeIamport) -> str:
    """A token for a client that is too impatient to log in itself on a busy machine."""
    return token_of(IamportClient(fake.url, ca_file=str(fake.ca_file) if fake.url.startswith("https") else None), fake)


def answer_through(fake: FakeIamport, fault: Fault, read_timeout_s: float = 60) -> Answer:
    """What the client makes of a card that meets this fault."""
    token = token_from(fake)
    fake.add_fault(fault)
    return IamportClient(fake.url, read_timeout_s=read_timeout_s).issue(job(), card(), token)


@contextlib.contextmanager
def raw_server(*chunks: bytes, hold: threading.Event, each_s: float = 0.0) -> Iterator[str]:
    """A server that answers every request with these bytes, one each so often, and then holds the line."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.recv(65536)
                for chunk in chunks:
                    connection.sendall(chunk)
                    hold.wait(each_s)
                hold.wait(LONG_S)
                connection.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        hold.set()
        server.close()


class KeepAlive(socketserver.ThreadingTCPServer):
    """Answers every request of a connection with the same, and counts the connections."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self, answer: bytes) -> None:
        self.answer, self.connections = answer, 0
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            server: Any = self.server
            server.connections += 1
            while self.request.recv(65536):
                self.request.sendall(server.answer)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def answering(body: bytes, status: int = 200, *headers: bytes) -> bytes:
    lines = (b"HTTP/1.1 %d Some Words" % status, b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join((*lines, b"", body))


def test_a_login_gives_the_token_and_its_life_by_imps_clock(fake: FakeIamport) -> None:
    fake.clock_offset_s = 86400.0

    answer = IamportClient(fake.url).login(fake.imp_key, SecretStr(fake.imp_secret))

    fake.clock_offset_s = 0.0
    assert answer.token is not None
    assert answer.token.life_s == 1800


def test_an_issue_sends_every_field_as_imp_spells_it(fake: FakeIamport) -> None:
    client = IamportClient(fake.url)
    fields: dict[str, Any] = {"pg": "nice.nictest04m", "channel_key": "channel-key-fake-nice", "customer_id": "c-1"}

    answer = client.issue(job(**fields), card(customer_name="홍길동", buyer_name="홍길동"), token_of(client, fake))

    sent = fake.requests[-1]
    assert answer.code == 0
    assert (sent.method, sent.path) == ("POST", "/subscribe/customers/gildong_0001")
    holder = {"card_number": "4242-4242-4242-4242", "customer_name": "홍길동"}
    assert sent.body == CARDS["visa"].fields() | holder | fields


def test_a_payment_sends_every_field_as_imp_spells_it(fake: FakeIamport) -> None:
    client = IamportClient(fake.url)
    fields = {"merchant_uid": "order-1", "amount": 60000, "name": "구독", "card_quota": 2, "vat_amount": 100}
    request = job(Operation.ONETIME, tax_free=0, product_type="digital", channel_group_id="group-1", **fields)

    answer = client.onetime(request, card(buyer_name="홍길동", customer_name="홍길동"), token_of(client, fake))

    sent = fake.requests[-1]
    assert answer.response is not None
    assert (answer.response.status, answer.response.merchant_uid) == ("paid", "order-1")
    assert sent.path == "/subscribe/payments/onetime"
    assert {**fields, "tax_free": 0, "product_type": "digital", "buyer_name": "홍길동"}.items() <= sent.body.items()
    assert "customer_name" not in sent.body
    assert sent.body["channelGroupId"] == "group-1"


def test_a_customer_uid_is_percent_encoded(fake: FakeIamport) -> None:
    client = IamportClient(fake.url)

    client.issue(job(customer_uid="a@b.kr:1+2=3~-_"), card(), token_of(client, fake))

    assert fake.requests[-1].path == "/subscribe/customers/a%40b.kr%3A1%2B2%3D3~-_"
    assert list(fake.customers) == ["a@b.kr:1+2=3~-_"]


@pytest.mark.parametrize(("style", "prefix"), [("bearer", "Bearer "), ("bare", "")])
def test_the_token_travels_in_the_style_that_is_set(fake: FakeIamport, style: str, prefix: str) -> None:
    client = IamportClient(fake.url, auth_style=style)
    token = token_of(client, fake)

    client.issue(job(), card(), token)

    assert dict(fake.requests[-1].headers)["Authorization"] == prefix + token


def test_tls_is_verified_and_a_failed_handshake_sent_nothing() -> None:
    with FakeIamport(tls=True) as fake:
        trusting = IamportClient(fake.url, ca_file=str(fake.ca_file))
        distrusting = IamportClient(fake.url)

        assert token_of(trusting, fake)
        answer = distrusting.issue(job(), card(), "token")

    assert (answer.status, answer.was_sent) == (0, False)


def test_netrc_and_environment_change_nothing(
    fake: FakeIamport, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    client = IamportClient(fake.url)

    answer = client.issue(job(), card(), token_of(client, fake))

    assert answer.code == 0


def test_a_refused_connection_sent_nothing() -> None:
    answer = IamportClient(f"http://127.0.0.1:{dead_port()}").issue(job(), card(), "token")

    assert (answer.status, answer.was_sent) == (0, False)


@pytest.mark.parametrize("fault", [Fault("reset", times=1), Fault("lost_answer", times=1)])
def test_a_connection_that_broke_after_sending_leaves_it_unknown(fake: FakeIamport, fault: Fault) -> None:
    answer = answer_through(fake, fault)

    assert (answer.status, answer.was_sent) == (0, True)


def test_no_answer_in_time_leaves_it_unknown(fake: FakeIamport) -> None:
    answer = answer_through(fake, Fault("hang", hold_s=LONG_S, times=1), read_timeout_s=0.2)

    assert (answer.status, answer.was_sent) == (0, True)


def test_a_page_of_html_is_an_answer_without_a_code(fake: FakeIamport) -> None:
    answer = answer_through(fake, Fault("server_error", status=502, times=1))

    assert (answer.status, answer.code, answer.was_sent) == (502, None, True)


def test_a_429_says_how_long_to_wait(fake: FakeIamport) -> None:
    answer = answer_through(fake, Fault("rate_limit", retry_after_s=7, times=1))

    assert (answer.status, answer.retry_after_s) == (429, 7.0)


def test_a_redirect_is_not_followed() -> None:
    hold = threading.Event()
    head = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with raw_server(head, hold=hold) as url:
        answer = IamportClient(url).issue(job(), card(), "token")

    assert (answer.status, answer.was_sent) == (307, True)


def test_a_text_that_only_a_cache_of_urllib_keeps_is_found() -> None:
    urlsplit(f"https://edge.example/pay?n={time.time_ns()}")

    assert kept_texts(re.compile("https://edge[.]example/pay[?]n=[0-9]{19}"))


HEADS = {
    "a reason": b"X-Fine: 1",
    "a redirect": b"Location: https://edge.example/pay?n=%b",
    "a cookie": b"Set-Cookie: n=%b; Path=/; Expires=%b",
    "no header": b"X-Fine: 1\r\n%b is no header",
    "a name that is none": b"%b x: 1\r\nX-Fine: 1",
    "a type": b"Content-Type: text/html; charset=%b",
    "a date": b"Date: %b\r\nRetry-After: %b",
}


def head_with(number: bytes, form: bytes) -> bytes:
    return b"HTTP/1.1 302 %b\r\nContent-Length: 0\r\n%b\r\n\r\n" % (number, form.replace(b"%b", number))


@pytest.mark.parametrize("form", HEADS.values(), ids=HEADS)
def test_nothing_of_an_answers_head_is_logged_at_any_level_or_stays_in_memory(form: bytes) -> None:
    code = r"""
        import logging, re, sys
        from producer.runtime.logs import set_up_logs
        from tests.worker.cycles import kept_texts
        from worker.iamport.client import IamportClient
        set_up_logs(logging.DEBUG)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.DEBUG)
        client = IamportClient(sys.argv[1])
        print(client.find_customer("gildong", "token").status)
        logging.getLogger("worker").debug("still heard")
        print(kept_texts(re.compile("4000-0277(?:-[0-9]{4}){2}")))  # which it does not match itself
    """
    with raw_server(head_with(b"4000-0277-1234-5678", form), hold=threading.Event()) as url:
        done = run_python("-c", textwrap.dedent(code), url)

    assert done.stdout == "302\nset()\n"
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["still heard"]


@pytest.mark.parametrize(
    "chunks", [(b"HTTP/1.1 200 OK\r\nX-Slow: ",), (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",)]
)
def test_an_answer_that_never_ends_is_cut_at_the_total_deadline(chunks: tuple[bytes, ...]) -> None:
    hold = threading.Event()
    with raw_server(*chunks, hold=hold) as url:
        client = IamportClient(url, connect_timeout_s=1, read_timeout_s=LONG_S, slack_s=1 - LONG_S)  # 2 s in all
        began = time.monotonic()

        answer = client.issue(job(), card(), "token")

    assert judge_issue(answer).verdict is Verdict.UNANSWERED
    assert time.monotonic() - began < LONG_S / 10


def test_an_endless_body_is_not_read_to_its_end() -> None:
    hold = threading.Event()
    body = b'{"code":0,"response":{"x":"' + b"a" * (2 << 20)
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + body, hold=hold) as url:
        answer = IamportClient(url).issue(job(), card(), "token")

    assert (answer.status, answer.code) == (200, None)


@pytest.mark.parametrize(
    ("digits", "text"),
    [
        ("4242424242424242", "4242-4242-4242-4242"),
        ("378282246310005", "3782-8224-6310-005"),
        ("30569309025904", "3056-9309-0259-04"),
    ],
)
def test_card_numbers_travel_in_groups_of_four(digits: str, text: str) -> None:
    assert hyphenated(digits) == text


def test_a_request_does_not_leave_after_its_deadline(fake: FakeIamport) -> None:
    late = iter([0.0, 0.0, *[100.0] * 50])
    client = IamportClient(fake.url, clock=lambda: next(late, 100.0))

    answer = client.find_customer("gildong", "token")

    assert answer == NOT_SENT
    assert fake.count("GET", "/subscribe/customers/") == 0


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_an_answer_that_drips_on_a_connection_that_closes_is_cut_at_the_total_deadline(head: bytes) -> None:
    with raw_server(head, b"Content-Length: 4000\r\n\r\n", *[b" "] * 4000, hold=threading.Event(), each_s=0.05) as url:
        client = IamportClient(url, connect_timeout_s=1, read_timeout_s=1, slack_s=0.0)
        began = time.monotonic()

        client.find_customer("gildong", "token")

    assert time.monotonic() - began < LONG_S / 10


@pytest.mark.parametrize("is_late", [False, True])
def test_a_post_that_comes_to_leave_too_late_after_its_mark_does_not_leave(fake: FakeIamport, is_late: bool) -> None:
    client = IamportClient(fake.url, boot_clock=lambda: 100.0)

    answer = client.issue(job(), card(), token_of(client, fake), 100.0 if is_late else 100.1)

    assert (answer == NOT_SENT) == is_late
    assert fake.count("POST", "/subscribe/customers/") == (0 if is_late else 1)


def test_a_post_leaves_in_one_piece(monkeypatch: pytest.MonkeyPatch, fake: FakeIamport) -> None:
    sent: list[bytes] = []
    send = HTTPConnection.send

    def seen(self: HTTPConnection, data: bytes) -> None:
        sent.append(data)
        send(self, data)

    monkeypatch.setattr(HTTPConnection, "send", seen)
    client = IamportClient(fake.url)
    token = token_of(client, fake)
    sent.clear()

    client.issue(job(), card(), token)

    assert [part.count(b"\r\n\r\n") for part in sent] == [1]
    assert sent[0].startswith(b"POST ")
    assert sent[0].endswith(b"}")


def test_a_proxy_that_drips_its_answer_is_cut_at_the_total_deadline() -> None:
    with raw_server(*[b"H"] * 3000, hold=threading.Event(), each_s=0.1) as proxy:
        client = IamportClient(
            "https://imp.invalid", proxy_url=proxy, connect_timeout_s=1, read_timeout_s=1, slack_s=0.0
        )
        began = time.monotonic()

        answer = client.find_customer("gildong", "token")

    assert answer == NOT_SENT
    assert time.monotonic() - began < LONG_S / 10


@pytest.fixture(scope="module")
def tls_fake() -> Iterator[FakeIamport]:
    with FakeIamport(tls=True) as one:
        yield one


@pytest.mark.parametrize("kind", ["reset", "lost_answer", "server_error", "rate_limit", "hang", "slow_drip", None])
@pytest.mark.parametrize("is_tls", [False, True])
def test_no_card_waits_for_the_garbage_collector_however_a_call_ends(
    fake: FakeIamport, tls_fake: FakeIamport, kind: FaultKind | None, *, is_tls: bool
) -> None:
    imp = tls_fake if is_tls else fake
    ca_file = str(tls_fake.ca_file) if is_tls else None
    client = IamportClient(imp.url, ca_file=ca_file, connect_timeout_s=1, read_timeout_s=0.3, slack_s=0.5)
    token = token_from(imp)

    def call() -> None:
        if kind is not None:
            imp.add_fault(Fault(kind, times=1))
        client.issue(job(), card(), token)

    call()

    assert left_in_cycles(call) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_card_waits_for_the_garbage_collector_when_nobody_answers(scheme: str) -> None:
    client = IamportClient(f"{scheme}://127.0.0.1:{dead_port()}", connect_timeout_s=1)
    with raw_server(b"no TLS", hold=threading.Event()) as url:
        no_tls = IamportClient(url.replace("http:", f"{scheme}:"), connect_timeout_s=1, read_timeout_s=0.3, slack_s=0.5)

        for one in (client, no_tls):
            assert left_in_cycles(lambda one=one: one.issue(job(), card(), "t")) == []  # type: ignore[misc]


ENVELOPE, DATE = b'{"code": 1, "message": null, "response": null}', b"Date: Thu, 26 Nov 2026 00:00:00 GMT"
AT_DATE = 1795651200.0


def test_imps_clock_is_its_newest_date_and_what_has_passed_since() -> None:
    boot = iter([50.0, 53.5, 1053.5])
    with KeepAlive(answering(ENVELOPE, 404, DATE)) as server:
        client = IamportClient(server.url, boot_clock=lambda: next(boot))
        before = client.now()

        answer = client.find_customer("gildong", "token")

    assert (before, answer.date) == (None, AT_DATE)
    assert [client.now(), client.now()] == [AT_DATE + 3.5, AT_DATE + 1003.5]


def test_a_look_up_and_a_login_teach_imps_clock_and_it_is_never_ahead_of_it(fake: FakeIamport) -> None:
    fake.clock_offset_s = -7200.0
    client = IamportClient(fake.url)

    token_of(client, fake)
    first = client.now()
    client.find_payment("order-1", "paid", "token")
    second = client.now()

    ahead = time.time() - 7200
    fake.clock_offset_s = 0.0
    assert first is not None
    assert second is not None
    assert ahead - 30 < first <= ahead
    assert ahead - 30 < second <= ahead


@pytest.mark.parametrize(
    "answer",
    [
        answering(b"<html>", 502, DATE),
        answering(b"<html>", 200, DATE),
        answering(b'{"code": false}', 200, DATE),
    ],
)
def test_only_the_date_of_an_envelope_is_imps_clock(answer: bytes) -> None:
    with KeepAlive(answer) as server:
        client = IamportClient(server.url)
        client.find_customer("gildong", "token")

    assert client.now() is None


@pytest.mark.parametrize("date", [(), (b"Date: yesterday",), (b"Date: Thu, 99 Nov 2026 00:00:00 GMT",)])
def test_where_something_answers_for_imp_without_a_date_this_machines_clock_stands_in_a_minute_back(
    date: tuple[bytes, ...],
) -> None:
    boot = iter([50.0, 53.5])
    with KeepAlive(answering(ENVELOPE, 200, *date)) as server:
        client = IamportClient(server.url, boot_clock=lambda: next(boot), wall_clock=lambda: AT_DATE)
        client.find_customer("gildong", "token")

    assert client.now() == AT_DATE - 60 + 3.5


def test_a_date_counts_for_more_than_this_machines_clock() -> None:
    with KeepAlive(answering(ENVELOPE)) as server:
        client = IamportClient(server.url, boot_clock=lambda: 50.0, wall_clock=lambda: AT_DATE + 7200)
        for server.answer in (answering(ENVELOPE), answering(ENVELOPE, 200, DATE), answering(ENVELOPE)):
            client.find_customer("gildong", "token")

    assert client.now() == AT_DATE


@pytest.mark.parametrize(("idle_s", "connections"), [(LONG_S, 1), (-1.0, 3)])
def test_a_connection_that_was_idle_for_too_long_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch, idle_s: float, connections: int
) -> None:
    assert http.IDLE_S <= 4
    monkeypatch.setattr(http, "IDLE_S", idle_s)
    with KeepAlive(answering(ENVELOPE)) as server:
        client = IamportClient(server.url)

        answers = [client.find_customer("gildong", "token") for _ in range(3)]

    assert {answer.code for answer in answers} == {1}
    assert server.connections == connections


@pytest.mark.parametrize(
    ("answer", "health"),
    [
        (answering(ENVELOPE), "answered"),
        (answering(ENVELOPE, 400), "answered"),
        (answering(ENVELOPE, 401), "answered"),
        (answering(ENVELOPE, 404), "answered"),
        (answering(ENVELOPE, 408), "failed"),
        (answering(ENVELOPE, 503), "failed"),
        (answering(ENVELOPE, 429), "throttled"),
        (answering(b"<html>", 429), "throttled"),
        *((answering(b"<html>", status), "failed") for status in (200, 302, 400, 401, 403, 404, 405, 413, 502)),
    ],
)
def test_pages_are_failures_for_the_shared_breaker_and_envelopes_answers(answer: bytes, health: Health) -> None:
    with KeepAlive(answer) as server:
        assert IamportClient(server.url).issue(job(), card(), "token").health == health


def test_a_call_that_came_to_nothing_is_a_failure_or_a_time_out() -> None:
    assert (NOT_SENT.health, Answer(0).health) == ("failed", "timeout")


@pytest.mark.parametrize(
    ("ask", "path"),
    [
        (lambda client: client.find_payment("a@b", "paid", "t"), "/payments/find/a%40b/paid"),
        (lambda client: client.find_payment("a@b", "cancelled", "t"), "/payments/find/a%40b/cancelled"),
        (lambda client: client.find_failed("a@b", "t"), "/payments/findAll/a%40b/failed"),
        (lambda client: client.find_customer("a@b", "t"), "/subscribe/customers/a%40b"),
        (lambda client: client.find_customers(["a@b", "c"], "t"), "/subscribe/customers"),
    ],
)
def test_a_look_up_asks_under_the_name_and_status(
    fake: FakeIamport, ask: Callable[[IamportClient], Answer], path: str
) -> None:
    ask(IamportClient(fake.url))

    assert (fake.requests[-1].method, fake.requests[-1].path) == ("GET", path)


def test_whatever_a_retry_after_says_the_call_ends_with_an_answer() -> None:
    with KeepAlive(answering(b"<html>", 429, b"Retry-After: " + b"9" * 400)) as server:
        assert IamportClient(server.url).issue(job(), card(), "token").status == 429
