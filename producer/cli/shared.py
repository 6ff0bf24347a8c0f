"""What commands share: a mistake is one line and an exit code, never a traceback; cards only in a locked process."""

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from producer.billing_queue import BillingQueue
from producer.contract.errors import ContractError
from producer.errors import BillingError, BrokerUnavailable, UnknownJob
from producer.runtime.key_file import KeyFileError
from producer.settings import refuse_worker_secrets

UNKNOWN_JOB = 5  # exit codes; 1 a store, setting or missing extra, 2 bad input
WEB_EXTRA = frozenset({"fastapi", "httpcore", "limits", "starlette", "uvicorn"})  # what we import of it


def stop(message: str, code: int) -> NoReturn:
    """End with a line on stderr."""
    click.echo(f"producer: {message}", err=True)
    sys.exit(code)


def plainly(command: Callable[..., None]) -> Callable[..., None]:
    """A user's mistake is one line and an exit code, never a traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 — any command's
        try:
            command(*args, **kwargs)
        except ContractError as error:
            stop(str(error), 2)
        except UnknownJob as error:
            stop(str(error), UNKNOWN_JOB)
        except BrokerUnavailable as error:
            key = "" if error.idempotency_key is None else f" ({error.idempotency_key})"
            stop(f"{error}{key}", 1)
        except (BillingError, KeyFileError) as error:
            stop(str(error), 1)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in WEB_EXTRA:
                raise
            stop(f'{_words()} needs the extra "web": pip install "iamport-billing-key-worker[web]"', 1)

    return wrapped


def _words() -> str:
    """The command that runs, as it was typed after ``python -m producer``."""
    context = click.get_current_context()
    return context.command_path.removeprefix(context.find_root().command_path).strip()


def before_cards() -> None:
    """Lock this process down, if it is one of its own: the test suite calls commands in its."""
    lock_down_process = click.get_current_context().find_root().obj
    if lock_down_process is not None:
        lock_down_process()


def open_queue() -> BillingQueue:
    """The queue of the environment, in a process that holds no worker's secret."""
    refuse_worker_secrets()
    return BillingQueue.from_env()


def print_json(members: dict[str, Any]) -> None:
    """One line of JSON."""
    click.echo(json.dumps(members, ensure_ascii=False))
