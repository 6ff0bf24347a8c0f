"""The commands of the card page: serve it, print a ticket for it, make an API key for another backend."""

from typing import Any

import click

from ..contract.job import Request
from ..errors import SettingsError
from ..web.api_key import add_api_key
from ..web.settings import ApiKeySettings
from ..web.ticket import Tickets
from .shared import before_cards, open_queue, plainly


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Beyond this machine only behind TLS.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--prefix", default="/subscription", show_default=True, help="Path under which everything lies.")
@click.option("--behind", metavar="ADDRESSES", help="Proxies whose X-Forwarded-For and -Proto are believed.")
@plainly
def serve(host: str, port: int, prefix: str, behind: str | None) -> None:
    """Serve the card page and its endpoint."""
    from ..runtime.logs import set_up_logs  # noqa: PLC0415 — the other commands log nothing
    from ..web.server import run_server  # noqa: PLC0415 — the other commands need no web server

    before_cards()
    set_up_logs()
    with open_queue() as queue:
        run_server(queue, host, port, prefix, behind)


@click.command()
@click.option("--customer-uid", metavar="UID", help="Your handle of the billing key.")
@click.option("--merchant-uid", metavar="M", help="Your order: the ticket is then for a payment.")
@click.option("--amount", type=int, metavar="N", help="KRW.")
@click.option("--name", metavar="TEXT", help="The order's name.")
@click.option("--pg", metavar="P", help="Gateway: {provider} or {provider}.{MID}.")
@click.option("--session", metavar="ID", help="The session that it is good in.")
@click.option(
    "--life", "life_s", type=int, default=1800, show_default=True, metavar="S", help="Seconds it is good for."
)
@click.option("--return-url", metavar="URL", help="Of your shop, where the customer goes back to.")
@plainly
def ticket(session: str | None, life_s: int, return_url: str | None, **asked: Any) -> None:  # noqa: ANN401 — the options above
    """Print a ticket for the card page, as your app would make one."""
    operation = "onetime" if asked["merchant_uid"] else "issue"
    request = Request.model_validate({"operation": operation, **{k: v for k, v in asked.items() if v is not None}})
    with open_queue() as queue:
        click.echo(Tickets.of(queue).mint(request, session=session, life_s=life_s, return_url=return_url))


@click.command("api-key")
@click.argument("name")
@click.option("--may", default="issue", show_default=True, metavar="LIST", help="issue, onetime or both.")
@plainly
def api_key(name: str, may: str) -> None:
    """Make an API key for another backend; it is shown once, API_KEYS_FILE keeps its digest."""
    path = ApiKeySettings.from_env().api_keys_file
    if path is None:
        raise SettingsError("API_KEYS_FILE: is not set")
    click.echo(add_api_key(path, name, [word.strip() for word in may.split(",")]))
