"""The shared token, on a fake Redis and clocks as arguments: nothing here waits."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fakeredis
import pytest
from pydantic import SecretStr

from producer.runtime.errors import StoreUnavailable
from worker.errors import LoginRefused, TokenUnavailable
from worker.iamport.answer import Answer, Token
from worker.token_cache import REFUSED_S, WAIT_S, TokenCache


class FakeLink:
    """A vault in this process; it can be silent."""

    def __init__(self, server: fakeredis.FakeServer) -> None:
        self.client = fakeredis.FakeStrictRedis(server=server)
        self.is_silent = False

    def call(self, *command: Any) -> Any:
        if self.is_silent:
            raise StoreUnavailable
        return self.client.execute_command(*command)


class FakeLinks:
    def __init__(self, server: fakeredis.FakeServer) -> None:
        self.local = FakeLink(server)


class Login:
    """I'mport's login: one token until told otherwise."""

    def __init__(self, life_s: float = 1800) -> None:
        self.answer = Answer(200, 0, token=Token("a" * 40, life_s))
        self.calls = 0

    def __call__(self) -> Answer:
        self.calls += 1
        return self.answer


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Process:
    """One worker process beside others on the same vault."""

    def __init__(self, server: fakeredis.FakeServer, login: Login, secret: str = "secret") -> None:
        self.clock, self.links = Clock(), FakeLinks(server)
        self.cache = TokenCache(
            "key",
            SecretStr(secret),
            login=login,
            vault=self.links,  # type: ignore[arg-type]
            clock=self.clock,
            sleep=self.clock.sleep,
        )


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


def test_a_token_is_fetched_once_for_all_processes(server: fakeredis.FakeServer) -> None:
    login = Login()
    processes = [Process(server, login) for _ in range(5)]

    texts = {process.cache.get().text for process in processes for _ in range(3)}

    assert texts == {"a" * 40}
    assert login.calls == 1


def test_many_threads_of_a_process_fetch_once(server: fakeredis.FakeServer) -> None:
    login = Login()
    process = Process(server, login)

    with ThreadPoolExecutor(16) as pool:
        held = list(pool.map(lambda _: process.cache.get(), range(64)))

    assert login.calls == 1
    assert len({one.text for one in held}) == 1


def test_the_token_lies_in_the_vault_encrypted(server: fakeredis.FakeServer) -> None:
    Process(server, Login()).cache.get()

    stored = fakeredis.FakeStrictRedis(server=server)
    values = [stored.get(name) for name in stored.keys("billing:token:*")]

    assert len(values) == 1
    assert b"a" * 40 not in values[0]


def test_the_token_expires_in_the_vault_before_it_does_at_imp(server: fakeredis.FakeServer) -> None:
    Process(server, Login(life_s=600)).cache.get()

    stored = fakeredis.FakeStrictRedis(server=server)
    (name,) = stored.keys("billing:token:*")

    assert 500 < stored.ttl(name) <= 570


def test_it_is_fetched_again_when_its_life_ends(server: fakeredis.FakeServer) -> None:
    login = Login(life_s=600)
    process = Process(server, login)
    process.cache.get()
    fakeredis.FakeStrictRedis(server=server).flushall()  # the vault's clock is not ours: its copy expired

    process.clock.now = 569
    process.cache.get()
    assert login.calls == 1

    process.clock.now = 571
    process.cache.get()
    assert login.calls == 2


def test_an_expiry_that_is_past_already_does_not_make_every_job_log_in(server: fakeredis.FakeServer) -> None:
    login = Login(life_s=-100)
    process = Process(server, login)

    for _ in range(10):
        process.cache.get()

    assert login.calls == 1


def test_another_secret_is_another_account(server: fakeredis.FakeServer) -> None:
    login = Login()

    Process(server, login, "secret").cache.get()
    Process(server, login, "another").cache.get()

    assert login.calls == 2


def test_garbage_in_the_vault_is_no_token(server: fakeredis.FakeServer) -> None:
    login = Login()
    Process(server, login).cache.get()
    stored = fakeredis.FakeStrictRedis(server=server)
    (name,) = stored.keys("billing:token:*")
    stored.set(name, b"garbage", ex=100)

    assert Process(server, login).cache.get().text == "a" * 40
    assert login.calls == 2


def test_a_refused_token_is_dropped_for_all_and_fetched_once(server: fakeredis.FakeServer) -> None:
    login = Login()
    one, other = Process(server, login), Process(server, login)
    held, also_held = one.cache.get(), other.cache.get()
    login.answer = Answer(200, 0, token=Token("b" * 40, 1800))

    one.cache.drop(held)
    first = one.cache.get()
    other.cache.drop(also_held)
    second = other.cache.get()

    assert (first.text, second.text) == ("b" * 40, "b" * 40)
    assert login.calls == 2


def test_a_hundred_late_refusals_of_an_old_token_do_not_drop_the_new_one(server: fakeredis.FakeServer) -> None:
    login = Login()
    process = Process(server, login)
    old = process.cache.get()
    process.cache.drop(old)
    process.cache.get()

    for _ in range(100):
        process.cache.drop(old)
        process.cache.get()

    assert login.calls == 2


def test_the_same_token_given_again_is_accepted(server: fakeredis.FakeServer) -> None:
    login = Login()
    process = Process(server, login)
    first = process.cache.get()

    process.cache.drop(first)
    second = process.cache.get()

    assert second.text == first.text
    assert login.calls == 2


def test_wrong_merchant_keys_are_probed_once_in_30_seconds_by_everybody_together(server: fakeredis.FakeServer) -> None:
    login = Login()
    login.answer = Answer(401, -1)

    for process in [Process(server, login) for _ in range(4)]:
        for _ in range(3):
            with pytest.raises(LoginRefused) as caught:
                process.cache.get()
            assert caught.value.delay_s == REFUSED_S

    assert login.calls == 1


def test_a_login_without_answer_is_an_ordinary_wait(server: fakeredis.FakeServer) -> None:
    login = Login()
    login.answer = Answer(0, was_sent=False)

    with pytest.raises(TokenUnavailable) as caught:
        Process(server, login).cache.get()

    assert (caught.value.reason, caught.value.delay_s) == ("login_failed", None)


def test_a_throttled_login_says_how_long_to_wait(server: fakeredis.FakeServer) -> None:
    login = Login()
    login.answer = Answer(429, retry_after_s=7.0)

    with pytest.raises(TokenUnavailable) as caught:
        Process(server, login).cache.get()

    assert (caught.value.reason, caught.value.delay_s) == ("login_throttled", 7.0)


def test_who_waits_for_anothers_fetch_gives_up_in_time(server: fakeredis.FakeServer) -> None:
    login = Login()
    process = Process(server, login)
    stored = fakeredis.FakeStrictRedis(server=server)
    Process(server, login).cache.get()
    (name,) = stored.keys("billing:token:*")
    stored.delete(name)
    stored.set(name.decode() + ":lock", "somebody else")

    with pytest.raises(TokenUnavailable) as caught:
        process.cache.get()

    assert caught.value.reason == "token_awaited"
    assert WAIT_S <= process.clock.now < WAIT_S + 1
    assert stored.get(name.decode() + ":lock") == b"somebody else"


def test_a_silent_vault_makes_jobs_wait(server: fakeredis.FakeServer) -> None:
    process = Process(server, Login())
    process.links.local.is_silent = True

    with pytest.raises(TokenUnavailable) as caught:
        process.cache.get()

    assert caught.value.reason == "vault_silent"


def test_a_held_token_does_not_show_itself(server: fakeredis.FakeServer) -> None:
    held = Process(server, Login()).cache.get()

    assert "a" * 40 not in repr(held)
    assert "a" * 40 not in f"{held}"
    assert "a" * 40 not in repr(Token("a" * 40, 1.0))
