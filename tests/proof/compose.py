"""``python -m tests.proof.compose``: the stack of docker-compose.yml on a real Docker engine.

Started by the words of docs/quickstart.md, with the fake i'mport in place of the real one, in a temporary copy of the
checkout and under a name of its own; every health check, every command and every way between two containers is tried;
then jobs, while workers and ledger are killed. It goes away as it came, on Ctrl-C, too. Tables and progress are on
stderr, the last line is one JSON object.

Ends with 1 if a promise was broken, with 3 where there is no Docker engine to prove anything on, with 2 where a port of
the stack is taken.
"""

import base64
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import click

from tests.proof import commands, documents
from tests.proof.containers import Broken, Done, Project, labelled, missing, version
from tests.proof.promises import Promises
from tests.proof.reach import reaches
from tests.proof.storm import Storm, ask_stores
from tests.stack import PAGE

NOT_HERE, NOT_NOW, INTERRUPTED = 3, 2, 130  # exit codes
PORTS = (8000, 5555)  # those of docker-compose.yml on this machine
WORKERS, HEALTHY_WITHIN_S = 3, 120
CHECKS, CHEAP_MS = 20, 100
FAILED_IN_VAIN = "FAIL  lock-down"  # doctor's word where memory cannot be locked
RECEIVER = """
import http.server, sys
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        sys.stdout.write(self.rfile.read(int(self.headers["content-length"])).decode() + "\\n")
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 9000), Receiver).serve_forever()
"""
READ_KEYS = """
import json, pathlib
files = (p for p in pathlib.Path("/keys").rglob("*") if p.is_file() and p.suffix != ".acl" and ".public." not in p.name)
print(json.dumps({str(p): p.read_text().strip() for p in files}))
"""


