import json
import sys
from pathlib import Path

import pytest

from producer.runtime.key_file import KeyFileError
from worker.keys import from_command as key_command
from worker.keys import generate as keygen
from worker.keys.from_command import AGAIN_S, CommandKeys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    keygen.generate(tmp_path)
    return tmp_path / keygen.OPENING


def test_keys_come_from_what_the_command_prints(path: Path) -> None:
    keys = CommandKeys(f"cat '{path}'").get()

    assert list(keys.kids) == [jwk["kid"] for jwk in json.loads(path.read_text())["keys"]]


def test_no_shell_is_involved(path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"^OPENING_KEYS_COMMAND: ended with exit code 1$"):
        CommandKeys(f"cat {path} > /dev/null")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("/nowhere/keys", "cannot be run (No such file or directory)"),
        ("false", "ended with exit code 1"),
        ("echo sesame", "does not print a JSON object"),
        ("echo '{\"keys\": []}'", "holds no keys"),
        ("'", "does not print a JSON object"),
    ],
)
def test_a_command_that_gives_no_keys_is_told_without_what_it_printed(command: str, problem: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        CommandKeys(command)

    assert str(caught.value) == f"OPENING_KEYS_COMMAND: {problem}"


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_command, "TIMEOUT_S", 0.2)

    with pytest.raises(KeyFileError, match=r"gave nothing within 0\.2 s"):
        CommandKeys(f"'{sys.executable}' -c 'import time; time.sleep(60)'")


def test_a_kid_that_is_not_here_runs_it_again_but_not_too_often(path: Path) -> None:
    now = 0.0
    keys = CommandKeys(f"cat '{path}'", clock=lambda: now)
    keygen.rotate(path.parent.parent)

    keys.look()
    assert len(keys.get().kids) == 2
    now = AGAIN_S
    keys.look()
    assert len(keys.get().kids) == 4


def test_keys_in_force_stay_when_a_later_run_fails(path: Path) -> None:
    now = 0.0
    told: list[KeyFileError] = []
    keys = CommandKeys(f"cat '{path}'", on_error=told.append, clock=lambda: now)
    path.unlink()

    now = AGAIN_S
    keys.look()

    assert len(keys.get().kids) == 2
    assert [str(error) for error in told] == ["OPENING_KEYS_COMMAND: ended with exit code 1"]
