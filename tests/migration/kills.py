"""Kills: SIGKILL to producers and to whole worker groups at random moments, with ``--resume`` each time."""

import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from tests.chaos.scenarios import QUICK, trouble
from tests.migration.export import Export
from tests.migration.judge import judge
from tests.migration.stage import Figures, Producer, Stage, say
from tests.servers import wait_until

NAME = "kills"
DECLINED_EACH = 20
NOT_ALL = 1
LAST_PART = 0.97  # of the keys: later than that nobody is killed


class Killed:
    """What a producer left behind when it was killed."""

    def __init__(self) -> None:
        self.codes: Counter[int] = Counter()
        self.half_reports = 0

    def note(self, producer: Producer, report: Path) -> None:
        self.codes[producer.process.returncode] += 1
        self.half_reports += report.exists() or any(report.parent.glob("*.summary.*"))


def kills(
    rows: int, producers: int, workers: int, seed: int, *, hurry: bool = False, timeout_s: float = 3600
) -> Figures:
    """Migrate so many rows while so many producers and worker groups are killed.

    Args:
        hurry: leases of what was killed end at once, and not after their time; and until the last kill a quarter of
            the rows is sent a second, so that it cannot come too late.
    """
    rng, export, killed = random.Random(seed), Export(rows, declined_each=DECLINED_EACH), Killed()
    slowly, unhurried = ([f"--throttle={rows / 4:g}"], ["--throttle=1000"]) if hurry else ([], [])
    with Stage({"LOOK_UP_FOR_S": "2" if hurry else "20", **QUICK}) as stage:
        report = stage.report(NAME)
        trouble(stage.fake, seed)
        stage.start_workers()
        killer = WorkerKiller(stage, _moments(rng, rows, workers), random.Random(seed + 1), hurry=hurry)
        began = time.monotonic()
        for number, moment in enumerate(_moments(rng, rows, producers)):
            with _producer(stage, export, slowly, is_first=not number) as producer:
                killer.start()
                stage.until_applied(moment, producer, timeout_s)
                time.sleep(rng.uniform(0, 0.5))
                producer.kill()
                killed.note(producer, report)
                say(f"producer {number + 1} is killed; {stage.applied()} keys stored")
            if hurry:
                stage.forget_holder(NAME)
        with _producer(stage, export, unhurried, is_first=not producers) as producer:
            killer.start()
            code = producer.wait(timeout_s)
        killer.join()
        took_s = time.monotonic() - began
        verdict = judge(export, report, stage.fake)
        logs = [path.read_text(errors="replace") for path in (stage.folder / "logs").iterdir()]
        left = sorted(path.name for path in stage.reports.iterdir() if path.suffix not in {".csv", ".txt", ".html"})
    figures: Figures = {
        "rows": rows,
        "took_s": round(took_s, 1),
        "producers_killed": killed.codes[-signal.SIGKILL],
        "worker_groups_killed": killer.done,
        "half_reports": killed.half_reports,
        "exit_code": code,
        "tracebacks": sum(log.count("Traceback") for log in logs),
        "files_left": left,
        **verdict._asdict(),
    }
    expected: Figures = {"producers_killed": producers, "worker_groups_killed": workers, "exit_code": NOT_ALL}
    expected |= {"half_reports": 0, "tracebacks": 0, "files_left": []}
    return figures | {"broken": verdict.broken + [n for n, value in expected.items() if figures[n] != value]}


def _producer(stage: Stage, export: Export, pace: list[str], *, is_first: bool) -> Producer:
    return stage.produce(export, NAME, f"--rows={export.rows}", *pace, *([] if is_first else ["--resume"]))


def _moments(rng: random.Random, rows: int, count: int) -> list[int]:
    """How many keys are stored when somebody is killed; in order."""
    most = int(rows * (1 - 1 / DECLINED_EACH) * LAST_PART)
    return sorted(rng.randrange(1, most) for _ in range(count))


class WorkerKiller:
    """Kills the worker group, and starts it anew, each time that i'mport has stored so many keys."""

    def __init__(self, stage: Stage, moments: list[int], rng: random.Random, *, hurry: bool) -> None:
        self._stage, self._moments, self._random, self._hurry = stage, moments, rng, hurry
        self.done = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._thread.ident is None:
            self._thread.start()

    def join(self) -> None:
        self._thread.join(600)

    def _run(self) -> None:
        worker = self._stage.workers[0]
        for moment in self._moments:
            wait_until(lambda moment=moment: self._stage.applied() >= moment, 3600, "a moment to kill")  # type: ignore[misc]
            time.sleep(self._random.uniform(0, 0.5))
            worker.kill()
            if self._hurry:
                time.sleep(0.5)  # what is on its way arrives first, as it would within a lease
                self._stage.wake_open_jobs()
            worker.start(wait=False)
            self.done += 1
            say(f"worker group {self.done} is killed")
