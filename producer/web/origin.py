"""Origins of the shop: those that a customer may be led back to, and those whose pages may hold ours in a frame."""

import re
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

URL_LIMIT = 500  # characters of an address that a ticket carries
LOOPBACK = ("localhost", "127.0.0.1")
DEFAULT_PORTS = {"https": "443", "http": "80"}
ORIGIN = re.compile(r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::([1-9][0-9]{0,4}))?")
URL = re.compile(rf"({ORIGIN.pattern})/[!-~]*")  # no name of a user before the host, and ASCII as browsers write it


def origin_of(url: str) -> str | None:
    """The origin of an address that a customer may be led to; None if it is none.

    Browsers read an address otherwise than Python does in places (a backslash, white space): what only one of them
    understands is refused.
    """
    found = URL.fullmatch(url)
    if found is None or len(url) > URL_LIMIT or set(url) & set('\\#"<>'):
        return None
    return _origin(found[1])


def _origin(text: str) -> str | None:
    """An origin as browsers spell it, without a default port; None if it is none, or in clear beyond this machine."""
    found = ORIGIN.fullmatch(text)
    if found is None:
        return None
    scheme, host, port = found.groups()
    if scheme == "http" and host not in LOOPBACK:
        return None
    return f"{scheme}://{host}" + (f":{port}" if port and port != DEFAULT_PORTS[scheme] else "")


def _origins(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = [_origin(text) for text in value.split()]
    if None in found:
        raise ValueError("must be origins (https://HOST or https://HOST:PORT, in lower case) with spaces between")
    return tuple(found)


Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]
