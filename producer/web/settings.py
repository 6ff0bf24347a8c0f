"""Settings of the card page and its endpoint, beside the producer's own."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ..runtime.settings import StoreUrl
from ..settings import ProducerEnvironment

RateText = Annotated[str, Field(pattern=r"^[0-9]{1,6} per [0-9]{0,4} ?(second|minute|hour|day)s?$")]
PageUrl = Annotated[str, Field(pattern=r"^https?://[^\s\"'<>]+$")]


class WebSettings(ProducerEnvironment):
    """Texts, doors and limits of the page and its endpoint. Each field is the variable of the same name in capitals.

    Args:
        merchant_name: shown on the page.
        terms_url, privacy_url: what the customer agrees to.
        language: of the page, unless the customer's browser prefers the other.
        session_cookie: the merchant's cookie whose value names the session that tickets are bound to.
        allow_plain_form: take a form with the card in clear, for pages that cannot run script.
        api_keys_file: other backends that may enqueue over HTTP; see :mod:`producer.web.api_key`.
        limits_url: where the counts are; by default the ledger, whose ordinary user need not be able to count.
        limit_per_address, limit_per_customer: cards that may be handed in, against card testing.
    """

    SECRETS = ("LIMITS_URL",)

    merchant_name: Annotated[str, Field(min_length=1, max_length=60)] = "Card registration"
    terms_url: PageUrl = "https://example.com/terms"
    privacy_url: PageUrl = "https://example.com/privacy"
    language: Literal["ko", "en"] = "ko"
    session_cookie: str | None = None
    allow_plain_form: bool = False
    api_keys_file: Path | None = None
    limits_url: StoreUrl | None = Field(default=None, repr=False)
    limit_per_address: RateText = "30 per 10 minutes"
    limit_per_customer: RateText = "10 per 10 minutes"
