"""Commands in an install without one of the extras: one line that names it, and what does not need it works."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import click
import pytest

from producer.cli.main import main
from producer.cli.shared import WEB_EXTRA
from tests.servers import ROOT
from worker.cli import WORKER_EXTRA
from worker.keys import generate as keygen

ABSENT = "raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)\n"
BROUGHT = {"starlette", "h11", "urllib3"}  # by fastapi, uvicorn and requests


def without(modules: Iterable[str], folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that cannot import these modules."""
    hidden = folder / "hidden"
    hidden.mkdir(exist_ok=True)
    for name in modules:
        (hidden / f"{name}.py").write_text(ABSENT)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**inherited, "PYTHONPATH": f"{hidden}{os.pathsep}{ROOT}", **environ},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("command", ["serve", "webhooks run"])
def test_command_that_needs_the_web_extra_says_so_in_one_line(command: str, tmp_path: Path) -> None:
    done = without(WEB_EXTRA, tmp_path, "producer", *command.split())

    line = f'producer: {command} needs the extra "web": pip install "iamport-billing[web]"\n'
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_ticket_and_api_key_do_without_the_web_extra(tmp_path: Path) -> None:
    keygen.generate(tmp_path / "keys")

    ticket = without(WEB_EXTRA, tmp_path, "producer", "ticket", "--customer-uid", "gildong")
    api_key = without(WEB_EXTRA, tmp_path, "producer", "api-key", "shop", API_KEYS_FILE="api_keys.json")

    assert (ticket.returncode, ticket.stderr) == (0, "")
    assert (api_key.returncode, api_key.stderr) == (0, "")
    assert api_key.stdout.startswith("bk_")


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_worker_that_needs_its_extra_says_so_in_one_line(command: str, tmp_path: Path) -> None:
    done = without(WORKER_EXTRA, tmp_path, "worker", command)

    line = "worker: needs what its distribution brings: pip install iamport-billing-worker\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_keys_and_users_are_made_without_the_workers_extra(tmp_path: Path) -> None:
    done = without(WORKER_EXTRA, tmp_path, "worker", "keygen", "keys")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("program", "module"), [("producer serve", "annotated_doc"), ("worker doctor", "structlog")])
def test_any_other_missing_module_is_a_bug_that_shows(program: str, module: str, tmp_path: Path) -> None:
    done = without([module], tmp_path, *program.split())

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: No module named '{module}'"


@pytest.mark.parametrize(("extra", "modules"), [("web", WEB_EXTRA), ("worker", WORKER_EXTRA)])
def test_modules_of_an_extra_are_those_that_pyproject_names(extra: str, modules: frozenset[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    named = {line.partition(">")[0].replace("-", "_") for line in project["optional-dependencies"][extra]}

    assert modules - BROUGHT == named


def test_no_command_of_the_producer_passes_by_the_one_place_that_says_so() -> None:
    def walk(group: click.Group) -> Iterable[click.Command]:
        context = click.Context(group)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            assert found is not None
            yield from walk(found) if isinstance(found, click.Group) else [found]

    commands = list(walk(main))

    assert len(commands) > 10
    assert [command.name for command in commands if not hasattr(command.callback, "__wrapped__")] == []
