"""Logs: structlog for our lines, the same form for everybody else's; JSON unless somebody watches.

Must never be given a request, a card or an answer: what is logged is named, field by field, where it happens, and
libraries that are given them say nothing at any level. Should somebody else's line hold one all the same, it is
redacted: the last thing that happens to every line.
"""

import atexit
import logging
import os
import select
import sys
import threading
import time
from logging.handlers import QueueHandler
from queue import Full, Queue
from types import TracebackType

import structlog
from structlog.typing import EventDict, Processor

from .redaction import Redacting, redact

NOISY = (
    "celery.worker.strategy",
    "celery.app.trace",
)  # a line at receipt and one at the end of each task; ours says more
# These may quote what i'mport or a broker sent (urllib3 warns with the lines of a header that it cannot read), the last
# one OTEL_EXPORTER_OTLP_HEADERS, which may hold a password.
SILENT = ("urllib3", "requests", "http", "kombu", "amqp", "opentelemetry.util.re")
LINES_LIMIT, FLUSH_S = 10_000, 2.0


class _Stderr(logging.Handler):
    """Standard error, without the locks of Python's stream and handler: no process ends while a thread has one."""

    def createLock(self) -> None:  # noqa: N802 — logging's
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        data = (self.format(record) + "\n").encode(errors="backslashreplace")
        while data:
            try:
                data = data[os.write(2, data) :]
            except BlockingIOError:  # whoever shares it has made it so
                select.select([], [2], [], 1.0)


class Unhurried(QueueHandler):
    """Lines go out from a thread of their own: a reader that stalls must not stop workers. What it misses is counted.

    Args:
        target: writes the lines.
    """

    def __init__(self, target: logging.Handler) -> None:
        self._lines: Queue[logging.LogRecord] = Queue(LINES_LIMIT)
        super().__init__(self._lines)
        self._missed = 0
        self._thread = threading.Thread(target=self._run, args=(target,), name="logs", daemon=True)
        self._thread.start()
        atexit.register(self._flush)

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put a finished line in, unless there are too many."""
        try:
            self._lines.put_nowait(record)
        except Full:
            self._missed += 1

    def _run(self, target: logging.Handler) -> None:
        while True:
            record = self._lines.get()
            try:
                target.handle(record)
                if self._missed and self._lines.empty():
                    record.msg = f"{self._missed} lines were lost: nobody read them"
                    target.handle(record)
                    self._missed = 0
            except Exception:  # noqa: BLE001 — a full disk, a reader that is gone: later lines may find one
                self._missed += 1
            self._lines.task_done()

    def _flush(self) -> None:
        end = time.monotonic() + FLUSH_S
        while self._lines.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.01)


def _redacted(_logger: object, _name: str, line: EventDict) -> EventDict:
    """Redact others' lines before a renderer escapes them, too: what is escaped is harder to tell."""
    return {name: redact(value) if isinstance(value, str) else value for name, value in line.items()}


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None:
        logging.getLogger("uncaught").critical("uncaught", exc_info=(kind, error, trace))


def _quieten() -> None:
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SILENT:
        silent = logging.getLogger(name)
        silent.setLevel(logging.CRITICAL + 1)
        silent.handlers[:] = [logging.NullHandler()]  # those below may have levels of their own: they end here
        silent.propagate = False


def set_up_logs(level: int = 0) -> None:
    """Send every log line to stderr.

    Args:
        level: of the root logger; 0 for INFO.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    last: Processor = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():  # plain: rich would show the locals of every frame
        last = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    handler = Unhurried(_Stderr())
    lines = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, _redacted],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )
    handler.setFormatter(Redacting(lines))
    logging.raiseExceptions = False  # else a line that cannot be made is printed, arguments and all
    sys.excepthook = _log_uncaught
    logging.captureWarnings(True)  # else a warning is written by the thread that made it
    threading.excepthook = lambda caught: _log_uncaught(caught.exc_type, caught.exc_value, caught.exc_traceback)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level or logging.INFO)
    _quieten()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
