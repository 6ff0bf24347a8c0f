"""Everything of the demo, left running: the servers' URLs, and the settings to try the commands with.

    python -m tests.dev

Ends with Ctrl-C or SIGTERM at any moment, and takes all it started, its keys and files with it.
"""

import contextlib
import signal
from typing import NoReturn

from tests.processes import end_on_signals

if __name__ == "__main__":
    end_on_signals()  # before the rest is loaded, which takes a second

from producer import BillingQueue
from producer.contract.identifiers import Operation
from producer.contract.job import Request
from producer.web import Tickets
from tests.fake_iamport import FakeIamport
from tests.ports import free_port
from tests.servers import answers, environment, stores_are, wait_until
from tests.stack import FLOWER, Stack, WorkerProcess

TICKET_LIFE_S = 86_400


def main() -> NoReturn:
    """Run until asked to stop."""
    with Stack(FakeIamport(port=free_port())) as stack, contextlib.ExitStack() as undo:
        command = ["-m", "worker", "run", "--processes", "2", "--concurrency", "16", "--events"]
        undo.enter_context(WorkerProcess(stack.worker_env, stack.folder / "logs", command=command))
        page, flower = free_port(), free_port()
        serve = ["-m", "producer", "serve", f"--port={page}"]
        undo.enter_context(stack.running("page", serve, **stack.producer_env, MERCHANT_NAME="무지개 서점"))
        undo.enter_context(stack.running("flower", stack.flower(flower), **FLOWER))
        wait_until(lambda: answers(page) and answers(flower), what="the card page and Flower")
        tell(stack, f"http://127.0.0.1:{page}/subscription", f"http://127.0.0.1:{flower}")
        while True:
            signal.pause()


def tell(stack: Stack, page_url: str, flower_url: str) -> None:
    """Print where everything is."""
    settings = stack.producer_env
    with environment(settings), BillingQueue.from_env() as queue:
        request = Request(operation=Operation.ISSUE, customer_uid="gildong_0001")
        ticket = Tickets.of(queue).mint(request, life_s=TICKET_LIFE_S)
    lines = [f"export {name}={value}" for name, value in settings.items()]
    print(stores_are())
    print(f"Card page     {page_url}/card?ticket={ticket}")
    print(f"Flower        {flower_url}")
    print(f"Fake i'mport  {stack.fake.url}/_fake/stats")
    print("\nTry, in another shell:\n\n  " + "\n  ".join(lines))
    print('  echo \'{"card_number":"4242424242424242","expiry":"2031-07","birth":"900101","pwd_2digit":"12"}\' |')
    print("    .venv/bin/python -m producer issue --customer-uid gildong_0001 --wait 10")
    print("  .venv/bin/python -m producer ticket --customer-uid gildong_0002     # each card page wants its own\n")
    print("Ctrl-C ends everything.", flush=True)


if __name__ == "__main__":
    main()
