"""``python -m worker`` as an operator meets it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.servers import run_python, wait_until
from tests.stack import READY, Stack


def worker(stack: Stack, *arguments: str, user: str = "worker", **environ: str) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "worker", *arguments, environ={**stack.worker_env, **stack.stores(user), **environ})


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("environ", "begins"),
    [
        ({"IMP_API_URL": "http://api.iamport.kr"}, "worker: IMP_API_URL: must be https"),
        ({"IMP_SECRET": ""}, "worker: IMP_SECRET: is not set"),
        ({"OPENING_KEYS_FILE": "/nowhere/sesame"}, "worker: OPENING_KEYS_FILE: the file cannot be read"),
        ({"PRODUCER_KEYS_FILE": "/nowhere/sesame"}, "worker: PRODUCER_KEYS_FILE: the file cannot be read"),
        ({"VAULT_URL": "sesame"}, "worker: VAULT_URL: must be a URL"),
        ({"IMP_CA_FILE": "/nowhere/sesame"}, "worker: IMP_CA_FILE: there is no such file"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(stack: Stack, environ: dict[str, str], begins: str) -> None:
    for command in (["run", "--processes", "1"], ["doctor"]):
        line = one_line_or_finding(worker(stack, *command, **environ), command)

        assert "sesame" not in line
        assert begins.removeprefix("worker: ") in line


def one_line_or_finding(done: subprocess.CompletedProcess[str], command: list[str]) -> str:
    if command == ["doctor"] and done.stdout:
        assert done.returncode == 1
        return next(line for line in done.stdout.splitlines() if line.startswith("FAIL"))
    return one_line(done)


def test_a_private_key_that_others_can_read_is_refused(stack: Stack) -> None:
    path = Path(stack.worker_env["OPENING_KEYS_FILE"])
    path.chmod(0o644)

    line = one_line(worker(stack, "run", "--processes", "1"))

    assert line == "worker: OPENING_KEYS_FILE: the file can be read by others; chmod 600 it"


def test_the_plain_celery_command_says_the_same_in_one_line(stack: Stack) -> None:
    celery = ["-m", "celery", "-A", "worker", "worker", "-P", "threads"]
    done = run_python(*celery, environ={**stack.worker_env, "IMP_API_URL": "http://sesame"})

    assert one_line(done).startswith("worker: IMP_API_URL: must be https")


CHECKS = ["keys", "encryption", "queue", "ledger", "vault", "users", "clocks", "worker", "i'mport login", "lock-down"]


def marks(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What the doctor says of each check."""
    assert done.stderr == ""
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    return {words.partition(":")[0]: mark for mark, words in lines}


def test_the_doctor_finds_everything_well(stack: Stack) -> None:
    stack.worker()

    done = worker(stack, "doctor", user="doctor")

    assert marks(done) == dict.fromkeys(CHECKS, "ok"), done.stdout
    assert done.returncode == 0
    assert "appendfsync always" in done.stdout


def test_the_doctor_says_what_it_could_not_see_as_another_user(stack: Stack) -> None:
    done = worker(stack, "doctor")

    assert marks(done) == {**dict.fromkeys(CHECKS, "ok"), "users": "note", "worker": "note"}
    assert "appendfsync not seen: log in as doctor" in done.stdout
    assert done.returncode == 0


def test_the_doctor_examines_what_it_can_whatever_is_missing(stack: Stack) -> None:
    done = worker(stack, "doctor", user="doctor", IMP_SECRET="", VAULT_URL="sesame", IMP_READ_TIMEOUT_S="x")

    found = marks(done)
    assert "FAIL  settings: IMP_SECRET: is not set" in done.stdout
    assert "FAIL  settings: VAULT_URL: must be a URL" in done.stdout
    assert "FAIL  settings: IMP_READ_TIMEOUT_S: " in done.stdout
    assert found["ledger"] == found["queue"] == found["keys"] == found["lock-down"] == "ok"
    assert found["vault"] == found["i'mport login"] == "note"
    assert "sesame" not in done.stdout
    assert done.returncode == 1


def test_the_doctor_finds_refused_merchant_keys_and_stores_that_are_gone(stack: Stack) -> None:
    stack.vault.kill()

    done = worker(stack, "doctor", IMP_SECRET="wrong")

    assert "FAIL  i'mport login: IMP_KEY and IMP_SECRET are refused" in done.stdout
    assert f"FAIL  vault: vault at 127.0.0.1:{stack.vault.port}, user worker: refuses the connection" in done.stdout
    assert done.returncode == 1


def test_sigterm_ends_all_processes_with_exit_code_0(stack: Stack) -> None:
    running = stack.worker(processes=2)
    pids = running.pids()

    code = running.stop()

    assert code == 0
    assert len(pids) >= 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_process_that_dies_is_started_anew(stack: Stack) -> None:
    running = stack.worker(processes=1)
    child, ready = running.pids()[1], running.log.read_bytes().count(READY)

    os.kill(child, signal.SIGKILL)

    wait_until(lambda: running.log.read_bytes().count(READY) > ready, 240, "another worker")
