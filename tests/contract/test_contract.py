import json
import subprocess
import sys
from pathlib import Path

import producer.contract

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"celery", "kombu", "redis", "joserfc", "cryptography", "requests", "click", "pydantic_settings", "worker"}


def loaded_by(statement: str) -> set[str]:
    """The packages that a fresh process has loaded after a statement."""
    script = f"import json, sys\n{statement}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, timeout=240)
    return set(json.loads(done.stdout))


def test_contract_loads_pydantic_and_the_standard_library_only() -> None:
    assert not HEAVY & loaded_by("import producer.contract; from producer import Card, InvalidCard, Outcome")


def test_everything_that_the_contract_promises_is_there() -> None:
    assert [name for name in producer.contract.__all__ if not hasattr(producer.contract, name)] == []
