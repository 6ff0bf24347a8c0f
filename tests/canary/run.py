"""The story of a canary run: everything happens, then everything is searched."""

import base64
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, cast

from producer.contract import redis_keys
from producer.contract.job import QUEUES
from tests.canary import control, cost, places, planted
from tests.canary.control import owners
from tests.canary.memory import frozen, is_readable, memory_of
from tests.canary.needles import RESERVED, Hit, Needles, canary
from tests.canary.places import Found, Place
from tests.canary.stage import Flower, Scene, Told, page, scratch, tls_redis
from tests.canary.tracer import Tracer
from tests.chaos.rubbish import message, rubbish
from tests.fake_iamport import Fault
from tests.ports import free_port
from tests.servers import ROOT, wait_until
from tests.stack import READY
from tests.stopwatch import Stopwatch

ISSUES = "POST /subscribe/"
RETRIED: tuple[Literal["lost_answer", "reset", "server_error", "rate_limit", "token_expired"], ...] = (
    *("lost_answer", "reset", "server_error"),
    *("rate_limit", "token_expired"),
)
POISON = range(RESERVED, RESERVED + 20)
PLANTED = range(RESERVED + 100, RESERVED + 200)
# Where poison may lie: it was pushed into a queue, and stays in the buffers of who reads and writes that.
AT_LOGIN, AT_LOOK_UP = "worker_memory_at_login", "worker_memory_at_look_up"
IN_WORKERS = ("worker_memory", AT_LOGIN, AT_LOOK_UP)
IN_MEMORY = {*IN_WORKERS, "redis_memory", "producer_memory", "producer_command_memory"}
LOST = 4  # answers before the look-ups that are not answered
MAY_HOLD_POISON = {"files_written", "files_left", "sockets_and_pipes", "queue_and_ledger", *IN_MEMORY}
MAY_HOLD_SEALED = {"sockets_and_pipes", *IN_MEMORY}  # not on a disk, sealed or not
SOON_S, PATIENCE_S = 2.0, 600.0


class Plan(NamedTuple):
    """How much of everything.

    Args:
        cards: that go through.
        in_hand: of these, how many are in hand when the workers crash; as many wait for a token, and for look-ups.
        threads: of each of the two worker processes.
        is_full: TLS to Redis where there is one that can, and the cost of the lock-down.
        leak: plant this leak with a canary of the run's own, so that the run must fail.
    """

    cards: int
    in_hand: int
    threads: int
    is_full: bool
    leak: str | None = None


FULL = Plan(cards=1000, in_hand=28, threads=16, is_full=True)
QUICK = Plan(cards=150, in_hand=14, threads=8, is_full=False)


