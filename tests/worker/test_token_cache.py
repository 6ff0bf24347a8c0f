"""The shared token, on a fake Redis and clocks as arguments: nothing here waits."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fakeredis
import pytest
from pydantic import SecretStr

from producer.runtime.errors import StoreUnavailable
from producer.runtime.redis_store import Script
from worker.errors import LoginRefused, TokenUnavailable
from worker.iamport.answer import Answer, Token
from worker.token_cache import FAILURE_S, LOCK_S, REFUSED_S, TOKEN_WAIT_S, TokenCache


class FakeLink:
    """A vault in this process; it can be silent."""

    def __init__(self, server: fakeredis.FakeServer) -> None:
        self.client = fakeredis.FakeStrictRedis(server=server)
        self.is_silent = False

    def call(self, *command: Any) -> Any:
        if self.is_silent:
            raise StoreUnavailable
        return self.client.execute_command(*command)

    def run(self, script: Script, keys: list[str], *arguments: Any) -> Any:
        source = script.source.partition(b"\n")[2]  # fakeredis knows no flags
        return self.call("EVAL", source, len(keys), *keys, *arguments)


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

    def __init__(self, server: fakeredis.FakeServer, login: Login, secret: str) -> None:
        self.clock, self.links = Clock(), FakeLinks(server)
        vault: Any = self.links
        self.cache = TokenCache(
            "key", SecretStr(secret), login=login, vault=vault, clock=self.clock, sleep=self.clock.sleep
        )
        self.get, self.drop = self.cache.get, self.cache.drop

    def refusal(self) -> TokenUnavailable:
        with pytest.raises(TokenUnavailable) as caught:
            self.get()
        return caught.value


class Vault:
    """What processes share: a vault, as seen from behind, and i'mport's login."""

    def __init__(self) -> None:
        self.server, self.login = fakeredis.FakeServer(), Login()
        self.stored = fakeredis.FakeStrictRedis(server=self.server)

    def process(self, secret: str = "secret") -> Process:
        return Process(self.server, self.login, secret)

    @property
    def name(self) -> str:
        (name,) = self.stored.keys("billing:token:*")
        return str(name.decode())


@pytest.fixture
def vault() -> Vault:
    return Vault()


def test_a_token_is_fetched_once_for_all_processes(vault: Vault) -> None:
    processes = [vault.process() for _ in range(5)]

    texts = {process.get().text for process in processes for _ in range(3)}

    assert texts == {"a" * 40}
    assert vault.login.calls == 1


def test_many_threads_of_a_process_fetch_once(vault: Vault) -> None:
    process = vault.process()

    with ThreadPoolExecutor(16) as pool:
        held = list(pool.map(lambda _: process.get(), range(64)))

    assert vault.login.calls == 1
    assert len({one.text for one in held}) == 1


def test_the_token_lies_in_the_vault_encrypted(vault: Vault) -> None:
    vault.process().get()

    assert b"a" * 40 not in vault.stored.get(vault.name)


def test_the_token_expires_in_the_vault_before_it_does_at_imp(vault: Vault) -> None:
    vault.login = Login(life_s=600)

    vault.process().get()

    assert 500 < vault.stored.ttl(vault.name) <= 570


def test_it_is_fetched_again_when_its_life_ends(vault: Vault) -> None:
    vault.login = Login(life_s=600)
    process = vault.process()
    process.get()
    vault.stored.flushall()  # the vault's clock is not ours: its copy expired

    for now, calls in ((569, 1), (571, 2)):
        process.clock.now = now
        process.get()
        assert vault.login.calls == calls


def test_an_expiry_that_is_past_already_does_not_make_every_job_log_in(vault: Vault) -> None:
    vault.login = Login(life_s=-100)
    process = vault.process()

    for _ in range(10):
        process.get()

    assert vault.login.calls == 1


def test_another_secret_is_another_account(vault: Vault) -> None:
    vault.process("secret").get()
    vault.process("another").get()

    assert vault.login.calls == 2


def test_garbage_in_the_vault_is_no_token(vault: Vault) -> None:
    vault.process().get()
    vault.stored.set(vault.name, b"garbage", ex=100)

    assert vault.process().get().text == "a" * 40
    assert vault.login.calls == 2


def test_a_refused_token_is_dropped_for_all_and_fetched_once(vault: Vault) -> None:
    one, other = vault.process(), vault.process()
    held, also_held = one.get(), other.get()
    vault.login.answer = Answer(200, 0, token=Token("b" * 40, 1800))

    one.drop(held)
    first = one.get()
    other.drop(also_held)
    second = other.get()

    assert (first.text, second.text) == ("b" * 40, "b" * 40)
    assert vault.login.calls == 2


def test_a_hundred_late_refusals_of_an_old_token_do_not_drop_the_new_one(vault: Vault) -> None:
    process = vault.process()
    old = process.get()

    for _ in range(101):
        process.drop(old)
        process.get()

    assert vault.login.calls == 2


def test_the_same_token_given_again_is_accepted(vault: Vault) -> None:
    process = vault.process()
    first = process.get()

    process.drop(first)
    second = process.get()

    assert second.text == first.text
    assert vault.login.calls == 2


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_merchant_keys_are_probed_once_in_30_seconds_by_everybody_together(vault: Vault, status: int) -> None:
    vault.login.answer = Answer(status, -1)

    refusals = [process.refusal() for process in [vault.process() for _ in range(4)] for _ in range(3)]

    assert {(type(one), one.delay_s) for one in refusals} == {(LoginRefused, REFUSED_S)}
    assert vault.login.calls == 1


@pytest.mark.parametrize(
    ("answer", "reason", "delay_s"),
    [
        pytest.param(Answer(0, was_sent=False), "login_failed", None, id="without answer"),
        pytest.param(Answer(403), "login_failed", None, id="a page with 403"),
        pytest.param(Answer(401), "login_failed", None, id="a page with 401"),
        pytest.param(Answer(200, 0), "login_failed", None, id="no token"),
        pytest.param(Answer(429, retry_after_s=7.0), "login_throttled", 7.0, id="throttled"),
    ],
)
def test_a_login_that_came_to_nothing_says_how_long_to_wait(
    vault: Vault, answer: Answer, reason: str, delay_s: float | None
) -> None:
    vault.login.answer = answer

    refusal = vault.process().refusal()

    assert (refusal.reason, refusal.delay_s) == (reason, delay_s)


def test_of_a_failed_login_only_who_asked_says_that_it_asked(vault: Vault) -> None:
    vault.login.answer = Answer(502)
    process = vault.process()

    refusals = [process.refusal() for _ in range(3)]
    process.clock.now += FAILURE_S
    refusals.append(process.refusal())

    assert [one.is_first for one in refusals] == [True, False, False, True]
    assert {one.reason for one in refusals} == {"login_failed"}
    assert vault.login.calls == 2


def test_refused_keys_are_never_a_failure_of_imp(vault: Vault) -> None:
    vault.login.answer = Answer(401, -1)

    assert [vault.process().refusal().is_first for _ in range(3)] == [False] * 3


def login_answer(**members: object) -> Answer:
    response = {"access_token": "a" * 40, "now": 1000, "expired_at": 2800} | members
    return Answer.read(200, json.dumps({"code": 0, "message": None, "response": response}).encode())


@pytest.mark.parametrize("expired_at", [1e300, 10**18, pytest.param(10**400, id="400 digits")])
def test_a_token_that_never_ends_is_fetched_again_within_the_hour(vault: Vault, expired_at: float) -> None:
    vault.login.answer = login_answer(expired_at=expired_at)
    process = vault.process()

    assert process.get().until <= 3600
    assert 0 < vault.stored.ttl(vault.name) <= 3600


@pytest.mark.parametrize(
    "members",
    [
        *({"access_token": text} for text in ("", " ", "a b", "a\r\nHost: x", "토큰", None, 5)),
        {"expired_at": None},
        {"expired_at": "soon"},
        {"expired_at": {}},
        {"expired_at": math.inf},
        {"expired_at": math.nan},
        {"now": None},
    ],
)
def test_a_login_that_gives_no_usable_token_has_failed(vault: Vault, members: dict[str, object]) -> None:
    vault.login.answer = login_answer(**members)

    assert vault.process().refusal().reason == "login_failed"


@pytest.mark.parametrize("what", ["refused", "lock"])
def test_a_note_that_lasts_longer_than_it_may_was_left_before_the_clock_stepped_back_and_holds_up_nobody(
    vault: Vault, what: str
) -> None:
    process = vault.process()
    process.get()
    name = vault.name
    vault.stored.delete(name)
    vault.stored.set(f"{name}:{what}", "somebody else", ex=7200)

    assert vault.process().get().text == "a" * 40
    assert process.clock.now == 0.0


def test_a_token_in_the_vault_that_lasts_longer_than_any_is_held_for_an_hour_at_most(vault: Vault) -> None:
    vault.process().get()
    vault.stored.expire(vault.name, 86400)

    assert vault.process().get().until == 3600


def test_who_waits_for_anothers_fetch_gives_up_in_time(vault: Vault) -> None:
    process = vault.process()
    vault.process().get()
    name = vault.name
    vault.stored.delete(name)
    vault.stored.set(f"{name}:lock", "somebody else", ex=LOCK_S)

    assert process.refusal().reason == "token_awaited"
    assert TOKEN_WAIT_S <= process.clock.now < TOKEN_WAIT_S + 1
    assert vault.stored.get(f"{name}:lock") == b"somebody else"


def test_a_silent_vault_makes_jobs_wait(vault: Vault) -> None:
    process = vault.process()
    process.links.local.is_silent = True

    assert process.refusal().reason == "vault_silent"


def test_a_held_token_does_not_show_itself(vault: Vault) -> None:
    held = vault.process().get()

    for shown in (repr(held), f"{held}", repr(Token("a" * 40, 1.0))):
        assert "a" * 40 not in shown
