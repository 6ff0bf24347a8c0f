"""The worker's settings: environment variables, ``.env.worker``, and ``…_FILE`` for what is secret."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from producer.runtime.settings import BrokerUrl, SettingProblem, StoreUrl, explain, from_files, layered, rules_broken
from worker.errors import SettingsError

ENV_FILE = ".env.worker"
SECRETS = ("BROKER_URL", "LEDGER_URL", "VAULT_URL", "IMP_KEY", "IMP_SECRET")


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_api_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in {"https", "http"} or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an https URL of i'mport")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must be https; plain http carries cards in clear text and is for loopback addresses only")
    return value


class WorkerSettings(BaseSettings):
    """What a worker needs to know. Each field is the variable of the same name in capitals."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", env_ignore_empty=True, frozen=True)

    broker_url: BrokerUrl = Field(default="redis://localhost:6379/0", repr=False)
    ledger_url: StoreUrl = Field(default="redis://localhost:6379/1", repr=False)
    vault_url: StoreUrl = Field(default="redis://localhost:6380/0", repr=False)
    opening_keys_file: Path = Path("keys/worker/opening.private.jwks.json")
    opening_keys_command: str | None = Field(default=None, repr=False)
    producer_keys_file: Path = Path("keys/worker/producers.public.jwks.json")
    imp_key: Annotated[str, Field(min_length=1)] = Field(repr=False)
    imp_secret: SecretStr
    imp_api_url: Annotated[str, AfterValidator(_check_api_url)] = "https://api.iamport.kr"
    imp_ca_file: Path | None = None
    imp_proxy_url: str | None = Field(default=None, repr=False)
    imp_connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5
    imp_read_timeout_s: Annotated[float, Field(gt=0, le=300)] = 60
    look_up_for_s: Annotated[float, Field(ge=1, le=3600)] = 120
    imp_rate_per_s: Annotated[float, Field(ge=0.1, le=1_000_000)] = 20
    imp_auth_style: Literal["bearer", "bare"] = "bearer"
    require_locked_memory: bool = False
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings.

        Raises:
            SettingsError: one line that names the variable and the rule, never the value.
        """
        try:
            given: dict[str, Any] = dict(from_files(layered(dotenv_values(ENV_FILE), os.environ), SECRETS))
            settings = cls(**given)
        except ValidationError as error:
            line = explain(error)
        except SettingProblem as error:
            line = str(error)
        else:
            line = settings.problem()
            if not line:
                return settings
        raise SettingsError(line)

    @classmethod
    def as_far_as_possible(cls) -> tuple[Self, dict[str, str]]:
        """The settings, with placeholders for what is missing or wrong; and what that is, by field."""
        environ, wrong = layered(dotenv_values(ENV_FILE), os.environ), dict[str, str]()
        given: dict[str, Any] = {}
        for name in SECRETS:
            try:
                given |= from_files(environ, (name,))
            except SettingProblem as error:
                given[name.lower()], wrong[name.lower()] = cls._placeholder(name.lower()), str(error).partition(": ")[2]
        while True:
            try:
                settings = cls(**given)
            except ValidationError as error:
                broken = dict(rules_broken(error))
                wrong |= broken
                given |= {name: cls._placeholder(name) for name in broken}
            else:
                name, _, rule = settings.problem().partition(": ")
                return settings, {**wrong, **({name.lower(): rule} if rule else {})}

    @classmethod
    def _placeholder(cls, name: str) -> Any:  # noqa: ANN401 — a field's
        field = cls.model_fields[name]
        return "unset" if field.is_required() else field.default

    def problem(self) -> str:
        """What is wrong with settings that are each well, in one line."""
        if self.opening_keys_command and "opening_keys_file" in self.model_fields_set:
            return "OPENING_KEYS_COMMAND: is set together with OPENING_KEYS_FILE; keep one"
        if self.imp_ca_file is not None and not self.imp_ca_file.is_file():
            return "IMP_CA_FILE: there is no such file"
        return ""
