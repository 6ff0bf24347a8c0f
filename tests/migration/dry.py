"""Dry: how fast ``--dry-run`` looks at rows on one core. A measure."""

import csv
import io
import os
import re
import subprocess
import sys
import time

from tests.migration.export import Export
from tests.migration.stage import Figures
from tests.servers import ROOT

PROMISED_PER_S = 20_000


def dry(rows: int) -> Figures:
    """Look at so many rows from a pipe; the reader has one core for itself, as far as others let it."""
    cores = sorted(os.sched_getaffinity(0))
    with subprocess.Popen(Export(rows).command, cwd=ROOT, stdout=subprocess.PIPE) as source:
        os.sched_setaffinity(source.pid, cores[1:] or cores)
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "producer", "migrate", "-", "--dry-run"],
            stdin=source.stdout,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(process.pid, cores[:1])
        assert process.stdout is not None
        words = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        took_s, process.returncode = time.monotonic() - began, os.waitstatus_to_exitcode(status)
    good = re.search(r"([\d,]+)  would be sent", words)
    cpu_s = used.ru_utime + used.ru_stime
    csv_per_s = rows / _csv_s(rows)
    figures: Figures = {
        "rows": rows,
        "good": int(good[1].replace(",", "")) if good else 0,
        "exit_code": process.returncode,
        "took_s": round(took_s, 2),
        "rows_per_s": round(rows / took_s),
        "cpu_s": round(cpu_s, 2),
        "rows_per_cpu_s": round(rows / cpu_s),
        "csv_rows_per_cpu_s": round(csv_per_s),
        "times_the_csv_module": round(csv_per_s * cpu_s / rows, 1),
        "peak_mb": round(used.ru_maxrss / 1024, 1),
    }
    is_whole = figures["good"] == rows and figures["exit_code"] == 0
    slow = figures["rows_per_cpu_s"] < PROMISED_PER_S
    return figures | {"broken": [] if is_whole and not slow else ["too slow" if is_whole else "not all rows are good"]}


def _csv_s(rows: int) -> float:
    """The CPU seconds in which Python's csv module reads the same rows, and does nothing with them."""
    text = io.StringIO("".join(Export(rows).lines()), newline="")
    began = time.process_time()
    for _ in csv.reader(text):
        pass
    return time.process_time() - began
