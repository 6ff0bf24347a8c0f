"""What the kernel says of the processes that see cards."""

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.canary.memory import frozen, memory_of
from tests.fake_iamport import CARDS, numbered
from tests.servers import ROOT, wait_until
from tests.stack import Stack

PR_CAPBSET_DROP, CAP_IPC_LOCK, RLIMIT_64K = 24, 14, (65536, 65536)
PATIENCE_S = 240


def without_the_right_to_lock() -> None:
    """In the child: no capability to lock memory beyond a small limit."""
    import resource  # noqa: PLC0415 — for the child

    resource.setrlimit(resource.RLIMIT_MEMLOCK, RLIMIT_64K)
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0)


def start(
    stack: Stack, *arguments: str, prepare: Callable[[], None] | None = None, **environ: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **stack.producer_env, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,  # noqa: PLW1509 — the limit must be set between fork and exec
    )


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_locked_down(pid: int) -> bool:
    limits = Path(f"/proc/{pid}/limits").read_text()
    core = next(line.split()[4] for line in limits.splitlines() if line.startswith("Max core file size"))
    environ = Path(f"/proc/{pid}/environ").read_bytes()
    return (
        core == "0"
        and b"PYTHONMALLOC=malloc" in environ
        and b"perturb" in environ
        and int(status(pid)["VmLck"].split()[0]) > 10_000
    )


def test_a_worker_and_the_commands_that_see_cards_are_locked_down(stack: Stack) -> None:
    worker = stack.worker(concurrency=2)
    consuming = [pid for pid in worker.pids() if b"consume" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    issue = start(stack, "producer", "issue", "--customer-uid", "gildong")

    assert len(consuming) == 2
    assert all(is_locked_down(pid) for pid in consuming)
    wait_until(lambda: is_locked_down(issue.pid), PATIENCE_S, "a command that is locked down")
    out, _ = issue.communicate(json.dumps(CARDS["visa"].fields()), timeout=PATIENCE_S)
    assert json.loads(out)["sequence"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="mlockall is Linux's")
@pytest.mark.parametrize("name", ["producer", "worker"])
def test_where_memory_cannot_be_locked_the_limit_is_told_and_may_be_a_reason_to_stop(stack: Stack, name: str) -> None:
    arguments = ["producer", "issue", "--customer-uid", "u"] if name == "producer" else ["worker", "consume"]
    environ = {} if name == "producer" else stack.worker_env

    required = start(stack, *arguments, prepare=without_the_right_to_lock, REQUIRE_LOCKED_MEMORY="1", **environ)
    _, said = required.communicate(json.dumps(CARDS["visa"].fields()), timeout=PATIENCE_S)

    assert required.returncode == 1
    words = "memory is not locked and may be swapped (memlock limit 64 KiB; raise it with ulimit -l)"
    assert said.splitlines() == [f"{name}: REQUIRE_LOCKED_MEMORY: {words}"]
    if name == "producer":
        warned = start(stack, *arguments, prepare=without_the_right_to_lock)
        _, said = warned.communicate(json.dumps(CARDS["visa"].fields()), timeout=PATIENCE_S)
        assert warned.returncode == 0
        assert said.startswith(f"producer: warning: {words}")


def numbers_in_memory(pid: int, numbers: list[str]) -> set[str]:
    """Those of a process; numbers of the fake begin with 40000."""
    known, like = set(numbers), re.compile(rb"40000[0-9]{11}")
    with frozen([pid]):
        found = {match[0].decode() for piece in memory_of(pid) for match in like.finditer(piece)}
    return found & known


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may read the memory of a process that is locked down")
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_of_an_export_that_is_piped_in_only_what_is_not_read_yet_is_in_memory(form: str) -> None:
    numbers = [numbered(index) for index in range(500)]
    rows = [f"u{index},{number},2031-07" for index, number in enumerate(numbers)]
    lines = ["customer_uid,card_number,expiry", *rows]
    if form == "jsonl":
        names = lines.pop(0).split(",")
        lines = [json.dumps(dict(zip(names, row.split(","), strict=True))) for row in rows]

    command = [sys.executable, "-m", "producer", "migrate", "-", "--name", "m", "--dry-run"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("\n".join(lines).encode())  # the last line has no end: it may go on
        process.stdin.flush()
        try:
            only_the_last = {numbers[-1]}
            wait_until(lambda: numbers_in_memory(process.pid, numbers) == only_the_last, PATIENCE_S, "clean memory")
        finally:
            process.kill()
