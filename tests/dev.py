"""Everything of the demo, left running: the servers' URLs, and the settings to try the commands with.

    python -m tests.dev

Ends with Ctrl-C or SIGTERM, and takes its keys and files with it.
"""

import contextlib
import signal
import subprocess
import sys

from tests.fake_iamport import FakeIamport
from tests.servers import Stack, WorkerProcess, environment, free_port


def main() -> int:
    """Run until asked to stop."""
    with Stack(FakeIamport(port=free_port())) as stack, contextlib.ExitStack() as undo:
        command = ["-m", "worker", "run", "--processes", "2", "--concurrency", "16", "--events"]
        undo.enter_context(WorkerProcess(stack.worker_env, stack.folder / "logs", command=command))
        port = free_port()
        command = [sys.executable, "-m", "celery", f"--broker={stack.queue.url(0)}", "flower", f"--port={port}"]
        # In another folder: Celery would read the workers' celeryconfig.py here.
        with environment({"FLOWER_UNAUTHENTICATED_API": "true"}), (stack.folder / "flower.log").open("ab") as log:
            flower = subprocess.Popen([*command, "--address=127.0.0.1"], cwd=stack.folder, stdout=log, stderr=log)
        try:
            tell(stack, f"http://127.0.0.1:{port}")
            signal.pause()
        except KeyboardInterrupt:
            print("Ending …")
        finally:
            flower.terminate()
            flower.wait()
    return 0


def tell(stack: Stack, flower_url: str) -> None:
    """Print where everything is."""
    lines = [f"export {name}={value}" for name, value in stack.producer_env.items()]
    print(f"Fake i'mport  {stack.fake.url}/_fake/stats")
    print(f"Flower        {flower_url}")
    print("Try, in another shell:\n\n  " + "\n  ".join(lines))
    print('  echo \'{"card_number":"4242424242424242","expiry":"2031-07","birth":"900101","pwd_2digit":"12"}\' |')
    print("    .venv/bin/python -m producer issue --customer-uid gildong_0001 --wait 10\n")
    print("Ctrl-C ends everything.", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
