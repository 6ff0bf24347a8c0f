"""The short form of the crash suite; `make chaos` is the full one."""

import json
import subprocess
import sys

import pytest

from tests.servers import ROOT


@pytest.mark.timeout(1200)
def test_killed_workers_and_a_restarted_store_lose_nothing_and_double_nothing() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--quick"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1100, check=False)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["kills"] >= 3
    promised = ("lost", "applied_twice", "stale_overwrites", "double_charges", "without_outcome", "tracebacks")
    assert {name: figures[name] for name in promised} == dict.fromkeys(promised, 0)
