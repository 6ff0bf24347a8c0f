from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from producer.runtime.settings import BrokerUrl, EnvironmentSettings, SettingsError, StoreUrl, from_files, layered

PASSWORD = "hunter2-hunter2"


class Settings(EnvironmentSettings):
    SECRETS = ("LEDGER_URL",)

    ledger_url: StoreUrl
    job_deadline_s: float = 900


def problem(**given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(**given)
    assert caught.value.__context__ is None  # nor a value in what led to it
    return str(caught.value)


def test_setting_in_a_file_loses_its_last_line_break_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f" {PASSWORD} \r\n\n")

    values = from_files({"IMP_SECRET_FILE": str(tmp_path / "secret")}, ["IMP_SECRET", "IMP_KEY"])

    assert values == {"imp_secret": f" {PASSWORD} "}


def test_setting_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    environ = {"IMP_SECRET": PASSWORD, "IMP_SECRET_FILE": str(tmp_path)}

    with pytest.raises(SettingsError, match=r"^IMP_SECRET: is set together with IMP_SECRET_FILE; keep one$"):
        from_files(environ, ["IMP_SECRET"])


@pytest.mark.parametrize("written", ["IMP_SECRET", "IMP_SECRET_FILE"])
@pytest.mark.parametrize("given", ["IMP_SECRET", "IMP_SECRET_FILE"])
def test_the_environment_hides_either_form_of_an_env_files_setting(written: str, given: str) -> None:
    assert layered({written: "of the file", "IMP_KEY": "k"}, {given: "given"}) == {given: "given", "IMP_KEY": "k"}


def test_empty_variables_are_not_given() -> None:
    assert from_files({"IMP_SECRET_FILE": ""}, ["IMP_SECRET"]) == {}


def test_file_that_cannot_be_read_is_refused_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^IMP_SECRET_FILE: the file cannot be read \(No such file"):
        from_files({"IMP_SECRET_FILE": str(tmp_path / "missing")}, ["IMP_SECRET"])


@pytest.mark.parametrize("content", ["", "\n", " \r\n"])
def test_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content)

    with pytest.raises(SettingsError, match=r"^IMP_SECRET_FILE: the file is empty$"):
        from_files({"IMP_SECRET_FILE": str(tmp_path / "secret")}, ["IMP_SECRET"])


def test_file_that_is_not_text_is_refused_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(PASSWORD.encode() + b"\xff")

    with pytest.raises(SettingsError, match=r"^IMP_SECRET_FILE: the file cannot be read \(not text\)$") as caught:
        from_files({"IMP_SECRET_FILE": str(tmp_path / "secret")}, ["IMP_SECRET"])

    assert caught.value.__context__ is None


def test_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEDGER_URL", raising=False)

    assert problem() == "LEDGER_URL: is not set"


def test_wrong_settings_are_named_without_their_values() -> None:
    line = problem(ledger_url=f"http://:{PASSWORD}@host", job_deadline_s=PASSWORD)

    assert line == (
        "LEDGER_URL: must be a URL that begins with redis://, rediss://; "
        "JOB_DEADLINE_S: input should be a valid number, unable to parse string as a number"
    )


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "rediss://:p%40ss@host",
        "redis://host/",
        "redis://[::1]:6380/15",
        "rediss://host/1?ssl_cert_reqs=required&ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=true",
    ],
)
def test_stores_are_redis(url: str) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(StoreUrl)

    assert url == adapter.validate_python(url)


@pytest.mark.parametrize("url", ["amqp://host//", "amqps://user:p%40ss@host:5671/billing"])
def test_broker_may_be_another(url: str) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(BrokerUrl)

    assert url == adapter.validate_python(url)


@pytest.mark.parametrize(
    "url", ["unix:///s", "sentinel://h:26379", "pyamqp://h", "redis+socket:///s", "sqs://", "redis://h/x", "amqp:///"]
)
def test_broker_url_that_cannot_be_used_is_refused(url: str) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(BrokerUrl)

    with pytest.raises(ValidationError):
        adapter.validate_python(url)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:6379", "http://host", "redis://", "redis://host:port/0", "redis://host:99999", "amqp://host//"]
    + ["unix:///run/redis.sock", "sentinel://host:26379", "redis://host/notadb", "redis://host/0/1", "redis:/host"]
    + [f"redis://host/0?{query}" for query in ("db=1", "foo=", "ssl_cert_reqs=never", "ssl_check_hostname=1")],
)
def test_store_url_that_cannot_be_used_is_refused(url: str) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(StoreUrl)

    with pytest.raises(ValidationError):
        adapter.validate_python(url)
