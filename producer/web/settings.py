"""Settings of the card page and its endpoint, beside the producer's own."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from producer.errors import SettingsError
from producer.runtime.settings import SettingProblem, StoreUrl, explain, from_files
from producer.settings import ENV_FILE, environment

Limit = Annotated[str, Field(pattern=r"^[0-9]{1,6} per [0-9]{0,4} ?(second|minute|hour|day)s?$")]
Link = Annotated[str, Field(pattern=r"^https?://[^\s\"'<>]+$")]


class WebSettings(BaseSettings):
    """What the page and the endpoint need to know. Each field is the variable of the same name in capitals.

    Args:
        merchant_name: shown on the page.
        terms_url, privacy_url: what the customer agrees to.
        language: of the page, unless the customer's browser prefers the other.
        session_cookie: the merchant's cookie whose value names the session that tickets are bound to.
        allow_plain_form: take a form with the card in clear, for pages that cannot run script.
        api_keys_file: who else may enqueue over HTTP; see :mod:`producer.web.api_key`.
        limits_url: where the counts are; by default the ledger, whose ordinary user need not be able to count.
        limit_per_address, limit_per_customer: cards that may be handed in, against card testing.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, extra="ignore", env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    merchant_name: Annotated[str, Field(min_length=1, max_length=60)] = "Card registration"
    terms_url: Link = "https://example.com/terms"
    privacy_url: Link = "https://example.com/privacy"
    language: Literal["ko", "en"] = "ko"
    session_cookie: str | None = None
    allow_plain_form: bool = False
    api_keys_file: Path | None = None
    limits_url: StoreUrl | None = Field(default=None, repr=False)
    limit_per_address: Limit = "30 per 10 minutes"
    limit_per_customer: Limit = "10 per 10 minutes"

    @classmethod
    def from_env(cls) -> Self:
        """Read the settings.

        Raises:
            SettingsError: one line that names the variable and the rule, never the value.
        """
        try:
            given: dict[str, Any] = dict(from_files(environment(), ("LIMITS_URL",)))
            return cls(**given)
        except ValidationError as error:
            line = explain(error)
        except SettingProblem as error:
            line = str(error)
        raise SettingsError(line)
