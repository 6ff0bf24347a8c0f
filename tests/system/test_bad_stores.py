"""Stores that are not as they must be: one line that says which, where and why, from whoever comes to use them."""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import NamedTuple

import pytest

from tests.fake_iamport import CARDS
from tests.ports import dead_port
from tests.servers import environment, run_python
from tests.stack import Stack
from worker.doctor import FAIL, examine
from worker.errors import SettingsError
from worker.settings import WorkerSettings
from worker.start_check import check_stores
from worker.store_check import Seen, problems_of_any

CARD = json.dumps(CARDS["visa"].fields())
PRODUCER = ["-m", "producer", "issue", "--customer-uid", "gildong"]
WORKER = ["-m", "worker", "run", "--processes", "1"]
WEBHOOKS = ["-m", "producer", "webhooks", "run"]
WEBHOOK = {"WEBHOOK_URL": "https://example.com/x", "WEBHOOK_SECRETS": "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}


def run(idle: Stack, command: list[str], user: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    every = {**os.environ, **(idle.worker_env if command[1] == "worker" else idle.producer_env), **idle.stores(user)}
    every = {name: value for name, value in every.items() if command[1] == "worker" or not name.startswith("IMP_")}
    return run_python(*command, given=CARD, environ={**every, **(WEBHOOK if "webhooks" in command else {}), **environ})


def said(done: "subprocess.CompletedProcess[str]", command: list[str]) -> str:
    """The one line that it ends with."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) <= 2, done.stderr  # a worker says that it waits for a store that may be starting
    return lines[-1]


def doctors_word(stack: Stack, **environ: str) -> str:
    """What the doctor finds wrong; ``test_worker_commands`` has the command. The last thing would lock us down."""
    with environment({**stack.worker_env, **stack.stores("doctor"), **environ}):
        settings, wrong = WorkerSettings.as_far_as_possible()
    found = takewhile(lambda one: one.what != "lock-down", examine(settings, wrong, with_login=False))
    return "\n".join(f"{what}: {words}" for what, mark, words in found if mark == FAIL)


def workers_word(stack: Stack) -> str:
    """Why workers do not start."""
    with environment(stack.worker_env), pytest.raises(SettingsError) as caught:
        check_stores(WorkerSettings.from_env())
    return str(caught.value)


class Bad(NamedTuple):
    """A change to the URL of a store, and what is said of it."""

    change: Callable[[str], str]
    words: str


def with_password(url: str) -> str:
    return re.sub(r":[^:@/]+@", ":s3same@", url)


BAD = {
    "wrong password": Bad(with_password, "wrong user or password"),
    "default user": Bad(lambda url: re.sub(r"//[^@]+@", "//", url), "user default: wrong user or password"),
    "wrong host": Bad(lambda url: re.sub(r"@[^/]+/", "@nowhere.invalid:6379/", url), "no such host"),
    "nobody listens": Bad(lambda url: re.sub(r":\d+/", f":{dead_port()}/", url), "nobody listens there"),
    "TLS not spoken": Bad(lambda url: url.replace("redis:", "rediss:"), "TLS"),
}


@pytest.mark.parametrize(
    ("store", "name"),
    [*(("LEDGER_URL", name) for name in BAD), ("VAULT_URL", "wrong password"), ("BROKER_URL", "nobody listens")],
)
def test_the_doctor_names_a_store_that_cannot_be_used(idle: Stack, store: str, name: str) -> None:
    bad, url = BAD[name], idle.stores("doctor")[store]

    line = doctors_word(idle, **{store: bad.change(url)})

    assert bad.words in line
    assert {"LEDGER_URL": "ledger at", "VAULT_URL": "vault at", "BROKER_URL": "queue at"}[store] in line
    assert "s3same" not in line


@pytest.mark.parametrize(
    ("command", "user", "name"),
    [
        *((WORKER, "worker", name) for name in ("wrong password", "default user")),
        *((PRODUCER, "producer", name) for name in BAD),
        *((WEBHOOKS, "webhooks", name) for name in ("wrong password", "default user")),
    ],
)
def test_whoever_uses_a_ledger_that_refuses_them_says_so_in_one_line_and_ends(
    idle: Stack, command: list[str], user: str, name: str
) -> None:
    bad, url = BAD[name], idle.stores(user)["LEDGER_URL"]

    line = said(run(idle, command, user, LEDGER_URL=bad.change(url)), command)

    assert "ledger at " in line
    assert bad.words in line
    assert "s3same" not in line


def test_a_missing_right_is_named(idle: Stack) -> None:
    for command, user in ((WORKER, "producer"), (PRODUCER, "listener"), (WEBHOOKS, "producer")):
        stores = {"LEDGER_URL": idle.stores(user)["LEDGER_URL"]}
        own = {WORKER[1]: "worker"}.get(command[1], "producer")

        line = said(run(idle, command, own, **stores), command)

        assert f"user {user}: no right to" in line


@contextlib.contextmanager
def set_to(idle: Stack, store: str, settings: dict[str, str]) -> Iterator[None]:
    """A store's server with other settings, for a while."""
    admin = (idle.vault if store == "vault" else idle.queue).client(decode_responses=True)
    changed = {name.replace("_", "-"): value for name, value in settings.items()}
    before = {name: admin.config_get(name)[name] for name in changed}
    for name, value in changed.items():
        admin.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            admin.config_set(name, value)


@pytest.mark.parametrize(
    ("store", "settings", "words"),
    [
        ("vault", {"appendonly": "yes"}, "writes to disk"),
        ("vault", {"save": "60 1"}, "writes to disk"),
        ("vault", {"maxmemory_policy": "allkeys-lru"}, "drops keys"),
        ("ledger", {"maxmemory_policy": "volatile-ttl"}, "drops keys"),
        ("ledger", {"appendonly": "no"}, "does not persist"),
    ],
)
def test_an_unsafe_store_is_found_and_workers_refuse_it(
    idle: Stack, store: str, settings: dict[str, str], words: str
) -> None:
    with set_to(idle, store, settings):
        for line in (doctors_word(idle), workers_word(idle)):
            assert words in line
            assert store in line or "queue" in line


@pytest.mark.parametrize(
    ("store", "settings", "words"),
    [
        ("ledger", {"appendfsync": "everysec"}, "forgets up to a second"),
        ("ledger", {"maxmemory": "0"}, "has no limit"),
        ("vault", {"repl_diskless_load": "disabled"}, "as a replica"),
    ],
)
def test_what_is_not_right_is_found_by_the_doctor(
    idle: Stack, store: str, settings: dict[str, str], words: str
) -> None:
    with set_to(idle, store, settings):
        assert words in doctors_word(idle)


def test_a_default_user_with_too_few_rights_is_found_before_it_costs_a_job(idle: Stack) -> None:
    admin = idle.queue.client()
    admin.execute_command("ACL", "SETUSER", "default", "on", "nopass", "resetkeys", "-@all", "+ping")
    try:
        line = doctors_word(idle)
    finally:
        admin.execute_command("ACL", "SETUSER", "default", "off", "resetpass", "allkeys", "+@all")

    assert "ledger lets in whoever names no user" in line
    assert "ledger would lose data at its next start" in line


def test_a_role_with_other_rights_than_written_is_found(idle: Stack) -> None:
    admin = idle.queue.client()
    admin.execute_command("ACL", "SETUSER", "limits", "clearselectors", "(~billing:limits:* +get +set)")
    admin.execute_command("ACL", "SETUSER", "worker", "+flushall")
    try:
        line = doctors_word(idle)
    finally:
        admin.execute_command("ACL", "LOAD")

    assert "user limits may not exists, expire, incrby, pttl, rename" in line
    assert "user worker may flushall" in line


@pytest.mark.parametrize(
    ("info", "is_refused"),
    [
        ({"redis_version": "6.2.14"}, True),
        ({"redis_version": "7.0.15"}, False),
        ({"redis_version": "8.0.2"}, False),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.5"}, False),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, False),
        ({}, True),
    ],
)
def test_a_server_that_is_too_old_is_refused(info: dict[str, str], is_refused: bool) -> None:
    found = [problem for problem in problems_of_any(Seen(info, {})) if "too old" in problem.words]

    assert [problem.is_unsafe for problem in found] == [True] * is_refused
