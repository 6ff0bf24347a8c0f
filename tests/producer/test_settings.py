from collections.abc import Iterator
from pathlib import Path

import pytest

from producer import SettingsError
from producer.runtime.settings import EnvironmentSettings
from producer.settings import ProducerSettings, refuse_worker_secrets
from producer.web.settings import WebSettings
from producer.webhooks.settings import WebhookSettings
from tests.producer.stage import PAGE

OURS = ("BROKER_URL", "LEDGER_URL", "VAULT_URL", "SEALING_KEYS_FILE", "SIGNING_KEY_FILE", "JOB_DEADLINE_S")
WORKERS = ("IMP_SECRET", "IMP_SECRET_FILE", "OPENING_KEYS_FILE", "OPENING_KEYS_COMMAND")

FILES = [
    (kind, name)
    for kind in (ProducerSettings, WebSettings, WebhookSettings)
    for name in (
        *(f"{secret}_FILE" for secret in kind.SECRETS),
        *(field.upper() for field in kind.model_fields if field.endswith("_file")),
    )
]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment that sets none of ours, in a folder without ``.env.producer``."""
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    for name in WORKERS:
        monkeypatch.delenv(name, raising=False)
    for name, value in PAGE.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.chdir(tmp_path)
    return iter(())


def test_defaults_are_those_of_one_machine() -> None:
    settings = ProducerSettings.from_env()

    assert settings.broker_url == "redis://localhost:6379/0"
    assert settings.ledger_url == "redis://localhost:6379/1"
    assert settings.vault_url == "redis://localhost:6380/0"
    assert settings.sealing_keys_file == Path("keys/producer/sealing.public.jwks.json")
    assert settings.signing_key_file == Path("keys/producer/signing.private.jwk.json")
    assert settings.job_deadline_s == 900


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "amqp://rabbit//")
    monkeypatch.setenv("LEDGER_URL", "rediss://ledger:6379/3")
    monkeypatch.setenv("VAULT_URL", "redis://vault/0")
    monkeypatch.setenv("JOB_DEADLINE_S", "60.5")

    settings = ProducerSettings.from_env()

    assert settings.broker_url == "amqp://rabbit//"
    assert settings.ledger_url == "rediss://ledger:6379/3"
    assert settings.vault_url == "redis://vault/0"
    assert settings.job_deadline_s == 60.5


def test_env_file_is_read_and_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env.producer").write_text("LEDGER_URL=redis://file/1\nVAULT_URL=redis://file/2\nIMP_KEY=not-ours\n")
    monkeypatch.setenv("VAULT_URL", "redis://environment/2")

    settings = ProducerSettings.from_env()

    assert settings.ledger_url == "redis://file/1"
    assert settings.vault_url == "redis://environment/2"


@pytest.mark.parametrize("name", ["BROKER_URL", "LEDGER_URL", "VAULT_URL"])
def test_url_may_come_from_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    file = tmp_path / "url"
    file.write_text("redis://:password@somewhere/4\n")
    monkeypatch.setenv(f"{name}_FILE", str(file))

    settings = ProducerSettings.from_env()

    assert getattr(settings, name.lower()) == "redis://:password@somewhere/4"


def test_file_of_a_url_may_be_named_in_the_env_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:password@somewhere/4\n")
    Path(".env.producer").write_text(f"VAULT_URL_FILE={tmp_path / 'url'}\n")

    settings = ProducerSettings.from_env()

    assert settings.vault_url == "redis://:password@somewhere/4"


def test_both_forms_of_a_url_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("redis://one/")
    monkeypatch.setenv("VAULT_URL_FILE", str(file))
    monkeypatch.setenv("VAULT_URL", "redis://two/")

    with pytest.raises(SettingsError, match=r"^VAULT_URL: is set together with VAULT_URL_FILE"):
        ProducerSettings.from_env()


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not text"])
def test_unreadable_url_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("LEDGER_URL_FILE", str(file))

    with pytest.raises(SettingsError, match=r"^LEDGER_URL_FILE: the file cannot be read"):
        ProducerSettings.from_env()


def test_wrong_url_in_a_file_is_refused_without_its_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("http://:hunter2@somewhere/")
    monkeypatch.setenv("LEDGER_URL_FILE", str(file))

    with pytest.raises(SettingsError, match=r"^LEDGER_URL: must be a URL that begins with redis://") as caught:
        ProducerSettings.from_env()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_URL", "hunter2"),
        ("BROKER_URL", "http://hunter2/"),
        ("BROKER_URL", "redis://[hunter2"),
        ("BROKER_URL", "redis://:hunter2@host:99999/"),
        ("BROKER_URL", "redis://"),
        ("LEDGER_URL", "amqp://user:hunter2@host//"),
        ("VAULT_URL", "postgres://user:hunter2@host/db"),
        ("VAULT_URL", "sentinel://hunter2/"),
        ("JOB_DEADLINE_S", "hunter2"),
        ("JOB_DEADLINE_S", "0"),
        ("JOB_DEADLINE_S", "604801"),
        ("JOB_DEADLINE_S", "nan"),
    ],
)
def test_wrong_setting_is_one_line_that_names_it_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        ProducerSettings.from_env()

    line = str(caught.value)
    assert line.startswith(f"{name}: ")
    assert "\n" not in line
    assert "hunter2" not in line
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_URL", "unix:///run/redis.sock"),  # kombu calls it redis+socket
        ("BROKER_URL", "redis://host/notadb"),
        ("BROKER_URL", "redis://host/0?foo=hunter2"),
        ("LEDGER_URL", "redis:/host"),
        ("LEDGER_URL", "redis://host/1?foo=hunter2"),
        ("LEDGER_URL", "redis://host/1?socket_timeout=hunter2"),
        ("VAULT_URL", "redis://host/notadb"),  # quietly database 0
    ],
)
def test_url_that_no_client_can_use_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=rf"^{name}: ") as caught:
        ProducerSettings.from_env()

    assert "hunter2" not in str(caught.value)


def test_two_wrong_settings_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "nothing")
    monkeypatch.setenv("JOB_DEADLINE_S", "never")

    with pytest.raises(SettingsError, match=r"^BROKER_URL: .*; JOB_DEADLINE_S: "):
        ProducerSettings.from_env()


def test_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_URL", "")

    assert ProducerSettings.from_env().vault_url == "redis://localhost:6380/0"


def test_printed_settings_show_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS[:3]:
        monkeypatch.setenv(name, "redis://:hunter2@host/0")

    settings = ProducerSettings.from_env()

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


@pytest.mark.parametrize("name", WORKERS)
def test_what_only_workers_may_hold_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "hunter2")

    with pytest.raises(SettingsError, match=rf"^{name}: ") as caught:
        refuse_worker_secrets()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", WORKERS)
def test_what_only_workers_may_hold_is_refused_in_the_env_file_too(name: str) -> None:
    Path(".env.producer").write_text(f"{name}=hunter2\n")

    with pytest.raises(SettingsError, match=rf"^{name}: ") as caught:
        refuse_worker_secrets()

    assert "hunter2" not in str(caught.value)


def test_other_variables_are_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMP_KEY", "public")
    monkeypatch.setenv("IMP_SECRET", "")

    refuse_worker_secrets()


def test_inside_a_merchants_process_they_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMP_SECRET", "for other uses")

    settings = ProducerSettings.from_env()

    assert not hasattr(settings, "imp_secret")


@pytest.mark.parametrize("content", ["", " \r\n"])
@pytest.mark.parametrize(("kind", "name"), FILES)
def test_a_file_that_is_named_and_empty_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: type[EnvironmentSettings], name: str, content: str
) -> None:
    (tmp_path / "empty").write_text(content)
    monkeypatch.setenv("WEBHOOK_URL", "https://example.com/")
    monkeypatch.setenv(name, str(tmp_path / "empty"))

    with pytest.raises(SettingsError, match=rf"^{name}: the file is empty$"):
        kind.from_env()


def test_webhooks_that_nothing_would_sign_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_URL", "https://example.com/")
    monkeypatch.setenv("WEBHOOK_SECRETS", " ")

    with pytest.raises(SettingsError, match=r"^WEBHOOK_SECRETS: must be whsec_"):
        WebhookSettings.from_env()


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://shop.example", ("https://shop.example",)),
        (
            "https://shop.example:443  https://m.shop.example:8443",
            ("https://shop.example", "https://m.shop.example:8443"),
        ),
        ("http://127.0.0.1:8001 http://localhost", ("http://127.0.0.1:8001", "http://localhost")),
    ],
)
def test_origins_are_read_as_browsers_spell_them(
    monkeypatch: pytest.MonkeyPatch, text: str, origins: tuple[str, ...]
) -> None:
    monkeypatch.setenv("RETURN_ORIGINS", text)

    assert WebSettings.from_env().return_origins == origins


@pytest.mark.parametrize("name", ["RETURN_ORIGINS", "FRAME_ANCESTORS"])
@pytest.mark.parametrize(
    "text",
    [
        *("*", "https://*.shop.example", "http://shop.example", "shop.example", "https://shop.example/", "'self'"),
        *("https://shop.example; script-src *", "https://shop.example,https://m.shop.example", "https://Shop.example"),
    ],
)
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, text)

    with pytest.raises(SettingsError, match=rf"^{name}: must be origins"):
        WebSettings.from_env()


@pytest.mark.parametrize("name", ["MERCHANT_NAME", "TERMS_URL", "PRIVACY_URL"])
def test_a_page_without_a_name_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for value in ("Card registration", "My shop") if name == "MERCHANT_NAME" else ("https://example.com/terms",):
        monkeypatch.setenv(name, value)
        with pytest.raises(SettingsError, match=rf"^{name}: is a placeholder"):
            WebSettings.from_env()

    monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match=rf"^{name}: is not set$"):
        WebSettings.from_env()
