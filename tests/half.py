"""The tests of producer and contract, run in a checkout that has no worker.

    python -m tests.half [pytest's options]

What a merchant has must work without the other half; so these tests run there, and `make test` runs them nowhere else.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers import ROOT

NO_WORKER = 'raise ImportError("this process must do without the worker")\n'
PARTS = ("tests/contract", "tests/runtime", "tests/producer")


def main(options: list[str]) -> int:
    """Run them; pytest's exit code."""
    with tempfile.TemporaryDirectory(prefix="billing-half-") as name:
        half, installed = Path(name, "half"), Path(name, "installed")
        leave = shutil.ignore_patterns("__pycache__", ".*_cache", "*.pyc", "node_modules")
        for folder in ("producer", "tests"):
            shutil.copytree(ROOT / folder, half / folder, ignore=leave)
        for file in ("pyproject.toml", "docker-compose.yml"):
            shutil.copy(ROOT / file, half)
        installed.mkdir()
        (installed / "worker.py").write_text(NO_WORKER)  # should one be installed beside the checkout
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *PARTS]
        return subprocess.run(
            command, cwd=half, env={**os.environ, "PYTHONPATH": str(installed)}, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
