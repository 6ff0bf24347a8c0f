"""Webhooks on a real Redis and over real HTTP; the clock is the test's."""

import base64
import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from producer.contract import redis_keys
from producer.contract.identifiers import Operation, job_id_of
from producer.contract.outcome import Outcome, Status
from producer.contract.reconciled import Found, Reconciled
from producer.errors import SettingsError
from producer.outcome_stream import OutcomeReader, ReconciledReader
from producer.webhooks.delivery import (
    AT_ONCE,
    GIVEN_UP_AFTER_S,
    LATE_AT_ONCE,
    RETRIES_AFTER_S,
    Deliverer,
    group_of,
    retry_after_s,
)
from producer.webhooks.delivery_queue import IN_HAND_S, WebhookLedger
from producer.webhooks.http import PostResult, WebhookClient
from producer.webhooks.network import is_public
from producer.webhooks.settings import WebhookSettings
from tests.ports import dead_port
from tests.producer.stage import Stage
from tests.servers import wait_until

OLD, NEW = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
SECRETS = SecretStr(f"{NEW} {OLD}")
PATIENCE_S, LINE_S = 60, 900.0


class Received(NamedTuple):
    headers: dict[str, str]
    body: bytes

    @property
    def job_id(self) -> str:
        return str(json.loads(self.body)["data"]["job_id"])

    @property
    def is_late(self) -> bool:
        return bool(json.loads(self.body)["late"])


class Server:
    """The merchant's server."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status, self.headers = 204, {"Location": "http://127.0.0.1:1/"}
        self.refused: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.received.append(Received({k.lower(): v for k, v in self.headers.items()}, body))
                is_refused = self.headers["webhook-id"] in outer.refused
                self.send_response(503 if is_refused else outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Scene:
    def __init__(self, stage: Stage, server: Server) -> None:
        self.stage, self.server, self.now = stage, server, 1_000_000.0
        self.ledger = WebhookLedger(stage.url(1), "main", LINE_S)
        self.told: list[tuple[str, str, bool]] = []
        self.deliverer = self.another()

    def another(self, url: str = "", ledger: WebhookLedger | None = None, name: str = "main") -> Deliverer:
        client = WebhookClient(url or self.server.url, SECRETS, timeout_s=60, allow_private=True)
        kinds, group = (OutcomeReader, ReconciledReader), group_of(name)
        return Deliverer(
            [kind(self.stage.url(1), group, group, block_ms=0) for kind in kinds],
            ledger or self.ledger,
            client,
            clock=lambda: self.now,
            tell=lambda *attempt: self.told.append(attempt),
        )

    def end(self, key: str, uid: str | None = "gildong", status: Status = Status.ISSUED) -> str:
        """A job ends: what the worker's script writes."""
        job_id = job_id_of(key)
        operation = Operation.ISSUE if uid else Operation.ONETIME
        outcome = Outcome(
            job_id=job_id,
            status=status,
            operation=operation,
            customer_uid=uid,
            merchant_uid=None if uid else key,
            attempts=1,
            accepted_at=1.0,
            finished_at=2.0,
        )
        self.stage.ledger.xadd(redis_keys.OUTCOMES, {"outcome": outcome.model_dump_json()})
        return job_id

    def work(self, deliverer: Deliverer | None = None) -> int:
        """Take in all there is, and post all that is due."""
        at_work, posted = deliverer or self.deliverer, 0
        while at_work.take_in():
            pass
        with ThreadPoolExecutor(8) as pool:
            while begun := at_work.begin(pool):
                posted += len(begun)
                wait(begun)
        return posted

    @property
    def ids(self) -> list[str]:
        return [one.job_id for one in self.server.received]


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


@pytest.fixture
def scene(stage: Stage, server: Server) -> Scene:
    return Scene(stage, server)


