from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.settings import WorkerSettings

NO_FILE = "the file cannot be read (No such file or directory)"
TWO_KEYRINGS = {"OPENING_KEYS_COMMAND": "get keys", "OPENING_KEYS_FILE": "keys/worker/opening.private.jwks.json"}

FILES = [f"{name}_FILE" for name in WorkerSettings.SECRETS]
FILES += [name.upper() for name in WorkerSettings.model_fields if name.endswith("_file")]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BROKER_URL", "LEDGER_URL", "VAULT_URL", "IMP_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IMP_KEY", "key")
    monkeypatch.setenv("IMP_SECRET", "very-secret")


def problem() -> str:
    with pytest.raises(SettingsError) as caught:
        WorkerSettings.from_env()
    return str(caught.value)


def test_defaults_are_those_that_are_promised() -> None:
    settings = WorkerSettings.from_env()

    assert settings.broker_url == "redis://localhost:6379/0"
    assert settings.ledger_url == "redis://localhost:6379/1"
    assert settings.vault_url == "redis://localhost:6380/0"
    assert settings.imp_api_url == "https://api.iamport.kr"
    assert (settings.imp_connect_timeout_s, settings.imp_read_timeout_s) == (5, 60)
    assert settings.imp_auth_style == "bearer"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMP_API_URL", "http://api.iamport.kr"),
        ("IMP_API_URL", "ftp://sesame"),
        ("IMP_API_URL", "https://user:sesame@api.iamport.kr"),
        ("IMP_READ_TIMEOUT_S", "sesame"),
        ("IMP_AUTH_STYLE", "sesame"),
        ("VAULT_URL", "http://:sesame@vault"),
        ("BROKER_URL", "sesame"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    line = problem()

    assert line.startswith(f"{name}: ")
    assert "sesame" not in line
    assert "\n" not in line


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:1", "https://example.kr"])
def test_plain_http_is_for_loopback_only(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("IMP_API_URL", url)

    assert WorkerSettings.from_env().imp_api_url == url


def test_secrets_may_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file\n")
    monkeypatch.delenv("IMP_SECRET")
    monkeypatch.setenv("IMP_SECRET_FILE", str(tmp_path / "secret"))

    assert WorkerSettings.from_env().imp_secret.get_secret_value() == "from the file"


@pytest.mark.parametrize("content", ["", "\n", " \t\r\n\n"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_named_and_empty_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / "empty").write_text(content)
    monkeypatch.delenv(name.removesuffix("_FILE"), raising=False)
    monkeypatch.setenv(name, str(tmp_path / "empty"))

    assert problem() == f"{name}: the file is empty"


def test_a_secret_of_spaces_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMP_SECRET", " ")

    assert problem() == "IMP_SECRET: is empty"


def test_settings_come_from_the_file_beside_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IMP_KEY")
    (tmp_path / ".env.worker").write_text("IMP_KEY=from-the-file\n")

    assert WorkerSettings.from_env().imp_key == "from-the-file"


def test_settings_do_not_show_their_secrets() -> None:
    assert "very-secret" not in repr(WorkerSettings.from_env())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"IMP_KEY": ""}, "IMP_KEY: is not set"),
        ({"IMP_SECRET_FILE": "x"}, "IMP_SECRET: is set together with IMP_SECRET_FILE; keep one"),
        ({"IMP_SECRET": "", "IMP_SECRET_FILE": "nowhere"}, f"IMP_SECRET_FILE: {NO_FILE}"),
        ({"IMP_CA_FILE": "nowhere"}, "IMP_CA_FILE: there is no such file"),
        (TWO_KEYRINGS, "OPENING_KEYS_COMMAND: is set together with OPENING_KEYS_FILE; keep one"),
    ],
)
def test_a_setting_that_is_missing_or_does_not_fit_the_others_or_this_machine_is_named(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], line: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)

    assert problem() == line


def test_settings_are_read_as_far_as_they_can_be_and_everything_that_is_wrong_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = {"VAULT_URL_FILE": "nowhere", "IMP_KEY": "", "METRICS_PORT": "0", "IMP_RATE_PER_S": "7"}
    for name, value in {**changes, **TWO_KEYRINGS}.items():
        monkeypatch.setenv(name, value)

    settings, wrong = WorkerSettings.as_far_as_possible()

    assert wrong == {
        "vault_url": NO_FILE,
        "imp_key": "is not set",
        "metrics_port": "input should be greater than or equal to 1",
        "opening_keys_command": "is set together with OPENING_KEYS_FILE; keep one",
    }
    assert (settings.imp_rate_per_s, settings.imp_key) == (7, "unset")
    assert settings.vault_url == "redis://localhost:6380/0"
