"""Another revision of ours on the same stores, as their admin user: its own workers, fed by its own producer."""

import json
import subprocess
import sys
from pathlib import Path

import click

from tests.bench.measurement import (
    SETTLE_S,
    WARM_UP,
    Run,
    check_outcomes,
    finished,
    outcomes_took_s,
    production,
    wait_for,
)
from tests.bench.stage import Stage
from tests.fake_iamport import made_up
from tests.servers import ROOT, environment, wait_until

ENQUEUE = """
import json, sys, time
from producer import BillingQueue, Card, IssueRequest
from producer.settings import ProducerSettings

wanted = [IssueRequest(customer_uid=uid, card=Card(**card), pg="nice") for uid, card in json.load(sys.stdin)]
with BillingQueue(ProducerSettings.from_env()) as queue:
    began = time.monotonic()
    for _ in queue.issue_many(wanted, queue="interactive"):
        pass
    print(time.monotonic() - began)
"""


class Revision:
    """A revision's tree.

    Args:
        name: as git knows it.
        folder: where its tree goes.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._tree = name, folder / f"revision-{name}"
        self._tree.mkdir()
        archive = subprocess.run(["git", "archive", name], cwd=ROOT, capture_output=True, check=False)
        if archive.returncode:
            raise click.UsageError(f"git does not know the revision {name}")
        subprocess.run(["tar", "-x", "-C", self._tree], input=archive.stdout, check=True)
        self._number = 0

    def run(self, stage: Stage, jobs: int, processes: int) -> Run:
        """Issue keys with it, in its production form."""
        command = production(processes)
        with stage.workers(command, processes=processes, user="admin", PYTHONPATH=str(self._tree)) as workers:
            self._enqueue(stage, WARM_UP)
            wait_for(workers, lambda: finished(stage), WARM_UP)
            wait_until(lambda: workers.is_quiet(SETTLE_S), what="quiet workers")
            workers.pause()
            took_s, cpu_s = self._enqueue(stage, jobs), workers.cpu_s()
            workers.resume()
            wait_for(workers, lambda: finished(stage), WARM_UP + jobs)
            cpu_s = workers.cpu_s() - cpu_s
        check_outcomes(stage)
        return Run(1000 * cpu_s / jobs, jobs / outcomes_took_s(stage, jobs), jobs / took_s)

    def _enqueue(self, stage: Stage, count: int) -> float:
        first, self._number = self._number, self._number + count
        asked = [(f"bench-{number}", made_up(number)) for number in range(first, first + count)]
        with environment({**stage.stack.producer_env, **stage.stack.stores("admin"), "PYTHONPATH": str(self._tree)}):
            done = subprocess.run(
                [sys.executable, "-c", ENQUEUE],
                cwd=self._tree,
                input=json.dumps(asked).encode(),
                capture_output=True,
                check=True,
                timeout=120,
            )
        return float(done.stdout.split()[-1])
