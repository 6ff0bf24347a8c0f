"""The short form of the crash suite; `make chaos` is the full one."""

import json

import pytest

from tests.servers import run_python


@pytest.mark.timeout(1200)
def test_killed_workers_and_a_restarted_store_lose_nothing_and_double_nothing() -> None:
    done = run_python("-m", "tests.chaos", "--quick", timeout_s=1100)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["kills"] >= 3
    promised = ("lost", "applied_twice", "stale_overwrites", "double_charges", "without_outcome", "tracebacks")
    assert {name: figures[name] for name in promised} == dict.fromkeys(promised, 0)
