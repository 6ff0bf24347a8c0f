"""Settings of the card page and its endpoint, beside the producer's own."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..runtime.settings import StoreUrl
from ..settings import ProducerEnvironment
from .origin import Origins

RateText = Annotated[str, Field(pattern=r"^[0-9]{1,6} per [0-9]{0,4} ?(second|minute|hour|day)s?$")]
PLACEHOLDER = re.compile(r"Card registration|My shop|https?://(www\.)?example\.(com|net|org)\b.*", re.IGNORECASE)


def _no_placeholder(value: str) -> str:
    if PLACEHOLDER.fullmatch(value.strip()):
        raise ValueError("is a placeholder, and customers would see it")
    return value


MerchantName = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_no_placeholder)]
PageUrl = Annotated[str, Field(pattern=r"^https?://[^\s\"'<>]+$"), AfterValidator(_no_placeholder)]


class ApiKeySettings(ProducerEnvironment):
    """Where the digests of other backends' API keys are.

    Args:
        api_keys_file: other backends that may enqueue over HTTP; see :mod:`producer.web.api_key`.
    """

    api_keys_file: Path | None = None


class WebSettings(ApiKeySettings):
    """Texts, doors and limits of the page and its endpoint. Each field is the variable of the same name in capitals.

    Args:
        merchant_name: shown on the page.
        merchant_logo_file: a picture beside it, PNG, SVG, JPEG or WebP.
        merchant_colour: of the page's buttons, ``#RRGGBB``.
        terms_url, privacy_url: what the customer agrees to.
        language: of the page, unless the customer's browser prefers the other.
        return_origins: the shop's origins that a ticket's ``return_url`` may lead back to.
        frame_ancestors: the shop's origins whose pages may hold the card page in a frame.
        session_cookie: the merchant's cookie whose value names the session that tickets are bound to.
        allow_plain_form: take a form with the card in clear, for pages that cannot run script.
        limits_url: where the counts are; by default the ledger, whose ordinary user need not be able to count.
        limit_per_address, limit_per_customer: cards that may be handed in, against card testing.
    """

    SECRETS = ("LIMITS_URL",)

    merchant_name: MerchantName
    merchant_logo_file: Path | None = None
    merchant_colour: Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")] | None = None
    terms_url: PageUrl
    privacy_url: PageUrl
    language: Literal["ko", "en"] = "ko"
    return_origins: Origins = ()
    frame_ancestors: Origins = ()
    session_cookie: str | None = None
    allow_plain_form: bool = False
    limits_url: StoreUrl | None = Field(default=None, repr=False)
    limit_per_address: RateText = "30 per 10 minutes"
    limit_per_customer: RateText = "10 per 10 minutes"
