"""The fake i'mport as one object."""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.fake_iamport.account import Account
from tests.fake_iamport.call import Call
from tests.fake_iamport.certificate import server_context
from tests.fake_iamport.control import PREFIX, Control
from tests.fake_iamport.customers import Customer
from tests.fake_iamport.exchange import Cut, Exchange, Reply
from tests.fake_iamport.faults import Fault, FaultBox
from tests.fake_iamport.journal import Applied, Journal, Request
from tests.fake_iamport.later import Later
from tests.fake_iamport.payments import Payment, PaymentDesk
from tests.fake_iamport.server import Server

IMP_KEY = "imp_apikey_demo"
IMP_SECRET = "demo-secret-of-the-fake-that-opens-nothing-anywhere-0123456789"
LOCAL_NAMES = ("localhost", "127.0.0.1")


class FakeIamport:
    """A faithful fake of i'mport's (PortOne V1) REST API, for ``with``.

    Args:
        tls: serve https, with a certificate authority of its own in ``ca_file``.
        imp_key: the account's API key; ``imp_secret`` its secret.
        clock: Unix seconds; all of the fake's instants come from it.
        port: 0 takes a free one.
        host: loopback, or 0.0.0.0 inside a container.
        names: host names in the certificate.
        ca_file: where to write the authority's certificate; by default a temporary file.
        sandbox: the channels are test channels, whose payments look-ups hide unless asked.
        unknown_uid_style: HTTP status of a look-up of an unknown customer_uid: documented is 404, observed was 200.

    Attributes:
        clock_offset_s: by how much i'mport's clock is ahead of ``clock``.
        gate: while it is closed, calls with a card wait before it.
    """

    def __init__(
        self,
        *,
        tls: bool = False,
        imp_key: str = IMP_KEY,
        imp_secret: str = IMP_SECRET,
        clock: Callable[[], float] = time.time,
        port: int = 0,
        host: str = "127.0.0.1",
        names: tuple[str, ...] = LOCAL_NAMES,
        ca_file: Path | None = None,
        sandbox: bool = True,
        unknown_uid_style: Literal["404", "200"] = "404",
    ) -> None:
        self.imp_key, self.imp_secret = imp_key, imp_secret
        self.clock_offset_s = 0.0
        self._clock = clock
        self._tls, self._names, self._ca_file = tls, names, ca_file
        self._address = (host, port)
        self._sandbox, self._unknown_uid_style = sandbox, unknown_uid_style
        self._stopping, self.gate = threading.Event(), threading.Event()
        self.gate.set()
        self._waiting: set[int] = set()
        self._faults, self._journal, self._later = FaultBox(), Journal(), Later()
        self._control = Control(self)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: Server | None = None
        self._open_account()

    def _open_account(self) -> None:
        self._account = Account(self.imp_key, self.imp_secret, self.now, self._journal)
        self._account.customers.sandbox = self._sandbox
        self._account.customers.unknown_uid_style = self._unknown_uid_style
        self._exchange = Exchange(
            self._account,
            self._faults,
            self._journal,
            self._later,
            wait=self._stopping.wait,
            clock=self._clock,
            now=self.now,
        )

    def now(self) -> float:
        """I'mport's time."""
        return self._clock() + self.clock_offset_s

    def start(self) -> Self:
        """Serve, until ``stop``; a fake serves once."""
        context = None
        if self._tls:
            self._folder = tempfile.TemporaryDirectory(prefix="fake-iamport-")
            context = server_context(Path(self._folder.name), self.ca_file, self._names)
        self._server = Server(self._address, self.serve, self._stopping, context)
        return self

    def stop(self) -> None:
        """Cut all connections, forget what was to be done late, and end all threads."""
        self._stopping.set()
        self.gate.set()
        if self._server is not None:
            self._server.stop()
        self._later.stop()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def serve(self, call: Call) -> Reply | Cut:
        """Answer a call; what the server does with each, and what a test may do without one."""
        if call.path.startswith(PREFIX):
            return self._control.serve(call)
        if call.text("card_number"):
            self._waiting.add(id(call))
            self.gate.wait()
            self._waiting.discard(id(call))
        return self._exchange.serve(call)

    @property
    def waiting(self) -> int:
        """How many calls wait before the gate."""
        return len(self._waiting)

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        if self._server is None:
            raise RuntimeError("the fake has not been started")
        host = "127.0.0.1" if self._address[0] == "0.0.0.0" else self._address[0]
        return f"{'https' if self._tls else 'http'}://{host}:{self._server.port}"

    @property
    def ca_file(self) -> Path:
        """The certificate that clients must trust; with ``tls`` only."""
        if self._ca_file is not None:
            return self._ca_file
        if self._folder is None:
            raise RuntimeError("the fake does not serve https")
        return Path(self._folder.name) / "ca.pem"

    @property
    def requests(self) -> list[Request]:
        """Every request, in order of arrival; a snapshot, like all that follow."""
        return self.requests_since(0)

    def requests_since(self, place: int) -> list[Request]:
        """The requests from the given place on."""
        return self._journal.requests(place)

    def count(self, method: str, path: str) -> int:
        """How many requests had this method and path; a prefix when it ends in a slash."""
        return self._journal.count(method, path)

    @property
    def applied(self) -> list[Applied]:
        """Every key stored and payment charged, in order: the judge's log."""
        return self.applied_since(0)

    def applied_since(self, place: int) -> list[Applied]:
        """What was applied, from the given place on."""
        return self._journal.applied(place)

    def age_keys(self, seconds: float) -> None:
        """All keys that there are were stored so long before they were."""
        keys = self._account.customers.customers
        for uid, found in list(keys.items()):
            keys[uid] = replace(found, inserted=int(found.inserted - seconds), updated=int(found.updated - seconds))

    @property
    def customers(self) -> dict[str, Customer]:
        """The cards in force by customer_uid."""
        return dict(self._account.customers.customers)

    @property
    def payments(self) -> dict[str, Payment]:
        """The last payment of each merchant_uid."""
        return dict(self._account.payments.payments)

    @property
    def desk(self) -> PaymentDesk:
        """Where payments are made: what it shows late, and what it charges and calls failed."""
        return self._account.payments

    @property
    def stats(self) -> dict[str, Any]:
        """Counts by route and by answer."""
        return self._journal.stats()

    def add_fault(self, fault: Fault) -> None:
        """Put a fault in force, beside those that are."""
        self._faults.add(fault)

    def clear_faults(self) -> None:
        """Remove the added faults; sample cards keep theirs."""
        self._faults.clear()

    def expire_tokens(self) -> None:
        """Refuse every token from now on; getToken makes a new one."""
        self._account.tokens.expire()

    def apply_late(self) -> None:
        """Do at once what ``applied_late`` faults put off, so that a test need not wait."""
        self._later.run_now()

    def reset(self) -> None:
        """Start afresh: no customers, payments, tokens, logs or faults; same keys and address."""
        self._later.clear()
        self._faults.clear()
        self._faults.forget_cards()
        self._journal.clear()
        self._open_account()
