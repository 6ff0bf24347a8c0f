"""The demo, as a newcomer runs it."""

import subprocess
import sys

from tests.servers import ROOT


def test_every_card_of_the_demo_comes_out_as_it_should() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo"], cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
