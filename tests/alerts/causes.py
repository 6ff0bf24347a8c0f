"""Causes: what goes wrong, which alerts it fires, and what an operator's commands say of it meanwhile."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from producer import Card
from producer.contract import redis_keys
from producer.contract.job import INTERACTIVE
from tests.alerts.stage import Stage
from tests.fake_iamport import CARDS, Fault
from tests.servers import wait_until

FILLER = "filler"
NEARLY_FULL = 0.74
NO_WORKER = "note  worker: none is at work"


class Look(NamedTuple):
    """A command of the runbook, and a pattern of what it must print."""

    command: str
    pattern: str

    def tried(self, stage: Stage, words: str) -> str:
        """Words on a command that does not say what it should, else none."""
        said = stage.run(*self.command.format(words).split())
        return "" if re.search(self.pattern, said) else f"{self.command}: {said}"


class Trouble(Protocol):
    """What goes wrong, for as long as the block takes; gives words for ``{}`` in the commands."""

    __name__: str

    def __call__(self, stage: Stage) -> AbstractContextManager[str]: ...


class Cause(NamedTuple):
    """See the module."""

    trouble: Trouble
    alerts: tuple[str, ...]
    looks: tuple[Look, ...] = ()


def fault(*faults: Fault) -> Trouble:
    """Trouble at i'mport."""

    @contextlib.contextmanager
    def trouble(stage: Stage) -> Iterator[str]:
        for one in faults:
            stage.fake.add_fault(one)
        yield ""
        stage.fake.clear_faults()

    trouble.__name__ = ", ".join(one.kind for one in faults)
    return trouble


@contextlib.contextmanager
def many_declined(stage: Stage) -> Iterator[str]:
    time.sleep(40)  # a day is 24 minutes here: what is usual must be known
    stage.declined_part = 0.9
    yield ""
    stage.declined_part = 0.1


@contextlib.contextmanager
def no_contract(stage: Stage) -> Iterator[str]:
    for number in range(3):
        stage.queue.issue(customer_uid=f"gildong_{number}", card=Card(**CARDS["no_contract"].fields()))
    yield ""


@contextlib.contextmanager
def payment_in_doubt(stage: Stage) -> Iterator[str]:
    stage.fake.add_fault(Fault("reset", "/payments/"))
    stage.fake.add_fault(Fault("lost_answer", "POST /subscribe/payments/onetime", times=1))
    card = Card(**CARDS["visa"].fields())
    job = stage.queue.onetime(merchant_uid="doubtful", amount=1000, name="tea", card=card, deadline_s=20)
    stage.queue.wait(job.job_id, 240)
    stage.fake.clear_faults()
    yield job.job_id
    stage.stack.ledger.zadd(redis_keys.IN_DOUBT, {job.job_id: time.time()})  # it is asked about now, not in 10 minutes


@contextlib.contextmanager
def a_customer_without_key(stage: Stage) -> Iterator[str]:
    job = stage.queue.issue(customer_uid="cheolsu", card=Card(**CARDS["wrong_password"].fields()))
    stage.queue.wait(job.job_id, 240)
    yield job.job_id


@contextlib.contextmanager
def foreign_message(stage: Stage) -> Iterator[str]:
    stage.stack.queue.client(0).lpush(INTERACTIVE, "sesame")
    yield ""


@contextlib.contextmanager
def killed_process(stage: Stage) -> Iterator[str]:
    os.kill(stage.worker.consumers()[0], signal.SIGKILL)
    yield ""


@contextlib.contextmanager
def no_worker(stage: Stage) -> Iterator[str]:
    stage.worker.stop()
    yield ""
    stage.worker.log.write_bytes(b"")
    stage.worker.start()


@contextlib.contextmanager
def still_workers(stage: Stage) -> Iterator[str]:
    stage.fake.add_fault(Fault("server_error", "POST /subscribe/customers/"))  # jobs that wait, and come due
    time.sleep(3)
    stopped = stage.worker.consumers()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    yield ""
    stage.fake.clear_faults()
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def ledger_away(stage: Stage) -> Iterator[str]:
    stage.stack.queue.kill()
    yield ""
    stage.stack.queue.start()