def test_an_outcome_is_told_once_and_signed_with_every_secret(scene: Scene) -> None:
    job_id = scene.end("k")

    assert scene.work() == 1
    scene.now += 1_000_000
    assert scene.work() == 0

    (received,) = scene.server.received
    assert received.headers["webhook-id"] == job_id
    at = datetime.fromtimestamp(int(received.headers["webhook-timestamp"]), tz=UTC)
    for secret in (OLD, NEW):
        assert Webhook(secret).sign(job_id, at, received.body.decode()) in received.headers["webhook-signature"]
    body = json.loads(received.body)
    assert (body["type"], body["data"]["status"]) == ("billing.outcome", "issued")


def test_what_imp_says_later_of_a_job_in_doubt_is_told_behind_its_outcome(scene: Scene) -> None:
    job_id = scene.end("order-1", None, Status.IN_DOUBT)
    said = Reconciled(job_id=job_id, operation="onetime", merchant_uid="order-1", found=Found.DONE, asked_at=602.0)
    scene.stage.ledger.xadd(redis_keys.RECONCILED, {"reconciled": said.model_dump_json()})

    assert scene.work() == 2

    kinds = [(json.loads(one.body)["type"], one.headers["webhook-id"]) for one in scene.server.received]
    assert kinds == [("billing.outcome", job_id), ("billing.reconciled", f"{job_id}.reconciled.602")]


def test_the_signature_is_what_the_standards_own_library_accepts(scene: Scene) -> None:
    scene.now = time.time()  # the library looks at the clock
    scene.end("k")
    scene.work()

    (received,) = scene.server.received
    assert Webhook(NEW).verify(received.body, received.headers)["type"] == "billing.outcome"
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(received.body + b" ", received.headers)


def test_a_server_that_is_down_for_ten_minutes_gets_everything_once_it_is_back_in_order(scene: Scene) -> None:
    scene.server.status = 503
    expected = {uid: [scene.end(f"{uid}-{n}", uid) for n in range(5)] for uid in ("gildong", "younghee", "minsu")}
    for _ in range(60):
        scene.work()
        scene.now += 10
    refused = len(scene.server.received)
    scene.server.received.clear()
    scene.server.status = 200

    for _ in range(200):
        scene.work()
        scene.now += 10

    assert refused < 3 * 10
    assert sorted(scene.ids) == sorted(job_id for line in expected.values() for job_id in line)
    for line in expected.values():
        assert [job_id for job_id in scene.ids if job_id in line] == line


def test_a_customer_whose_delivery_fails_holds_up_nobody_else(scene: Scene) -> None:
    scene.server.status = 500
    scene.end("stuck", "gildong")
    scene.work()
    scene.server.received.clear()
    scene.server.status = 200

    other = scene.end("other", "younghee")
    scene.end("behind", "gildong")
    scene.work()

    assert scene.ids == [other]


def test_what_a_crash_left_in_hand_is_delivered_again_with_the_same_id(scene: Scene) -> None:
    job_id = scene.end("k")
    scene.deliverer.take_in()
    assert len(scene.ledger.due(scene.now, 10, 10)) == 1  # taken, and then its process died

    assert scene.work() == 0
    scene.now += IN_HAND_S + 1
    assert scene.work() == 1
    assert scene.ids == [job_id]


def test_what_was_read_and_not_put_in_line_is_read_again(scene: Scene) -> None:
    job_id = scene.end("k")
    reader = OutcomeReader(scene.stage.url(1), group_of("main"), group_of("main"), block_ms=0)
    list(reader.left_over())
    assert len(reader.read()) == 1  # and then its process died

    assert scene.work() == 1
    assert scene.ids == [job_id]


def test_one_courier_at_a_time_puts_outcomes_in_line(scene: Scene) -> None:
    scene.deliverer.take_in()
    scene.end("k")

    assert scene.another().take_in() == 0
    assert scene.deliverer.take_in() == 1