class Proof:
    """One run.

    Args:
        project: what it is tried on.
        promises: where it is noted what came of it.
    """

    def __init__(self, project: Project, promises: Promises) -> None:
        self._project, self._promises = project, promises
        self._must, self._tell, self._figures = promises.must, promises.tell, promises.figures
        self._text = documents.section(documents.QUICKSTART, "With containers")
        self._demo = documents.Demo(self._text)
        self._project.environ.update([self._demo.variable])
        self._is_locked = True
        self._receiver = f"{project.name}-receiver"

    def run(self, jobs: int, outside: str | None) -> None:
        """All of it, in the order in which an operator would come by."""
        self._figures["engine"] = version("version", "--format", "{{.Server.Version}}")
        self._figures["compose"] = version("compose", "version", "--short")
        self.may_lock_memory()
        self.start_by_quickstart()
        self.try_commands()
        self.start_webhooks()
        self.wait_until_healthy()
        self.knock()
        self.measure_health_checks()
        self.try_ways(outside)
        self.look_for_secrets()
        self.scale()
        self.ask_stores()
        Storm(self._project, self._promises, self._receiver, jobs).run()
        self.scale()
        self.wait_until_healthy()

    # Starting

    def may_lock_memory(self) -> None:
        """Find out whether this engine lets a container lock memory; the quickstart says what to do if not."""
        tried = ("run", "--rm", "--ulimit", "memlock=-1:-1", "--entrypoint", "true", self._project.base)
        done = self._project.docker(*tried, codes=range(256))
        self._is_locked = done.returncode == 0
        if not self._is_locked:
            if "rlimit" not in done.stderr:
                raise Broken(f"no container starts: {done.stderr[-500:]}")
            (self._project.folder / ".env").write_text(documents.without_locked_memory(self._text))
        self._figures["memory_locked"] = self._is_locked

    def start_by_quickstart(self) -> None:
        """The quickstart's commands, one by one: the stack, a card, Flower."""
        example = self._project.folder / ".env.producer.example"
        example.write_text(f"{example.read_text()}\n" + "".join(f"{name}={value}\n" for name, value in PAGE.items()))
        for command in chain(*documents.blocks(self._text)):
            self._type(self._demo(command))
            self._promises.count("quickstart_commands")

    def _type(self, command: str) -> None:
        """A command into a shell."""
        began = time.monotonic()
        is_doctor = command.partition("#")[0].rstrip().endswith("doctor")
        done = self._project.run("sh", "-c", command, codes=(0, 1) if is_doctor else (0,))
        self._tell(f"  {time.monotonic() - began:5.1f} s  {command.splitlines()[0][:100]}")
        if is_doctor:
            self._hear_doctor(done)
        if "producer issue" in command:
            self._must('"status": "issued"' in done.stdout, f"the quickstart's card: {done.stdout}")

    def _hear_doctor(self, done: Done) -> None:
        """All is well, but for memory where this machine does not let it be locked."""
        failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
        wrong = [line for line in failed if self._is_locked or not line.startswith(FAILED_IN_VAIN)]
        self._must("lock-down" in done.stdout and not wrong, f"doctor says {wrong or done.stdout}")
        self._must(done.returncode == bool(failed), f"doctor ends with {done.returncode}")

    def start_webhooks(self) -> None:
        """The quickstart's words about webhooks, with a receiver in a container of the network ``out``."""
        secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        likewise = next(one for one in chain(*documents.blocks(self._text)) if "flower/basic_auth" in one)
        likewise = likewise.replace("flower/basic_auth", "webhooks/webhook_secrets")
        self._project.run("sh", "-c", likewise.replace("user:password", secret))
        with (self._project.folder / ".env.producer").open("a") as settings:
            settings.write("WEBHOOK_URL=http://receiver:9000/\nWEBHOOK_ALLOW_PRIVATE=1\n")
        self._project.compose("--profile", "webhooks", "create", "webhooks")  # and its network
        network = ("--network", f"{self._project.name}_out", "--network-alias", "receiver")
        how = ("run", "--detach", "--name", self._receiver, *network, "--entrypoint", "python", self._project.base)
        self._project.docker(*how, "-uISc", RECEIVER)
        self._type(self._demo(documents.inline(self._text, "docker compose --profile webhooks")))

    def scale(self) -> None:
        """Three containers of workers, those among them that were killed."""
        self._project.compose("up", "--detach", "--no-recreate", "--wait", "--scale", f"worker={WORKERS}", "worker")
        found = len(self._project.containers("worker"))
        self._must(found == WORKERS, f"there are {found} containers of workers")

    # Examining

    def wait_until_healthy(self) -> None:
        """Every health check is green."""
        end = time.monotonic() + HEALTHY_WITHIN_S
        while set((health := self._health()).values()) != {"healthy"} and time.monotonic() < end:
            time.sleep(1)
        for name, word in health.items():
            self._must(word == "healthy", f"{name} is {word}")
        self._figures["healthy"] = len(health)

    def _health(self) -> dict[str, str]:
        """The word on every container that has a health check."""
        states = {one["Name"].removeprefix("/"): one["State"] for one in self._project.everything()}
        return {name: str(state["Health"]["Status"]) for name, state in states.items() if "Health" in state}

    def try_commands(self) -> None:
        """Every command of every image."""
        for row in chain(commands.helps(self._project), commands.runs(self._project, is_locked=self._is_locked)):
            self._tell(f"  {row}")
            self._must(row.is_well, f"{row.image}: {row.command}: exit {row.code}: {row.line[:120]}")
            self._promises.count("commands")
        reports = [path.name for path in (self._project.folder / "reports").iterdir()]
        self._must("proof.report.csv" in reports, f"in ./reports there are {reports}")

    def knock(self) -> None:
        """The two ports on this machine: the card page answers; Flower asks for its password, and has seen jobs."""
        login = {"Authorization": "Basic " + base64.b64encode(b"user:password").decode()}
        page, locked, flower = ask(8000, "/healthz"), ask(5555, "/api/tasks"), ask(5555, "/api/tasks", login)
        self._must(page[0] == 200, f"the card page answers {page}")
        self._must(locked[0] == 401, f"Flower without its password answers {locked}")
        self._must(flower[0] == 200 and "billing.run" in flower[1], f"Flower answers {flower}")

    def measure_health_checks(self) -> None:
        """What a health check costs inside its container, in ms of CPU."""
        costs: dict[str, float] = {}
        for one in self._project.everything():
            if (check := one["Config"].get("Healthcheck")) and labelled(one) not in costs:
                kind, *test = check["Test"]
                command = test[0] if kind == "CMD-SHELL" else shlex.join(test)
                loop = f"for i in $(seq {CHECKS}); do ( {command} ) > /dev/null || exit 1; done; times"
                costs[labelled(one)] = cpu_ms(self._project.docker("exec", one["Id"], "sh", "-c", loop).stdout)
        for name, cost in costs.items():
            self._tell(f"  {cost:5.1f} ms  {name}")
            self._must(cost <= CHEAP_MS, f"the health check of {name} costs {cost} ms")
        self._figures["health_check_cpu_ms"] = costs

    def try_ways(self, outside: str | None) -> None:
        """Who reaches whom."""
        found = reaches(self._project, outside, self._tell)
        for words in (words for one in found for words in one.wrong):
            self._must(holds=False, words=words)
        self._figures["reached"] = {one.service: sorted(one.found) for one in found}

    def look_for_secrets(self) -> None:
        """What `docker inspect` shows to whoever may ask the engine; the fake i'mport knows its own secret."""
        secrets = dict(self._secrets())
        shown = [
            f"docker inspect {labelled(one)} shows {name}"
            for one in self._project.everything()
            for name, secret in secrets.items()
            if secret in json.dumps(one) and (labelled(one), name) != ("fake-iamport", "/keys/worker/imp_secret")
        ]
        for words in shown:
            self._must(holds=False, words=words)
        self._figures["secrets_looked_for"] = len(secrets)

    def _secrets(self) -> Iterator[tuple[str, str]]:
        """Every password, private key and other secret in ``keys``."""
        mount = f"{self._project.folder}/keys:/keys:ro"
        how = ("run", "--rm", "--network", "none", "--volume", mount, "--entrypoint", "python", self._project.base)
        for path, text in json.loads(self._project.docker(*how, "-c", READ_KEYS).stdout).items():
            if path.endswith(".url"):
                yield path, str(urlsplit(text).password)
            elif path.endswith(".json"):
                yield from ((f"{path} {number}", part) for number, part in enumerate(private_parts(json.loads(text))))
            else:
                yield path, text

    def ask_stores(self) -> None:
        """What the stores say that they are."""
        said = ask_stores(self._project)
        self._figures |= {"ledger": said["ledger"], "vault": said["vault"], "worker_users": said["users"]}
        self._must(said["users"] == ["worker"], f"workers log in as {said['users']}")
        self._must(said["ledger"]["appendfsync"] == "always", f"the ledger: {said['ledger']}")
        self._must(said["vault"]["appendonly"] == "no", f"the vault: {said['vault']}")


