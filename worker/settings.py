"""The worker's settings: environment variables, ``.env.worker``, and ``…_FILE`` for what is secret."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from producer.runtime.settings import BrokerUrl, MetricsSettings, SettingsError, StoreUrl, split_url


def is_loopback(host: str) -> bool:
    """True if a URL's host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_api_url(value: str) -> str:
    rule = "must be an https URL of i'mport"
    parts = split_url(value, {"https", "http"}, rule, without=("username", "query", "fragment"))
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("must be https; plain http carries cards in clear text and is for loopback addresses only")
    return value


def _check_file(value: Path) -> Path:
    if not value.is_file():
        raise ValueError("there is no such file")
    return value


class WorkerSettings(MetricsSettings):
    """Stores, keys, login and limits of a worker. Each field is the variable of the same name in capitals."""

    model_config = SettingsConfigDict(env_file=".env.worker")
    SECRETS = ("BROKER_URL", "LEDGER_URL", "VAULT_URL", "IMP_KEY", "IMP_SECRET", *MetricsSettings.SECRETS)

    broker_url: BrokerUrl = Field(default="redis://localhost:6379/0", repr=False)
    ledger_url: StoreUrl = Field(default="redis://localhost:6379/1", repr=False)
    vault_url: StoreUrl = Field(default="redis://localhost:6380/0", repr=False)
    opening_keys_file: Path = Path("keys/worker/opening.private.jwks.json")
    opening_keys_command: str | None = Field(default=None, repr=False)
    producer_keys_file: Path = Path("keys/worker/producers.public.jwks.json")
    imp_key: Annotated[str, Field(min_length=1)] = Field(repr=False)
    imp_secret: SecretStr
    imp_api_url: Annotated[str, AfterValidator(_check_api_url)] = "https://api.iamport.kr"
    imp_ca_file: Annotated[Path, AfterValidator(_check_file)] | None = None
    imp_proxy_url: str | None = Field(default=None, repr=False)
    imp_connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5
    imp_read_timeout_s: Annotated[float, Field(gt=0, le=300)] = 60
    look_up_for_s: Annotated[float, Field(ge=1, le=3600)] = 120
    applied_kept_days: Annotated[int, Field(ge=1, le=3650)] = 30
    imp_rate_per_s: Annotated[float, Field(ge=0.1, le=1_000_000)] = 20
    imp_auth_style: Literal["bearer", "bare"] = "bearer"
    require_locked_memory: bool = False

    @model_validator(mode="after")
    def _check_opening_keys(self) -> Self:
        if self.opening_keys_command and "opening_keys_file" in self.model_fields_set:
            raise ValueError("opening_keys_command: is set together with OPENING_KEYS_FILE; keep one")
        return self

    @classmethod
    def as_far_as_possible(cls) -> tuple[Self, dict[str, str]]:
        """The settings, with placeholders for what is missing or wrong; and what that is, by field."""
        wrong: dict[str, str] = {}
        while True:
            try:
                return cls.from_env(**{name: cls._placeholder(name) for name in wrong}), wrong
            except SettingsError as error:
                wrong |= error.problems

    @classmethod
    def _placeholder(cls, name: str) -> Any:  # noqa: ANN401 — a field's
        field = cls.model_fields[name]
        return "unset" if field.is_required() else field.default