def test_after_a_day_it_is_given_up_listed_and_the_line_goes_on(scene: Scene) -> None:
    scene.server.status = 500
    first, second = scene.end("first"), scene.end("second")
    scene.work()
    scene.now += GIVEN_UP_AFTER_S
    scene.server.status = 400
    scene.work()

    assert [(event.id, answer) for event, _, answer in scene.ledger.failed()] == [(first, "400")]
    assert scene.told[-1][0] in {first, second}
    scene.server.status = 200
    scene.now += 60
    scene.work()
    assert scene.ids[-1] == second


def seconds_until(scene: Scene, job_id: str, most: float) -> float:
    """Work on, half a minute at a time, until it is delivered."""
    began = scene.now
    while job_id not in scene.ids and scene.now - began <= most:
        scene.now += 30
        scene.work()
    return scene.now - began


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "3600"}], ids=["as it comes", "with Retry-After"])
def test_a_refused_delivery_holds_the_later_ones_of_its_customer_for_its_time_and_no_longer(
    scene: Scene, headers: dict[str, str]
) -> None:
    refused, later, last = (scene.end(key) for key in ("refused", "later", "last"))
    scene.server.refused, scene.server.headers = {refused}, headers
    scene.work()

    took_s = seconds_until(scene, later, 2 * LINE_S)

    assert took_s == LINE_S
    assert scene.ids[-2:] == [later, last]
    assert [(one.job_id, one.is_late) for one in scene.server.received if one.is_late] == []


def test_what_left_its_line_is_tried_beside_it_and_marked_late(scene: Scene) -> None:
    refused, later = scene.end("refused"), scene.end("later")
    scene.server.refused = {refused}
    scene.work()
    seconds_until(scene, later, 2 * LINE_S)
    scene.server.refused = set()
    scene.server.received.clear()

    seconds_until(scene, refused, GIVEN_UP_AFTER_S)
    after = scene.end("after")
    scene.work()

    assert [(one.job_id, one.is_late) for one in scene.server.received] == [(refused, True), (after, False)]
    assert scene.ledger.waiting() == (0, 0, 0, None)


def test_a_late_delivery_is_given_up_after_a_day_like_any_other(scene: Scene) -> None:
    job_id = scene.end("refused")
    scene.server.refused = {job_id}
    for _ in range(40):
        scene.work()
        scene.now += GIVEN_UP_AFTER_S / 20

    assert [event.id for event, _, _ in scene.ledger.failed()] == [job_id]


def test_a_delivery_whose_process_died_holds_its_line_no_longer_than_its_time(scene: Scene) -> None:
    ledger = WebhookLedger(scene.stage.url(1), "main", 10)
    deliverer = scene.another(ledger=ledger)
    dead, later = scene.end("dead"), scene.end("later")
    deliverer.take_in()
    assert [one.event.id for one in ledger.due(scene.now, 10, 10)] == [dead]  # and then its process died

    scene.now += 10
    scene.work(deliverer)
    assert scene.ids == [later]
    scene.now += IN_HAND_S
    scene.work(deliverer)
    assert [(one.job_id, one.is_late) for one in scene.server.received] == [(later, False), (dead, True)]


def test_a_slow_answer_that_comes_when_the_next_has_gone_moves_the_line_no_further(scene: Scene) -> None:
    ledger = WebhookLedger(scene.stage.url(1), "main", 10)
    scene.end("slow")
    second, third = scene.end("second"), scene.end("third")
    scene.another(ledger=ledger).take_in()
    (slow,) = ledger.due(scene.now, 10, 10)
    scene.now += 10
    assert [one.event.id for one in ledger.due(scene.now, 10, 10)] == [second]

    assert ledger.settle(slow.event.id, "delivered", scene.now, "204")
    assert ledger.due(scene.now, 10, 10) == []
    assert ledger.settle(second, "delivered", scene.now, "204")

    assert [one.event.id for one in ledger.due(scene.now, 10, 10)] == [third]


def test_a_line_whose_first_is_forgotten_goes_on(scene: Scene) -> None:
    forgotten, also, next_one = (scene.end(key) for key in ("forgotten", "also", "next"))
    scene.deliverer.take_in()
    for job_id in (forgotten, also):  # they expired while everything was down
        scene.stage.ledger.delete(f"{redis_keys.WEBHOOK_DELIVERY}main:{job_id}")

    assert scene.work() == 1
    assert scene.ids == [next_one]


