"""The merchant's side over HTTP: the card page, its endpoint, and tickets.

The app needs ``pip install …[web]``. Names come lazily: tickets and API keys do without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producer.web.endpoint import card_app as card_app
    from producer.web.settings import WebSettings as WebSettings
    from producer.web.ticket import Ticket as Ticket
    from producer.web.ticket import Tickets as Tickets

_HOMES = {
    "Ticket": "producer.web.ticket",
    "Tickets": "producer.web.ticket",
    "WebSettings": "producer.web.settings",
    "card_app": "producer.web.endpoint",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 — the names above, once


def __getattr__(name: str) -> Any:  # noqa: ANN401 — whatever the name is
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(_HOMES[name]), name)
