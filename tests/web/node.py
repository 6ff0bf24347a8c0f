"""Runs our modules, and npm's jose, in Node: JSON in, JSON out."""

import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def run(script: str, argument: Any = None) -> Any:
    """What a script of ``node/`` answers.

    Args:
        script: its file's name.
        argument: goes to its standard input.
    """
    done = subprocess.run(
        ["node", str(HERE / "node" / script)], input=json.dumps(argument), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
