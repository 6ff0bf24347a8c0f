"""Halves: the two distributions, installed as their users do, each in a virtual environment of its own.

All wheels come from one folder; the environments hold neither pip nor setuptools, which hide what is not declared, and
run in an empty folder, with no checkout on the path.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import wheels
from tests.proof.book import Book
from tests.servers import ROOT, wait_until

INSTALLED = {  # what each installs, and its packages
    "producer": (wheels.MERCHANT, ("iamport_billing",)),
    "web": (f"{wheels.MERCHANT}[web]", ("iamport_billing",)),
    "worker": (wheels.WORKER, ("worker", "producer", "celeryconfig")),
    "flower": ("flower celery[redis]", ("flower",)),  # none of ours: it would read the worker's celeryconfig
}
TIMEOUT_S = 300  # ends what hangs, not what a busy machine makes slow
FROM_OUTSIDE = ("PATH", "HOME", "LANG")
IMPORT_ALL = """
import importlib, json, pkgutil, sys
missing = {}
def load(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing[name] = error.name or str(error)
for root in sys.argv[1:]:
    for found in pkgutil.walk_packages(getattr(load(root), "__path__", ()), root + "."):
        load(found.name)
print(json.dumps(missing))
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: str


def tracked(folder: Path) -> Path:
    """A copy of the checkout's tracked files, as they are now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def wheelhouse(source: Path, folder: Path) -> Path:
    """Wheels of both distributions and of all that they need, those of requirements.txt by their hashes."""
    hashed = ("--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", str(source / "requirements.txt"))
    with ThreadPoolExecutor() as pool:
        built = [pool.submit(wheels.build, name, folder) for name in (wheels.MERCHANT, wheels.WORKER)]
        pip("download", "-d", str(folder), *hashed)
        for one in built:
            one.result()
    return folder


def pip(*arguments: str, python: Path | None = None) -> None:
    """Run pip, for another environment than this one if a Python is given, and without a path to the checkout."""
    options = ("--quiet", "--disable-pip-version-check", *(("--python", str(python)) if python else ()))
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "pip", *options, *arguments], env=environ, check=True)


def left_out(source: Path, folder: Path) -> list[str]:
    """Tracked files of both halves that neither wheel holds."""
    held = {name for wheel in folder.glob("iamport_billing*.whl") for name in zipfile.ZipFile(wheel).namelist()}
    held |= {re.sub("^iamport_billing/", "producer/", name) for name in held}
    paths = (path for half in ("producer", "worker") for path in (source / half).rglob("*") if path.is_file())
    return sorted({str(path.relative_to(source)) for path in paths} - held)


def inherited() -> dict[str, str]:
    """What a command gets of this process's environment: no settings, and no path to the checkout."""
    return {name: os.environ[name] for name in FROM_OUTSIDE if name in os.environ}


class Half:
    """One distribution with an extra, and an empty folder to run in.

    Args:
        name: of :data:`INSTALLED`.
        folder: where all that goes.
        book: where its commands are noted.
    """

    def __init__(self, name: str, folder: Path, book: Book) -> None:
        self.name, self._book = name, book
        self._root, self.empty = folder / "venv", folder / "empty"
        self._python = self._root / "bin" / "python"
        self._distribution, self._packages = INSTALLED[name]

    def install(self, folder: Path) -> None:
        """Install it, from a folder of wheels."""
        self.empty.mkdir(parents=True)
        venv.create(self._root, symlinks=True)
        offline = ("--no-index", "--no-compile", "--find-links", str(folder))
        pip("install", *offline, *self._distribution.split(), python=self._python)
        try:
            pip("check", python=self._python)
        except subprocess.CalledProcessError as error:
            self._book.note(self.name, "pip check", error.returncode, "", problem="a dependency is missing")
        else:
            self._book.note(self.name, "pip check", 0, "")

    def missing(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Import every module of it; those that cannot be, with the module that each lacks."""
        done = self._run(["python", "-c", IMPORT_ALL, *self._packages], b"", environ)
        found: dict[str, str] = json.loads(done.output) if done.code == 0 else {"": done.errors}
        self._book.note(
            self.name, f"import every module of {', '.join(self._packages)}", done.code, f"missing: {found or '-'}"
        )
        return found

    def run(
        self,
        command: str,
        environ: Mapping[str, str] | None = None,
        *,
        given: bytes = b"",
        code: int = 0,
        says: str = "",
        shown: str | None = None,
    ) -> str:
        """Run a command to its end.

        Args:
            command: as a person types it in a checkout; installed, the producer has another name.
            environ: its settings.
            given: its stdin.
            code: the exit code that it should have.
            says: what it should print.
            shown: the command for the table, if it holds what is not for it.

        Returns:
            What it printed on stdout.
        """
        given = given.replace(b"from producer", f"from {self._name}".encode())  # a document's lines
        done = self._run(self._installed(command), given, environ or {})
        problem = None
        if done.code != code:
            problem = f"exit code {done.code}, not {code}"
        elif says not in done.output + done.errors:
            problem = f"does not say {says!r}"
        elif "Traceback" in done.errors:
            problem = "a traceback"
        self._book.note(self.name, shown or command, done.code, done.output or done.errors, problem=problem)
        return done.output

    @contextmanager
    def running(
        self,
        command: str,
        environ: Mapping[str, str],
        *,
        ready: Callable[[str], bool],
        given: bytes = b"",
        code: int = 0,
        shown: str | None = None,
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Keep a command running for as long as the block takes, then SIGTERM.

        Args:
            command, environ, given, code, shown: as for :meth:`run`; its stdin stays open.
            ready: whether it is, by its log.
        """
        log = self.empty.parent / f"{time.monotonic_ns()}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                self._installed(command),
                cwd=self.empty,
                env=self._environ(environ),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        assert process.stdin is not None
        try:
            process.stdin.write(given)
            process.stdin.flush()
            wait_until(lambda: process.poll() is not None or ready(log.read_text()), TIMEOUT_S, shown or command)
            if process.poll() is not None:
                raise ChildProcessError(f"{shown or command} ended at once")
            yield process
        finally:
            ended = _end(process)
            problem = None if ended == code else f"exit code {ended}, not {code}"
            self._book.note(self.name, shown or command, ended, log.read_text(), problem=problem)

    def _run(self, arguments: Sequence[str], given: bytes, environ: Mapping[str, str]) -> Done:
        done = subprocess.run(
            arguments,
            input=given,
            cwd=self.empty,
            env=self._environ(environ),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def _environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        path = f"{self._python.parent}{os.pathsep}{os.environ['PATH']}"
        return {**inherited(), "PATH": path, "PYTHONUNBUFFERED": "1", **environ}

    @property
    def _name(self) -> str:
        """The producer's name where this is installed."""
        return "producer" if "producer" in self._packages else "iamport_billing"

    def _installed(self, command: str) -> list[str]:
        return command.replace("-m producer", f"-m {self._name}").split()


def _end(process: "subprocess.Popen[bytes]") -> int:
    """SIGTERM, and SIGKILL to it and all below it if that does not help; the exit code."""
    process.terminate()
    try:
        return process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()
    finally:
        assert process.stdin is not None
        process.stdin.close()  # not before: the end of a source is an end, too
