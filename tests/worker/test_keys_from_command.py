import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from producer.contract.errors import Refused
from producer.runtime.key_file import KEY_FILE_LIMIT, KeyFileError, WatchedFile
from tests.servers import wait_until
from tests.vectors import read_keys
from tests.vectors.jose import ed25519
from tests.vectors.recipe import ISSUE_RECORD, P256_KID, X25519_KID, envelope, issue
from tests.worker.test_keys_opening import leased
from worker.errors import UnknownKid, UnknownProducer
from worker.keys import from_command as key_command
from worker.keys import generate as keygen
from worker.keys.from_command import AGAIN_S, CommandKeys
from worker.keys.opening import Opener, ProducerKeys


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


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(key_command, "TIMEOUT_S", 1.0)

    with pytest.raises(KeyFileError, match=r"gave nothing within 1 s"):
        CommandKeys(f"sh -c 'sleep 600 & echo $! > {tmp_path}/pid; wait'")

    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_alive(pid), 30, "the end of what the command started")


def test_a_command_whose_output_is_held_open_by_a_daemon_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(key_command, "TIMEOUT_S", 1.0)

    with pytest.raises(KeyFileError, match=r"gave nothing within 1 s"):
        CommandKeys(f"sh -c 'setsid sleep 600 & echo $! > {tmp_path}/pid'")

    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_command_that_prints_without_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=rf"^OPENING_KEYS_COMMAND: prints more than {KEY_FILE_LIMIT:,} bytes$"):
        CommandKeys(f"sh -c 'echo $$ > {tmp_path}/pid; exec yes'")

    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_kid_that_is_not_here_runs_it_again_but_not_too_often(path: Path) -> None:
    now = 0.0
    keys = CommandKeys(f"cat '{path}'", clock=lambda: now)
    keygen.rotate(path.parent.parent)

    keys.look()
    assert len(keys.get().kids) == 2
    now = AGAIN_S
    keys.look()
    wait_until(lambda: len(keys.get().kids) == 4, 60, "keys of the second run")


def test_keys_in_force_stay_when_a_later_run_fails(path: Path) -> None:
    now = 0.0
    told: list[KeyFileError] = []
    keys = CommandKeys(f"cat '{path}'", on_error=told.append, clock=lambda: now)
    path.unlink()

    now = AGAIN_S
    keys.look()
    wait_until(lambda: told, 60, "word of the second run")

    assert len(keys.get().kids) == 2
    assert [str(error) for error in told] == ["OPENING_KEYS_COMMAND: ended with exit code 1"]


class Hanging:
    """A command that prints the keys of the vectors once, and hangs from then on; and an opener that uses it."""

    def __init__(self, folder: Path) -> None:
        keys, producers, self._pid = folder / "opening.json", folder / "producers.json", folder / "pid"
        keys.write_text(json.dumps(read_keys("opening.private.jwks.json")))
        producers.write_text(json.dumps(read_keys("producers.public.jwks.json")))
        script = folder / "command"
        script.write_text(
            f"test -e {folder}/ran && echo $$ > {self._pid} && exec sleep 600\n: > {folder}/ran; cat {keys}"
        )
        now = iter(range(0, 1_000_000, int(AGAIN_S)))
        self.keys = CommandKeys(f"sh {script}", clock=lambda: next(now))
        self.opener = Opener(self.keys, WatchedFile(producers, ProducerKeys.load))

    def pid(self) -> int | None:
        """The command's process, once it ran a second time."""
        return int(self._pid.read_text()) if self._pid.exists() and self._pid.read_text().strip() else None

    def end(self) -> None:
        if pid := self.pid():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    one = Hanging(tmp_path)
    yield one
    one.end()


def test_a_job_whose_key_is_not_here_does_not_wait_for_a_command_that_hangs(hanging: Hanging) -> None:
    request = hanging.opener.verify(issue(card=envelope(kid="k-2099")).text().encode(), leased())

    for _ in range(2):
        with pytest.raises(UnknownKid):
            hanging.opener.open(request)

    wait_until(hanging.pid, 60, "a second run")
    assert is_alive(hanging.pid() or 0)
    for kid in (X25519_KID, P256_KID):  # and those whose keys are here go on
        known = issue(card=envelope(kid=kid))
        assert hanging.opener.open(hanging.opener.verify(known.text().encode(), leased())).reveal()


def test_what_no_known_producer_signed_runs_no_command(hanging: Hanging) -> None:
    unknown, forged = issue(kid="shop-2099"), issue(by=ed25519("a stranger"), card=envelope(kid="k-2099"))

    with pytest.raises(UnknownProducer):
        hanging.opener.verify(unknown.text().encode(), leased())
    with pytest.raises(Refused, match=r"^bad_signature$"):
        hanging.opener.verify(forged.text().encode(), leased(ISSUE_RECORD))

    assert hanging.pid() is None
