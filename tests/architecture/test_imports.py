"""Who may import whom: checked in the source, and in processes that run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ROOT, Stack, free_port
from worker import keygen

NO_WORKER = 'raise ImportError("this process must do without the worker")\n'


def modules_after(program: str, environ: dict[str, str] | None = None) -> set[str]:
    """The modules that a process has loaded at the end of a program."""
    whole = f"{program}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))\n"
    done = subprocess.run(
        [sys.executable, "-c", whole],
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_contract_loads_neither_celery_nor_redis_nor_keys() -> None:
    modules = modules_after("import producer.contract")

    assert "producer.contract.card" in modules
    assert not roots(modules) & {"celery", "kombu", "redis", "joserfc", "cryptography", "click", "worker", "requests"}


def test_every_module_of_the_contract_keeps_to_that() -> None:
    names = sorted(path.stem for path in (ROOT / "producer" / "contract").glob("*.py") if path.stem != "__init__")

    modules = modules_after("\n".join(f"import producer.contract.{name}" for name in names))

    assert len(names) > 10
    assert not roots(modules) & {"celery", "kombu", "redis", "joserfc", "cryptography", "click", "worker", "requests"}


def test_names_of_the_contract_come_from_the_producer_without_celery() -> None:
    modules = modules_after("from producer import Card, InvalidCard, InvalidRequest, Refused, Job, Outcome, Status")

    assert not roots(modules) & {"celery", "kombu", "redis"}


def test_importing_the_producer_alone_loads_nothing_of_weight() -> None:
    modules = modules_after("import producer")

    assert not roots(modules) & {"celery", "kombu", "redis", "joserfc", "pydantic"}


def test_every_name_that_the_producer_offers_is_there() -> None:
    program = "import producer\nfor name in producer.__all__: getattr(producer, name)\nfrom producer import *"

    modules = modules_after(program)

    assert "producer.client" in modules


@pytest.mark.parametrize("store", ["LEDGER_URL", "VAULT_URL", "BROKER_URL"])
def test_producer_process_that_enqueues_loads_no_worker(tmp_path: Path, store: str) -> None:
    with Stack() as stack:
        environ = stack.producer_env | {store: f"redis://127.0.0.1:{free_port()}/1"}
        program = (
            "from producer import BillingQueue, BrokerUnavailable, Card\n"
            "queue = BillingQueue.from_env()\n"
            "try:\n"
            "    queue.issue(customer_uid='a', card=Card(card_number='4242424242424242', expiry='2031-07'))\n"
            "except BrokerUnavailable:\n"
            "    pass\n"
            "else:\n"
            "    raise SystemExit('it should have failed')\n"
        )

        modules = modules_after(program, environ)

    assert {"producer.client", "producer.publishing", "celery"} <= modules
    assert not [name for name in modules if name.partition(".")[0] == "worker"]
    assert tmp_path.exists()


def test_producers_commands_load_no_worker(tmp_path: Path) -> None:
    keygen.generate(tmp_path / "keys")

    modules = modules_after("import producer.__main__")

    assert not [name for name in modules if name.partition(".")[0] == "worker"]


def test_contracts_of_import_linter_are_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_producer_and_contract_pass_their_tests_with_the_worker_deleted(tmp_path: Path) -> None:
    half = tmp_path / "half"
    leave = shutil.ignore_patterns("__pycache__", ".*_cache", "*.pyc", "redis.log")
    for folder in ("producer", "tests"):
        shutil.copytree(ROOT / folder, half / folder, ignore=leave)
    shutil.copy(ROOT / "pyproject.toml", half)
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "worker.py").write_text(NO_WORKER)  # should one be installed beside the checkout

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/contract", "tests/producer"],
        cwd=half,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
