"""Keeping card data out of what is written: masks, scrubbing, and the lock-down of a process that sees a card.

Must never log or raise with a value that it was given.
"""

import re

DIGIT_RUN = re.compile(r"\d(?:(?:[^\w\[\]()]|_){0,4}\d){4,}")
MESSAGE_LENGTH = 300


def scrub(text: str | None) -> str | None:
    """A gateway's message without its digit runs, ready to be kept.

    Runs of five digits or more, with up to four other characters than letters and brackets between two of them, become
    ``*``: card numbers, birth dates, business numbers, telephone numbers. Gateway codes (``F113``, ``[2116]``) stay.

    Args:
        text: what i'mport sent, or None.

    Returns:
        At most 300 characters, in one line.
    """
    if text is None:
        return None
    printable = "".join(character if character.isprintable() else " " for character in text)
    return DIGIT_RUN.sub("*", printable)[:MESSAGE_LENGTH]


def mask_card_number(text: str | None) -> str | None:
    """At most the first six and the last four digits, whatever a gateway sent.

    Some gateways show eight and four, and a careless one would show the whole; twelve digits or fewer that are shown
    beside stars are cut to the same form.
    """
    if text is None:
        return None
    kept = [character for character in text if character.isdigit() or character == "*"]
    if len(kept) < 13:  # not a card number's length: keep only what can be no more than its end
        return "*" * max(len(kept) - 4, 0) + "".join(kept[-4:]) if kept else None
    return "".join(kept[:6]) + "*" * (len(kept) - 10) + "".join(kept[-4:])
