"""The real stack behind the card page: Redis, a worker, a fake i'mport, and the serving process, each to be killed.

What comes to the serving process passes a proxy, the tap, which keeps it byte for byte.
"""

import contextlib
import urllib.request
from itertools import count
from types import TracebackType
from typing import Self

from producer import BillingQueue
from producer.contract.identifiers import Operation
from producer.contract.job import Request
from producer.contract.outcome import Outcome
from producer.errors import UnknownJob
from producer.runtime.lockdown import STARTED_ANEW
from producer.settings import ProducerSettings
from producer.web import Ticket, Tickets
from tests.canary.memory import frozen, memory_of
from tests.canary.needles import Hit, Needles
from tests.canary.places import file
from tests.ports import free_port
from tests.proxy import Proxy, Stream
from tests.servers import environment, wait_until
from tests.stack import Stack, WorkerProcess

BASE = "/subscription"
UNSCRUBBED = {STARTED_ANEW: "1"}  # it keeps the allocator that it has, which overwrites nothing of what is freed
LOOSE = {"LIMIT_PER_ADDRESS": "100000 per minute"}
IMPATIENT = {"IMP_CONNECT_TIMEOUT_S": "1", "IMP_READ_TIMEOUT_S": "2"}  # a call's lease is the sum, and 15 s


class Web(WorkerProcess):
    """``python -m producer serve`` behind a tap; may be killed and started again on its port.

    Args:
        stack: where its jobs go.
        settings: of its own.
    """

    def __init__(self, stack: Stack, **settings: str) -> None:
        port = free_port()
        command = ["-m", "producer", "serve", "--port", str(port), "--prefix", BASE]
        super().__init__({**stack.producer_env, **LOOSE, **settings}, stack.folder / "web", command=command)
        self.tap, self._health = Proxy(port), f"http://127.0.0.1:{port}/healthz"

    @property
    def origin(self) -> str:
        """Where browsers find it."""
        return f"http://127.0.0.1:{self.tap.port}"

    def is_ready(self) -> bool:
        """Whether it answers."""
        if self.process.poll() is not None:
            raise RuntimeError(f"serving ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(self._health, timeout=60) as answer:
                return bool(answer.read() == b"ok")
        except OSError:
            return False

    def cards(self, needles: Needles) -> dict[str, set[Hit]]:
        """The canaries that are found in its memory, its log, and all that came to it; sealed ones are no hits."""
        with frozen(self.pids()):
            memory = [piece for pid in self.pids() for piece in memory_of(pid)]
        places = {"memory": memory, "log": file(self.log), "requests": [one.raw for one in self.tap.received]}
        return {name: clear_cards(needles, *pieces) for name, pieces in places.items()}

    def __enter__(self) -> Self:
        self.tap.__enter__()
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.tap.__exit__()
        super().__exit__(kind, error, trace)


def clear_cards(needles: Needles, *pieces: bytes) -> set[Hit]:
    """The canaries in some bytes, but for those that are sealed."""
    return {hit for piece in pieces for hit in needles.find(piece) if hit.kind != "sealed"}


class Site:
    """The card page with all that is behind it, until the ``with`` ends; to customers it is as the stand-in is.

    Attributes:
        fake: i'mport.
        web: the serving process.
        worker: the worker's.
    """

    def __init__(self) -> None:
        self._stack = Stack()
        self.fake = self._stack.fake
        self._uids = count()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.enter_context(self._stack)
            self.worker = self._stack.worker()
            self.web = undo.enter_context(self.serving())
            with environment(self._stack.producer_env):
                settings = ProducerSettings.from_env()
            self._queue = undo.enter_context(BillingQueue(settings))
            self._tickets = Tickets.of(self._queue)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._undo.__exit__(kind, error, trace)

    @property
    def origin(self) -> str:
        return self.web.origin

    @property
    def received(self) -> list[Stream]:
        return self.web.tap.received

    def mint(self) -> str:
        """A ticket of a new customer."""
        uid = f"gildong_{next(self._uids):04d}"
        return self._tickets.mint(Request(operation=Operation.ISSUE, customer_uid=uid))

    def page_url(self, ticket: str) -> str:
        return f"{self.origin}{BASE}/card?ticket={ticket}"

    def hold(self) -> None:
        """Make i'mport slow from now on."""
        self.fake.gate.clear()

    def release(self) -> None:
        """Let i'mport answer."""
        self.fake.gate.set()

    def serving(self, **settings: str) -> Web:
        """Another serving process of the same stack, not started yet."""
        return Web(self._stack, **settings)

    def replace_worker(self, **settings: str) -> None:
        """Kill the worker, and start one with other settings."""
        self.worker.kill()
        self.worker = self._stack.worker(processes=1, concurrency=8, **settings)

    def mend(self) -> None:
        """As it was at first, but for what has been done."""
        self.release()
        self.fake.clear_faults()
        if self.web.process.poll() is not None:
            self.web.start()
        if self.worker.process.poll() is not None or IMPATIENT.items() <= self.worker.environ.items():
            self.replace_worker()

    def is_known(self, ticket: str) -> bool:
        """Whether the ticket's job has been accepted."""
        try:
            self._queue.outcome(self._read(ticket).job_id)
        except UnknownJob:
            return False
        return True

    def outcome(self, ticket: str, within_s: float = 240) -> Outcome:
        """What becomes of the ticket's job, as the merchant's backend hears it."""
        wait_until(lambda: self.is_known(ticket), within_s, "a job")
        return self._queue.wait(self._read(ticket).job_id, within_s)

    def keys(self, ticket: str) -> list[str]:
        """The cards that i'mport has stored for the ticket's customer, each as often as it did."""
        return [one.card_number for one in self.fake.applied if one.customer_uid == self.uid(ticket)]

    def cards_sent(self, ticket: str) -> int:
        """How often a card has been sent to i'mport for the ticket's customer."""
        return self.fake.count("POST", f"/subscribe/customers/{self.uid(ticket)}")

    def posts(self, ticket: str) -> int:
        """How often the ticket has been handed in with a card."""
        return sum(one.raw.count(b'{"ticket":"' + ticket.encode()) for one in self.received)

    def uid(self, ticket: str) -> str:
        """Whose ticket it is."""
        uid = self._read(ticket).request.customer_uid
        assert uid is not None
        return uid

    def _read(self, ticket: str) -> Ticket:
        return self._tickets.read(ticket)
