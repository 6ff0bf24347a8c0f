"""Proof of the installation: each half alone in a clean environment, and the quickstart.

    python -m tests.proof.install [--quick]

Four virtual environments with the two distributions: producer, web, worker, flower. In each every command that
the documents promise starts, in an empty folder, against the stores of docker-compose.yml with the fake i'mport, logged
in as its own Redis user; jobs go from the producer's environment through the worker's, run both ways. Then a shell runs
the quickstart without containers. Rows go to stderr; the last line is one JSON object; exit 1 if anything does not
hold.
"""

import argparse
import contextlib
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

import worker.cli
from producer.cli.main import main as producer_commands
from producer.cli.shared import WEB_EXTRA
from tests.ports import free_port
from tests.proof import set_up, stories
from tests.proof.book import Book
from tests.proof.halves import Half, left_out, tracked, wheelhouse
from tests.proof.stories import Proof, expect
from tests.stack import Stack

NAMES = ("producer", "web", "worker", "flower")
OTEL_EXTRA = frozenset({"opentelemetry"})  # producer.runtime.tracing does without
AT_ONCE = 2
NEEDLESS = {"flower: set"}  # it would ask workers about themselves; they do not listen


def main(*, is_quick: bool) -> int:
    """Run everything; the exit code."""
    book, began = Book(), time.monotonic()
    with Stack() as stack, tempfile.TemporaryDirectory(prefix="billing-proof-") as name:
        folder = Path(name)
        with ThreadPoolExecutor(AT_ONCE) as pool, ended_early(folder, book):
            pool.submit(attempt, book, set_up.set_up, folder / "checkout", book, is_quick=is_quick)
            attempt(book, halves_proved, folder, stack, book, is_quick=is_quick)
        found = stack.queue.describe()
    book.show()
    stores = {name: found[name] for name in ("server", "version", "appendfsync")}
    took_s = round(time.monotonic() - began)
    print(book.json(python=platform.python_version(), **stores, quick=is_quick, seconds=took_s))
    return 1 if book.failures else 0


@contextlib.contextmanager
def ended_early(folder: Path, book: Book) -> Iterator[None]:
    """If the block is interrupted, end what runs in the folder, and let nothing more start."""
    try:
        yield
    except BaseException:
        book.is_over = True
        set_up.end_everything(folder)
        raise


def halves_proved(folder: Path, stack: Stack, book: Book, *, is_quick: bool) -> None:
    """Each half alone, with all its commands."""
    proof = Proof(prepare(folder, book), stack, book, is_quick)
    with ThreadPoolExecutor(AT_ONCE) as pool, ended_early(folder, book):
        pool.submit(in_between, proof)
        attempt(book, rounds, proof)
    for line in denied(stack):
        book.fail(f"the stores refused {line}")


def in_between(proof: Proof) -> None:
    """What needs no worker that runs."""
    for story in (imports, merchants_names, helps, stories.keys):
        attempt(proof.book, story, proof)


def prepare(folder: Path, book: Book) -> dict[str, Half]:
    """The four environments, from one folder of wheels."""
    source = tracked(folder / "source")
    halves = {name: Half(name, folder / name, book) for name in NAMES}
    found = wheelhouse(source, folder / "wheels")
    for name in left_out(source, found):
        book.fail(f"no wheel holds {name}")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda half: half.install(found), halves.values()))
    return halves


def imports(proof: Proof) -> None:
    """Every module of each half imports; what lacks an extra, the producer's lacks web, lacks that and nothing else."""
    for name, half in proof.halves.items():
        missing = half.missing(proof.worker() if name == "worker" else proof.producer())
        allowed = OTEL_EXTRA | (WEB_EXTRA if name == "producer" else frozenset())
        for module, lacks in missing.items():
            if lacks.partition(".")[0] not in allowed:
                proof.book.fail(f"{name}: {module} needs {lacks}, which nothing declares")


SHOP = """
import producer, worker
from iamport_billing import BillingQueue, Card
print(producer.OURS, worker.OURS, BillingQueue.__module__)
"""


