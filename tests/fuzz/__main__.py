"""``python -m tests.fuzz``: a million hostile inputs, and card numbers for redaction to find.

The last line is one JSON object; exit 1 if a bound is broken.
"""

import argparse
import base64
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

from tests.fuzz.doors import Doors, Input
from tests.fuzz.mutants import mutant
from tests.fuzz.redacting import Redacted, redacted
from tests.fuzz.tally import Tally, run

CHUNK = 4000
SHOWN = 20


@cache
def _doors() -> Doors:
    return Doors()


def _run(seed: int, numbers: range) -> Tally:
    return run(_doors(), seed, numbers)


def _chunks(count: int) -> list[range]:
    return [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def _fuzz(seed: int, count: int, numbers: int, processes: int) -> tuple[Tally, Redacted]:
    whole, of_numbers = Tally(), Redacted()
    with ProcessPoolExecutor(processes) as pool:
        for part in pool.map(partial(_run, seed), _chunks(count)):
            whole.add(part)
        for numbers_part in pool.map(partial(redacted, seed), _chunks(numbers)):
            of_numbers.add(numbers_part)
    return whole, of_numbers


def keep(path: Path, one: Input) -> None:
    """Write an input down."""
    raw = one.data.encode(errors="surrogatepass") if isinstance(one.data, str) else one.data
    data = {"data": base64.b64encode(raw).decode(), "is_text": isinstance(one.data, str)}
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(json.dumps(one._asdict() | data))


def read(path: Path) -> Input:
    """An input that was written down."""
    members = json.loads(path.read_text())
    raw = base64.b64decode(members["data"])
    data = raw.decode(errors="surrogatepass") if members.pop("is_text") else raw
    return Input(**members | {"data": data})


def main() -> int:
    """Fuzz, or hand one kept input in again."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--numbers", type=int, default=100_000, help="card numbers, and ordinary texts, to redact")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--again", type=Path, help="a kept input")
    asked = parser.parse_args()
    begun = time.monotonic()
    tally, of_numbers = Tally(), Redacted()
    if asked.again:
        tally.judge(_doors(), 0, read(asked.again))
    else:
        tally, of_numbers = _fuzz(asked.seed, asked.count, asked.numbers, asked.processes)
    folder = Path(tempfile.gettempdir(), f"fuzz-{os.getpid()}")
    for finding in tally.findings[:SHOWN]:
        path = asked.again or folder / f"{finding.what}-{asked.seed}-{finding.number}.json"
        if not asked.again:
            keep(path, mutant(asked.seed, finding.number))
        print(f"{finding.what}: {finding.how}\n    python -m tests.fuzz --again {path}")
    if len(tally.findings) > SHOWN:
        print(f"and {len(tally.findings) - SHOWN} more")
    figures = {**tally.members(), "redaction": of_numbers.members(), "took_s": round(time.monotonic() - begun, 1)}
    print(json.dumps({"seed": asked.seed, **figures}))
    return 1 if tally.findings or of_numbers.failed else 0


if __name__ == "__main__":
    sys.exit(main())
