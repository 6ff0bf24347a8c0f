"""One HTTP request as the fake reads it, before anybody judges it."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Call:
    """A request, with its body parsed.

    Args:
        path: as it was sent, without the query; still percent-encoded.
        query: names to all their values, decoded.
        headers: names as they were sent.
        body: members of the JSON object or of the form; empty when there is no readable body.
        items: of a JSON array, which only the fake's own control takes.
        params: what the route's placeholders matched, decoded.
        template: the route, for counting; the path where no route fits.
        request_id: place in the fake's own log, from 0.
        late: the sender has been cut off before this is done.
    """

    method: str
    path: str
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    items: list[Any] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    template: str = ""
    request_id: int = -1
    late: bool = False

    def header(self, name: str) -> str:
        """The value of a header, whatever its case; empty when it is absent."""
        wanted = name.lower()
        return next((v for k, v in self.headers.items() if k.lower() == wanted), "")

    def asks(self, name: str) -> bool:
        """Whether a query flag such as ``include_sandbox`` is set."""
        return self.query.get(name, [""])[-1].lower() in {"true", "1"}

    def text(self, name: str) -> str:
        """A body member as text; empty when it is missing, null or blank."""
        value = self.body.get(name)
        return "" if value is None else str(value).strip()

    def missing(self, *names: str) -> list[str]:
        """Those of the names that the body does not fill."""
        return [name for name in names if not self.text(name)]

    @property
    def card_number(self) -> str:
        """The card number without separators: i'mport takes none, hyphens or others."""
        return "".join(c for c in self.text("card_number") if c.isalnum())


def parse_body(content_type: str, raw: bytes) -> dict[str, Any] | list[Any]:
    """Read JSON or a form; anything unreadable counts as a body without members."""
    if not raw:
        return {}
    if "x-www-form-urlencoded" in content_type.lower():
        return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict | list) else {}
