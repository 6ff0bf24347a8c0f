"""The card page: one template and its few values, escaped; what it shows of a payment comes from the ticket alone."""

from functools import cache
from html import escape
from pathlib import Path

from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse

from .settings import WebSettings
from .ticket import Ticket

TEMPLATE = Path(__file__).parent / "static" / "page.html"


def render(settings: WebSettings, text: str, ticket: Ticket | None, job_id: str, request: HttpRequest) -> HTMLResponse:
    """The page for a ticket.

    Args:
        settings: whose page it is.
        text, ticket: as it came, and read; one that does not hold is told by the page itself when it is used.
        job_id: of the job that the ticket has begun already, which the page then follows; or empty.
        request: says which language.
    """
    amount = None if ticket is None else ticket.request.amount
    language = _language(request.headers.get("accept-language", ""), settings.language)
    values = {
        "lang": language,
        "ticket": text,
        "job": job_id,
        "base": request.scope.get("root_path", ""),
        "terms_url": settings.terms_url,
        "privacy_url": settings.privacy_url,
        "merchant_name": settings.merchant_name,
        "amount_text": "" if amount is None else f"{amount:,}원" if language == "ko" else f"KRW {amount:,}",
    }
    html = _template()
    for name, value in values.items():
        html = html.replace("{{" + name + "}}", escape(value, quote=True))
    return HTMLResponse(html, headers={"Content-Language": language})


def _language(accepted: str, default: str) -> str:
    """The customer's first choice of the two, by the order of the header."""
    known = [tag.strip()[:2].lower() for tag in accepted.split(",")]
    return next((tag for tag in known if tag in {"ko", "en"}), default)


@cache
def _template() -> str:
    return TEMPLATE.read_text(encoding="utf-8")
