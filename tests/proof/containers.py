"""Docker from outside: the engine's and compose's commands, in a copy of the checkout and under a name of its own.

Neither the user's keys nor ``.env`` files are read or written, and nothing is left behind but the engine's build cache.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Container, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.fake_iamport import RemoteFake
from tests.servers import ROOT

Done = subprocess.CompletedProcess[str]
WITHIN_S = 1200
OURS = ("MEMLOCK", "REQUIRE_LOCKED_MEMORY", "CARD_PAGE_PROXY", "IMP_SECRET", "WEBHOOK_URL")
ASK_FAKE = """
import json, sys
from pathlib import Path
from tests.fake_iamport.client import RemoteFake
fake = RemoteFake("https://127.0.0.1:8443", Path("/demo/ca.pem"), 60)
print(json.dumps(fake._send(*sys.argv[1:], sys.stdin.read() or None)))
"""


class Broken(Exception):
    """What was promised does not hold, so there is no going on."""


def missing() -> str | None:
    """What this machine lacks for any of it."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    if version("version", "--format", "{{.Server.Version}}") is None:
        return "no Docker engine answers"
    if version("compose", "version", "--short") is None:
        return "docker has no compose command"
    if not (ROOT / ".git").exists():
        return "this is no git checkout"
    return None


def version(*command: str) -> str | None:
    """The answer of a docker command; None if it fails."""
    done = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


class Project:
    """The copy, and the compose project of it.

    Attributes:
        folder: the copy.
        name: the project's; what it makes is called so, too.
        base: the image that all of ours begin with.
    """

    def __init__(self) -> None:
        self.name = f"proof-{os.getpid()}"
        self.folder = Path(tempfile.mkdtemp(prefix="proof-compose-"))
        self.base = (ROOT / "Dockerfile").read_text().partition("\nFROM ")[2].split()[0]
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("COMPOSE_") and k not in OURS}
        self.environ["COMPOSE_PROJECT_NAME"] = self.name

    def __enter__(self) -> Self:
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, tracked.stdout.split("\0")):
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        if os.geteuid() == 0 and shutil.which("sudo") is None:
            shim = self.folder / ".shim" / "sudo"
            shim.parent.mkdir()
            shim.write_text('#!/bin/sh\nexec "$@"\n')
            shim.chmod(0o755)
            self.environ["PATH"] = f"{shim.parent}{os.pathsep}{self.environ['PATH']}"
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C does not leave half of it behind
            signal.signal(number, signal.SIG_IGN)
        ours = self.things("ps", "--all")
        if ours:
            self._last("rm", "--force", "--volumes", *ours)
        self._last("compose", "--profile", "*", "down", "--volumes", "--remove-orphans", "--rmi", "local")
        made = ("run", "--rm", "--network", "none", "--volume", f"{self.folder}:/copy", "--entrypoint", "rm", self.base)
        self._last(*made, "-rf", "/copy/keys", "/copy/reports")  # of another user
        shutil.rmtree(self.folder, ignore_errors=True)

    def left_behind(self) -> list[str]:
        """What is still there of this project."""
        images = self.docker("images", "--quiet", "--filter", f"reference={self.name}*").stdout.split()
        kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        folder = [str(self.folder)] * self.folder.exists()
        return [*(one for kind in kinds for one in self.things(*kind)), *images, *folder]

    def things(self, *listing: str) -> list[str]:
        """The ids of containers, volumes or networks of this project."""
        return self.docker(*listing, "--quiet", "--filter", f"name={self.name}").stdout.split()

    def _last(self, *command: str) -> None:
        """A command of the end; Ctrl-C does not reach it."""
        subprocess.run(
            ["docker", *command],
            cwd=self.folder,
            env=self.environ,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )

    def run(self, *command: str, stdin: str = "", codes: Container[int] = (0,), **environ: str) -> Done:
        """A command in the copy.

        Raises:
            Broken: it ended with another code.
        """
        done = subprocess.run(
            command,
            input=stdin,
            cwd=self.folder if self.folder.exists() else None,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        if done.returncode not in codes:
            said = (done.stderr or done.stdout)[-1500:]
            raise Broken(f"{shlex.join(command)[:200]}: exit {done.returncode}: {said}")
        return done

    def docker(self, *command: str, **how: Any) -> Done:
        """A command of the engine."""
        return self.run("docker", *command, **how)

    def compose(self, *command: str, **how: Any) -> Done:
        """A command of compose, of the demo's profile and without its progress."""
        return self.run("docker", "compose", "--progress", "quiet", "--profile", "demo", *command, **how)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, the first first; those that ended, too."""
        found = self.inspected(*self.compose("ps", "--all", "--quiet", service).stdout.split())
        return [one["Id"] for one in sorted(found, key=lambda one: str(one["Name"]))]

    def inspected(self, *things: str) -> list[dict[str, Any]]:
        """What the engine tells of containers or images."""
        return list(json.loads(self.docker("inspect", *things).stdout)) if things else []

    def everything(self) -> list[dict[str, Any]]:
        """What the engine tells of every container of the project."""
        return self.inspected(*self.things("ps", "--all"))

    def started(self, *command: str, stdin: IO[str]) -> "subprocess.Popen[str]":
        """A command that goes on; what it prints is to be read."""
        return subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, text=True, cwd=self.folder, env=self.environ
        )


class ContainedFake(RemoteFake):
    """The fake i'mport of the profile ``demo``: asked from inside its container, since nobody else may."""

    def __init__(self, project: Project) -> None:
        super().__init__("https://127.0.0.1:8443")
        self._project = project

    def _send(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        asked = ("exec", "--no-TTY", "fake-iamport", "python", "-c", ASK_FAKE, method, path)
        return dict(json.loads(self._project.compose(*asked, stdin=body or "").stdout))


def labelled(container: dict[str, Any]) -> str:
    """A container's service."""
    return str(container["Config"]["Labels"].get("com.docker.compose.service", container["Name"]))


def first_line(text: str, *, without: Sequence[str] = ("warning: memory is not locked",)) -> str:
    """The first line of what a command said."""
    lines = (line for line in text.splitlines() if line.strip() and not any(word in line for word in without))
    return next(lines, "")
