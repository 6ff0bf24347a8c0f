"""The producer's settings: environment variables, ``.env.producer``, and ``…_FILE`` for what holds a password."""

import os
from pathlib import Path
from typing import Annotated, Any, Self

from dotenv import dotenv_values
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from producer.contract.job import DEADLINE_LIMIT_S
from producer.errors import SettingsError
from producer.runtime.settings import BrokerUrl, SettingProblem, StoreUrl, explain, from_files, layered

ENV_FILE = ".env.producer"
NOT_FOR_PRODUCERS = ("IMP_SECRET", "IMP_SECRET_FILE", "OPENING_KEYS_FILE", "OPENING_KEYS_COMMAND")


class ProducerSettings(BaseSettings):
    """What a producer needs to know. Each field is the variable of the same name in capitals."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", env_ignore_empty=True, frozen=True)

    broker_url: BrokerUrl = Field(default="redis://localhost:6379/0", repr=False)
    ledger_url: StoreUrl = Field(default="redis://localhost:6379/1", repr=False)
    vault_url: StoreUrl = Field(default="redis://localhost:6380/0", repr=False)
    sealing_keys_file: Path = Path("keys/producer/sealing.public.jwks.json")
    signing_key_file: Path = Path("keys/producer/signing.private.jwk.json")
    require_locked_memory: bool = False
    job_deadline_s: Annotated[float, Field(ge=1, le=DEADLINE_LIMIT_S)] = 900

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings.

        Raises:
            SettingsError: one line that names the variable and the rule, never the value.
        """
        try:
            given: dict[str, Any] = dict(from_files(environment(), ("BROKER_URL", "LEDGER_URL", "VAULT_URL")))
            return cls(**given)
        except ValidationError as error:
            line = explain(error)
        except SettingProblem as error:
            line = str(error)
        raise SettingsError(line)


def environment() -> dict[str, str | None]:
    """The environment over what ``.env.producer`` says."""
    return layered(dotenv_values(ENV_FILE), os.environ)


def refuse_worker_secrets() -> None:
    """A producer's own process must not be given what only workers may hold.

    Raises:
        SettingsError: names the variable.
    """
    given = environment()
    for name in NOT_FOR_PRODUCERS:
        if given.get(name):
            raise SettingsError(f"{name}: is set, but a producer must not have it; unset it for this process")