def merchants_names(proof: Proof) -> None:
    """A merchant's own packages may be named as our folders are."""
    half = proof.halves["producer"]
    shop = half.empty / "shop"
    for name in ("producer", "worker"):
        (shop / name).mkdir(parents=True)
        (shop / name / "__init__.py").write_text(f"OURS = 'the merchant\\'s {name}'\n")
    (shop / "shop.py").write_text(SHOP)
    says = "the merchant's producer the merchant's worker iamport_billing.billing_queue"
    half.run("python shop/shop.py", proof.producer(), says=says)


def helps(proof: Proof) -> None:
    """Every command says what it does; nobody has to have a setting for that."""
    commands = [("web", f"python -m producer {words}") for words in words_of(producer_commands)]
    if not proof.is_quick:
        commands += [("producer", command) for _, command in commands]
    commands += [("worker", f"python -m worker {words}") for words in words_of(worker.cli.main)]
    commands += [("worker", "celery -A worker worker"), ("flower", "celery"), ("flower", "celery flower")]
    commands.append(("producer", "iamport-billing"))

    def ask(one: tuple[str, str]) -> None:
        name, command = one
        environ = proof.worker() if "-A" in command else {}
        proof.halves[name].run(f"{command.rstrip()} --help", environ, says="Options")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(ask, commands))


def words_of(group: click.Group) -> Iterator[str]:
    """The words of every command of a group, the group's own among them."""
    yield ""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from (f"{name} {words}".rstrip() for words in words_of(found))
        elif found is not None and not found.hidden:
            yield name


def rounds(proof: Proof) -> None:
    """Jobs through a worker run by its own command, with all that is about them; then through one run by Celery's."""
    half, book, metrics = proof.halves["worker"], proof.book, free_port()
    command = "python -m worker run --processes 1 --concurrency 8 --events"
    environ = proof.worker(METRICS_PORT=str(metrics))
    with half.running(command, environ, ready=is_ready(2)), stories.flower(proof, by_option=True) as wait_for:
        job_id = stories.enqueue(proof, "own")
        attempt(book, wait_for, job_id)
        attempt(book, stories.webhooks, proof, job_id)
        attempt(book, stories.operate, proof, job_id)
        for story in (stories.migrate, stories.without_web, stories.page):
            attempt(book, story, proof)
        expect(proof, f"http://127.0.0.1:{metrics}/metrics", "billing_outcomes_total")
    command = "celery -A worker worker -P threads -c 32"
    by_celery = half.running(f"{command} -E", proof.worker(), ready=lambda log: "[queues]" in log)
    with by_celery, stories.flower(proof, by_option=False) as wait_for:
        wait_for(stories.enqueue(proof, "celery"))


def is_ready(processes: int) -> Callable[[str], bool]:
    """Whether so many worker processes say in a log that they are ready."""
    return lambda log: log.count(" ready.") >= processes


def attempt(book: Book, story: Callable[..., object], *arguments: object, **options: object) -> None:
    """Tell a story; what breaks it off is noted, and the next one is told."""
    began = time.monotonic()
    try:
        story(*arguments, **options)
    except Exception as error:  # noqa: BLE001 — whatever it is
        book.fail(f"{story.__name__}: broken off: {type(error).__name__}: {error}")
    print(f"{story.__name__}: {time.monotonic() - began:.1f} s", file=sys.stderr)


def denied(stack: Stack) -> list[str]:
    """What the stores refused their users: commands, keys, channels, logins; but for what nobody needs."""
    found = set()
    for server in (stack.queue, stack.vault):
        with server.client(decode_responses=True) as admin:
            found |= {f"{one['username']}: {one['object']}" for one in admin.acl_log()}
    return sorted(line for line in found - NEEDLESS if not line.endswith("client|setinfo"))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m tests.proof.install", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 90 s: no make install, fewer --help")
    given = parser.parse_args()
    try:
        sys.exit(main(is_quick=given.quick))
    except KeyboardInterrupt:
        sys.exit(130)
