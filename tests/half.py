"""The tests of producer, contract and runtime, run against the installed wheel of ``iamport-billing``.

    python -m tests.half [pytest's options]

What a merchant installs must work without the other half, without a checkout, and under its own name; so these tests
run there, and `make test` runs them nowhere else. They say ``producer``, as a checkout does; see `tests.installed`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import wheels
from tests.servers import ROOT

PARTS = ("tests/contract", "tests/runtime", "tests/producer")


def main(options: list[str]) -> int:
    """Run them; pytest's exit code."""
    with tempfile.TemporaryDirectory(prefix="billing-half-") as name:
        half, installed = Path(name, "half"), Path(name, "installed")
        wheel = wheels.build(wheels.MERCHANT, Path(name))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", str(installed), str(wheel)], check=True)
        leave = shutil.ignore_patterns("__pycache__", ".*_cache", "*.pyc", "node_modules")
        shutil.copytree(ROOT / "tests", half / "tests", ignore=leave)
        for file in ("pyproject.toml", "docker-compose.yml"):
            shutil.copy(ROOT / file, half)
        shutil.copy(ROOT / "tests" / "installed.py", installed / "sitecustomize.py")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *PARTS]
        return subprocess.run(
            command, cwd=half, env={**os.environ, "PYTHONPATH": str(installed)}, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
