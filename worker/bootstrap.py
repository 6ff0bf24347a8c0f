"""Assembly: the parts of a worker, put together once per process from its settings."""

import os
import secrets
import threading
from functools import cache, partial
from typing import NamedTuple

import structlog

from producer.runtime.key_file import KeyFileError, WatchedFile
from producer.runtime.redis_store import Stores
from worker import metrics
from worker.errors import SettingsError
from worker.events import TaskEvents
from worker.iamport.client import IamportClient
from worker.issuance import Issuance
from worker.keys.from_command import CommandKeys
from worker.keys.opening import Opener, OpeningKeys, ProducerKeys
from worker.ledger import Ledger
from worker.look_up import LookUps
from worker.open_jobs import OpenJobs
from worker.rate_limit import SharedRate
from worker.reconciliation import Reconciler
from worker.settings import WorkerSettings
from worker.token_cache import TokenCache

PROCESS = f"{os.getpid()}-{secrets.token_hex(4)}"  # names this process in the ledger: a sign of life, and what it holds

log = structlog.get_logger()


class Worker(NamedTuple):
    """The parts that the tasks and the sweeper of this process share."""

    ledger: Ledger
    open_jobs: OpenJobs
    issuance: Issuance
    reconciler: Reconciler
    events: TaskEvents
    stopping: threading.Event
    rate_per_s: float


def open_keyrings(settings: WorkerSettings) -> Opener:
    """Both keyrings of a worker.

    Raises:
        SettingsError: a key file is missing or unusable.
    """

    def tell(error: KeyFileError) -> None:
        log.error("changed key file not used, the keys in force stay", problem=str(error))

    try:
        command = settings.opening_keys_command
        return Opener(
            CommandKeys(command, on_error=tell)
            if command
            else WatchedFile(settings.opening_keys_file, OpeningKeys.load, on_error=tell),
            WatchedFile(settings.producer_keys_file, ProducerKeys.load, on_error=tell),
        )
    except KeyFileError as error:
        raise SettingsError(str(error)) from None


def iamport_client(settings: WorkerSettings) -> IamportClient:
    """The client of i'mport as the settings say."""
    return IamportClient(
        settings.imp_api_url,
        auth_style=settings.imp_auth_style,
        connect_timeout_s=settings.imp_connect_timeout_s,
        read_timeout_s=settings.imp_read_timeout_s,
        ca_file=str(settings.imp_ca_file) if settings.imp_ca_file else None,
        proxy_url=settings.imp_proxy_url,
    )


def token_cache(settings: WorkerSettings, iamport: IamportClient, vault: Stores) -> TokenCache:
    """The shared token, as the settings say."""
    login = partial(iamport.login, settings.imp_key, settings.imp_secret)
    return TokenCache(settings.imp_key, settings.imp_secret, login=login, vault=vault)


def assemble(settings: WorkerSettings) -> Worker:
    """A worker's parts.

    Raises:
        SettingsError: a key file is missing or unusable.
    """
    opener = open_keyrings(settings)
    iamport = iamport_client(settings)
    vault = Stores(settings.vault_url, "vault")
    ledger_links = Stores(settings.ledger_url, "ledger")
    applied_kept_s = settings.applied_kept_days * 86400
    ledger = Ledger(
        ledger_links,
        vault,
        call_deadline_s=iamport.call_deadline_s,
        doubt_s=settings.look_up_for_s,
        applied_kept_s=applied_kept_s,
    )
    tokens = token_cache(settings, iamport, vault)
    rate = SharedRate(vault, settings.imp_rate_per_s)
    stopping = threading.Event()
    issuance = Issuance(ledger, rate, opener, tokens, iamport, pause=lambda seconds: not stopping.wait(seconds))
    reconciler = Reconciler(ledger, rate, tokens, LookUps(rate, tokens, iamport), stopping)
    # The sweeper's commands are timed for all: twice a second, a write to the ledger among them; a job's would cost it.
    timed = (
        Stores(url, name, metrics.STORE_SECONDS.labels(name).observe)
        for name, url in (("ledger", settings.ledger_url), ("vault", settings.vault_url))
    )
    open_jobs = OpenJobs(*timed, applied_kept_s=applied_kept_s)
    return Worker(ledger, open_jobs, issuance, reconciler, TaskEvents(), stopping, settings.imp_rate_per_s)


@cache
def this_worker() -> Worker:
    """The worker of this process, as its environment says."""
    return assemble(WorkerSettings.from_env())
