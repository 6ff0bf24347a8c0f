"""``python -m worker`` as an operator meets it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, Stack


def worker(stack: Stack, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    import os  # noqa: PLC0415

    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        cwd=ROOT,
        env={**os.environ, **stack.worker_env, **environ},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


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
    import os  # noqa: PLC0415

    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker", "worker", "-P", "threads"],
        cwd=ROOT,
        env={**os.environ, **stack.worker_env, "IMP_API_URL": "http://sesame"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert one_line(done).startswith("worker: IMP_API_URL: must be https")


def test_the_doctor_finds_everything_well(stack: Stack) -> None:
    done = worker(stack, "doctor")

    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "ok    keys",
        "ok    queue",
        "ok    ledger",
        "ok    vault",
        "ok    encryption",
        "ok    i'mport login",
        "ok    lock-down",
    ]
    assert done.returncode == 0


def test_the_doctor_finds_a_vault_that_writes_to_disk(stack: Stack) -> None:
    stack.vault.client().config_set("save", "60 1")

    done = worker(stack, "doctor")

    assert "FAIL  vault: writes to disk" in done.stdout
    assert done.returncode == 1


def test_the_doctor_finds_a_vault_that_would_write_to_disk_as_a_replica(stack: Stack) -> None:
    stack.vault.client().config_set("repl-diskless-load", "disabled")

    assert "FAIL  vault: would write to disk as a replica" in worker(stack, "doctor").stdout


def test_the_doctor_finds_a_vault_that_evicts(stack: Stack) -> None:
    stack.vault.client().config_set("maxmemory-policy", "allkeys-lru")

    assert "FAIL  vault: drops keys" in worker(stack, "doctor").stdout


def test_the_doctor_finds_refused_merchant_keys_and_stores_that_are_gone(stack: Stack) -> None:
    stack.vault.kill()

    done = worker(stack, "doctor", IMP_SECRET="wrong")

    assert "FAIL  i'mport login: IMP_KEY and IMP_SECRET are refused" in done.stdout
    assert "FAIL  vault: the store does not answer" in done.stdout
    assert done.returncode == 1


def test_sigterm_ends_all_processes_with_exit_code_0(stack: Stack) -> None:
    running = stack.worker(processes=2)
    pids = running.pids()

    code = running.stop()

    assert code == 0
    assert len(pids) >= 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_process_that_dies_is_started_anew(stack: Stack) -> None:
    import os  # noqa: PLC0415
    import signal  # noqa: PLC0415

    from tests.servers import READY, wait_until  # noqa: PLC0415

    running = stack.worker(processes=1)
    child, ready = running.pids()[1], running.log.read_bytes().count(READY)

    os.kill(child, signal.SIGKILL)

    wait_until(lambda: running.log.read_bytes().count(READY) > ready, 240, "another worker")
