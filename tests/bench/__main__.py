"""The benchmark's command: ``python -m tests.bench``, which is ``make bench``.

Starts its own Redis servers, upstreams and workers on loopback, and ends them all. Rounds are interleaved: each
measures everything once, every second one backwards, and none begins that could not end in time.
"""

import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from tests.bench import events, floor, metering, pictures, report, roundtrip, waiting
from tests.bench.against import Revision
from tests.bench.measurement import celery, production, run_floor, run_jobs, run_posts, run_single_enqueues
from tests.bench.recovery import recovery_s
from tests.bench.stage import LATENCIES_MS, SLOW_MS, THREADS, Stage
from tests.bench.usual import AS_MANY_THREADS, DEFAULT, run_usual
from tests.servers import ROOT

LONGEST_S = 900.0
SINGLE_ENQUEUES, COUNTED_JOBS, WAITING_JOBS = 500, 400, 5000
QUICK_JOBS, QUICK_ROUNDS = 300, 1
ENOUGH_FOR_ALL_THREADS = 8 * 2 * THREADS  # else the first and the last wave are most of it
USUAL_MS, USUAL_JOBS = 200, 60  # some twelve seconds by its defaults
LATENCY_S = 20.0
BACKLOGS, SLICES, SLICE_JOBS = (1_000, 10_000, 100_000), 5, 500

Measurement = Callable[[], None]


