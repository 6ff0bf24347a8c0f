"""Volume: a large export piped in. Memory stays where it is, workers always have work, no number lies in any file."""

import threading
import time

from tests.migration.export import Export
from tests.migration.judge import judge
from tests.migration.search import Numbers
from tests.migration.stage import Figures, Producer, Stage, say
from tests.migration.watch import Watch

NAME = "volume"
MOST_MB, GROWTH_MB = 150, 8  # what the tables of a window that is still growing may take
MEASURABLE = 5000  # rows, below which a tenth of them is read at once
SEARCH_EACH_S = 15.0
STARVED = 0.01


def volume(rows: int, *, rate: float = 500, timeout_s: float = 3600) -> Figures:
    """Migrate so many rows against an i'mport that answers at once."""
    numbers = Numbers(rows)
    with Stage({"IMP_RATE_PER_S": str(rate)}) as stage:
        stage.start_workers()
        export = Export(rows)
        with stage.produce(export, NAME, f"--rows={rows}") as producer, Watch(producer) as watch:
            found, searches = _search_until_the_end(producer, numbers, watch, timeout_s)
            code, took_s = producer.wait(1), time.monotonic() - producer.started_at
        verdict = judge(export, stage.report(NAME), stage.fake)
        numbers.plant(stage.reports / "planted.txt")
        say("searching every file")
        found |= numbers.found_in([stage.folder])
        left = sorted(path.name for path in stage.reports.iterdir() if path.suffix not in {".csv", ".txt", ".html"})
    figures: Figures = {
        "rows": rows,
        "exit_code": code,
        "took_s": round(took_s, 1),
        "rows_per_s": round(rows / took_s, 1),
        "peak_mb": round(watch.peak_mb, 1),
        "median_mb_at_10_percent": watch.median_mb(rows, 0.1),
        "median_mb_at_50_percent": watch.median_mb(rows, 0.5),
        "median_mb_at_90_percent": watch.median_mb(rows, 0.9),
        "window_full_share": watch.full_share(),
        "workers_starved_share": watch.starved_share(),
        "searches_while_running": searches,
        "planted_number_found": numbers.planted in found,
        "numbers_found": len(found - {numbers.planted}),
        "files_left": left,
        **verdict._asdict(),
    }
    return figures | {"broken": verdict.broken + broken(figures)}


def broken(figures: Figures) -> list[str]:
    """The promises that do not hold."""
    grown = figures["median_mb_at_90_percent"] - figures["median_mb_at_10_percent"]
    measurable = figures["rows"] >= MEASURABLE
    return [
        words
        for words, is_broken in (
            (f"exit code {figures['exit_code']}", figures["exit_code"] != 0),
            (f"{MOST_MB} MB or more", figures["peak_mb"] >= MOST_MB),
            (f"grew by {grown:.1f} MB", measurable and grown > GROWTH_MB),
            ("workers waited for the producer", measurable and figures["workers_starved_share"] > STARVED),
            ("card numbers in files", figures["numbers_found"] > 0),
            ("the planted number was not found", not figures["planted_number_found"]),
            ("files were left", bool(figures["files_left"])),
            ("no search while it ran", not figures["searches_while_running"]),
        )
        if is_broken
    ]


def _search_until_the_end(producer: Producer, numbers: Numbers, watch: Watch, timeout_s: float) -> tuple[set[str], int]:
    """Search report and work file again and again while they grow; what was found, in how many searches."""
    found: set[str] = set()
    searches, pause = 0, threading.Event()
    while not producer.has_ended():
        if time.monotonic() > producer.started_at + timeout_s:
            raise TimeoutError(f"{watch.rows} rows within {timeout_s:g} s")
        if any(producer.stage.reports.iterdir()):
            found |= numbers.found_in([producer.stage.reports])
            searches += 1
        say(f"{watch.rows} rows are read, {producer.stage.applied()} keys stored")
        until = time.monotonic() + SEARCH_EACH_S
        while not producer.has_ended() and time.monotonic() < until:
            pause.wait(0.05 if searches == 0 else 0.2)
            if searches == 0 and any(producer.stage.reports.iterdir()):
                break
    return found, searches
