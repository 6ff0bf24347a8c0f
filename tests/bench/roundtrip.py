"""Round trips: which commands a job makes its worker send, counted by the servers themselves.

``INFO commandstats`` says how often each command ran, but counts those inside scripts like any other; ``MONITOR`` tells
the two apart, and the queue's database from the ledger's. Both are read over the same jobs, and must agree.

Left out: our own commands, and what idle workers send in the same time (the sweeper, above all). A BRPOP is a job's own
while messages are waiting, so none of them is left out.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

import redis

from producer import BillingQueue
from tests.bench import measurement
from tests.bench.stage import Stage

IDLE_S = 4.0
SELDOM = 0.05  # calls for each job below which a command is no job's own
END = "bench-end"
OURS = {"info", "echo", "monitor", "xlen"}

SENT, TRANSACTION, SCRIPT = "sent", "in a transaction", "in a script"
Key = tuple[str, str, str]


class Calls(NamedTuple):
    """How often a job makes a command run.

    Args:
        store: ``queue``, ``ledger`` or ``vault``.
        command: its name.
        place: whether it is sent as a round trip of its own (EXEC stands for its transaction) or is part of one.
        per_job: calls for each job.
    """

    store: str
    command: str
    place: str
    per_job: float


class Traffic(NamedTuple):
    """What the servers saw.

    Args:
        calls: by store and command.
        commandstats_per_job: every call of both servers, as ``INFO commandstats`` counts them, idle ones included.
        monitored_per_job: the same as ``MONITOR`` shows them.
    """

    calls: list[Calls]
    commandstats_per_job: float
    monitored_per_job: float

    @property
    def round_trips(self) -> float:
        """Requests of a job's worker that Redis answers, waited for or not."""
        return sum(one.per_job for one in self.calls if one.place == SENT)


class _Watch:
    """MONITOR and commandstats of one server, from construction on."""

    def __init__(self, client: redis.Redis, stores: dict[int, str], undo: ExitStack) -> None:
        self._client, self._stores = client, stores
        self._monitor = undo.enter_context(client.monitor())
        self._ran = self._total()

    def read(self) -> tuple[Counter[Key], int]:
        """Commands since the last reading, and how many commandstats counted."""
        before, self._ran = self._ran, self._total()
        self._client.echo(END)
        found: Counter[Key] = Counter()
        in_transaction: set[str] = set()
        while END not in (line := self._monitor.next_command())["command"]:
            command, client = line["command"].split(" ", 1)[0].lower(), line["client_port"]
            if command == "multi":
                in_transaction.add(client)
            elif command == "exec":
                in_transaction.discard(client)
            if command not in OURS:
                place = SCRIPT if line["client_type"] == "lua" else TRANSACTION if client in in_transaction else SENT
                found[self._stores[line["db"]], command, place] += 1
        return found, self._ran - before

    def _total(self) -> int:
        stats: dict[str, dict[str, int]] = self._client.info("commandstats")
        return sum(one["calls"] for name, one in stats.items() if name.removeprefix("cmdstat_") not in OURS)


def count_calls(stage: Stage, jobs: int) -> Traffic:
    """Count what ``jobs`` jobs make their worker send."""
    with ExitStack() as undo:
        workers = undo.enter_context(stage.workers(measurement.celery("worker")))
        queue = undo.enter_context(BillingQueue(stage.producer_settings()))
        measurement.warm_up_and_pause(stage, workers, queue)
        measurement.enqueue(queue, jobs)
        watches = [
            _Watch(stage.queue.client(), {0: "queue", 1: "ledger"}, undo),
            _Watch(stage.vault.client(), {0: "vault"}, undo),
        ]
        busy, ran, busy_s = _during(lambda: measurement.resume_and_wait(stage, workers, jobs), watches)
        idle, _, idle_s = _during(lambda: time.sleep(IDLE_S), watches)
    monitored = busy.total()
    for key, number in idle.items():
        if key[1] != "brpop":
            busy[key] -= round(number * busy_s / idle_s)
    calls = [Calls(*key, number / jobs) for key, number in sorted(busy.items()) if number / jobs >= SELDOM]
    return Traffic(calls, ran / jobs, monitored / jobs)


def _during(act: Callable[[], None], watches: list[_Watch]) -> tuple[Counter[Key], int, float]:
    began = time.monotonic()
    act()
    seconds = time.monotonic() - began
    readings = [watch.read() for watch in watches]
    return sum((found for found, _ in readings), Counter()), sum(ran for _, ran in readings), seconds
