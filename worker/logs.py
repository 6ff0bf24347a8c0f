"""Logs: structlog for our lines, the same form for everybody else's; JSON unless somebody watches.

Must never be given a request, a card or an answer: what is logged is named, field by field, where it happens. Should
somebody else's line hold one all the same, it is redacted: the last thing that happens to every line.
"""

import logging
import sys

import structlog
from structlog.typing import Processor

from producer.contract.secrecy import Redacting

NOISY = (
    "celery.worker.strategy",
    "celery.app.trace",
)  # a line at receipt and one at the end of each task; ours says more


def set_up_logs(level: int) -> None:
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
    last: Processor = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    lines = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )
    handler.setFormatter(Redacting(lines))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level or logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
