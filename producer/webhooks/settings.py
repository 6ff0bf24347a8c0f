"""Settings of the webhooks, beside the producer's own."""

import base64
import binascii
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from producer.errors import SettingsError
from producer.runtime.settings import SettingProblem, explain, from_files
from producer.settings import ENV_FILE, environment

SECRET_LENGTH = range(24, 65)  # bytes, as Standard Webhooks has it


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_url = (
            parts.scheme in {"https", "http"} and bool(parts.hostname) and not parts.username and not parts.fragment
        )
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError("must be a URL of your server, without user and password")
    return value


def _check_secrets(value: SecretStr) -> SecretStr:
    for secret in value.get_secret_value().split():
        try:
            length = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
        except (ValueError, binascii.Error):
            length = 0
        if length not in SECRET_LENGTH:
            raise ValueError("must be whsec_ and the base64 of 24 to 64 bytes, several with spaces between")
    return value


class WebhookSettings(BaseSettings):
    """What delivery needs to know. Each field is the variable of the same name in capitals.

    Args:
        webhook_url: where outcomes go; https, unless private addresses are allowed.
        webhook_secrets: what they are signed with, newest first; all of them sign, so that they can be changed.
        webhook_allow_private: deliver to private and loopback addresses, too.
        webhook_timeout_s: for an answer.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, extra="ignore", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    webhook_url: Annotated[str, AfterValidator(_check_url)]
    webhook_secrets: Annotated[SecretStr, AfterValidator(_check_secrets)]
    webhook_allow_private: bool = False
    webhook_timeout_s: Annotated[float, Field(gt=0, le=60)] = 10

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings.

        Raises:
            SettingsError: one line that names the variable and the rule, never the value.
        """
        try:
            given: dict[str, object] = dict(from_files(environment(), ("WEBHOOK_SECRETS",)))
            settings = cls(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            line = explain(error)
        except SettingProblem as error:
            line = str(error)
        else:
            if settings.webhook_url.startswith("https") or settings.webhook_allow_private:
                return settings
            line = "WEBHOOK_URL: must be https; plain http is for private addresses (WEBHOOK_ALLOW_PRIVATE=1)"
        raise SettingsError(line)
