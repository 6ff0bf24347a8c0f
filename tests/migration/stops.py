"""Stops: what can end a migration early, or take its stores away; and that it goes on, sending nothing twice."""

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fake_iamport import Fault
from tests.migration.export import Export
from tests.migration.judge import judge, keys_stored, read
from tests.migration.stage import ISSUES, Figures, Stage, say
from tests.servers import wait_until
from tests.stopwatch import Stopwatch

ALL, NOT_ALL, USAGE, RESUMABLE = 0, 1, 2, 3
WITHIN_S, PATIENCE_S = 3.0, 240.0
TRIES = 5
FILLING = 500  # rows, which a small disk has no room for
MANY = 300  # rows, of which some are still in the vault when a third is issued
RATE = "150"
SLOWEST, SLOWLY, UNHURRIED = "--throttle=5", "--throttle=40", "--throttle=1000"
Story = Callable[[int], Figures]


def stops(rows: int, only: str | None = None) -> Figures:
    """Each story by itself; the promises that one breaks are listed under its name."""
    figures: Figures = {"rows": rows}
    for name, story in STORIES.items():
        if only in (None, name):
            say(name)
            began = time.monotonic()
            figures[name] = story(rows) | {"took_s": round(time.monotonic() - began, 1)}
    return figures | {"broken": [f"{n}: {b}" for n, one in figures.items() if n != "rows" for b in one["broken"]]}


def sigint(rows: int) -> Figures:
    """Ctrl-C while rows are sent."""
    return _signalled(rows, signal.SIGINT)


def sigterm(rows: int) -> Figures:
    """SIGTERM while rows are sent."""
    return _signalled(rows, signal.SIGTERM)


