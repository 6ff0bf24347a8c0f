"""Session: one process's part in a run, from taking it in hand to its report, or to where another one can go on."""

import contextlib
import os
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from ..billing_queue import BillingQueue
from ..errors import BrokerUnavailable, SettingsError
from . import ledger
from .checked import Checked
from .continuation import WrongState, export_date, run_number, shown
from .ledger import Checkpoint, Control
from .lines import CutOff
from .options import Options, lies_on_a_disk, read
from .pace import Brake, Window
from .progress import Display, Progress
from .report import Failed, Summary, replacing, write_report
from .rows import Reader, key_prefix, rows_to_send
from .run import Run, Stopped, stopped_by_signals
from .sample import spread
from .source import Record
from .work_file import WorkFile

TAKEN_OVER_S = ledger.HELD_FOR_S + 4
AS_OF = "producer: the export is of {}: a card that was applied since stays\n"


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
            True if every row is issued; False also where ``--strict`` sends nothing.

        Raises:
            WrongState, SourceError, WorkFileError: nothing was sent.
            Stopped, CutOff: it can be resumed.
        """
        options, checked = self.options, None if self.options.checked is None else Checked(self.options.checked)
        if options.strict and not _is_clean(checked):
            return False
        source: Iterator[Record] = read(file, options)
        wanted = source if checked is None else checked.judged(source)
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
                options.check_count(work.rows + (checked.passed_over if checked else 0))
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
        checker = options.checker(prefix, deadline_s, as_of)
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
        options = {
            "--only-failed": self.options.failed,
            "--report": self.options.report,
            "--checked": self.options.checked,
        }
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


def _is_clean(checked: Checked | None) -> bool:
    """True if the dry run warned of nothing; else says so."""
    if checked is None:
        raise WrongState("--strict: needs the dry run's report, --checked REPORT")
    if checked.warned:
        click.echo(f"producer: --strict: nothing is sent, since {checked.warned:,} rows have warnings", err=True)
    return not checked.warned
