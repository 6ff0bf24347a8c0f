"""The quickstart without containers, run by a shell as it stands, in a copy of the tracked files.

What a person does besides is done here: ``IMP_KEY`` is filled in, ``IMP_SECRET`` is a variable of the shell,
``valkey-server`` is the server that the tests use, and ``card.json`` is a pipe, so that no card lies on a disk.
i'mport is the fake one. Whatever was started runs in that folder, and is ended by its process id.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.fake_iamport import CARDS, FakeIamport
from tests.ports import free_port
from tests.proof.book import Book
from tests.proof.documents import QUICKSTART, first_block
from tests.proof.halves import inherited, tracked
from tests.servers import server_program, wait_until

WHERE = "set-up"
SECTION = "Without containers"
PORTS = ("6379", "6380")
MARK = "@@ "
INSTALLING = "make install && "
FOR_PIP = ("PIP_", "SSL_", "REQUESTS_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
LONGEST_S, END_S = 1200, 120  # these end what hangs, not what a busy machine makes slow
ERRORS = "errors"


def set_up(folder: Path, book: Book, *, is_quick: bool) -> None:
    """Run it, and note each of its commands.

    Args:
        folder: one for it alone.
        book: where they are noted.
        is_quick: the virtual environment of this process takes the place of ``make install``.
    """
    text = first_block(QUICKSTART, SECTION, "sh")
    for port in (port for port in PORTS if is_taken(int(port))):
        other = str(free_port())
        book.note(WHERE, f"port {port}", None, f"is taken on this machine: {other} in its place")
        text = text.replace(port, other)
    if is_quick:
        text = text.replace(INSTALLING, "")
        book.note(WHERE, "make install", None, "not run: a link to the virtual environment that runs this")
    with FakeIamport() as fake:
        prepare(tracked(folder / "checkout"), fake, is_linked=is_quick)
        commands = text.replace("\\\n", "").splitlines()
        try:
            ended = execute(folder, commands, fake)
        finally:
            end_everything(folder)
        judge(folder, book, commands, ended)


def is_taken(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def prepare(checkout: Path, fake: FakeIamport, *, is_linked: bool) -> None:
    """What a person has or fills in."""
    example = checkout / ".env.worker.example"
    filled = re.sub(r"^IMP_KEY=$", f"IMP_KEY={fake.imp_key}", example.read_text(), flags=re.MULTILINE)
    example.write_text(f"{filled}\nIMP_API_URL={fake.url}\n")
    os.mkfifo(checkout / "card.json")
    shim = checkout.parent / "bin" / "valkey-server"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(server_program())} "$@"\n')
    shim.chmod(0o755)
    if is_linked:
        (checkout / ".venv").symlink_to(sys.prefix)


def execute(folder: Path, commands: list[str], fake: FakeIamport) -> list[tuple[str, str]]:
    """Run the commands in one shell; what each printed, and its exit code."""
    checkout, log = folder / "checkout", folder / "output"
    card = json.dumps(CARDS["visa"].fields())
    threading.Thread(target=(checkout / "card.json").write_text, args=(card,), daemon=True).start()
    script = "\n".join(f"{line}\nprintf '\\n{MARK}%s\\n' $?" for line in commands)
    environ = {name: value for name, value in os.environ.items() if name.upper().startswith(FOR_PIP)}
    environ |= inherited() | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    with (
        log.open("wb") as out,
        (folder / ERRORS).open("wb") as errors,
        contextlib.suppress(subprocess.TimeoutExpired),  # what is missing then is seen by what came
    ):
        subprocess.run(
            ["sh", "-c", f"IMP_SECRET={fake.imp_secret}\n{script}"],
            cwd=checkout,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            timeout=LONGEST_S,
            check=False,
        )
    return re.findall(rf"(.*?)^{MARK}(\d+)$", log.read_text(), re.MULTILINE | re.DOTALL)


def judge(folder: Path, book: Book, commands: list[str], ended: list[tuple[str, str]]) -> None:
    """Note how each command ended, and what the last one, which issues a key, printed."""
    for command, (printed, code) in zip(commands, ended, strict=False):
        own = printed[max(printed.find("{"), 0) :]  # and not the workers' banner
        book.note(WHERE, command, int(code), own, problem=None if code == "0" else f"exit code {code}")
    if len(ended) < len(commands) or '"status": "issued"' not in ended[-1][0]:
        errors = (folder / ERRORS).read_text()[-3000:]
        book.fail(f"{WHERE}: {len(ended)} of {len(commands)} commands ended, no key was issued: {errors}")


def end_everything(folder: Path) -> None:
    """End, by its id, every process that runs in the folder: those first that others belong to."""

    def running() -> dict[int, int]:
        return {pid: parent for pid, parent in processes() if inside(pid, folder)}

    found = running()
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in (pid for pid, parent in found.items() if parent not in found or number == signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not running(), END_S)
            return
        found = running()


def processes() -> Iterator[tuple[int, int]]:
    """Every process of this machine, with its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])


def inside(pid: int, folder: Path) -> bool:
    """Whether a process runs in a folder."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder.resolve())
    except OSError:
        return False
