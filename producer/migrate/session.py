"""Session: one process's part in a run, from taking it in hand to its report, or to where another one can go on."""

import contextlib
import os
import shlex
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import click

from ..billing_queue import BillingQueue
from ..errors import BrokerUnavailable, SettingsError
from . import ledger
from .continuation import WrongState, export_date, run_number, shown
from .ledger import Checkpoint, Control
from .pace import Brake, Window
from .progress import Display, Progress, counted
from .report import DryRun, Failed, Summary, replacing, write_report
from .rows import Checker, Reader, key_prefix, rows_to_send
from .run import Run, Stopped, stopped_by_signals
from .sample import spread
from .source import CutOff, Record, SourceError, records
from .work_file import WorkFile

TAKEN_OVER_S = ledger.HELD_FOR_S + 4
AS_OF = "producer: the export is of {}: a card that was applied since stays\n"


@dataclass(frozen=True)
class Options:
    """The command's options; see its help.

    Args:
        failed: the report of an earlier run.
        form: ``csv``, ``jsonl`` or None.
        names: our field by the export's column.
        expected: rows.
        as_of: when the export was made, in words.
        sample: so many rows, and no more.
        stop_at: per cent of the last outcomes that may be declined.
    """

    resume: bool
    failed: Path | None
    report: Path | None
    form: str | None
    names: Mapping[str, str]
    encoding: str
    expiry_format: str
    pg: str | None
    channel_key: str | None
    expected: int | None
    deadline_s: float | None
    window: int
    throttle: float | None
    memory_mark: float
    accept_unterminated: bool
    as_of: str | None
    sample: int | None
    stop_at: float

    @property
    def defaults(self) -> dict[str, str]:
        """Request fields for rows that do not say."""
        given = {"pg": self.pg, "channel_key": self.channel_key}
        return {name: value for name, value in given.items() if value is not None}

    def check_count(self, rows: int) -> None:
        """Compare with ``--rows``.

        Raises:
            CutOff: the row count differs.
        """
        if self.expected not in (None, rows):
            raise CutOff(f"{self.expected:,} rows were expected, {rows:,} came")


def read(file: BinaryIO, options: Options) -> Iterator[Record]:
    """The source's records, of which there is one at least.

    Raises:
        SourceError: an option or the header does not hold, or there are no rows.
    """
    found = records(
        file,
        is_json=None if options.form is None else options.form == "jsonl",
        encoding=options.encoding,
        names=options.names,
        must_end=not (options.accept_unterminated or lies_on_a_disk(file)),
    )
    for first in found:
        return chain(iter([first]), found)  # an iterator lets go of it; a list would keep its card to the end
    raise SourceError("the source has a header and no rows")


def look(file: BinaryIO, options: Options) -> bool:
    """A dry run.

    Returns:
        True if every row would be sent.

    Raises:
        SourceError, CutOff, OSError: of the source, of the report.
    """
    checker = Checker(time.time, options.expiry_format, options.defaults)
    found = read(file, options)
    with Path(os.devnull).open("w") if options.report is None else replacing(options.report) as report:
        tally = DryRun.of(map(checker.check, counted(found)), time.time(), report)
    click.echo(tally.text())
    options.check_count(tally.rows)
    return not tally.bad


