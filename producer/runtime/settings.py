"""Settings of any process: environment variables, a ``.env`` file, ``…_FILE`` for secrets; errors without values."""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import BillingError

STORE_SCHEMES = ("redis", "rediss")
BROKER_SCHEMES = (*STORE_SCHEMES, "amqp", "amqps")
EMPTY = "the file is empty"
TLS_OPTIONS = {
    "ssl_ca_certs": ".+",
    "ssl_certfile": ".+",
    "ssl_keyfile": ".+",
    "ssl_cert_reqs": "none|optional|required",
    "ssl_check_hostname": "true|false",
}


class SettingsError(BillingError):
    """A setting is missing or wrong. Names the variable and the rule, never the value.

    Args:
        line: all that is wrong, in one line.
        problems: fields and the rules that they break.
    """

    def __init__(self, line: str, problems: Mapping[str, str] | None = None) -> None:
        self.problems = dict(problems or {})
        super().__init__(line)


def _check_token(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]{16,}", value.get_secret_value()):
        raise ValueError("must be 16 visible ASCII characters or more")
    return value


class EnvironmentSettings(BaseSettings):
    """Settings of one kind of process. Each field is the variable of the same name in capitals.

    A kind names its ``.env`` file in ``model_config``, and in ``SECRETS`` the variables that may be given as files.
    """

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, frozen=True, hide_input_in_errors=True)
    SECRETS: ClassVar[tuple[str, ...]] = ()

    @field_validator("*")
    @classmethod
    def _check_not_empty(cls, value: Any) -> Any:  # noqa: ANN401 — any field's
        """A file that is named and empty is a mistake, whatever it should hold; and so is a secret of spaces."""
        if isinstance(value, Path) and _is_empty(value):
            raise ValueError(EMPTY)
        if isinstance(value, SecretStr) and not value.get_secret_value().strip():
            raise ValueError("is empty")
        return value

    @classmethod
    def environment(cls) -> dict[str, str | None]:
        """The environment over the ``.env`` file of this kind."""
        return layered(dotenv_values(str(cls.model_config.get("env_file"))), os.environ)

    @classmethod
    def from_env(cls, **given: Any) -> Self:  # noqa: ANN401 — any field's
        """Read the settings.

        Args:
            given: fields that are not to be read.

        Raises:
            SettingsError: one line that names the variable and the rule, never the value.
        """
        secrets = (name for name in cls.SECRETS if name.lower() not in given)
        given |= from_files(cls.environment(), secrets)
        try:
            return cls(**given)
        except ValidationError as error:
            problems = rules_broken(error)
        raise SettingsError("; ".join(f"{name.upper()}: {rule}" for name, rule in problems.items()), problems)


class MetricsSettings(EnvironmentSettings):
    """Where a process shows its metrics and its health, if anywhere.

    Args:
        metrics_host, metrics_port: where to listen; without a port nowhere.
        metrics_token: what whoever reads metrics must show; without one everybody may who reaches the port.
    """

    SECRETS: ClassVar[tuple[str, ...]] = ("METRICS_TOKEN",)

    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    metrics_token: Annotated[SecretStr, AfterValidator(_check_token)] | None = None


def _is_empty(path: Path) -> bool:
    """True for a file of nothing but white space; False for one that cannot be read: who needs it says why."""
    try:
        return path.is_file() and not path.read_bytes().strip()
    except OSError:
        return False


def split_url(value: str, schemes: Collection[str], rule: str, without: Iterable[str] = ()) -> SplitResult:
    """A URL's parts.

    Args:
        value: the URL.
        schemes: those that it may have.
        rule: the error's text.
        without: parts that it must not have.

    Raises:
        ValueError: it has another scheme, no host, an impossible port or one of the parts that it must not have.
    """
    with suppress(ValueError):
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
        if host and parts.scheme in schemes and not any(getattr(parts, name) for name in without):
            return parts
    raise ValueError(rule)


def _url(schemes: tuple[str, ...]) -> AfterValidator:
    rule = "must be a URL that begins with " + ", ".join(f"{scheme}://" for scheme in schemes)

    def check(value: str) -> str:
        parts = split_url(value, schemes, rule)
        if parts.scheme in STORE_SCHEMES:
            _check_redis_url(parts)
        return value

    return AfterValidator(check)


def _check_redis_url(parts: SplitResult) -> None:
    """Refuse what clients would stumble over later, or quote in a traceback, or silently take for something else."""
    if not re.fullmatch(r"(/[0-9]{0,3})?", parts.path):
        raise ValueError("must end in /NUMBER, the number of the database")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in TLS_OPTIONS:
            raise ValueError(f"knows no options but {', '.join(TLS_OPTIONS)}")
        if not re.fullmatch(TLS_OPTIONS[name], value):
            raise ValueError(f"the option {name} must be {TLS_OPTIONS[name]}")


StoreUrl = Annotated[str, _url(STORE_SCHEMES)]
BrokerUrl = Annotated[str, _url(BROKER_SCHEMES)]


def layered(dotenv: Mapping[str, str | None], environ: Mapping[str, str]) -> dict[str, str | None]:
    """The environment over a ``.env`` file; ``NAME`` in the one also hides ``NAME_FILE`` in the other."""
    hidden = {f"{name}_FILE" for name in environ} | {name.removesuffix("_FILE") for name in environ}
    return {**{name: value for name, value in dotenv.items() if name not in hidden}, **environ}


def from_files(environ: Mapping[str, str | None], names: Iterable[str]) -> dict[str, str]:
    """Values of variables that are given as files: ``NAME_FILE`` names the file that holds ``NAME``.

    Args:
        environ: the environment.
        names: variables that may be given so.

    Returns:
        Field names in lower case with the files' content, trailing newlines removed.

    Raises:
        SettingsError: a file cannot be read or is empty, or both forms are given.
    """
    values = {}
    for name in names:
        path = environ.get(f"{name}_FILE")
        if path and environ.get(name):
            line = f"{name}: is set together with {name}_FILE; keep one"
            raise SettingsError(line, {name.lower(): line.partition(": ")[2]})
        if path:
            values[name.lower()] = _content(name, Path(path))
    return values


def _content(name: str, path: Path) -> str:
    rule = EMPTY
    try:
        text = path.read_text().rstrip("\r\n")
        if text.strip():
            return text
    except OSError as error:
        rule = f"the file cannot be read ({error.strerror})"
    except ValueError:
        rule = "the file cannot be read (not text)"
    raise SettingsError(f"{name}_FILE: {rule}", {name.lower(): rule})


def rules_broken(error: ValidationError) -> dict[str, str]:
    """Fields and the rules that they break, without the values that pydantic carries.

    A rule of several fields is worded ``field: rule`` and goes to that field.
    """
    found = {}
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        rule = "is not set" if item["type"] == "missing" else item["msg"].removeprefix("Value error, ")
        name = ".".join(str(part) for part in item["loc"])
        if not name:
            name, _, rule = rule.partition(": ")
        found[name] = rule[0].lower() + rule[1:]
    return found