def test_many_late_deliveries_leave_places_to_those_in_line(scene: Scene) -> None:
    late = [scene.end(f"late-{n}", f"uid-{n}") for n in range(50)]
    scene.server.refused = set(late)
    scene.work()
    for _ in range(2):
        scene.now += LINE_S
        scene.work()
    scene.now += 2 * 7200
    fresh = scene.end("fresh")
    scene.deliverer.take_in()

    due = scene.ledger.due(scene.now, AT_ONCE, LATE_AT_ONCE)

    assert [one.event.id for one in due if not one.is_late] == [fresh]
    assert sum(one.is_late for one in due) == LATE_AT_ONCE


def test_each_destination_gets_every_outcome_and_has_lines_and_a_failed_list_of_its_own(scene: Scene) -> None:
    crm = WebhookLedger(scene.stage.url(1), "crm", LINE_S)
    other = Server()
    other.status = 410
    deliverer = scene.another(other.url, crm, "crm")
    job_ids = [scene.end("a"), scene.end("b")]

    scene.work()
    scene.work(deliverer)
    other.stop()

    assert scene.ids == job_ids
    assert [one.job_id for one in other.received] == job_ids
    assert list(scene.ledger.failed()) == []
    assert {event.id for event, _, _ in crm.failed()} == set(job_ids)


def test_what_was_given_up_is_listed_for_seven_days(scene: Scene) -> None:
    scene.server.status = 410
    scene.end("old")
    scene.work()
    scene.now += redis_keys.KEPT_S - 1
    scene.work()
    assert scene.ledger.waiting().failed == 1

    scene.now += 2
    scene.work()

    assert scene.ledger.waiting().failed == 0


def test_what_is_sent_once_more_is_marked_late_and_holds_nobody(scene: Scene) -> None:
    scene.server.status = 410
    old = scene.end("old")
    scene.work()
    scene.server.status, scene.server.refused = 204, {old}
    scene.server.received.clear()

    scene.ledger.resend(old, scene.now)
    new = scene.end("new")
    scene.work()

    assert sorted((one.job_id, one.is_late) for one in scene.server.received) == sorted([(old, True), (new, False)])


def test_a_server_that_is_gone_for_good_says_410(scene: Scene) -> None:
    scene.server.status = 410
    job_id = scene.end("k")
    scene.work()

    assert [event.id for event, _, _ in scene.ledger.failed()] == [job_id]


def test_what_was_given_up_can_be_sent_once_more(scene: Scene) -> None:
    scene.server.status = 410
    job_id = scene.end("k")
    scene.work()
    scene.server.status = 200

    assert scene.ledger.resend(job_id, scene.now)
    assert not scene.ledger.resend(job_id, scene.now)  # it waits already
    assert not scene.ledger.resend(job_id_of("never"), scene.now)
    scene.work()

    assert scene.ids == [job_id, job_id]
    assert list(scene.ledger.failed()) == []


def test_retry_after_is_obeyed_and_redirects_are_not_followed(scene: Scene) -> None:
    scene.server.status, scene.server.headers = 429, {"Retry-After": "100"}
    scene.end("k")
    scene.work()
    scene.now += 50
    assert scene.work() == 0
    scene.now += 51
    scene.server.status = 302
    assert scene.work() == 1
    assert scene.told[-1][1:] == ("302", False)


PRIVATE = ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"]
MAPPED = ["[::ffff:10.0.0.1]", "[::10.0.0.1]", "[::ffff:8.8.8.8]"]
EMBEDDING = ["[64:ff9b::10.0.0.1]", "[64:ff9b:1::1]", "[2002:a00:1::1]", "[2001::1]"]
NO_UNICAST = ["224.0.0.1", "239.255.255.250", "255.255.255.255", "[ff02::1]", "[ff0e::1]"]
SPECIAL = ["100.64.0.1", "192.0.0.8", "192.88.99.1", "198.18.0.1", "[fec0::1]", "[fc00::1]", "[fe80::1]", "[3fff::1]"]