@contextlib.contextmanager
def ledger_nearly_full(stage: Stage) -> Iterator[str]:
    admin = stage.stack.ledger
    memory = admin.info("memory")
    admin.setrange(FILLER, int(memory["maxmemory"] * NEARLY_FULL - memory["used_memory"]), b"x")
    yield ""
    admin.delete(FILLER)


@contextlib.contextmanager
def refused_login(stage: Stage) -> Iterator[str]:
    stage.fake.add_fault(Fault("refuse_login"))
    stage.fake.expire_tokens()
    stage.stack.vault.client().delete(*stage.stack.vault.client().keys(redis_keys.TOKEN + "*"))
    yield ""
    stage.fake.clear_faults()


@contextlib.contextmanager
def slow_receiver(stage: Stage) -> Iterator[str]:
    stage.receiver.hold_s = 12.0
    yield ""
    stage.receiver.hold_s = 0.0


@contextlib.contextmanager
def receiver_gone(stage: Stage) -> Iterator[str]:
    stage.receiver.status = 410
    wait_until(lambda: stage.stack.ledger.zcard(redis_keys.WEBHOOK_FAILED), what="a delivery that was given up")
    stage.receiver.status = 204
    yield ""
    stage.run("producer", "webhooks", "resend", "--all")


@contextlib.contextmanager
def paused_migration(stage: Stage) -> Iterator[str]:
    with stage.migration():
        stage.run("producer", "migrate", "pause", "spring")
        yield ""
        stage.run("producer", "migrate", "resume", "spring")


CAUSES = (
    Cause(
        a_customer_without_key,
        (),
        (Look("worker jobs --customer-uid cheolsu", "declined"), Look("worker trace {}", "F113")),
    ),
    Cause(many_declined, ("BillingDeclinedJump",), (Look("worker jobs --status declined", "F112"),)),
    Cause(no_contract, ("BillingOutcomesNeedYou",), (Look("worker jobs --status misconfigured", "gildong_0"),)),
    Cause(
        payment_in_doubt,
        ("BillingOutcomesNeedYou",),
        (Look("worker jobs --status in_doubt", "doubtful"), Look("worker trace {} --look-up", "paid")),
    ),
    Cause(foreign_message, ("BillingForeignMessages",)),
    Cause(
        ledger_nearly_full,
        ("BillingStoreNearlyFull",),
        (Look("worker doctor --without-login", r"ledger: .* 7\d% full"),),
    ),
    Cause(
        slow_receiver,
        ("BillingWebhooksBehind", "BillingWebhooksFail"),
        (Look("producer webhooks list", "waiting"),),
    ),
    Cause(receiver_gone, ("BillingWebhooksGivenUp",), (Look("producer webhooks list", '"answer"'),)),
    Cause(
        paused_migration,
        ("BillingMigrationHeld",),
        (Look("producer migrate throttle spring 5", "noted"), Look("producer migrate status spring", "pause")),
    ),
    Cause(fault(Fault("latency", "POST /subscribe/", latency_s=12.0)), ("BillingIamportSlow",)),
    Cause(
        fault(Fault("rate_limit", "POST /subscribe/", retry_after_s=1)),
        ("BillingThrottled",),
        (Look("worker jobs --waiting", "429"),),
    ),
    Cause(refused_login, ("BillingLoginFails",), (Look("worker doctor", "FAIL  i'mport login"),)),
    Cause(
        fault(Fault("reset", "/")),
        ("BillingIamportDown", "BillingIamportTrouble"),
        (Look("worker jobs --waiting", "i'mport"), Look("worker doctor", "FAIL  i'mport login")),
    ),
    Cause(killed_process, ("BillingProcessDied",)),
    Cause(
        still_workers,
        ("BillingNothingTaken", "BillingJobsStuck", "BillingJobsOverdue"),
        (Look("worker jobs", "no worker has taken it yet"), Look("worker doctor --without-login", NO_WORKER)),
    ),
    Cause(no_worker, ("BillingProgramGone",), (Look("worker doctor --without-login", NO_WORKER),)),
    Cause(
        ledger_away, ("BillingStoreAway", "BillingPageFails"), (Look("worker doctor --without-login", "FAIL  ledger"),)
    ),
)
