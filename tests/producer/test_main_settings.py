"""What settings do to the commands: each that is wrong is one line that names it, and never its value."""

import json
from pathlib import Path

import pytest
from click.testing import Result

from producer.contract.identifiers import job_id_of
from producer.settings import NOT_FOR_PRODUCERS
from tests.ports import dead_port
from tests.producer.stage import Run, Stage

PASSWORD = "hunter2"
ISSUE = ("issue", "--customer-uid", "gildong")
KEY_FILES = ("SEALING_KEYS_FILE", "SIGNING_KEY_FILE")
URLS = ("BROKER_URL", "LEDGER_URL", "VAULT_URL")


def assert_one_line(result: Result, begins: str) -> None:
    assert result.stderr.startswith(f"producer: {begins}"), result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert (result.exit_code, result.stdout) == (1, "")
    assert PASSWORD not in result.stderr


@pytest.mark.parametrize("name", NOT_FOR_PRODUCERS)
@pytest.mark.parametrize("command", [ISSUE, ("outcome", "x")], ids=lambda words: words[0])
def test_command_refuses_what_only_workers_may_hold(
    stage: Stage, run: Run, name: str, command: tuple[str, ...]
) -> None:
    result = run(*command, **{name: PASSWORD})

    assert_one_line(result, f"{name}: is set, but a producer must not have it")
    assert stage.ledger.keys() == []


def test_workers_secret_in_the_env_file_is_refused_too(stage: Stage, run: Run) -> None:
    Path(".env.producer").write_text(f"IMP_SECRET={PASSWORD}\n")

    result = run(*ISSUE)

    assert_one_line(result, "IMP_SECRET: is set, but a producer must not have it")
    assert stage.ledger.keys() == []


@pytest.mark.parametrize("name", KEY_FILES)
def test_missing_key_file_is_named(run: Run, tmp_path: Path, name: str) -> None:
    result = run(*ISSUE, **{name: str(tmp_path / f"{PASSWORD}.json")})

    assert_one_line(result, f"{name}: the file cannot be read (No such file")


@pytest.mark.parametrize("name", KEY_FILES)
def test_default_key_file_that_is_not_there_is_named(run: Run, name: str) -> None:
    result = run(*ISSUE, **{name: ""})  # so that keys/producer/… is looked for

    assert_one_line(result, f"{name}: the file cannot be read (No such file")


def test_signing_key_that_others_can_read_is_refused(stage: Stage, run: Run, tmp_path: Path) -> None:
    key = tmp_path / "signing.json"
    key.write_bytes(stage.keys.signing_file.read_bytes())
    key.chmod(0o644)

    result = run(*ISSUE, SIGNING_KEY_FILE=str(key))

    assert_one_line(result, "SIGNING_KEY_FILE: the file can be read by others")


@pytest.mark.parametrize("content", ["no json", '{"keys": []}', '{"kty": "OKP", "d": "hunter2"}'])
@pytest.mark.parametrize("name", KEY_FILES)
def test_key_file_that_holds_no_key_is_refused_without_its_content(
    run: Run, tmp_path: Path, name: str, content: str
) -> None:
    key = tmp_path / "key.json"
    key.touch(mode=0o600)
    key.write_text(content)

    result = run(*ISSUE, **{name: str(key)})

    assert_one_line(result, f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_URL", PASSWORD),
        ("LEDGER_URL", f"http://:{PASSWORD}@host/"),
        ("VAULT_URL", f"redis://:{PASSWORD}@host:99999/"),
        ("VAULT_URL", f"redis:/{PASSWORD}"),
        ("BROKER_URL", "unix:///nowhere/redis.sock"),
        ("BROKER_URL", f"sentinel://:{PASSWORD}@127.0.0.1:1/0"),
        ("LEDGER_URL", "unix:///nowhere/redis.sock"),
    ],
)
def test_url_that_is_none_is_named(run: Run, name: str, value: str) -> None:
    result = run(*ISSUE, **{name: value})

    assert_one_line(result, f"{name}: must be a URL that begins with redis://")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_URL", f"redis://:{PASSWORD}@127.0.0.1:1/notadb"),
        ("BROKER_URL", f"redis://127.0.0.1:1/0?foo={PASSWORD}"),
        ("LEDGER_URL", f"redis://127.0.0.1:1/1?socket_timeout={PASSWORD}"),
        ("LEDGER_URL", f"redis://127.0.0.1:1/1?foo={PASSWORD}"),
        ("VAULT_URL", f"redis://127.0.0.1:1/{PASSWORD}"),
    ],
)
def test_url_that_no_client_can_use_is_named(run: Run, name: str, value: str) -> None:
    result = run(*ISSUE, **{name: value})

    assert_one_line(result, f"{name}: ")


def test_wrong_deadline_is_named(run: Run) -> None:
    result = run(*ISSUE, JOB_DEADLINE_S=PASSWORD)

    assert_one_line(result, "JOB_DEADLINE_S: ")


def test_urls_may_come_from_files(stage: Stage, run: Run, tmp_path: Path) -> None:
    changes = dict.fromkeys(URLS, "")
    for name in URLS:
        (tmp_path / name).write_text(stage.environ[name] + "\n")
        changes[f"{name}_FILE"] = str(tmp_path / name)

    result = run(*ISSUE, **changes)

    assert (result.exit_code, result.stderr) == (0, "")
    assert stage.records() == stage.sealed_ids() == stage.published() == [json.loads(result.stdout)["job_id"]]


def test_url_given_twice_or_as_a_missing_file_is_named(run: Run, tmp_path: Path) -> None:
    missing = str(tmp_path / PASSWORD)

    twice = run(*ISSUE, VAULT_URL_FILE=missing)
    nowhere = run(*ISSUE, VAULT_URL="", VAULT_URL_FILE=missing)

    assert_one_line(twice, "VAULT_URL: is set together with VAULT_URL_FILE")
    assert_one_line(nowhere, "VAULT_URL_FILE: the file cannot be read")


@pytest.mark.parametrize(
    ("name", "known"), [("LEDGER_URL", "nothing happened"), ("VAULT_URL", "acceptance is unknown")]
)
def test_store_out_of_reach_gives_the_key_to_try_again_with(run: Run, name: str, known: str) -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:{dead_port()}/1"

    result = run(*ISSUE, "--idempotency-key", "try-again", **{name: url})

    assert_one_line(result, f"{name}: {name.removesuffix('_URL').lower()} at 127.0.0.1:")
    assert known in result.stderr
    assert result.stderr.endswith(" (try-again)\n")


def test_outcome_of_a_ledger_out_of_reach_is_not_unknown(run: Run) -> None:
    result = run("outcome", job_id_of("k"), LEDGER_URL=f"redis://:{PASSWORD}@127.0.0.1:{dead_port()}/1")

    assert_one_line(result, "LEDGER_URL: ledger at 127.0.0.1:")
