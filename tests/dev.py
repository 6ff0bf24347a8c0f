"""Everything of the demo, left running: the servers' URLs, and the settings to try the commands with.

    python -m tests.dev

Ends with Ctrl-C or SIGTERM at any moment, and takes all it started, its keys and files with it.
"""

import contextlib
import signal
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from tests.processes import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before the rest is loaded, which takes a second

from producer import BillingQueue
from producer.contract.identifiers import Operation
from producer.contract.job import Request
from producer.web import Tickets
from tests.fake_iamport import FakeIamport
from tests.ports import free_port
from tests.sample_shops import Shops
from tests.servers import answers, environment, stores_are, wait_until
from tests.stack import FLOWER, Stack, WorkerProcess

TICKET_LIFE_S = 86_400


class Servers(NamedTuple):
    """What :func:`everything` starts: the shops with the card page, and ports."""

    shops: "Shops"
    flower: int
    metrics: int


@contextlib.contextmanager
def everything(stack: Stack) -> Iterator[Servers]:
    """The worker, the card page, the shops and Flower beside a stack."""
    command = ["-m", "worker", "run", "--processes", "2", "--concurrency", "16", "--events"]
    ports = Servers(Shops(free_port()), free_port(), free_port())
    metrics = {"METRICS_PORT": str(ports.metrics)}
    with contextlib.ExitStack() as undo:
        worker = WorkerProcess({**stack.worker_env, **metrics}, stack.folder / "logs", command=command)
        worker.start(wait=False)
        undo.callback(worker.stop)  # also if it is Ctrl-C that ends the wait
        undo.enter_context(ports.shops.running(stack))
        undo.enter_context(stack.running("flower", stack.flower(ports.flower), **FLOWER))
        wait_until(worker.is_ready, what="a worker that is ready")
        wait_until(lambda: ports.shops.answer() and answers(ports.flower), what="the card page, the shops and Flower")
        yield ports


def main() -> NoReturn:
    """Run until asked to stop."""
    with Stack(FakeIamport(port=free_port())) as stack, everything(stack) as ports:
        tell(stack, ports)
        while True:
            signal.pause()


def tell(stack: Stack, ports: Servers) -> None:
    """Print where everything is."""
    settings = stack.producer_env
    with environment(settings), BillingQueue.from_env() as queue:
        request = Request(operation=Operation.ISSUE, customer_uid="gildong_0001")
        ticket = Tickets.of(queue).mint(request, life_s=TICKET_LIFE_S)
    lines = [f"export {name}={value}" for name, value in settings.items()]
    print(stores_are())
    print(f"Card page     {ports.shops.page_url}/card?ticket={ticket}")
    print(f"Sample shops  {'  '.join(ports.shops.urls())}     (examples/shop)")
    print(f"Flower        http://127.0.0.1:{ports.flower}")
    print(f"Metrics       http://127.0.0.1:{ports.metrics}/metrics")
    print(f"Fake i'mport  {stack.fake.url}/_fake/stats")
    print("\nTry, in another shell:\n\n  " + "\n  ".join(lines))
    print('  echo \'{"card_number":"4242424242424242","expiry":"2031-07","birth":"900101","pwd_2digit":"12"}\' |')
    print("    .venv/bin/python -m producer issue --customer-uid gildong_0001 --wait 10")
    print("  .venv/bin/python -m producer ticket --customer-uid gildong_0002     # each card page wants its own\n")
    print("Ctrl-C ends everything.", flush=True)


if __name__ == "__main__":
    main()
