"""Command lines of both halves."""

import tomllib
from importlib import import_module
from pkgutil import walk_packages

import pytest
from click.testing import CliRunner

import producer
import worker
from producer.cli.main import main as producer_main
from producer.runtime.command import NAMES, VERSION, misspelled
from producer.runtime.settings import EnvironmentSettings
from tests.servers import ROOT, environment, run_python
from worker.cli import main as worker_main


def kinds(settings: type[EnvironmentSettings]) -> set[type[EnvironmentSettings]]:
    return {one for sub in settings.__subclasses__() for one in (sub, *kinds(sub))}


def test_all_settings_are_known() -> None:
    for half in (producer, worker):
        for module in walk_packages(half.__path__, f"{half.__name__}."):
            if module.name.endswith(".settings"):
                import_module(module.name)

    names = {name.upper() for one in kinds(EnvironmentSettings) for name in one.model_fields}

    assert names | {"ALIVE_FOLDER"} == NAMES


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("IMP_RATE_PERS", ["IMP_RATE_PER_S"]),
        ("JOB_DEADLIN_S", ["JOB_DEADLINE_S"]),
        ("LEDGER_URL_FIL", ["LEDGER_URL_FILE"]),
        *((name, []) for name in ("IMP_KEY", "VAULT_URL_FILE", "PATH", "LANG", "REDIS_URL", "HTTPS_PROXY", "DEBUG")),
    ],
)
def test_a_variable_that_looks_much_like_a_setting_is_taken_for_a_mistake(name: str, meant: list[str]) -> None:
    assert [one for _, one in misspelled([name])] == meant


@pytest.mark.parametrize("half", ["producer", "worker"])
def test_a_command_warns_of_it_and_never_shows_its_value(half: str) -> None:
    main = {"producer": producer_main, "worker": worker_main}[half]
    with environment({"IMP_SECRE": "s3cret"}):
        result = CliRunner().invoke(main, ["outcome" if half == "producer" else "doctor", "--help"])
        said = CliRunner().invoke(main, ["no-such-command"]).output

    assert result.exit_code == 0
    assert "s3cret" not in said + result.output


def test_a_merchants_process_hears_nothing_of_it() -> None:
    done = run_python("-c", "import producer; producer.BillingQueue", environ={"IMP_SECRE": "s3cret"})

    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("half", ["producer", "worker"])
def test_the_version_is_told(half: str) -> None:
    done = run_python("-m", half, "--version", environ={"JOB_DEADLIN_S": "9"})

    assert done.returncode == 0
    assert VERSION in done.stdout
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_a_command_names_the_setting_that_is_meant() -> None:
    done = run_python("-m", "worker", "acl", "/dev/null/x", environ={"JOB_DEADLIN_S": "9"})

    assert "worker: warning: JOB_DEADLIN_S is no setting; is JOB_DEADLINE_S meant?" in done.stderr
