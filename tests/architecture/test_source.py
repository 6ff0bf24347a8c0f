"""What holds of the source as a whole."""

import re
import tomllib
from pathlib import Path

import pytest

from producer.contract import redis_keys
from tests import half
from tests.servers import ROOT

LONGEST = 400
KEY = re.compile(r"\bbilling:[a-z_-]*[a-z]\b")  # the whole name, not its first word
SOURCES = sorted(
    path for half in ("producer", "worker") for kind in ("*.py", "*.lua") for path in (ROOT / half).rglob(kind)
)
DOCSTRING = redis_keys.__doc__ or ""
LISTED = {name.partition("{")[0] for name in re.findall(r"^``([^`]+)``  ", DOCSTRING, re.MULTILINE)}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_module_is_not_too_long(path: Path) -> None:
    lines = len(path.read_text().splitlines())

    assert lines <= LONGEST


def test_every_constant_of_a_key_is_listed_with_its_expiry() -> None:
    constants = {
        name: value
        for name, value in vars(redis_keys).items()
        if name.isupper() and isinstance(value, str) and re.match(r"billing:|celery-", value)
    }

    assert len(constants) >= 10
    assert {name: value for name, value in constants.items() if value not in LISTED} == {}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_key_that_a_module_names_is_listed(path: Path) -> None:
    listed = {name.rstrip(":") for name in LISTED}

    named = set(KEY.findall(path.read_text()))

    assert named - listed == set()


def test_keys_are_written_out_in_one_place_only() -> None:
    literal = re.compile(r"""["']billing:[a-z]""")
    elsewhere = [
        name_of(path)
        for path in SOURCES
        if path.suffix == ".py" and path.name != "redis_keys.py" and literal.search(path.read_text())
    ]

    assert elsewhere == []


def test_every_test_is_run_and_none_twice() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    folders = {name_of(path.parent) for path in (ROOT / "tests").rglob("test_*.py")}

    run = [*options["testpaths"], *half.PARTS, "tests/web"]

    assert sorted(run) == sorted(folders)