def private_parts(key: Any) -> Iterator[str]:
    """The private members of JSON Web Keys; the digests of API keys are none."""
    for one in key.get("keys", [key]) if isinstance(key, dict) else []:
        if "d" in one:
            yield one["d"]


def cpu_ms(times: str) -> float:
    """What one check costs, by the shell's ``times``: user and system time of its children, on the last line."""
    spent = (part.rstrip("s").split("m") for part in times.splitlines()[-1].split())
    return round(1000 * sum(60 * float(minutes) + float(seconds) for minutes, seconds in spent) / CHECKS, 1)


def ask(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """What a port of this machine answers: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def is_taken(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stop(words: str, code: int) -> None:
    """Say why nothing can be proved."""
    click.echo(f"proof-compose: {words}; nothing was proved.", err=True)
    sys.exit(code)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--jobs", default=2000, show_default=True, type=click.IntRange(40))
@click.option("--outside", metavar="HOST:PORT", help="Of a machine beyond this one; by default its name server.")
def main(jobs: int, outside: str | None) -> None:
    """The compose stack on a real Docker engine: started by the quickstart's words, killed, examined."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if (lack := missing()) is not None:
        stop(lack, NOT_HERE)
    if taken := [port for port in PORTS if is_taken(port)]:
        stop(f"127.0.0.1:{taken[0]} is taken on this machine", NOT_NOW)
    began = time.monotonic()
    promises = Promises(lambda what: click.echo(f"{time.monotonic() - began:5.0f} s  {what}", err=True))
    with Project() as project:
        try:
            Proof(project, promises).run(jobs, outside)
        except (Broken, documents.Unclear, OSError, ValueError, subprocess.SubprocessError) as error:
            promises.must(holds=False, words=f"{type(error).__name__}: {error}")
        except KeyboardInterrupt:
            stop("interrupted", INTERRUPTED)
    left = project.left_behind()
    promises.must(not left, f"left behind: {left}")
    promises.figures |= {"left_behind": len(left), "seconds": round(time.monotonic() - began, 1)}
    click.echo(json.dumps({**promises.figures, "broken": promises.broken}, ensure_ascii=False))
    sys.exit(1 if promises.broken else 0)


if __name__ == "__main__":
    main(prog_name="python -m tests.proof.compose")
