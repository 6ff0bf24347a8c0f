"""The producer's settings: environment variables, ``.env.producer``, and ``…_FILE`` for what holds a password."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from .contract.job import DEADLINE_LIMIT_S
from .runtime.settings import BrokerUrl, EnvironmentSettings, MetricsSettings, SettingsError, StoreUrl

NOT_FOR_PRODUCERS = ("IMP_SECRET", "IMP_SECRET_FILE", "OPENING_KEYS_FILE", "OPENING_KEYS_COMMAND")


class ProducerEnvironment(EnvironmentSettings):
    """Settings of a process that has ``.env.producer``."""

    model_config = SettingsConfigDict(env_file=".env.producer")


class ProducerMetrics(MetricsSettings, ProducerEnvironment):
    """Where a process of the producer's own shows its metrics and health."""


class ProducerSettings(ProducerEnvironment):
    """Keys, stores and deadline of a producer. Each field is the variable of the same name in capitals."""

    SECRETS = ("BROKER_URL", "LEDGER_URL", "VAULT_URL")

    broker_url: BrokerUrl = Field(default="redis://localhost:6379/0", repr=False)
    ledger_url: StoreUrl = Field(default="redis://localhost:6379/1", repr=False)
    vault_url: StoreUrl = Field(default="redis://localhost:6380/0", repr=False)
    sealing_keys_file: Path = Path("keys/producer/sealing.public.jwks.json")
    signing_key_file: Path = Path("keys/producer/signing.private.jwk.json")
    require_locked_memory: bool = False
    job_deadline_s: Annotated[float, Field(ge=1, le=DEADLINE_LIMIT_S)] = 900


def refuse_worker_secrets() -> None:
    """Refuse what only workers may hold, in a process of the producer's own.

    Raises:
        SettingsError: names the variable.
    """
    given = ProducerSettings.environment()
    for name in NOT_FOR_PRODUCERS:
        if given.get(name):
            raise SettingsError(f"{name}: is set, but a producer must not have it; unset it for this process")
