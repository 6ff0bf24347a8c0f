"""Ctrl-C while a program starts, however far it has come: it ends, and shows no traceback."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.ports import free_port
from tests.processes import family
from tests.servers import run_python, wait_until
from tests.stack import Stack
from tests.system.test_monitoring import SECRET

PATIENCE_S = 240
COMMANDS = {
    "worker": ("worker", "run", "--processes", "2"),
    "web": ("producer", "serve", "--port", str(free_port())),
    "webhooks": ("producer", "webhooks", "run"),
    "migrate": ("producer", "migrate", "-", "--name", "spring"),
    "dev": ("tests.dev",),
}
MOMENTS = [  # the first import beyond the standard library's, and later ones
    *(("worker", name) for name in ("click", "producer.contract.redis_keys", "worker.metrics_server")),
    *(("web", name) for name in ("click", "joserfc", "uvicorn")),
    *(("webhooks", name) for name in ("click", "redis", "producer.webhooks.delivery")),
    *(("migrate", name) for name in ("click", "redis", "producer.migrate.session")),
    *(("dev", name) for name in ("pydantic", "tests.fake_iamport.server", "worker.redis_acl")),
]
CTRL_C_AT = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            print("interrupted", flush=True)
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
sys.argv = {words!r}
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def idle() -> Iterator[Stack]:
    """Stores and keys, for programs that never come to use them."""
    with Stack() as one:
        yield one


@pytest.mark.parametrize(("program", "name"), MOMENTS)
def test_ctrl_c_while_a_program_imports_ends_it_without_a_traceback(idle: Stack, program: str, name: str) -> None:
    environ = {
        **idle.producer_env_of("migrator" if program == "migrate" else "producer"),
        **(idle.worker_env if program == "worker" else {}),
        "WEBHOOK_URL": "http://127.0.0.1:1/",
        "WEBHOOK_SECRETS": SECRET,
    }

    done = run_python("-c", CTRL_C_AT.format(name=name, words=[*COMMANDS[program]]), environ=environ)

    assert done.stdout == "interrupted\n" + "Ending …\n" * (program == "dev")
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in ({0} if program == "dev" else {1, 130})


def test_ctrl_c_while_workers_start_ends_them_without_a_traceback(stack: Stack) -> None:
    log = stack.folder / "worker.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *COMMANDS["worker"]], env={**os.environ, **stack.worker_env}, stdout=out, stderr=out
        )
    try:
        wait_until(lambda: len(family(process.pid)) > 2, PATIENCE_S, "both processes")
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE_S)

    assert code == 0
    assert "Traceback" not in log.read_text()
