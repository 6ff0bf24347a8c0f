"""The report: tables for people, one JSON object for machines."""

import json
import os
import platform
import statistics
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.roundtrip import SENT, Traffic
from tests.servers import server_program

Figures = dict[str, list[float]]

NOOP, POST, BARE = "cpu_ms.noop", "cpu_ms.post", "cpu_ms.post_without_env"
METERED, COUNTING, NOT_COUNTING, SCRAPE = METRICS = (
    *("metrics_cpu_ms.job", "metrics_cpu_ms.counting", "metrics_cpu_ms.switched off", "metrics_cpu_ms.scrape"),
)
TOLD, NOT_TOLD = EVENTS = "events_cpu_ms.told", "events_cpu_ms.switched off"
PLAIN, PRODUCTION, OTHER_CPU = "cpu_ms.plain", "cpu_ms.production", "cpu_ms.other_revision"
OTHER, USUAL, USUAL_THREADS = "per_s.other revision", "per_s.usual way", "per_s.usual way, as many threads"
ENQUEUED_NOOPS, ENQUEUED_MANY, ENQUEUED_ONE = "per_s.apply_async of a no-op", "per_s.issue_many", "per_s.issue"
LATENCY, RECOVERY, MEMORY, SYNC = "latency_ms", "recovery_s", "memory_mb", "sync_ms"
BYTES, BACKLOG = "bytes.", "backlog_cpu_ms."
RATE_WORDS = {
    OTHER: "the other revision, upstream 0 ms, processes: 2",
    USUAL: "the usual way (Celery and i'mport's client, by their defaults), upstream 200 ms",
    USUAL_THREADS: "the usual way with 32 threads, upstream 200 ms",
    ENQUEUED_NOOPS: "enqueued: apply_async of a no-op, one by one",
    ENQUEUED_MANY: "enqueued: issue_many, one thread",
    ENQUEUED_ONE: "enqueued: issue, one thread",
}
NOISY = 1.3  # the highest of a figure over its lowest
CPU_LINES = {
    NOOP: "floor: Celery no-op with result",
    POST: "floor: bare requests POST",
    BARE: "  the same with trust_env=False",
    PLAIN: "job, celery -A worker worker",
    PRODUCTION: "job, python -m worker run --events",
    OTHER_CPU: "job, the other revision, two processes",
    METERED: "job, two processes, metrics served",
    COUNTING: "  of it metrics",
    NOT_COUNTING: "  the same, metrics switched off",
    SCRAPE: "a scrape, in a process of its own",
    TOLD: "a job's event, published alone",
    NOT_TOLD: "  the same without --events",
}
LIBRARIES = ("celery", "kombu", "redis", "hiredis", "requests", "urllib3", "pydantic", "joserfc", "cryptography")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cores": os.cpu_count(),
        "cpu": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "redis": subprocess.check_output([server_program(), "--version"], text=True).split()[2].removeprefix("v="),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def done_per_s(processes: int, latency_ms: int) -> str:
    """The name of a throughput of the production form."""
    return f"per_s.done, upstream {latency_ms:,} ms, processes: {processes}"


def backlog(size: int) -> str:
    """The name of a job's cost with so many waiting."""
    return f"{BACKLOG}{size:,}"


def rate_words(figures: Figures) -> dict[str, str]:
    """Throughputs and what they are called."""
    rates = (name for name in figures if name.startswith("per_s."))
    return {name: RATE_WORDS.get(name, name.removeprefix("per_s.")) for name in rates}


def ratios(figures: Figures, over: str, *under: str) -> list[float]:
    """A figure over the sum of others, for each round; nothing where one of them was not measured."""
    if not all(figures.get(name) for name in (over, *under)):
        return []
    rounds = zip(figures[over], *(figures[name] for name in under), strict=True)
    return [first / sum(others) for first, *others in rounds]


def summary(figures: Figures) -> Figures:
    """The figures, and what follows from them."""
    done, slow = done_per_s(2, 0), done_per_s(2, 200)
    found = {
        **figures,
        "ratio.plain": ratios(figures, PLAIN, NOOP, POST),
        "ratio.production": ratios(figures, PRODUCTION, NOOP, POST),
        "ratio.plain_to_post_without_env": ratios(figures, PLAIN, NOOP, BARE),
        "ratio.metrics": ratios(figures, COUNTING, METERED),
        "ratio.events": ratios(figures, TOLD, METERED),
        "ratio.to the other revision's jobs/s": ratios(figures, done, OTHER),
        "ratio.to the usual way's jobs/s at 200 ms": ratios(figures, slow, USUAL),
        "ratio.to the usual way's with 32 threads": ratios(figures, slow, USUAL_THREADS),
        "ratio.issue_many to apply_async": ratios(figures, ENQUEUED_MANY, ENQUEUED_NOOPS),
        "ratio.100,000 waiting to 1,000": ratios(figures, backlog(100_000), backlog(1_000)),
    }
    return {name: values for name, values in found.items() if values}


