"""The merchant's side over HTTP: the card page, its endpoint, and tickets.

The app needs ``pip install …[web]``. Names come lazily: tickets and API keys do without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .endpoint import card_app as card_app
    from .settings import WebSettings as WebSettings
    from .ticket import Ticket as Ticket
    from .ticket import Tickets as Tickets

_HOMES = {
    "Ticket": ".ticket",
    "Tickets": ".ticket",
    "WebSettings": ".settings",
    "card_app": ".endpoint",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 — the names above, once


def __getattr__(name: str) -> Any:  # noqa: ANN401 — whatever the name is
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(_HOMES[name], __name__), name)
