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

from tests.bench import report, roundtrip
from tests.bench.measurement import celery, production, run_floor, run_jobs, run_posts, run_single_enqueues
from tests.bench.stage import LATENCIES_MS, THREADS, Stage
from tests.servers import ROOT

LONGEST_S = 340.0
SINGLE_ENQUEUES, COUNTED_JOBS = 500, 400
QUICK_JOBS, QUICK_ROUNDS = 300, 1
ENOUGH_FOR_ALL_THREADS = 8 * 2 * THREADS  # else the first and the last wave are most of it

Measurement = Callable[[], None]


class Bench:
    """Measures, and collects figures by name.

    Args:
        stage: what it runs on.
        jobs: how many, each time.
    """

    def __init__(self, stage: Stage, jobs: int) -> None:
        self._stage, self._jobs = stage, jobs
        self.figures: report.Figures = defaultdict(list)

    def measurements(self) -> list[Measurement]:
        """What one round consists of."""
        return [
            self._floors,
            self._plain,
            *(lambda n=n, ms=ms: self._production(n, ms) for ms in LATENCIES_MS for n in (1, 2)),
            self._single_enqueues,
        ]

    def _floors(self) -> None:
        self._note(report.NOOP, run_floor(self._stage, self._jobs).cpu_ms)
        self._note(report.POST, run_posts(self._stage, self._jobs, trust_env=True))
        self._note(report.BARE, run_posts(self._stage, self._jobs, trust_env=False))

    def _plain(self) -> None:
        run = run_jobs(self._stage, self._jobs, celery("worker"))
        self._note(report.PLAIN, run.cpu_ms)
        self._note("per_s.enqueued with issue_many, one thread", run.enqueued_per_s)

    def _production(self, processes: int, latency_ms: int) -> None:
        jobs = max(self._jobs // 2, ENOUGH_FOR_ALL_THREADS) if latency_ms else self._jobs
        command = production(processes)
        # A single process is split into two of half its threads.
        run = run_jobs(self._stage, jobs, command, processes=max(processes, 2), latency_ms=latency_ms)
        if processes == 1 and not latency_ms:
            self._note(report.PRODUCTION, run.cpu_ms)
        self._note(f"per_s.done, upstream {latency_ms} ms, processes: {processes}", run.per_s)

    def _single_enqueues(self) -> None:
        rate = run_single_enqueues(self._stage, min(self._jobs, SINGLE_ENQUEUES))
        self._note("per_s.enqueued with issue, one thread", rate)

    def _note(self, name: str, value: float) -> None:
        self.figures[name].append(value)


@click.command()
@click.option("--jobs", type=click.IntRange(min=50), default=2000, show_default=True, help="Jobs of a measurement.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "path", type=click.Path(path_type=Path, dir_okay=False), default=ROOT / "bench.json")
@click.option("--quick", is_flag=True, help="One short round, for a look.")
def main(jobs: int, rounds: int, path: Path, *, quick: bool) -> None:
    """Measure what a job costs, beside its floor."""
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
        bench = Bench(stage, jobs)
        traffic = roundtrip.count_calls(stage, min(jobs, COUNTED_JOBS))
        run_rounds(bench, rounds, console, began + LONGEST_S)
    report.show(console, bench.figures, traffic)
    seconds = time.monotonic() - began
    report.write(path, sys.argv[1:], bench.figures, traffic, {"seconds": round(seconds, 1), "load_before": load})
    console.print(f"{seconds:.0f} s in all; load of the machine before: {load:.1f}; raw figures in {path.name}.")


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
