"""Who may import whom: checked in the source, and in processes that run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import dead_port
from tests.servers import ROOT
from tests.stack import Stack

NOT_OF_THE_CONTRACT = {"celery", "kombu", "redis", "joserfc", "cryptography", "click", "worker", "requests"}


def modules_after(program: str, environ: dict[str, str] | None = None) -> set[str]:
    """The modules that a process has loaded at the end of a program."""
    whole = f"{program}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))\n"
    done = subprocess.run(
        [sys.executable, "-c", whole],
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
    assert not roots(modules) & NOT_OF_THE_CONTRACT


def test_every_module_of_the_contract_keeps_to_that() -> None:
    names = sorted(path.stem for path in (ROOT / "producer" / "contract").glob("*.py") if path.stem != "__init__")

    modules = modules_after("\n".join(f"import producer.contract.{name}" for name in names))

    assert len(names) > 6
    assert not roots(modules) & NOT_OF_THE_CONTRACT


def test_names_of_the_contract_come_from_the_producer_without_celery() -> None:
    modules = modules_after("from producer import Card, InvalidCard, InvalidRequest, Refused, Job, Outcome, Status")

    assert not roots(modules) & {"celery", "kombu", "redis"}


def test_importing_the_producer_alone_loads_nothing_of_weight() -> None:
    modules = modules_after("import producer")

    assert not roots(modules) & {"celery", "kombu", "redis", "joserfc", "pydantic"}


def test_every_name_that_the_producer_offers_is_there() -> None:
    program = "import producer\nfor name in producer.__all__: getattr(producer, name)\nfrom producer import *"

    modules = modules_after(program)

    assert "producer.billing_queue" in modules


def test_producer_process_that_enqueues_loads_no_worker() -> None:
    """Whatever becomes of its jobs, so that nothing is loaded on the way of a failure either."""
    with Stack() as stack:
        dead = f"redis://127.0.0.1:{dead_port()}/1"
        program = (
            "import os\n"
            "from producer import BillingQueue, BrokerUnavailable, Card\n"
            "def enqueue():\n"
            "    with BillingQueue.from_env() as queue:\n"
            "        queue.issue(customer_uid='a', card=Card(card_number='4242424242424242', expiry='2031-07'))\n"
            "enqueue()\n"
            "for store in ('LEDGER_URL', 'VAULT_URL', 'BROKER_URL'):\n"
            f"    well, os.environ[store] = os.environ[store], {dead!r}\n"
            "    try:\n"
            "        enqueue()\n"
            "    except BrokerUnavailable as error:\n"
            "        assert str(error).startswith(store)\n"
            "    else:\n"
            "        raise SystemExit('it should have failed')\n"
            "    os.environ[store] = well\n"
        )

        modules = modules_after(program, stack.producer_env)

    assert {"producer.billing_queue", "producer.publisher", "celery"} <= modules
    assert "worker" not in roots(modules)


def test_producers_commands_load_no_worker() -> None:
    every_command = modules_after(
        "import producer.cli.jobs, producer.cli.migrate, producer.cli.web, producer.cli.webhooks"
    )

    assert "producer.billing_queue" in every_command
    assert "worker" not in roots(every_command)
    assert not roots(every_command) & {
        "fastapi",
        "httpcore",
        "starlette",
        "uvicorn",
    }  # until `serve` runs


@pytest.mark.parametrize("half", ["producer", "worker"])
def test_a_command_loads_nothing_of_weight_before_it_is_started_anew(half: str) -> None:
    modules = modules_after(f"import {half}.__main__")

    assert not roots(modules) & {"celery", "kombu", "redis", "joserfc", "pydantic", "requests", "rich", "structlog"}


def test_contracts_of_import_linter_are_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
