"""Everything of the demo, left running: the servers' URLs, and the settings to try the commands with.

    python -m tests.dev

Ends with Ctrl-C or SIGTERM, and takes its keys and files with it.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from producer import BillingQueue
from producer.contract.identifiers import Operation
from producer.contract.job import Request
from producer.web import Tickets
from tests.fake_iamport import FakeIamport
from tests.ports import free_port
from tests.servers import environment, wait_until
from tests.stack import FLOWER, Stack, WorkerProcess

TICKET_LIFE_S = 86_400


def main() -> int:
    """Run until asked to stop."""
    with Stack(FakeIamport(port=free_port())) as stack, contextlib.ExitStack() as undo:
        command = ["-m", "worker", "run", "--processes", "2", "--concurrency", "16", "--events"]
        undo.enter_context(WorkerProcess(stack.worker_env, stack.folder / "logs", command=command))
        page, flower = free_port(), free_port()
        try:
            log, shop = stack.folder / "logs" / "page.log", {"MERCHANT_NAME": "무지개 서점", **stack.producer_env}
            undo.enter_context(running(["-m", "producer", "serve", f"--port={page}"], stack.folder, log, shop))
            command = ["-m", "celery", f"--broker={stack.queue.url(0, 'flower')}", "flower", f"--port={flower}"]
            command.append("--address=127.0.0.1")
            log = stack.folder / "logs" / "flower.log"
            undo.enter_context(running(command, stack.folder, log, FLOWER))
            wait_until(lambda: answers(page) and answers(flower), what="the card page and Flower")
            tell(stack, f"http://127.0.0.1:{page}/subscription", f"http://127.0.0.1:{flower}")
            signal.pause()
        except KeyboardInterrupt:
            print("Ending …")
    return 0


@contextlib.contextmanager
def running(arguments: list[str], folder: Path, log: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """A Python process, for as long as the block takes; Ctrl-C in this terminal is not for it."""
    environ = {**os.environ, **environ}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=environ, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def tell(stack: Stack, page_url: str, flower_url: str) -> None:
    """Print where everything is."""
    settings = stack.producer_env
    with environment(settings), BillingQueue.from_env() as queue:
        request = Request(operation=Operation.ISSUE, customer_uid="gildong_0001")
        ticket = Tickets.of(queue).mint(request, life_s=TICKET_LIFE_S)
    lines = [f"export {name}={value}" for name, value in settings.items()]
    print(f"Card page     {page_url}/card?ticket={ticket}")
    print(f"Flower        {flower_url}")
    print(f"Fake i'mport  {stack.fake.url}/_fake/stats")
    print("\nTry, in another shell:\n\n  " + "\n  ".join(lines))
    print('  echo \'{"card_number":"4242424242424242","expiry":"2031-07","birth":"900101","pwd_2digit":"12"}\' |')
    print("    .venv/bin/python -m producer issue --customer-uid gildong_0001 --wait 10")
    print("  .venv/bin/python -m producer ticket --customer-uid gildong_0002     # each card page wants its own\n")
    print("Ctrl-C ends everything.", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
