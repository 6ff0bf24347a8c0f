"""The control: a worker without lock-down, whose memory and core the same search must find full of cards."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from producer import Card, IssueRequest
from producer.contract import redis_keys
from producer.contract.job import INTERACTIVE
from tests.canary import places
from tests.canary.memory import frozen, memory_of
from tests.canary.needles import Hit, Needles, canary
from tests.canary.stage import Scene
from tests.canary.tracer import Tracer
from tests.servers import wait_until

PLAIN = [
    "-m",
    "celery",
    "-A",
    "worker",
    "worker",
    "-P",
    "threads",
    "-c",
    "32",
    "-l",
    "DEBUG",
]


class Control(NamedTuple):
    """How many cards were found in a worker without lock-down, and what of them in its log.

    ``core`` is None where the system keeps no core for us.
    """

    memory: int
    core: int | None
    logs: set[Hit]


def examine(folder: Path, tag: int, cards: int) -> Control:
    """Run cards through a plain worker, search its memory, abort it and search its core."""
    needles = Needles(tag, range(cards))
    with Scene(Tracer(folder / "control", wanted=False)) as scene:
        worker = scene.worker(PLAIN, processes=1)
        enqueue(scene, tag, range(cards))
        wait_until(lambda: not scene.ledger.zcard(redis_keys.OPEN), 600, "the end of the control's jobs")
        pids = worker.pids()
        with frozen(pids):
            memory = owners(needles.find(piece) for pid in pids for piece in memory_of(pid))
        os.kill(pids[0], signal.SIGABRT)
        worker.process.wait()
        cores = places.cores(scene)
        found = owners(needles.find(piece) for core in cores for piece in places.file(core))
        for core in cores:
            core.unlink()
        logs = set().union(*(needles.find(piece) for piece in places.files([scene.folder / "logs"])))
    return Control(len(memory), len(found) if cores else None, logs)


def enqueue(scene: Scene, tag: int, indexes: Iterable[int]) -> None:
    """Enqueue canaries from this process, which nobody searches."""
    with scene.stack.billing_queue() as queue:
        requests = [
            IssueRequest(customer_uid=f"issued-{index}", card=Card(**canary(tag, index).members())) for index in indexes
        ]
        for _ in queue.issue_many(requests, queue=INTERACTIVE):
            pass


def owners(hits: Iterable[Iterable[Hit]]) -> set[int]:
    """Whose values were found."""
    return {hit.owner for some in hits for hit in some if hit.owner >= 0}
