"""The merchant's side over HTTP: the card page, its endpoint, and tickets. Needs ``pip install …[web]``."""

from producer.web.app import card_app
from producer.web.settings import WebSettings
from producer.web.ticket import Ticket, Tickets

__all__ = ["Ticket", "Tickets", "WebSettings", "card_app"]