class Bench:
    """Measures, and collects figures by name.

    Args:
        stage: what it runs on.
        jobs: how many, each time.
        against: another revision, if there is one to compare with.
    """

    def __init__(self, stage: Stage, jobs: int, against: Revision | None) -> None:
        self._stage, self._jobs, self._against = stage, jobs, against
        self.figures: report.Figures = defaultdict(list)

    def measurements(self) -> list[Measurement]:
        """What one round consists of."""
        return [
            self._floors,
            self._plain,
            *(lambda n=n, ms=ms: self._production(n, ms) for ms in LATENCIES_MS for n in (1, 2)),
            self._other_revision,
            self._usual,
            self._latency,
            self._single_enqueues,
            self._extras,
        ]

    def _floors(self) -> None:
        run = run_floor(self._stage, self._jobs)
        self._note(report.NOOP, run.cpu_ms)
        self._note(report.POST, run_posts(self._stage, self._jobs, trust_env=True))
        self._note(report.BARE, run_posts(self._stage, self._jobs, trust_env=False))

    def _plain(self) -> None:
        run = run_jobs(self._stage, self._jobs, celery("worker"))
        self._note(report.PLAIN, run.cpu_ms)
        self._note(report.ENQUEUED_MANY, run.enqueued_per_s)

    def _production(self, processes: int, latency_ms: int) -> None:
        most = THREADS * 8 if latency_ms == SLOW_MS else self._jobs // 2
        jobs = max(most, ENOUGH_FOR_ALL_THREADS // (2 if latency_ms == SLOW_MS else 1)) if latency_ms else self._jobs
        # A single process is split into two of half its threads.
        run = run_jobs(self._stage, jobs, production(processes), processes=max(processes, 2), latency_ms=latency_ms)
        if processes == 1 and not latency_ms:
            self._note(report.PRODUCTION, run.cpu_ms)
        self._note(report.done_per_s(processes, latency_ms), run.per_s)

    def _other_revision(self) -> None:
        if self._against is None:
            return
        run = self._against.run(self._stage, self._jobs, 2)
        self._note(report.OTHER_CPU, run.cpu_ms)
        self._note(report.OTHER, run.per_s)

    def _usual(self) -> None:
        run = run_usual(self._stage, USUAL_JOBS, DEFAULT, USUAL_MS)
        self._note(report.USUAL, run.per_s)
        run = run_usual(self._stage, ENOUGH_FOR_ALL_THREADS, AS_MANY_THREADS, USUAL_MS)
        self._note(report.USUAL_THREADS, run.per_s)

    def _latency(self) -> None:
        self.figures[report.LATENCY].extend(waiting.added_latency_ms(self._stage, LATENCY_S))

    def _single_enqueues(self) -> None:
        broker, results = self._stage.queue.url(0), self._stage.queue.url(1)
        self._note(report.ENQUEUED_NOOPS, floor.apply_one_by_one(broker, results, SINGLE_ENQUEUES))
        self._note(report.ENQUEUED_ONE, run_single_enqueues(self._stage, min(self._jobs, SINGLE_ENQUEUES)))

    def _extras(self) -> None:
        """What metrics and events cost."""
        found = (*metering.cost(self._stage, self._jobs), *events.cost(self._stage))
        for name, value in zip(report.METRICS + report.EVENTS, found, strict=True):
            self._note(name, value)

    def once(self) -> None:
        """What needs no rounds."""
        self._note(report.SYNC, waiting.sync_ms(self._stage.stack.folder))
        self._note(report.MEMORY, waiting.memory_in_flight_mb(self._stage))
        for store, found in waiting.waiting_bytes(self._stage, WAITING_JOBS).items():
            self._note(report.BYTES + store, found)

    def backlogs(self, sizes: tuple[int, ...]) -> None:
        """What a job costs while others wait, in rounds of their own."""
        with waiting.backlogs(sizes) as scenes:
            for _ in range(SLICES):
                for scene in scenes:
                    self._note(report.backlog(scene.backlog), waiting.slice_cpu_ms(scene, SLICE_JOBS))

    def recovery(self) -> None:
        """How soon others take up what a process held."""
        self.figures[report.RECOVERY].extend(recovery_s())

    def _note(self, name: str, value: float) -> None:
        self.figures[name].append(value)


@click.command()
@click.option("--jobs", type=click.IntRange(min=50), default=2000, show_default=True, help="Jobs of a measurement.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--against", metavar="REVISION", help="Another revision of ours, measured in the same rounds.")
@click.option("--json", "path", type=click.Path(path_type=Path, dir_okay=False), default=ROOT / "bench.json")
@click.option("--pictures", "folder", type=click.Path(path_type=Path, file_okay=False), default=ROOT / "build/bench")
@click.option("--quick", is_flag=True, help="One short round without backlog and recovery, for a look.")
def main(jobs: int, rounds: int, against: str | None, path: Path, folder: Path, *, quick: bool) -> None:
    """Measure what a job costs, beside its floor, the usual way and another revision; some 15 minutes."""
    if quick:
        jobs, rounds = min(jobs, QUICK_JOBS), QUICK_ROUNDS
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # requests would take loopback calls through it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    began, load = time.monotonic(), os.getloadavg()[0]
    with Stage() as stage:
        bench = Bench(stage, jobs, Revision(against, stage.stack.folder) if against else None)
        bench.once()
        traffic = roundtrip.count_calls(stage, min(jobs, COUNTED_JOBS))
        run_rounds(bench, rounds, console, began + LONGEST_S)
    if not quick:
        console.print("Backlogs …")
        bench.backlogs(BACKLOGS)
        console.print("Recovery …")
        bench.recovery()
    report.show(console, bench.figures, traffic)
    seconds = time.monotonic() - began
    run = {"seconds": round(seconds, 1), "load_before": load}
    report.write(path, sys.argv[1:], bench.figures, traffic, run)
    drawn = pictures.draw(bench.figures, folder)
    console.print(f"{seconds:.0f} s in all; load of the machine before: {load:.1f}; raw figures in {path.name}.")
    console.print(f"Pictures: {', '.join(str(one) for one in drawn)}")


def run_rounds(bench: Bench, rounds: int, console: Console, end: float) -> None:
    """Run rounds, the last one only if there is time for it."""
    longest = 0.0
    for number in range(rounds):
        began = time.monotonic()
        if began + longest > end:
            console.print(f"No time for more than {number} of {rounds} rounds.")
            return
        console.print(f"Round {number + 1} of {rounds} …")
        for measure in bench.measurements()[:: -1 if number % 2 else 1]:
            measure()
        longest = max(longest, time.monotonic() - began)


if __name__ == "__main__":
    main()
