"""A fake that runs in another process, read and steered under the names of ``FakeIamport``."""

import http.client
import json
import ssl
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.fake_iamport.control import PREFIX
from tests.fake_iamport.faults import Fault
from tests.fake_iamport.journal import Applied, Request


class RemoteFake:
    """Talks to ``/_fake/`` of a fake.

    Args:
        url: its base URL.
        ca_file: its certificate authority, for https.
        timeout_s: for each request.
    """

    def __init__(self, url: str, ca_file: Path | None = None, timeout_s: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._context = ssl.create_default_context(cafile=ca_file) if ca_file else None

    @property
    def requests(self) -> list[Request]:
        """Every request, in order of arrival, with full card data."""
        return self.requests_since(0)

    def requests_since(self, place: int) -> list[Request]:
        """The requests from the given place on."""
        found = self._get("requests", since=place, full=1)["requests"]
        return [Request(**members) for members in found]

    def count(self, method: str, path: str) -> int:
        """How many requests had this method and path; a prefix when it ends in a slash."""
        return int(self._get("count", method=method, path=path)["count"])

    @property
    def applied(self) -> list[Applied]:
        """Every key stored and payment charged, in order."""
        return self.applied_since(0)

    def applied_since(self, place: int) -> list[Applied]:
        """What was applied, from the given place on."""
        found = self._get("applied", since=place, full=1)["applied"]
        return [Applied(**members) for members in found]

    @property
    def customers(self) -> dict[str, dict[str, Any]]:
        """Annotations by customer_uid, with the full card_number."""
        return dict(self._get("customers", full=1)["customers"])

    @property
    def payments(self) -> dict[str, dict[str, Any]]:
        """Annotations by merchant_uid, with the full card_number."""
        return dict(self._get("payments", full=1)["payments"])

    @property
    def stats(self) -> dict[str, Any]:
        """Counts by route and by answer."""
        return self._get("stats")

    def healthy(self) -> bool:
        """Whether the fake answers."""
        try:
            return bool(self._get("health"))
        except OSError:
            return False

    def add_fault(self, fault: Fault) -> None:
        """Put a fault in force, beside those that are."""
        self._send("POST", "faults", json.dumps([asdict(fault)]))

    def clear_faults(self) -> None:
        """Remove the added faults."""
        self._send("DELETE", "faults")

    def expire_tokens(self) -> None:
        """Refuse every token from now on."""
        self._send("POST", "expire-tokens")

    def apply_late(self) -> None:
        """Do at once what was put off."""
        self._send("POST", "apply-late")

    def reset(self) -> None:
        """Start afresh."""
        self._send("POST", "reset")

    def _get(self, name: str, **query: object) -> dict[str, Any]:
        return self._send("GET", f"{name}?{urlencode(query)}")

    def _send(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        address = urlsplit(self.url).netloc
        connection = (
            http.client.HTTPSConnection(address, timeout=self._timeout_s, context=self._context)
            if self.url.startswith("https:")
            else http.client.HTTPConnection(address, timeout=self._timeout_s)
        )
        try:
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request(method, PREFIX + path, body, headers)
            answer = connection.getresponse()
            members = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(f"the fake refused: {members}")
        return dict(members)
