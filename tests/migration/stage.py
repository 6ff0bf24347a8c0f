"""The stage: a stack, workers in production form, and producers that migrate an export."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import click

from producer.contract import redis_keys
from producer.migrate.ledger import Checkpoint, Control
from tests.fake_iamport import FakeIamport
from tests.migration.export import Export
from tests.servers import ROOT, run_python, wait_until
from tests.stack import Stack, WorkerProcess

Figures = dict[str, Any]
ISSUES = "POST /subscribe/customers/"
PROCESSES, THREADS = 2, 32  # as ``python -m worker run`` on two cores


class Producer:
    """One process of a migration, with an export piped in.

    Args:
        stage: where.
        export: what is piped in.
        name: of the migration.
        options: of the command.
    """

    def __init__(self, stage: "Stage", export: Export, name: str, *options: str) -> None:
        self.stage, self.export, self.name = stage, export, name
        self._options = ["--name", name, f"--as-of={stage.as_of}", *options]
        self.log = stage.folder / "logs" / f"producer-{time.monotonic_ns()}.log"
        self.started_at = time.monotonic()

    def __enter__(self) -> Self:
        self.log.parent.mkdir(exist_ok=True)
        environ = {**os.environ, **self.stage.stack.producer_env_of("migrator")}
        self.source = subprocess.Popen(self.export.command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self.source.stdout is not None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "producer", "migrate", "-", *self._options],
                env=environ,
                stdin=self.source.stdout,
                stdout=log,
                stderr=log,
            )
        self.source.stdout.close()
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.process, self.source):
            if process.poll() is None:
                process.kill()
            process.wait()

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self, timeout_s: float) -> int:
        """Its exit code."""
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def words(self) -> str:
        """All that it wrote."""
        return self.log.read_text(errors="replace")


class Stage:
    """A stack on which exports are migrated.

    Args:
        settings: of the workers, beyond the stack's.
        threads: of each worker process.
        export_age_s: how old the exports are.
    """

    def __init__(self, settings: Mapping[str, str], *, threads: int = THREADS, export_age_s: float = 0.0) -> None:
        self.stack, self.export_age_s = Stack(), export_age_s
        self._settings, self._threads = settings, threads
        self.workers: list[WorkerProcess] = []

    def __enter__(self) -> Self:
        self.stack.__enter__()
        self.reports = self.folder / "reports"
        self.reports.mkdir()
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.__exit__(*error)

    @cached_property
    def as_of(self) -> str:
        """All exports are as old when the first one is sent."""
        return datetime.fromtimestamp(time.time() - self.export_age_s, UTC).isoformat(timespec="seconds")

    @property
    def folder(self) -> Path:
        return self.stack.folder

    @property
    def fake(self) -> FakeIamport:
        return self.stack.fake

    def start_workers(self) -> WorkerProcess:
        worker = self.stack.worker(processes=PROCESSES, concurrency=self._threads, **self._settings)
        self.workers.append(worker)
        return worker

    def report(self, name: str) -> Path:
        return self.reports / f"{name}.csv"

    def produce(self, export: Export, name: str, *options: str, report: str | None = None) -> Producer:
        """A producer with its report here, as a context."""
        return Producer(self, export, name, f"--report={self.report(report or name)}", *options)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``python -m producer migrate …`` without a source, from another process."""
        return run_python("-m", "producer", "migrate", *arguments, environ=self.stack.producer_env_of("migrator"))

    def posts(self) -> int:
        """How many cards i'mport was sent."""
        return int(self.fake.stats["by_route"].get("POST /subscribe/customers/{customer_uid}", 0))

    def applied(self) -> int:
        """How many keys i'mport stored."""
        return int(self.fake.stats["applied"])

    @contextmanager
    def control(self, name: str) -> Iterator[Control]:
        """What ``migrate status`` reads."""
        stores = self.stack.stores("migrator")
        control = Control(stores["LEDGER_URL"], stores["VAULT_URL"], name)
        try:
            yield control
        finally:
            control.close()

    def checkpoint(self, name: str) -> Checkpoint | None:
        with self.control(name) as control:
            return control.checkpoint()

    def until_applied(self, count: int, producer: Producer, timeout_s: float = 240) -> None:
        """Wait until i'mport has stored so many keys, or the producer has ended."""
        wait_until(lambda: producer.has_ended() or self.applied() >= count, timeout_s, f"{count} keys")

    def forget_holder(self, name: str) -> None:
        """What the migration's lease does by itself some seconds after its process died."""
        self.stack.queue.client(1).hset(redis_keys.MIGRATION_RECORD + name, "held_until", 0)

    def wake_open_jobs(self) -> None:
        """What happens by itself within a minute or so: leases that nobody holds end, lost messages are missed."""
        ledger, now = self.stack.queue.client(1), time.time()
        jobs: Any = ledger.zrange(redis_keys.OPEN, 0, -1)
        for job_id in jobs:
            key = redis_keys.JOB + job_id.decode()
            if ledger.hget(key, "lease"):
                ledger.hset(key, "leased_until", now)
            ledger.zadd(redis_keys.OPEN, {job_id: now})


def say(words: str) -> None:
    """Progress, on stderr."""
    click.echo(f"{time.strftime('%H:%M:%S')} {words}", err=True)
