"""``python -m tests.mutants``: each fault in a copy of the tree, and what must find it. The last line is a JSON object.

Ends with 1 if a fault was not found.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click

from tests.mutants.faults import OLD_FAULTS, Mutant

ROOT = Path(__file__).parents[2]
STORIES, MODEL = "-m tests.chaos stories", "-m tests.chaos --seed {seed} model --no-shrink --examples {examples}"
CAUGHT = 1


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--examples", default=1000, show_default=True, help="That many orders of events the model tries at most.")
@click.option("--seed", default=1, show_default=True)
@click.option("--at-once", default=2, show_default=True)
@click.option("-k", "words", default="", help="Only those whose name has these words.")
def main(examples: int, seed: int, at_once: int, words: str) -> None:
    """Put in each fault, alone, and see it found."""
    chosen = [one for one in OLD_FAULTS if words in one.name]
    began = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        found = list(pool.map(partial(is_found, seed=seed, examples=examples), chosen))
    missed = [one.name for one, ok in zip(chosen, found, strict=True) if not ok]
    seconds = round(time.monotonic() - began, 1)
    click.echo(json.dumps({"faults": len(chosen), "found": sum(found), "missed": missed, "seconds": seconds}))
    sys.exit(1 if missed else 0)


def is_found(mutant: Mutant, *, seed: int, examples: int) -> bool:
    """Run what must find a fault, with the fault in."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="billing-mutant-") as name:
        tree = Path(name)
        copy_tree(tree)
        spoil(tree / mutant.path, mutant)
        model = (STORIES, MODEL.format(seed=seed, examples=examples))
        for arguments in (f"-m pytest -q -x {mutant.test}",) if mutant.test else model:
            run = subprocess.run(
                [sys.executable, *shlex.split(arguments)],
                cwd=tree,
                env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            if run.returncode:
                break
    lines = [line for line in (run.stdout + run.stderr).splitlines() if line.startswith(("E ", "AssertionError"))]
    ok = run.returncode == CAUGHT and bool(lines)
    word = "found" if ok else "MISSED"
    if not ok:
        click.echo((run.stdout + run.stderr)[-2000:])
    click.echo(f"{word} after {time.monotonic() - began:.0f} s: {mutant.name}: {' '.join(lines[:1])[:120]}")
    return ok


def copy_tree(to: Path) -> None:
    """Copy what belongs to the project."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for file in listing.stdout.decode().splitlines():
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, to / file)


def spoil(path: Path, mutant: Mutant) -> None:
    """Put the fault in."""
    text = path.read_text()
    if text.count(mutant.right) != 1:
        raise SystemExit(f"{mutant.path} has not once what {mutant.name!r} replaces.")
    path.write_text(text.replace(mutant.right, mutant.wrong))


if __name__ == "__main__":
    main(prog_name="python -m tests.mutants")
