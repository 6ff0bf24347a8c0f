"""Gateways: whose export of cards is documented in public, and is read without a word of the merchant's.

Each names its source and the day it was read. There is none for Adyen (no public description of its export was found)
and Braintree (of its description the names of the card's columns were not found): ``--map`` does it.
"""

from typing import NamedTuple


class Gateway(NamedTuple):
    """An export's columns.

    Args:
        names: our field by the export's column.
        default: ``COLUMN=VALUE`` of the card in use, where a customer may have several.
    """

    names: dict[str, str]
    default: str | None


GATEWAYS = {
    # https://docs.stripe.com/get-started/data-migrations/export-file-formats (cards as CSV), read on 2026-11-28.
    # One row a card; ``id`` is the customer, ``default_source`` the id of the customer's card in use.
    "stripe": Gateway(
        {
            "id": "customer_uid",
            "card.number": "card_number",
            "card.exp_month": "expiry_month",
            "card.exp_year": "expiry_year",
        },
        "default_source={card.id}",
    ),
}
