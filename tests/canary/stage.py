"""The stage of a canary run: traced stores, an i'mport that quotes what it is sent, workers, a merchant and Flower."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

from tests.canary.needles import circled, wide
from tests.canary.tracer import Tracer
from tests.collector import Collector
from tests.fake_iamport import FakeIamport
from tests.fake_iamport.call import Call
from tests.fake_iamport.exchange import Cut, Reply
from tests.ports import free_port
from tests.servers import ROOT, wait_until
from tests.stack import FLOWER, Stack, WorkerProcess

WORKER = {"IMP_CONNECT_TIMEOUT_S": "1", "IMP_READ_TIMEOUT_S": "5", "LOOK_UP_FOR_S": "1", "IMP_RATE_PER_S": "10000"}
IN_FOLDER = 'cd "$0" && ulimit -c unlimited && exec "$@"'


class QuotingIamport(FakeIamport):
    """An i'mport that shows numbers whole and quotes card and birth date in every text, over TLS.

    The numbers stand in texts in many spellings, and in heads: in cookies, and in a line that is no header. What goes
    for ``declined-…`` is declined; of some cards the first answer is a redirect with the number in its ``Location``.

    Attributes:
        quoted, redirected: heads that quoted a number, and redirects.
        unanswered: the paths that waited while it was silent.
    """

    def __init__(self) -> None:
        super().__init__(tls=True)
        self.quoted = 0
        self.redirected: set[str] = set()
        self.unanswered: list[str] = []
        self._silent_at, self._speaks = "", threading.Event()
        self._speaks.set()

    @contextlib.contextmanager
    def silent_at(self, path: str) -> Iterator[list[str]]:
        """Answer nothing at ``METHOD /path…`` for a while; the paths that wait."""
        self.unanswered, self._silent_at = [], path
        self._speaks.clear()
        try:
            yield self.unanswered
        finally:
            self._silent_at = ""
            self._speaks.set()

    def serve(self, call: Call) -> Reply | Cut:
        if self._silent_at and f"{call.method} {call.path}".startswith(self._silent_at):
            self.unanswered.append(call.path)
            self._speaks.wait()
        reply = super().serve(call)
        if not call.text("card_number") or isinstance(reply, Cut) or not reply.body.startswith(b"{"):
            return reply
        self.quoted += 1
        number = call.card_number
        head = f"Set-Cookie: n={number}\r\nX-Ref: ref{number}\r\n{in_uuid(number)} is no header\r\n"
        if int(number[-3:-1]) % 50 == 7 and number not in self.redirected:
            self.redirected.add(number)
            return Reply(302, b"", head=f"Location: https://edge.example/%2f{number}?card={number}\r\n{head}")
        return replace(self._quoting(call, reply), head=head)

    def _quoting(self, call: Call, reply: Reply) -> Reply:
        members = json.loads(reply.body)
        spelled = ", ".join(spell(call.card_number) for spell in SPELLINGS)
        quoted = f"{call.text('card_number')}, {call.card_number} ({call.text('birth')}), {spelled}"
        if response := members["response"]:
            response.update(card_number=call.card_number, card_name=f"신한 {quoted}", unlisted=call.body)
            if "declined" in call.text("merchant_uid"):
                response.update(status="failed", fail_reason=quoted)
        if "declined" in call.path or not response:
            members.update(code=-1, message=f"[F113] {quoted}", response=None)
        return replace(reply, body=json.dumps(members, ensure_ascii=False).encode())


def in_uuid(number: str) -> str:
    """A number of 16 digits in the form of a UUID."""
    return str(UUID(hex=f"{number}a1b2c3d4e5f6a7b8"))


SPELLINGS: tuple[Callable[[str], str], ...] = (
    *(":".join, "ref{}".format, "%2f{}".format, in_uuid, wide, circled),
    lambda number: json.dumps(wide(number)),
    lambda number: quote(wide(number)),
)


@cache
def tls_redis() -> str | None:
    """The server that ``REDIS_SERVER`` names, or a redis-server on the PATH, if it speaks TLS; the wheel's does not."""
    program = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if program is None:
        return None
    done = subprocess.run(
        [program, "--tls-port", "0", "--port", "0", "--unknown", "x"], capture_output=True, text=True, check=False
    )
    return None if "tls-port" in done.stdout + done.stderr else program


