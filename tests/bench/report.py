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
PLAIN, PRODUCTION = "cpu_ms.plain", "cpu_ms.production"
CPU_LINES = {
    NOOP: "floor: Celery no-op with result",
    POST: "floor: bare requests POST",
    BARE: "  the same with trust_env=False",
    PLAIN: "job, celery -A worker worker",
    PRODUCTION: "job, python -m worker run",
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


def ratios(figures: Figures, job: str, post: str) -> list[float]:
    """A job's CPU over that of both floors, for each round."""
    rounds = zip(figures[job], figures[NOOP], figures[post], strict=True)
    return [cost / (noop + bare) for cost, noop, bare in rounds]


def summary(figures: Figures) -> Figures:
    """The figures, and what follows from them."""
    return {
        **figures,
        "ratio.plain": ratios(figures, PLAIN, POST),
        "ratio.production": ratios(figures, PRODUCTION, POST),
        "ratio.plain_to_post_without_env": ratios(figures, PLAIN, BARE),
    }


def show(console: Console, figures: Figures, traffic: Traffic) -> None:
    """Print the tables."""
    found = summary(figures)
    console.print(_cpu_table(found))
    console.print(_rate_table(found))
    console.print(_traffic_table(traffic))
    console.print(
        f"{traffic.round_trips:.1f} round trips a job; the UNLINK's answer is not waited for. In all, scripts and "
        f"idle commands included, commandstats counted {traffic.commandstats_per_job:.2f} calls a job, MONITOR "
        f"{traffic.monitored_per_job:.2f}."
    )


def write(path: Path, arguments: list[str], figures: Figures, traffic: Traffic, run: dict[str, float]) -> None:
    """Write all raw figures as JSON."""
    content = {
        "command": ["python", "-m", "tests.bench", *arguments],
        "machine": machine(),
        **run,
        "median": {name: statistics.median(values) for name, values in summary(figures).items()},
        "rounds": summary(figures),
        "traffic": None
        if traffic is None
        else {**traffic._asdict(), "calls": [one._asdict() for one in traffic.calls]},
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _cpu_table(found: Figures) -> Table:
    table = _table("Worker CPU of a job, user + system", "", "ms")
    for name, words in CPU_LINES.items():
        table.add_row(words, *_spread(found[name], 2))
    table.add_section()
    table.add_row("[bold]ratio: job / (no-op + POST)", *_spread(found["ratio.plain"], 2))
    table.add_row("  in the production form", *_spread(found["ratio.production"], 2))
    table.add_row("  to a POST with trust_env=False", *_spread(found["ratio.plain_to_post_without_env"], 2))
    return table


def _rate_table(found: Figures) -> Table:
    table = _table("Throughput", "", "jobs/s")
    for name, values in found.items():
        if name.startswith("per_s."):
            table.add_row(name.removeprefix("per_s."), *_spread(values, 0))
    return table


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