def sigterm_while_the_source_is_quiet(rows: int) -> Figures:
    """SIGTERM while the reader waits for the pipe."""
    return _signalled(rows, signal.SIGTERM, quiet_after=rows // 3)


def quiet_source(rows: int) -> Figures:
    """Rows that have come are sent while the source says nothing more."""
    export, name = Export(rows, quiet_after=rows // 2), "quiet"
    with _stage() as stage, stage.produce(export, name) as producer:
        with contextlib.suppress(TimeoutError):
            stage.until_applied(rows // 2, producer, PATIENCE_S + rows / 25)
        sent = stage.applied()
    return {"rows_that_came": rows // 2, "sent": sent, "broken": ["rows are held back"] * (sent < rows // 2)}


def _signalled(rows: int, number: int, *, quiet_after: int | None = None) -> Figures:
    export, name = Export(rows), "signalled"
    with _stage() as stage:
        with stage.produce(export._replace(quiet_after=quiet_after), name, _slowly(rows)) as producer:
            stage.until_applied(1 if quiet_after else rows // 3, producer)
            stores = (stage.stack.queue.pid, stage.stack.vault.pid)
            with Stopwatch(producer.process.pid, *stores) as watch, contextlib.suppress(subprocess.TimeoutExpired):
                producer.signal(number)
                producer.wait(PATIENCE_S)
            code, words = producer.process.poll(), producer.words()
        figures = _resumed(stage, export, name, UNHURRIED)
    figures |= {"stopped_after_s": round(watch.own_s, 2), "exit_code_of_the_stop": code}
    return _with_broken(
        figures,
        {
            "took too long": watch.own_s > WITHIN_S,
            f"exit code {code}": code != RESUMABLE,
            "does not say how to go on": not says_how_to_go_on(name, words),
            "a half report": figures["report_before"],
        },
    )


def ledger(rows: int, *, hurry: bool = False) -> Figures:
    """The server of queue and ledger killed and started again: the run goes on by itself.

    Args:
        rows: of the export.
        hurry: jobs whose claim was answered by nobody are free again at once, and not after a minute.
    """
    export, name = Export(rows), "ledger"
    with _stage() as stage, stage.produce(export, name, _slowly(rows)) as producer:
        stage.until_applied(rows // 3, producer)
        stage.stack.queue.kill()
        time.sleep(2)
        was_there = not producer.has_ended()
        stage.stack.queue.start()
        if hurry:
            time.sleep(WITHIN_S)
            stage.wake_open_jobs()
        code = producer.wait(300)
        verdict = judge(export, stage.report(name), stage.fake)
        words = producer.words()
    figures = {"exit_code": code, **verdict._asdict(), "broken": verdict.broken}
    return _with_broken(
        figures, {"it ended": not was_there, f"exit code {code}": code != ALL, "a traceback": "Traceback" in words}
    )


def vault(rows: int) -> Figures:
    """The vault killed, its cards with it: they end lost, and a second run issues them."""
    rows = max(rows, MANY)
    export, name = Export(rows), "vault"
    with _stage() as stage:
        stage.fake.add_fault(Fault("latency", ISSUES, latency_s=(0.05, 0.2)))
        with stage.produce(export, name) as producer:
            stage.until_applied(rows // 3, producer)
            stage.stack.vault.kill()
            time.sleep(1)
            stage.stack.vault.start()
            code = producer.wait(300)
        first = judge(export, stage.report(name), stage.fake)
        failed = stage.report(name)
        with stage.produce(export, name, f"--only-failed={failed}", report="vault2") as producer:
            again = producer.wait(300)
        second = read(stage.report("vault2"))
        stored = keys_stored(stage.fake)
    lost = sum(count for status, count in first.statuses.items() if status != "issued")
    figures = {"exit_codes": [code, again], "rows_of_run_2": len(second), **first._asdict(), "broken": first.broken}
    return _with_broken(
        figures,
        {
            "nothing was lost": not first.statuses.get("lost"),
            f"exit codes {code}, {again}": [code, again] != [NOT_ALL, ALL],
            "run 2 is not what was lost": len(second) != lost,
            "not every customer has one key": set(stored.values()) != {1} or len(stored) != rows,
        },
    )


def second_run_stopped(rows: int) -> Figures:
    """A second run that is stopped goes on, as its message says, with what had failed and nothing else."""
    export, name = Export(rows), "again"
    with _stage() as stage:
        with stage.produce(export, name, SLOWEST) as producer:
            stage.until_applied(rows // 20, producer)
            stage.command("cancel", name)
            producer.wait(PATIENCE_S)
        issued = stage.applied()
        failed = f"--only-failed={stage.report(name)}"
        with stage.produce(export, name, failed, SLOWLY, report="again2") as producer:
            stage.until_applied(issued + (rows - issued) // 10 + 1, producer)
            producer.signal(signal.SIGTERM)
            code = producer.wait(PATIENCE_S)
        with stage.produce(export, name, "--resume", UNHURRIED, report="again2") as producer:
            code_of_resume, words = producer.wait(300), producer.words()
        if code_of_resume == 2:
            say(f"it asks for more: {words.strip().splitlines()[-1]}")
            with stage.produce(export, name, failed, "--resume", UNHURRIED, report="again2") as producer:
                producer.wait(300)
        stored = keys_stored(stage.fake)
    twice = sum(count > 1 for count in stored.values())
    figures = {"exit_codes": [code, code_of_resume], "applied_twice": twice, "customers": len(stored)}
    return _with_broken(figures, {f"{twice} cards sent twice": twice > 0, "not all issued": len(stored) != rows})


def second_run_with_repeats(rows: int) -> Figures:
    """A customer who stands in the export twice was issued by the first run, and is no business of the second one."""
    export, name = Export(rows, repeats=rows // 10), "repeats"
    with _stage() as stage:
        codes = []
        for number, options in enumerate(([], [f"--only-failed={stage.report(name)}"])):
            with stage.produce(export, name, *options, report=name if not number else "repeats2") as producer:
                codes.append(producer.wait(300))
        stored = keys_stored(stage.fake)
    twice = sum(count > 1 for count in stored.values())
    figures = {"exit_codes": codes, "applied_twice": twice, "customers": len(stored)}
    wrong = len(stored) != rows - export.repeats
    return _with_broken(figures, {f"{twice} cards sent twice": twice > 0, "not all issued": wrong})


def vault_away_at_the_start(rows: int) -> Figures:
    """No vault when it is started: that is said, and starting once more is all that it takes."""
    export, name = Export(rows // 3), "away"
    with _stage() as stage:
        stage.stack.vault.kill()
        with stage.produce(export, name) as producer:
            code, words = producer.wait(PATIENCE_S), producer.words()
        stage.stack.vault.start()
        with stage.produce(export, name) as producer:
            again, words_again = producer.wait(PATIENCE_S), producer.words()
    figures = {"exit_codes": [code, again], "words": words[-300:], "words_again": words_again[-300:]}
    wrong = {f"exit code {code}": code != USAGE, f"exit code {again} once more": again != ALL}
    return _with_broken(figures, wrong)


def sigterm_while_reporting(rows: int) -> Figures:
    """SIGTERM while the report is written."""
    return _while_reporting(rows, signal.SIGTERM, {ALL, NOT_ALL, RESUMABLE})


def sigkill_while_reporting(rows: int) -> Figures:
    """SIGKILL while the report is written."""
    return _while_reporting(rows, signal.SIGKILL, {-signal.SIGKILL})


def _while_reporting(rows: int, number: int, expected: set[int]) -> Figures:
    """Once more if the report was faster than the signal."""
    for _ in range(TRIES):
        figures = _signalled_at_the_report(rows, number)
        if figures["broken"] or figures["exit_code_of_the_stop"] in expected:
            break
    code = figures["exit_code_of_the_stop"]
    return _with_broken(figures, {f"exit code {code}": code not in expected})


def _signalled_at_the_report(rows: int, number: int) -> Figures:
    export, name = Export(rows * 50), "reporting"
    with _stage() as stage:
        new = stage.report(name).with_suffix(".csv.new")
        with stage.produce(export, name, "--window=100") as producer:
            stage.until_applied(100, producer)
            stage.command("cancel", name)
            while not producer.has_ended() and not new.exists():
                time.sleep(0.001)
            producer.signal(number)
            code = producer.wait(PATIENCE_S)
            is_half = code == -signal.SIGKILL and stage.report(name).exists()
        if code in {ALL, NOT_ALL}:
            verdict = judge(export, stage.report(name), stage.fake)
            figures: Figures = {**verdict._asdict(), "broken": verdict.broken}
        else:
            figures = _resumed(stage, export, name, exit_code=NOT_ALL)
    return _with_broken(figures | {"exit_code_of_the_stop": code}, {"a half report": is_half})


def suspended(rows: int) -> Figures:
    """A process that was suspended for long keeps its run: another one is refused, and it goes on when it wakes."""
    export, name = Export(rows), "suspended"
    with _stage() as stage:
        with stage.produce(export, name, _slowly(rows)) as first:
            stage.until_applied(rows // 3, first)
            first.signal(signal.SIGSTOP)
            with stage.produce(export, name, "--resume") as second:
                refused, words = second.wait(PATIENCE_S), second.words()
            first.signal(signal.SIGCONT)
            code = first.wait(PATIENCE_S)
        verdict = judge(export, stage.report(name), stage.fake)
    figures = {"exit_codes": [code, refused], "words": words[-200:], **verdict._asdict(), "broken": verdict.broken}
    wrong = [code, refused] != [ALL, USAGE]
    return _with_broken(figures, {f"exit codes {code}, {refused}": wrong, "no reason": "in use" not in words})


def cut_in_a_line(rows: int) -> Figures:
    """The pipe breaks in the middle of a row."""
    return _cut(Export(rows), Export(rows, cut_after=rows // 2))


def cut_between_lines(rows: int) -> Figures:
    """The pipe breaks between two rows, which only ``--rows`` can tell."""
    return _cut(Export(rows), Export(rows // 2), f"--rows={rows}")


def _cut(export: Export, cut: Export, *options: str) -> Figures:
    name = "cut"
    with _stage() as stage:
        with stage.produce(cut, name, *options) as producer:
            code, words = producer.wait(PATIENCE_S), producer.words()
        figures = _resumed(stage, export, name, *options)
    figures["exit_code_of_the_cut"] = code
    return _with_broken(
        figures,
        {
            f"exit code {code}": code != RESUMABLE,
            "does not say how to go on": not says_how_to_go_on(name, words),
            "a half report": figures["report_before"],
        },
    )


def disk_full(rows: int) -> Figures:
    """No room for the work file: the run stops, and goes on once there is."""
    export, name = Export(max(rows, FILLING)), "full"
    with _stage() as stage, _small_disk(stage.reports) as free:
        if free is None:
            return {"skipped": "needs root", "broken": []}
        with stage.produce(export, name) as producer:
            wait_until(producer.has_ended, PATIENCE_S, "a full disk")
            code, words = producer.wait(1), producer.words()
        free()
        figures = _resumed(stage, export, name)
    figures |= {"exit_code_of_the_stop": code, "traceback": "Traceback" in words, "last_words": words[-300:]}
    return _with_broken(figures, {f"exit code {code}": code != RESUMABLE, "a traceback": "Traceback" in words})


def _slowly(rows: int) -> str:
    """A pace at which two seconds are left for what is to happen when a third of the rows is issued."""
    return f"--throttle={rows / 3:g}"


def says_how_to_go_on(name: str, words: str) -> bool:
    """Whether a producer's last words name the command that goes on."""
    return bool(re.search(rf"go on with migrate SOURCE --name {name} .*--resume$", words.rstrip()))


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Callable[[], object] | None]:
    """A disk of a few kilobytes; what makes it large. None where we may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def _stage() -> Iterator[Stage]:
    with Stage({"IMP_RATE_PER_S": RATE}) as stage:
        stage.start_workers()
        yield stage


def _resumed(stage: Stage, export: Export, name: str, *options: str, exit_code: int = ALL) -> Figures:
    """Go on with the whole source, and judge."""
    report_before = stage.report(name).exists()
    with stage.produce(export, name, "--resume", *options) as producer:
        code, words = producer.wait(300), producer.words()
    if not stage.report(name).exists():
        return {"report_before": report_before, "exit_code": code, "broken": [f"no report: {words[-300:]}"]}
    verdict = judge(export, stage.report(name), stage.fake)
    broken = verdict.broken + ([] if code == exit_code else [f"exit code {code} of the run that went on"])
    return {"report_before": report_before, "exit_code": code, **verdict._asdict(), "broken": broken}


def _with_broken(figures: Figures, promises: dict[str, bool]) -> Figures:
    """Figures with the promises that do not hold: those of which it is true that they are broken."""
    found = [words for words, is_broken in promises.items() if is_broken]
    return figures | {"broken": [*figures.get("broken", []), *found]}


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        *(sigint, sigterm, sigterm_while_the_source_is_quiet, quiet_source, ledger, vault, second_run_stopped),
        *(second_run_with_repeats, vault_away_at_the_start, sigterm_while_reporting, sigkill_while_reporting),
        *(suspended, cut_in_a_line, cut_between_lines, disk_full),
    )
}