class Scene:
    """One stack with what is started on it; everything runs in ``folder``, where cores would fall.

    Args:
        tracer: who watches.
        tls_program: a redis-server for rediss://.
    """

    def __init__(self, tracer: Tracer, tls_program: str | None = None) -> None:
        self.tracer, self.collector = tracer, Collector()
        self.fake = QuotingIamport()
        how: dict[str, Any] = {"program": tls_program, "tls": bool(tls_program), "options": {"rdbcompression": "no"}}
        queue, vault = ({**how, "prefix": tracer.prefix(name)} for name in ("queue", "vault"))
        self.stack = Stack(self.fake, queue=queue, vault=vault)
        self.folder, self.queue, self.vault = self.stack.folder, self.stack.queue, self.stack.vault

    def worker(self, options: list[str], *, processes: int, **environ: str) -> WorkerProcess:
        """Workers that are ready; options follow ``python -m``."""
        environ = {**self.stack.worker_env, **WORKER, **self.collector.environ, "PYTHONPATH": str(ROOT), **environ}
        worker = WorkerProcess(environ, self.folder / "logs", processes=processes, command=options)
        worker.command = self.command("worker", worker.command)
        self._undo.callback(_kill, worker)
        return worker.start()

    def spawn(self, name: str, options: list[str], **environ: str) -> subprocess.Popen[bytes]:
        """A process of ours with pipes; its log lies with the others."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        command = self.command(name, [sys.executable, *options], folder)
        ours = {**self.stack.producer_env, **self.collector.environ}
        env = {**os.environ, **ours, "PYTHONPATH": str(ROOT), **environ}
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self._undo.callback(_end, process)
        return process

    def command(self, name: str, command: list[str], folder: Path | None = None) -> list[str]:
        """A command as it runs here: in the folder, traced, and allowed to dump core."""
        return ["sh", "-c", IN_FOLDER, str(folder or self.folder), *self.tracer.prefix(name), *command]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.enter_context(self.stack)
            undo.enter_context(self.collector)
            self.ledger = self.stack.ledger
            (self.folder / "logs").mkdir()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()


class Told:
    """The merchant's process, told what to do over its pipes."""

    def __init__(self, scene: Scene, tag: int) -> None:
        self._log = scene.folder / "logs" / "merchant.log"
        self.process = scene.spawn("merchant", ["-m", "tests.canary.merchant", str(tag)])

    def do(self, name: str, wanted: Iterable[object]) -> Any:
        """Do something for each; the answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, list(wanted)]).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the merchant's process ended:\n{self._log.read_text()[-3000:]}")
        return json.loads(answer)


class Flower:
    """Flower, away from celeryconfig.py, with its API open to anybody here."""

    def __init__(self, scene: Scene) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = scene.spawn("flower", [*scene.stack.flower(port), "--debug"], **FLOWER)
        wait_until(lambda: page(self.url) and scene.queue.client().pubsub_numpat(), 600, "Flower listening to events")

    def tasks(self) -> dict[str, Any]:
        """The tasks that it saw."""
        return dict(json.loads(page(f"{self.url}/api/tasks?limit=100000") or b"{}"))


def page(url: str) -> bytes:
    """What a page says, an error page too; nothing if nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()
    except OSError:
        return b""


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder of the harness's own, which nobody searches."""
    return tempfile.TemporaryDirectory(prefix="canary-harness-", ignore_cleanup_errors=True)


def _kill(worker: WorkerProcess) -> None:
    if worker.process.poll() is None:
        worker.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.kill()
    process.wait()
