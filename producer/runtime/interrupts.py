"""Ctrl-C while a program starts: it ends, without the traceback of whatever it was importing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # what a shell makes of SIGINT


@contextmanager
def ending_quietly() -> Iterator[None]:
    """Within the block, which imports, Ctrl-C ends this process at once; where SIGINT is ignored it stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        yield
        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        yield