@dataclass
class Session:
    """One process's part in a run.

    Args:
        queue, control: where jobs go, and the migration in the ledger.
        name, options: of the migration, of the command.
        progress: where the run is, once it has begun.
    """

    queue: BillingQueue
    control: Control
    name: str
    options: Options
    progress: Progress | None = None

    def migrate(self, file: BinaryIO) -> bool:
        """Run to the end.

        Returns:
            True if every row is issued.

        Raises:
            WrongState, SourceError, WorkFileError: nothing was sent.
            Stopped, CutOff: it can be resumed.
        """
        options, wanted = self.options, read(file, self.options)
        expected, failed = options.expected, None
        if options.failed is not None:
            failed = Failed(options.failed)
            expected, wanted = len(failed), filter(failed.has, wanted)
        number, as_of = self._number(failed), self._export_date(file)
        warnings = self._warnings()
        work = self._work_file(number)
        self._take(number, as_of)
        click.echo(f"{warnings}{AS_OF.format(shown(as_of))}", err=True, nl=False)
        progress = self.progress = Progress(self.name, number, expected)
        with self._ending_well(work, progress), stopped_by_signals() as is_stopping:
            self._run(work, progress, wanted, is_stopping, as_of)
            self._stop_after_sample(work)
            if failed is None:
                options.check_count(work.rows)
            return self._finish(work, progress)

    def _number(self, failed: Failed | None) -> int:
        known = self._free()
        number = run_number(self.name, known, is_resume=self.options.resume, is_again=failed is not None)
        if failed is not None and known is not None and not failed.is_of(self.name, number - 1):
            raise WrongState(f"{self.options.failed} is not the report of run {number - 1}, which was the last one")
        return number

    def _free(self) -> Checkpoint | None:
        """The ledger's checkpoint, once no other process runs the migration; a killed one holds it a while."""
        until = time.monotonic() + (TAKEN_OVER_S if self.options.resume else 0)
        while (known := self.control.checkpoint()) is not None and known.is_held:
            if time.monotonic() >= until:
                raise WrongState(f"{self.name} is run by another process")
            time.sleep(0.5)
        return known

    def _export_date(self, file: BinaryIO) -> int:
        changed_at = os.fstat(file.fileno()).st_mtime if lies_on_a_disk(file) else None
        return export_date(self.options.as_of, self.control.checkpoint(), self.control.now(), changed_at)

    def _take(self, number: int, as_of: int) -> None:
        fields: dict[str, str | int] = {"run": number, "state": ledger.RUNNING, "as_of": as_of}
        if not self.options.resume:
            fields |= {"asked": ledger.RUN, "throttle": "", "progress": "{}"}
        if self.options.throttle:
            fields["throttle"] = repr(self.options.throttle)
        if not self.control.tick(fields).is_ours:
            raise WrongState(f"{self.name} is run by another process")

    def _warnings(self) -> str:
        unlimited = (store for store, used in self.control.memory_used().items() if used is None)
        words = "producer: warning: the {} has no maxmemory, so it has no --memory-mark\n"
        return "".join(map(words.format, unlimited))

    def _work_file(self, number: int) -> WorkFile:
        run = f"run{number}." * (number > 1)
        report = self.options.report or Path(f"{self.name}.{run}report.csv")
        words = "is there already; move it away, or name another --report"
        if report.exists() and not self.options.resume:
            raise WrongState(f"{report} {words}")
        work = WorkFile(report.with_name(report.name + ".partial"), self.name, number)
        if work.rows and not self.options.resume:
            work.close()
            raise WrongState(f"{work.path} {words}")
        return work

    def _run(
        self, work: WorkFile, progress: Progress, wanted: Iterable[Record], is_stopping: Callable[[], bool], as_of: int
    ) -> None:
        options = self.options
        deadline_s = options.deadline_s or self.queue.settings.job_deadline_s
        prefix = key_prefix(self.name, progress.run)
        checker = Checker(time.time, options.expiry_format, options.defaults, prefix, deadline_s, as_of)
        window = Window(deadline_s, options.window, time.monotonic())
        rows = rows_to_send(wanted, checker, iter(work))
        reader = Reader(rows if options.sample is None else spread(rows, options.sample))
        mark, brake = options.memory_mark / 100, Brake(options.stop_at)
        with Display() as display:
            reader.start()
            Run(self.queue, self.control, work, window, brake, progress, mark, display.show, is_stopping).go(reader)

    def _stop_after_sample(self, work: WorkFile) -> None:
        if self.options.sample is not None:
            click.echo(Summary(f"{self.name}, a sample", work).text())
            raise Stopped("the sample is sent")

    @contextlib.contextmanager
    def _ending_well(self, work: WorkFile, progress: Progress) -> Iterator[None]:
        """Whatever ends it early leaves what another process can go on with."""
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                work.close()
            with contextlib.suppress(BrokerUnavailable, SettingsError):
                self.control.tick({"state": ledger.STOPPED, "progress": progress.json()}, lease_s=0)
            if isinstance(error, Stopped | CutOff | BrokerUnavailable | sqlite3.Error):
                kind = CutOff if isinstance(error, CutOff) else Stopped
                more = getattr(error, "more", "")
                raise kind(f"{error}; rows read so far: {work.rows:,}; go on with {self._again()}{more}") from None
            raise

    def _again(self) -> str:
        """The command that goes on."""
        options = {"--only-failed": self.options.failed, "--report": self.options.report}
        given = [f" {name} {shlex.quote(str(path))}" for name, path in options.items() if path is not None]
        return f"migrate SOURCE --name {self.name}{''.join(given)} --resume"

    def _finish(self, work: WorkFile, progress: Progress) -> bool:
        """Write the report and the summary, and say so in the ledger."""
        work.commit()
        summary, report = Summary(f"{progress.name}, run {progress.run}", work), work.path.with_suffix("")
        beside = {
            report.with_suffix(".summary.txt"): summary.text(),
            report.with_suffix(".summary.html"): summary.page(),
        }
        try:
            write_report(report, work)
            for path, text in beside.items():
                with replacing(path) as file:
                    file.write(text)
        except OSError as error:
            raise Stopped(f"{report}: {error.strerror}") from None
        asked = self.control.tick({}).asked
        state = ledger.CANCELLED if asked == ledger.CANCEL else ledger.DONE
        self.control.tick({"state": state, "progress": progress.json()}, lease_s=0)
        work.remove()
        click.echo(f"{summary.text()}\nReport: {', '.join(map(str, (report, *beside)))}")
        return work.counts["issued"] == work.rows


def lies_on_a_disk(file: BinaryIO) -> bool:
    """True for a regular file, False for a pipe."""
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
