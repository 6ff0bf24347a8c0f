"""Looks for a card in bytes and texts where none may be: in every form that a page could have given it."""

import base64
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

MEMBERS = ("card_number", "pwd_2digit")  # what only a plaintext would name


def forms_of(number: str) -> set[bytes]:
    """A card number as it could appear: plain, grouped, escaped, encoded."""
    return set(_forms(number))


def _forms(number: str) -> Iterator[bytes]:
    groups = [number[at : at + 4] for at in range(0, len(number), 4)]
    for separator in ("", " ", "-", "\u00a0"):
        text = separator.join(groups)
        yield from (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"))
        yield from (quote(text).encode(), quote_plus(text).encode(), quote(quote(text)).encode())
        yield text.encode().hex().encode()
        for shift in range(3):
            encoded = base64.b64encode(bytes(shift) + text.encode())
            whole = encoded[-(-shift * 8 // 6) : (shift + len(text.encode())) * 8 // 6]
            yield from (whole, whole.translate(bytes.maketrans(b"+/", b"-_")))
    yield number[::-1].encode()


def found_in(data: bytes | str, number: str) -> set[bytes]:
    """The forms of a number that are in some data."""
    raw = data.encode() if isinstance(data, str) else data
    return {form for form in forms_of(number) if form in raw}
