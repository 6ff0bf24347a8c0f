"""Shared by all commands: a mistake is one line and an exit code, never a traceback; cards only in a locked process."""

import json
import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from ..billing_queue import BillingQueue
from ..contract.errors import ContractError
from ..errors import BrokerUnavailable, SettingsError, UnknownJob
from ..runtime.errors import ProcessError
from ..runtime.lockdown import MemoryNotLocked, lock_down, start_anew_scrubbed
from ..runtime.redaction import Redacting
from ..settings import ProducerSettings, refuse_worker_secrets
from .main import OWN_PROCESS

FAILED, BAD_INPUT, UNKNOWN_JOB = 1, 2, 5  # exit codes; 1 is a store, setting or missing extra
WEB_EXTRA = frozenset(
    {"fastapi", "h11", "httpcore", "limits", "prometheus_client", "starlette", "uvicorn"}
)  # what we import of it


def stop(message: str, code: int) -> NoReturn:
    """End with a line on stderr."""
    click.echo(f"producer: {message}", err=True)
    sys.exit(code)


def plainly(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose errors are one line and an exit code, never a traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 — any command's
        try:
            command(*args, **kwargs)
        except ContractError as error:
            stop(str(error), BAD_INPUT)
        except BrokerUnavailable as error:
            stop(_with_key(error), FAILED)
        except UnknownJob as error:
            stop(str(error), UNKNOWN_JOB)
        except ProcessError as error:
            stop(str(error), FAILED)
        except ModuleNotFoundError as error:
            _stop_without_extra(error)

    return wrapped


def _with_key(error: BrokerUnavailable) -> str:
    """The error's line, with the idempotency key to try again with."""
    return str(error) if error.idempotency_key is None else f"{error} ({error.idempotency_key})"


def _stop_without_extra(error: ModuleNotFoundError) -> NoReturn:
    """Name the extra that the command lacks, by the command's words after ``python -m producer``."""
    if str(error.name).partition(".")[0] not in WEB_EXTRA:
        raise error
    context = click.get_current_context()
    words = context.command_path.removeprefix(context.find_root().command_path).strip()
    stop(f'{words} needs the extra "web": pip install "iamport-billing[web]"', FAILED)


def before_cards() -> None:
    """Lock this process down, if it is one of its own: the test suite calls commands in its."""
    if click.get_current_context().find_root().obj is OWN_PROCESS:
        _lock_down()


def _lock_down() -> None:
    """Start anew with a scrubbing allocator, lock the memory, warn of what does not hold."""
    start_anew_scrubbed()
    try:
        is_required = ProducerSettings.from_env().require_locked_memory
    except SettingsError:  # the command itself will say
        is_required = False
    try:
        problems = lock_down(require_locked_memory=is_required)
    except MemoryNotLocked as problem:
        stop(f"REQUIRE_LOCKED_MEMORY: {problem}", FAILED)
    for line in problems:
        click.echo(f"producer: warning: {line}", err=True)


def log_to_stderr() -> None:
    """Send every log line to stderr, redacted."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def read_settings() -> ProducerSettings:
    """The settings of the environment, in a process that holds no worker's secret."""
    refuse_worker_secrets()
    return ProducerSettings.from_env()


def open_queue() -> BillingQueue:
    """The queue that :func:`read_settings` says."""
    return BillingQueue(read_settings())


def print_json(members: dict[str, Any]) -> None:
    """One line of JSON, with escapes for what a terminal would obey: whoever writes to the ledger may put it there."""
    text = json.dumps(members, ensure_ascii=False)
    click.echo("".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text))
