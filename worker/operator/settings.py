"""The settings of an operator's commands: the ledger. Only a look-up at i'mport needs more of the worker's."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from producer.runtime.settings import EnvironmentSettings, StoreUrl


class OperatorSettings(EnvironmentSettings):
    """The ledger, best as the Redis user ``operator``: the URL in ``DIR/operator/ledger.url``."""

    model_config = SettingsConfigDict(env_file=".env.worker")
    SECRETS = ("LEDGER_URL",)

    ledger_url: StoreUrl = Field(default="redis://localhost:6379/1", repr=False)
