"""The card page: one template and its few values, escaped; what it shows of a payment comes from the ticket alone."""

import re
from base64 import b64encode
from html import escape
from pathlib import Path

from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse

from ..errors import SettingsError
from .middleware import CSP, policy
from .settings import WebSettings
from .ticket import Ticket

TEMPLATE = Path(__file__).parent / "static" / "page.html"
LOGO_LIMIT = 32_768  # bytes: it is in every page
LOGO_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".webp": "image/webp"}
NO_LOGO = "data:,"  # which page.css hides
HALF_LIGHT = 0.179  # of a colour: black and white are equally readable on it (WCAG 2.2, relative luminance)


class Page:
    """The page of a merchant.

    Args:
        settings: whose page it is.

    Raises:
        SettingsError: its logo cannot be used.
    """

    def __init__(self, settings: WebSettings) -> None:
        self._language = settings.language
        self._template = TEMPLATE.read_text(encoding="utf-8")
        colour = settings.merchant_colour or ""
        self._values = {
            "terms_url": settings.terms_url,
            "privacy_url": settings.privacy_url,
            "merchant_name": settings.merchant_name,
            "logo": _logo(settings.merchant_logo_file),
            "colour": colour,
            "ink": colour and _ink_on(colour),
            "parents": " ".join(settings.frame_ancestors),
        }
        self._headers = {CSP: policy(self._values["parents"])} if settings.frame_ancestors else {}

    def render(self, text: str, ticket: Ticket | None, job_id: str, request: HttpRequest) -> HTMLResponse:
        """The page for a ticket.

        Args:
            text, ticket: the ticket, and read; the page itself tells that one does not hold.
            job_id: of the job that the ticket has begun already, which the page then follows; or empty.
            request: says which language.
        """
        language = _language(request.headers.get("accept-language", ""), self._language)
        values = self._values | {
            "lang": language,
            "ticket": text,
            "job": job_id,
            "base": request.scope.get("root_path", ""),
            **_of_ticket(ticket, language),
        }
        html = re.sub(r"\{\{(\w+)\}\}", lambda found: escape(values[found[1]], quote=True), self._template)
        return HTMLResponse(html, headers={"Content-Language": language, **self._headers})


def _of_ticket(ticket: Ticket | None, language: str) -> dict[str, str]:
    """The values that a ticket gives the page."""
    if ticket is None:
        return dict.fromkeys(("return_url", "order_name", "amount_text"), "")
    asked, amount = ticket.request, ""
    if asked.amount is not None:
        amount = f"{asked.amount:,}원" if language == "ko" else f"KRW {asked.amount:,}"
    return {"return_url": ticket.return_url or "", "order_name": asked.name or "", "amount_text": amount}


def _language(accepted: str, default: str) -> str:
    """The customer's first choice of the two, by the order of the header."""
    known = [tag.strip()[:2].lower() for tag in accepted.split(",")]
    return next((tag for tag in known if tag in {"ko", "en"}), default)


def _logo(path: Path | None) -> str:
    """A picture as a data: address; an SVG in an img element runs nothing."""
    if path is None:
        return NO_LOGO
    kind = LOGO_TYPES.get(path.suffix.lower())
    if kind is None:
        raise SettingsError(f"MERCHANT_LOGO_FILE: must end in {', '.join(LOGO_TYPES)}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"MERCHANT_LOGO_FILE: the file cannot be read ({error.strerror})") from None
    if len(content) > LOGO_LIMIT:
        raise SettingsError(f"MERCHANT_LOGO_FILE: must have at most {LOGO_LIMIT} bytes")
    return f"data:{kind};base64,{b64encode(content).decode()}"


def _ink_on(colour: str) -> str:
    """Black or white, whichever is the more readable on a colour: at least 4.5 to 1 on any."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > HALF_LIGHT else "#ffffff"