@pytest.mark.parametrize("host", [*PRIVATE, *MAPPED, *EMBEDDING, *NO_UNICAST, *SPECIAL])
def test_private_addresses_are_not_reached_unless_allowed(server: Server, host: str) -> None:
    port = server.url.rsplit(":", 1)[1]

    answer = WebhookClient(f"http://{host}:{port}", SECRETS, timeout_s=1).post("id", 1, b"{}")

    assert answer.word == "private address"
    assert server.received == []


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::93.184.216.34"])
def test_plain_public_addresses_are_reached_by_nat64_too(address: str) -> None:
    assert is_public(address)


class Names:
    """What names lead to, in place of a name server; numbers are themselves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[str]]) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._answers, self._ask = answers, socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.ask)

    def ask(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        self.asked.append(host)
        self.may_answer.wait(20)
        addresses = self._answers.get(host, [host])
        return [one for address in addresses for one in self._ask(address, port, socket.AF_INET, socket.SOCK_STREAM)]


def test_a_name_that_also_leads_to_a_private_address_is_not_reached(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, {"shop.example": ["93.184.216.34", "127.0.0.1"]})

    answer = WebhookClient(server.url.replace("127.0.0.1", "shop.example"), SECRETS, timeout_s=5).post("id", 1, b"{}")

    assert (answer.word, server.received) == ("private address", [])


def test_the_address_that_was_checked_is_the_one_that_is_reached(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = "93.184.216.34"
    names = Names(monkeypatch, {"shop.example": [public], public: ["127.0.0.1"]})  # whose traffic comes to us

    answer = WebhookClient(server.url.replace("127.0.0.1", "shop.example"), SECRETS).post("id", 1, b"{}")

    assert (answer.word, names.asked) == ("204", ["shop.example", public])


def test_a_host_whose_first_address_does_not_answer_is_reached_by_the_next(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, {"shop.example": ["127.0.0.2", "127.0.0.1"]})  # the server listens on the last one only
    client = WebhookClient(server.url.replace("127.0.0.1", "shop.example"), SECRETS, allow_private=True)

    assert client.post("id", 1, b"{}").is_delivered


@pytest.mark.parametrize("host", ["상점.example", f"{'a' * 64}.example", "a..example"])
def test_a_host_that_is_no_name_ends_the_delivery_and_not_the_process(scene: Scene, host: str) -> None:
    scene.end("k")
    for allow_private in (True, False):
        client = WebhookClient(f"http://{host}/hooks", SECRETS, allow_private=allow_private)
        assert client.post("id", 1, b"{}").word == "no host name"

    assert scene.work(scene.another(f"http://{host}/hooks")) == 1
    assert scene.told == [(job_id_of("k"), "no host name", False)]


class Dripping:
    """A server that answers byte by byte, and would be done after some 20 s.

    Args:
        text: what it sends, again and again.
        end: what it ends with.
    """

    def __init__(self, text: bytes, end: bytes) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port, self._ended = self._listening.getsockname()[1], threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(text, end))
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _serve(self, text: bytes, end: bytes) -> None:
        with self._listening, self._listening.accept()[0] as connection, contextlib.suppress(OSError):
            for byte in itertools.islice(itertools.cycle(text), 400):
                if self._ended.wait(0.05):
                    return
                connection.send(bytes([byte]))
            connection.sendall(end)


@pytest.mark.parametrize(
    ("scheme", "text", "end"),
    [
        ("http", b"HTTP/1.1 204 No Content\r\nX: " + b"x" * 1000, b"\r\n\r\n"),
        ("http", b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("https", b"\x16\x03\x03\x01\x00\x02" + bytes(1000), b""),
    ],
    ids=["header", "interim answers", "handshake"],
)
def test_a_server_that_answers_byte_by_byte_is_not_waited_for_beyond_the_timeout(
    scheme: str, text: bytes, end: bytes
) -> None:
    server = Dripping(text, end)
    client = WebhookClient(f"{scheme}://127.0.0.1:{server.port}/", SECRETS, timeout_s=0.5, allow_private=True)
    began = time.monotonic()

    answer = client.post("id", 1, b"{}")

    took_s = time.monotonic() - began
    server.stop()
    assert answer.word == "timeout"
    assert took_s < 10


def test_a_name_server_that_is_silent_is_not_waited_for_and_holds_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, {})
    names.may_answer.clear()
    client = WebhookClient("https://shop.example/", SECRETS, timeout_s=0.2)
    began = time.monotonic()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("id", 1, b"{}"), range(8)))
    took_s = time.monotonic() - began
    names.may_answer.set()

    assert {one.word for one in answers} == {"timeout"}
    assert names.asked == ["shop.example"]
    assert took_s < 10


def test_a_server_that_nobody_answers_at_is_said_so(scene: Scene) -> None:
    scene.end("k")
    scene.work(scene.another("http://127.0.0.1:1/hooks"))

    assert scene.told == [(job_id_of("k"), "ConnectError", False)]


def test_attempts_come_ever_more_rarely() -> None:
    waits = [retry_after_s(n, lambda: 0.5) for n in range(1, 10)]

    assert waits == [*map(float, RETRIES_AFTER_S), 7200.0, 7200.0]


def test_payments_without_a_customer_are_told_too(scene: Scene) -> None:
    ids = [scene.end(f"order-{n}", None, Status.PAID) for n in range(3)]
    scene.work()

    assert sorted(scene.ids) == sorted(ids)


@pytest.fixture
def settings_say(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WebhookSettings]:
    def say(**changes: str) -> WebhookSettings:
        well = {"WEBHOOK_URL": "https://shop.example/hooks", "WEBHOOK_SECRETS": f"{NEW} {OLD}"}
        for name, value in {**well, **changes}.items():
            monkeypatch.setenv(name, value)
        return WebhookSettings.from_env()

    return say


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"WEBHOOK_URL": ""}, "WEBHOOK_URL: is not set"),
        ({"WEBHOOK_URL": "https://user:sesame@shop.example"}, "WEBHOOK_URL: must be a URL of your server"),
        ({"WEBHOOK_URL": "http://shop.example"}, "WEBHOOK_URL: must be https; plain http is for private addresses"),
        ({"WEBHOOK_URL": "https://상점.example/sesame"}, "WEBHOOK_URL: must be a URL of your server in ASCII"),
        ({"WEBHOOK_URL": f"https://{'sesame' * 11}.example"}, "WEBHOOK_URL: must be a URL of your server"),
        ({"WEBHOOK_SECRETS": f"{NEW} whsec_sesame"}, "WEBHOOK_SECRETS: must be whsec_ and"),
        ({"WEBHOOK_SECRETS": "  "}, "WEBHOOK_SECRETS: must be whsec_ and"),
        ({"WEBHOOK_NAME": "sesame:"}, "WEBHOOK_NAME: must be 1 to 40 of a to z"),
        ({"WEBHOOK_LINE_S": "0"}, "WEBHOOK_LINE_S: input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(
    settings_say: Callable[..., WebhookSettings], changes: dict[str, str], line: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{line}") as caught:
        settings_say(**changes)

    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n", "  \n"])
def test_an_empty_file_of_secrets_is_refused(
    settings_say: Callable[..., WebhookSettings], tmp_path: Path, content: str
) -> None:
    (tmp_path / "secrets").write_text(content)

    with pytest.raises(SettingsError, match=r"^WEBHOOK_SECRETS_FILE: the file is empty$"):
        settings_say(WEBHOOK_SECRETS="", WEBHOOK_SECRETS_FILE=str(tmp_path / "secrets"))


def test_plain_http_is_for_private_addresses(settings_say: Callable[..., WebhookSettings]) -> None:
    settings = settings_say(WEBHOOK_URL="http://10.0.0.1/hooks", WEBHOOK_ALLOW_PRIVATE="1")

    assert settings.webhook_url == "http://10.0.0.1/hooks"


class SlowClient:
    """A receiver that keeps a delivery waiting."""

    def __init__(self) -> None:
        self.is_asked, self.goes_on = threading.Event(), threading.Event()

    def post(self, *_: Any) -> PostResult:
        self.is_asked.set()
        self.goes_on.wait(PATIENCE_S)
        return PostResult(is_delivered=True, is_final=False, word="204")


def test_a_receiver_that_keeps_a_delivery_waiting_makes_webhooks_neither_dead_nor_unready(scene: Scene) -> None:
    client, signs = SlowClient(), dict.fromkeys(("alive", "reading"), 0)
    reader = OutcomeReader(scene.stage.url(1), group_of("main"), group_of("main"), block_ms=0)

    def count(name: str) -> None:
        signs[name] += 1

    deliverer = Deliverer(
        (reader,),
        scene.ledger,
        client,  # type: ignore[arg-type]
        alive=lambda: count("alive"),
        reading=lambda: count("reading"),
    )
    scene.end("a")
    running = threading.Thread(target=deliverer.run)
    running.start()
    try:
        assert client.is_asked.wait(PATIENCE_S)
        before = dict(signs)
        wait_until(lambda: all(signs[name] > before[name] + 1 for name in signs), PATIENCE_S, "more signs")
    finally:
        client.goes_on.set()
        deliverer.stop()
        running.join()


class SlowForOne:
    """A receiver that does not answer for one customer."""

    def __init__(self) -> None:
        self.goes_on, self.told = threading.Event(), list[str]()

    def post(self, _id: str, _at: int, body: bytes) -> PostResult:
        uid = json.loads(body)["data"]["customer_uid"]
        if uid == "slow":
            self.goes_on.wait(PATIENCE_S)
        self.told.append(uid)
        return PostResult(is_delivered=True, is_final=False, word="204")


def test_a_delivery_that_is_slow_keeps_no_other_customer_waiting(scene: Scene) -> None:
    client = SlowForOne()
    reader = OutcomeReader(scene.stage.url(1), "webhooks", "webhooks", block_ms=0)
    deliverer = Deliverer((reader,), scene.ledger, client)  # type: ignore[arg-type]
    scene.end("a", "slow")
    running = threading.Thread(target=deliverer.run)
    running.start()
    try:
        for name in ("first", "second", "third"):
            scene.end(name, name)
            wait_until(lambda: client.told[-1:] == [name], PATIENCE_S, "a quick one")  # noqa: B023 — within its round
        assert "slow" not in client.told
    finally:
        client.goes_on.set()
        deliverer.stop()
        running.join()


class Broken:
    """A reader with an error in it."""

    def left_over(self) -> list[Any]:
        raise ValueError("of ours")


def test_an_error_of_ours_ends_the_command_and_does_not_leave_it_doing_nothing(scene: Scene) -> None:
    deliverer = Deliverer((Broken(),), scene.ledger, SlowClient())  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="of ours"):
        deliverer.run()


def test_a_stream_that_cannot_be_read_shows_no_sign_of_reading(scene: Scene) -> None:
    url = f"redis://127.0.0.1:{dead_port()}/1"
    signs: list[int] = []
    troubles: list[str] = []
    deliverer = Deliverer(
        (OutcomeReader(url, "webhooks", "webhooks", block_ms=0),),
        WebhookLedger(url, "main"),
        WebhookClient(scene.server.url, SECRETS, timeout_s=60, allow_private=True),
        reading=lambda: signs.append(1),
        tell_trouble=troubles.append,
    )
    running = threading.Thread(target=deliverer.run)
    running.start()
    try:
        wait_until(lambda: troubles, PATIENCE_S, "trouble")
    finally:
        deliverer.stop()
        running.join()

    assert signs == []