def run(plan: Plan, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run a plan; the figures, of which ``failed`` names every promise that was broken."""
    tag = random.randrange(1000, 9999)
    with scratch() as name:
        folder = Path(name)
        figures = Run(plan, tag, folder, tell).figures()
        if plan.is_full:
            tell("what the lock-down costs")
            figures |= cost.measure(folder)
    figures["failed"] = failures(figures)
    return figures


def failures(figures: dict[str, Any]) -> list[str]:
    """The promises that were broken."""
    broken = [f"card data in {name}" for name, found in figures["hits"].items() if found]
    broken += [f"the planted leak in {name} was not found" for name in figures["planted_missed"]]
    broken += [f"there was no {name}" for name, times in figures["exercised"].items() if not times]
    if not figures["control_memory_found"] or figures["control_core_found"] == 0:
        broken.append("nothing was found in a worker without lock-down")
    broken += ["a process that is locked down left a core"] * bool(figures["core_files"])
    if figures.get("lock_down_cpu_percent", 0) >= 10:
        broken.append("the lock-down costs 10 % or more")
    return broken


class Run:
    """One stack, from the first card to the last search."""

    def __init__(self, plan: Plan, tag: int, folder: Path, tell: Callable[[str], None]) -> None:
        self.plan, self.tag, self.folder, self.tell = plan, tag, folder, tell
        self.needles = Needles(tag, [*range(plan.cards), *POISON, *PLANTED])
        self.tracer = Tracer(folder / "traces")
        self.began = time.time()
        self.metrics = f"http://127.0.0.1:{free_port()}/metrics"

    def figures(self) -> dict[str, Any]:
        tls_program = tls_redis() if self.plan.is_full else None
        with Scene(self.tracer, tls_program) as self.scene:
            stores = self.scene.stack.describe()
            self.start()
            self.everything_happens()
            self.tell("the memory of every process")
            found, at_once = self.memory()
            found |= self.while_waiting | {"control_logs": self.control.logs}
            exercised = self.exercised()
            planted_in = self.plant()
            self.tell("every other place")
            found |= places.search(self.live_places(), self.needles)
            self.end()
            found |= places.search(self.places_on_disk(), self.needles)
            cores = len(places.cores(self.scene))
        apart = {name: len(owners([found.pop(name)])) for name in list(found) if name.startswith("producer_")}
        missed = {name for name, index in planted_in.items() if index not in owners([found[name.partition(",")[0]]])}
        del found["planted_metrics"]
        leaked = {name: self.leaked(name, hits) for name, hits in found.items()}
        return {
            "cards": self.plan.cards,
            "threads": 2 * self.plan.threads,
            "tls": "i'mport and Redis" if tls_program else "i'mport",
            "files": "strace" if self.tracer.works else "no strace: all files written since the start",
            "metrics": "searched" if self.has_metrics else "nobody answers",
            "memory": "searched" if self.is_root else "not searched: needs root",
            "exercised": exercised,
            "hits": {name: len({hit.owner for hit in hits}) for name, hits in leaked.items()},
            "forms": sorted({f"{name}: {hit.kind}, {hit.form}" for name, hits in leaked.items() for hit in hits}),
            "core_files": cores,
            "worker_memory_found_at_once": at_once,
            **{f"{name}_found": number for name, number in apart.items()},
            "control_memory_found": self.control.memory,
            "control_core_found": self.control.core,
            "planted_found": sorted(planted_in.keys() - missed),
            "planted_missed": sorted(missed),
            "stores": stores,
            "seconds": round(time.time() - self.began, 1),
        }

    def leaked(self, place: str, hits: Iterable[Hit]) -> set[Hit]:
        """What should not have been found: no planted leak, and no poison where that was put by us."""
        may_hold = {*PLANTED, -2}
        may_hold |= {*POISON} if place in MAY_HOLD_POISON else set()
        may_hold |= {-3} if place in MAY_HOLD_SEALED else set()
        return {hit for hit in hits if hit.owner not in may_hold}

    def start(self) -> None:
        self.tell("starting")
        self.flower = Flower(self.scene)
        options = ["-m", "worker", "run", "--processes", "2", "--concurrency", str(self.plan.threads)]
        port = self.metrics.split(":")[2].split("/")[0]
        self.worker = self.scene.worker([*options, "--events", "--log-level", "DEBUG"], processes=2, METRICS_PORT=port)
        self.merchant = Told(self.scene, self.tag)
        self.is_root = is_readable(self.worker.process.pid)
        self.holders = [planted.holder(self.scene, canary(self.tag, PLANTED[-2]))]

    def everything_happens(self) -> None:
        """Crashes first: what they left comes back while the control runs. The bulk last, for the memory's sake."""
        fake, plan = self.scene.fake, self.plan
        self.tell("crashes with cards in hand")
        self.jobs = self.crash()
        self.tell("a worker without lock-down")
        self.control = control.examine(self.folder, self.tag, plan.cards)
        self.tell("cards that wait for a token, and for look-ups")
        self.while_waiting = {AT_LOGIN: self.at_login(), AT_LOOK_UP: self.at_look_up()}
        self.tell("successes, declines, retries, redirects, mistakes, poison")
        for seed, kind in enumerate(RETRIED):
            fake.add_fault(Fault(kind, ISSUES, times=5, probability=0.2, seed=seed, retry_after_s=1))
        self.merchant.do("mistake", range(0, plan.cards, 10))
        self.poison(self.jobs[0])
        self.jobs += self.merchant.do("enqueue", range(3 * plan.in_hand, plan.cards - 1))
        wait_until(lambda: not self.scene.ledger.zcard(redis_keys.OPEN), PATIENCE_S, "the last outcome")

    def crash(self) -> list[str]:
        """SIGABRT and SIGSEGV to workers, SIGABRT to the producer's command, each with a card in hand."""
        fake, log = self.scene.fake, self.worker.log
        fake.gate.clear()
        jobs: list[str] = self.merchant.do("enqueue", range(self.plan.in_hand))
        wait_until(lambda: fake.waiting >= self.plan.in_hand, PATIENCE_S, "cards in hand")
        victims = self.worker.pids()[1:]
        for pid, number in zip(victims, (signal.SIGABRT, signal.SIGSEGV), strict=True):
            os.kill(pid, number)
        jobs.append(self.producer_command())
        fake.gate.set()
        wait_until(lambda: not set(victims) & set(self.worker.pids()), PATIENCE_S, "the end of crashed workers")
        wait_until(lambda: log.read_bytes().count(READY) >= 4, PATIENCE_S, "workers that are back")
        return jobs

    def at_login(self) -> set[Hit]:
        """What workers hold while i'mport gives no token."""
        self.scene.fake.expire_tokens()
        with self.scene.fake.silent_at("POST /users/getToken") as unanswered:
            jobs = self.merchant.do("enqueue", range(self.plan.in_hand, 2 * self.plan.in_hand))
            wait_until(lambda: unanswered and 2 * self.leased(jobs) > len(jobs), PATIENCE_S, "jobs without a token")
            self.jobs += jobs
            return self.in_workers(AT_LOGIN)[0]

    def at_look_up(self) -> set[Hit]:
        """What workers hold while i'mport does not say what became of a POST."""
        self.scene.fake.add_fault(Fault("lost_answer", ISSUES, times=LOST))
        with self.scene.fake.silent_at("GET /") as unanswered:
            self.jobs += self.merchant.do("enqueue", range(2 * self.plan.in_hand, 3 * self.plan.in_hand))
            wait_until(lambda: len(set(unanswered)) >= LOST, PATIENCE_S, "look-ups that are not answered")
            return self.in_workers(AT_LOOK_UP)[0]

    def leased(self, jobs: list[str]) -> int:
        """How many jobs are in a worker's hands."""
        return sum(bool(self.scene.ledger.hget(f"{redis_keys.JOB}{job_id}", "lease")) for job_id in jobs)

    def producer_command(self) -> str:
        """``python -m producer issue --wait``, searched while it waits, then aborted; its job's id."""
        one = canary(self.tag, self.plan.cards - 1)
        options = ["-m", "producer", "issue", "--customer-uid", f"issued-{one.place}", "--wait", "600"]
        process = self.scene.spawn("producer", options)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(one.members()).encode())
        process.stdin.close()
        job_id = str(json.loads(process.stdout.readline())["job_id"])
        self.command_memory = self.find_in([process.pid])
        os.kill(process.pid, signal.SIGABRT)
        process.wait()
        return job_id

    def poison(self, finished: str) -> None:
        """Rubbish, and messages that carry cards where a job's id should be."""
        past = SimpleNamespace(sent=[SimpleNamespace(job_id=finished, customer_uid="finished")])
        queue, cards = self.scene.queue.client(0), (canary(self.tag, index).members() for index in POISON)
        for number, rubbish_or_card in enumerate([*rubbish(cast(Any, past), 34), *map(poisoned, cards)]):
            queue.lpush(QUEUES[number % len(QUEUES)], rubbish_or_card)

    def memory(self) -> tuple[Found, int]:
        """The workers' first, the moment that the last outcome is there."""
        workers, at_once = self.in_workers("worker_memory")
        stores = [self.scene.queue.pid, self.scene.vault.pid]
        return {
            "worker_memory": workers,
            "redis_memory": self.find_in(stores),
            "flower_memory": self.find_in([self.flower.process.pid]),
            "producer_memory": self.find_in([self.merchant.process.pid]),
            "producer_command_memory": self.command_memory,
        }, at_once

    def in_workers(self, place: str) -> tuple[set[Hit], int]:
        """What workers hold, searched once more after two seconds if need be, and how much it was at once."""
        if self.plan.leak == place:
            self.holders.append(planted.holder(self.scene, canary(self.tag, 0)))
        found = self.find_in([*self.worker.pids(), *self.holders])
        at_once = len(owners([self.leaked(place, found)]))
        if at_once:
            with Stopwatch() as watch:
                wait_until(lambda: watch.own_s >= SOON_S, PATIENCE_S, "the two seconds that are promised")
            found = self.find_in([*self.worker.pids(), *self.holders])
        return found, at_once

    def find_in(self, pids: list[int]) -> set[Hit]:
        """What the memory of processes holds now."""
        if not is_readable(pids[0]):
            return set()
        with frozen(pids):
            return set().union(*(self.needles.find(piece) for pid in pids for piece in memory_of(pid)))

    def exercised(self) -> dict[str, int]:
        """What came of it all, as the merchant sees it: the run proves nothing about what did not happen."""
        self.results = self.merchant.do("outcome", self.jobs)
        outcomes = [one[1] for one in self.results]
        log = self.worker.log.read_text(errors="replace")
        return {
            **Counter(one["status"] for one in outcomes),
            "declined jobs": sum(one["status"] == "declined" for one in outcomes),
            "repeated jobs": sum(one["attempts"] > 1 for one in outcomes),
            "crashes": log.count(READY.decode()) - 2,
            "messages dropped": log.count("message dropped"),
            "debug lines": log.count('"level": "debug"'),
            "tasks in Flower": len(self.flower.tasks()),
            "spans": len(self.scene.collector.spans),
            "heads that quote": self.scene.fake.quoted,
            "redirects": len(self.scene.fake.redirected),
        }

    def plant(self) -> dict[str, int]:
        """Plant a leak in each place; which canary lies where."""
        leaks = planted.leaks(self.scene, self.flower)
        if self.plan.leak is not None and self.plan.leak not in IN_WORKERS:
            leaks[self.plan.leak](canary(self.tag, 0))
        if not self.tracer.works:
            del leaks["files_written"], leaks["sockets_and_pipes"]
        indexes = dict(zip(leaks, PLANTED, strict=False))
        for name, index in indexes.items():
            leaks[name](canary(self.tag, index))
        self.planted_metrics = planted.metrics(canary(self.tag, PLANTED[-1]))
        in_workers = dict.fromkeys(IN_WORKERS if self.is_root else (), PLANTED[-2])
        return {**indexes, **in_workers, "planted_metrics": PLANTED[-1]}

    def live_places(self) -> dict[str, Place]:
        queue, vault = self.scene.queue, self.scene.vault
        metrics = page(self.metrics)
        self.has_metrics = bool(metrics)
        return {
            "queue_and_ledger": lambda: places.redis_dump(queue),
            "vault": lambda: places.redis_dump(vault),
            "queue_and_ledger_rdb": lambda: places.rdb(queue),
            "vault_rdb": lambda: places.rdb(vault),
            "flower": lambda: places.flower_pages(self.flower),
            "metrics": lambda: [metrics],
            "planted_metrics": self.planted_metrics,
            "results": lambda: [json.dumps(self.results, ensure_ascii=False).encode()],
        }

    def end(self) -> None:
        """End what writes, so that its last words are searched too."""
        self.worker.stop()
        for process in (self.merchant.process, self.flower.process):
            process.terminate()
            process.wait()

    def places_on_disk(self) -> dict[str, Place]:
        logs = self.scene.folder / "logs"
        elsewhere = [] if self.tracer.works else [ROOT, *map(Path, ("/tmp", "/var/tmp", "/dev/shm"))]
        return {
            "files_left": lambda: places.files([self.scene.folder, *elsewhere], self.began),
            "logs": lambda: places.files([logs]),
            "exceptions": lambda: places.file(logs / "merchant.log"),
            "exported_spans": lambda: self.scene.collector.bodies,
            "core_files": lambda: (piece for core in places.cores(self.scene) for piece in places.file(core)),
            **({"files_written": lambda: self.tracer.written(to_files=True)} if self.tracer.works else {}),
            **({"sockets_and_pipes": lambda: self.tracer.written(to_files=False)} if self.tracer.works else {}),
        }


def poisoned(card: dict[str, str]) -> bytes:
    """A message whose arguments are a card."""
    good = message("00000000-0000-8000-8000-000000000000")
    body = base64.b64encode(json.dumps([[card], {}, {}]).encode()).decode()
    return json.dumps({**good, "body": body, "headers": {**good["headers"], "argsrepr": repr(card)}}).encode()
