"""The fake's faults do what they say, and its server leaves nothing behind."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from tests.fake_iamport import CARDS, FakeIamport, Fault, RemoteFake
from tests.fake_iamport.merchant import Api, Clock

# --- faults


def test_rate_limit_lets_the_burst_pass_and_then_the_rate(api: Api, fake: FakeIamport, clock: Clock) -> None:
    fake.add_fault(Fault("rate_limit", "GET /", rate_per_s=2, burst=2))

    def status() -> int:
        return api.call("GET", "/users/pg").status_code

    at_once = [status() for _ in range(3)]
    clock.now += 0.5
    assert (at_once, status(), status()) == ([200, 200, 429], 200, 429)


def test_rate_limit_names_its_retry_after(api: Api, fake: FakeIamport) -> None:
    fake.add_fault(Fault("rate_limit", times=1, retry_after_s=7, body="html"))

    refused = api.issue("a", CARDS["visa"])

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert refused.headers["Content-Type"] == "text/html"
    assert api.issue("a", CARDS["visa"]).status_code == 200


@pytest.mark.parametrize(
    ("fault", "applied"),
    [
        (Fault("reset", times=1), 0),
        (Fault("hang", times=1, hold_s=0.01), 0),
        (Fault("lost_answer", times=1), 1),
        (Fault("lost_answer", times=1, cut="close"), 1),
        (Fault("applied_late", times=1, delay_s=3600), 0),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_unanswered_request_is_applied_or_not(api: Api, fake: FakeIamport, fault: Fault, applied: int) -> None:
    fake.add_fault(fault)

    with pytest.raises(requests.ConnectionError):
        api.issue("a", CARDS["visa"])

    assert len(fake.applied) == applied
    assert (fake.requests[-1].status, fake.requests[-1].code) == (None, None)


def test_page_of_an_edge_may_stand_before_what_was_done(api: Api, fake: FakeIamport) -> None:
    fake.add_fault(Fault("lost_answer", times=1, cut="page", status=403))

    page = api.issue("a", CARDS["visa"])

    assert (page.status_code, page.headers["Content-Type"]) == (403, "text/html")
    assert len(fake.applied) == 1


def test_late_request_is_applied_after_the_cut(api: Api, fake: FakeIamport, clock: Clock) -> None:
    fake.add_fault(Fault("applied_late", times=1, delay_s=3600))
    with pytest.raises(requests.ConnectionError):
        api.issue("a", CARDS["visa"])
    clock.now += 3600
    fake.apply_late()

    assert [(a.late, a.at) for a in fake.applied] == [(True, clock.now)]
    assert fake.requests[fake.applied[0].request_id].path == "/subscribe/customers/a"


def test_late_request_is_applied_by_itself(api: Api, fake: FakeIamport) -> None:
    fake.add_fault(Fault("applied_late", times=1, delay_s=0.01))
    with pytest.raises(requests.ConnectionError):
        api.issue("a", CARDS["visa"])

    until = time.monotonic() + 60
    while not fake.applied and time.monotonic() < until:
        api.call("GET", "/users/pg")
    assert "a" in fake.customers


def test_faults_combine_and_the_dice_are_seeded(clock: Clock) -> None:
    def statuses() -> list[int]:
        with FakeIamport(clock=clock) as fake:
            api = Api(fake)
            fake.add_fault(Fault("server_error", "/users/", probability=0.5, seed=3, status=503))
            fake.add_fault(Fault("slow_drip", "/users/", interval_s=0))
            fake.add_fault(Fault("latency", "/", latency_s=(0.0, 0.001)))
            answers = [api.call("GET", "/users/pg").status_code for _ in range(8)]
            api.session.close()
            return answers

    assert statuses() == statuses()
    assert set(statuses()) == {503, 401}


def test_token_and_login_are_refused_as_often_as_told(api: Api, fake: FakeIamport) -> None:
    fake.add_fault(Fault("token_expired", times=1))
    fake.add_fault(Fault("refuse_login", times=1))

    assert [api.issue("a", CARDS["visa"]).status_code for _ in range(2)] == [401, 200]
    with pytest.raises(TypeError):
        api.login()
    assert api.login()["access_token"]


def test_unknown_kind_of_fault_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        Fault("latecny")  # type: ignore[arg-type]


# --- the server


def test_offset_moves_imports_clock(api: Api, fake: FakeIamport, clock: Clock) -> None:
    fake.clock_offset_s = -90

    assert api.login()["now"] == int(clock.now) - 90


def test_requests_are_counted_by_path_and_by_prefix(api: Api, fake: FakeIamport) -> None:
    api.issue("a%40b", CARDS["visa"])
    api.issue("c", CARDS["visa"])

    assert fake.count("POST", "/users/getToken") == 1
    assert fake.count("POST", "/subscribe/customers/") == 2
    assert fake.count("POST", "/subscribe/customers/a@b") == 1
    assert fake.stats["by_route"]["POST /subscribe/customers/{customer_uid}"] == 2
    assert fake.requests[-1].body["card_number"] == CARDS["visa"].card_number
    fake.reset()
    assert (fake.requests, fake.customers, fake.applied) == ([], {}, [])


def test_https_is_trusted_through_its_ca_file_only(clock: Clock) -> None:
    with FakeIamport(tls=True, clock=clock) as fake:
        api = Api(fake)
        api.login()

        assert api.issue("a", CARDS["visa"]).json()["code"] == 0
        api.session.close()
        api.session.verify = True
        with pytest.raises(requests.exceptions.SSLError):
            api.login()
        api.session.close()


def test_two_hundred_connections_are_served_at_once_and_no_thread_is_left(clock: Clock) -> None:
    before = set(threading.enumerate())
    request = b"GET /users/pg HTTP/1.1\r\nHost: x\r\n\r\n"
    with FakeIamport(clock=clock) as fake:
        address = ("127.0.0.1", int(fake.url.rpartition(":")[2]))
        socks = [socket.create_connection(address, timeout=60) for _ in range(200)]
        for sock in socks:
            sock.sendall(request)
        answers = {sock.recv(12) for sock in socks}
        fake.add_fault(Fault("hang", "/", hold_s=600))
        socks[0].sendall(request)

    assert answers == {b"HTTP/1.1 401"}
    assert set(threading.enumerate()) <= before
    for sock in socks:
        sock.close()


def test_process_is_steered_and_read_over_http_and_ends_cleanly(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    command = [sys.executable, "-m", "tests.fake_iamport", "--tls", "--ca-file", str(ca_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        remote = RemoteFake(process.stdout.readline().strip(), ca_file)
        session = requests.Session()
        session.trust_env, session.verify = False, str(ca_file)
        local = FakeIamport()
        keys = {"imp_key": local.imp_key, "imp_secret": local.imp_secret}
        token = session.post(remote.url + "/users/getToken", json=keys).json()["response"]
        session.headers["Authorization"] = token["access_token"]
        remote.add_fault(Fault("server_error", times=1, latency_s=(0.0, 0.001)))
        issue = remote.url + "/subscribe/customers/a"
        statuses = [session.post(issue, json=CARDS["visa"].fields()).status_code for _ in range(2)]
        seen = session.get(remote.url + "/_fake/requests?since=1").text
        session.close()

        assert statuses == [502, 200]
        assert remote.count("POST", "/subscribe/customers/") == 2
        assert [applied.card_number for applied in remote.applied] == [CARDS["visa"].card_number]
        assert remote.customers["a"]["card_number"] == CARDS["visa"].card_number
        assert remote.stats["by_answer"] == {"200/0": 2, "502/None": 1}
        assert CARDS["visa"].card_number not in seen
        assert json.loads(seen)["requests"][0]["body"]["pwd_2digit"] == "**"
        remote.reset()
        assert remote.requests == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