def quantile(values: list[float], part: float) -> float:
    """The value below which that part of them lies."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


def show(console: Console, figures: Figures, traffic: Traffic) -> None:
    """Print the tables."""
    found = summary(figures)
    console.print(_cpu_table(found))
    console.print(_rate_table(found))
    console.print(_other_table(found))
    console.print(_traffic_table(traffic))
    console.print(
        f"{traffic.round_trips:.1f} round trips a job; the UNLINK's answer is not waited for. In all, scripts and "
        f"idle commands included, commandstats counted {traffic.commandstats_per_job:.2f} calls a job, MONITOR "
        f"{traffic.monitored_per_job:.2f}."
    )
    noisy = [name for name, values in figures.items() if name not in {LATENCY, RECOVERY} and _is_noisy(values)]
    console.print(f"Noisy (highest over lowest above {NOISY}): {', '.join(noisy) or 'nothing'}.")


def write(path: Path, arguments: list[str], figures: Figures, traffic: Traffic, run: dict[str, float]) -> None:
    """Write all raw figures as JSON."""
    content = {
        "command": ["python", "-m", "tests.bench", *arguments],
        "machine": machine(),
        **run,
        "median": {name: statistics.median(values) for name, values in summary(figures).items()},
        "p99": {name: quantile(figures[name], 0.99) for name in (LATENCY, RECOVERY) if figures.get(name)},
        "rounds": summary(figures),
        "traffic": None
        if traffic is None
        else {**traffic._asdict(), "calls": [one._asdict() for one in traffic.calls]},
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _cpu_table(found: Figures) -> Table:
    table = _table("Worker CPU of a job, user + system", "", "ms")
    for name, words in CPU_LINES.items():
        if found.get(name):
            table.add_row(words, *_spread(found[name], 3 if name in METRICS + EVENTS else 2))
    table.add_section()
    table.add_row("[bold]ratio: job / (no-op + POST)", *_spread(found["ratio.plain"], 2))
    table.add_row("  in the production form", *_spread(found["ratio.production"], 2))
    table.add_row("  to a POST with trust_env=False", *_spread(found["ratio.plain_to_post_without_env"], 2))
    if "ratio.metrics" in found:
        table.add_row("  metrics / job", *_spread(found["ratio.metrics"], 3))
        table.add_row("  its event / job", *_spread(found["ratio.events"], 3))
    return table


def _rate_table(found: Figures) -> Table:
    table = _table("Throughput", "", "jobs/s")
    for name, words in rate_words(found).items():
        table.add_row(words, *_spread(found[name], 0))
    table.add_section()
    for name, values in found.items():
        if (
            name.startswith("ratio.")
            and name not in {"ratio.plain", "ratio.production", "ratio.metrics", "ratio.events"}
            and "post" not in name
        ):
            table.add_row(f"ratio: {name.removeprefix('ratio.')}", *_spread(values, 2))
    return table


def _other_table(found: Figures) -> Table:
    table = Table(title="Waiting", title_justify="left", show_header=False)
    for name, words in ((LATENCY, "added latency at 10 jobs/s, ms"), (RECOVERY, "until others took up a job, s")):
        if name in found:
            shown = (f"{part} {quantile(found[name], share):.1f}" for part, share in (("p50", 0.5), ("p99", 0.99)))
            table.add_row(words, ", ".join(shown))
    stores = {name.removeprefix(BYTES): values[0] for name, values in found.items() if name.startswith(BYTES)}
    shown_stores = ", ".join(f"{store} {size:,.0f}" for store, size in stores.items())
    table.add_row("bytes of a waiting job", f"{sum(stores.values()):,.0f}: {shown_stores}")
    for name, values in found.items():
        if name.startswith(BACKLOG):
            waiting = name.removeprefix(BACKLOG)
            table.add_row(f"CPU ms of a job, {waiting} waiting", f"{statistics.median(values):.2f}")
    table.add_row("memory with 200 calls in flight, MB", f"{found[MEMORY][0]:,.0f}")
    table.add_row("fdatasync of the disk, p50 ms", f"{found[SYNC][0]:.2f}")
    return table


def _is_noisy(values: list[float]) -> bool:
    return max(values) > NOISY * min(values)


def _traffic_table(traffic: Traffic) -> Table:
    table = Table("store", "command", "where", title="Redis commands of a job", title_justify="left")
    table.add_column("calls", justify="right")
    for store, command, place, per_job in traffic.calls:
        style = "bold" if place == SENT else "dim"
        table.add_row(store, command.upper(), place, f"{per_job:.2f}", style=style)
    return table


def _table(title: str, what: str, unit: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(what, min_width=44)
    for name in (f"median {unit}", "min", "max", "rounds"):
        table.add_column(name, justify="right")
    return table


def _spread(values: list[float], digits: int) -> tuple[str, ...]:
    shown = (statistics.median(values), min(values), max(values))
    return *(f"{value:,.{digits}f}" for value in shown), str(len(values))
