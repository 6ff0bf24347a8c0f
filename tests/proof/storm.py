"""The storm: jobs of all kinds into the stack of containers, while a worker and twice the ledger are killed.

Judged by what the fake i'mport applied, by what the ledger holds and by what came out by webhook.
"""

import json
import random
import subprocess
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from producer import Outcome
from tests.chaos.judge import Sent, judge
from tests.chaos.scenarios import trouble
from tests.fake_iamport import CARDS, numbered
from tests.proof.containers import Broken, ContainedFake, Project, labelled
from tests.proof.promises import Promises

PER_S, SEED, DECLINED, ONE_IN_IS_PAID = 25.0, 1, 0.1, 6
AWAY_S, OUTCOMES_WITHIN_S, DELIVERED_WITHIN_S = 2, 900, 120
LOOK_UPS = ("/subscribe/customers/", "/payments/find/")


class Storm:
    """One storm.

    Args:
        project: the stack, with the fake i'mport.
        promises: where it is noted what came of it.
        receiver: the container that webhooks are delivered to; it prints what it gets.
        jobs: how many.
    """

    def __init__(self, project: Project, promises: Promises, receiver: str, jobs: int) -> None:
        self._project, self._promises, self._receiver, self._jobs = project, promises, receiver, jobs
        self._fake = ContainedFake(project)

    def run(self) -> None:
        """Enqueue and kill, wait for the outcomes, judge."""
        before = len(self._fake.applied)
        trouble(self._fake, SEED)  # type: ignore[arg-type] # it has the same methods
        requests = list(wanted(self._jobs))
        answers = self._enqueue(requests)
        sent = [
            Sent(job_id, sequence, one.get("customer_uid", ""), one.get("merchant_uid"), one["card"]["card_number"])
            for one, (job_id, sequence) in zip(requests, answers, strict=True)
        ]
        self._promises.tell("  all are accepted; waiting for the outcomes")
        self._judge(sent, before)
        self._see_deliveries({job.job_id for job in sent})
        self._ask_ledger({job.job_id for job in sent})

    def _enqueue(self, requests: list[dict[str, Any]]) -> list[tuple[str, int]]:
        """Enqueue from a container of the producer's image, and kill others meanwhile."""
        quarter = self._jobs // 4
        plan = {quarter: self._kill_worker, 2 * quarter: self._kill_ledger, 3 * quarter: self._kill_ledger}
        file = self._project.folder / "requests"
        file.write_text("\n".join(json.dumps(one) for one in requests))
        answers: list[tuple[str, int]] = []
        with (
            file.open() as stdin,
            self._project.started(*inside(self._project, "enqueue", str(PER_S)), stdin=stdin) as run,
        ):
            for line in self._lines(run):
                answers.append(tuple(json.loads(line)))
                plan.get(len(answers), lambda: None)()
        if run.returncode:
            raise Broken(f"the producer ended with {run.returncode}")
        return answers

    def _lines(self, run: "subprocess.Popen[str]") -> Iterator[str]:
        """What the producer answers, but for its last line."""
        assert run.stdout is not None
        try:
            for line in run.stdout:
                if line.startswith("{"):
                    self._promises.figures |= json.loads(line)
                else:
                    yield line
        except BaseException:
            run.kill()
            raise

    def _kill_worker(self) -> None:
        """For good: nothing starts it again."""
        self._project.docker("kill", "--signal", "KILL", self._project.containers("worker")[1])
        self._promises.count("workers_killed")
        self._promises.tell("  one of the workers is killed, and stays dead")

    def _kill_ledger(self) -> None:
        (ledger,) = self._project.containers("ledger")
        self._project.docker("kill", "--signal", "KILL", ledger)
        time.sleep(AWAY_S)
        self._project.docker("start", ledger)
        self._promises.count("ledger_killed")
        self._promises.tell("  the ledger was killed, and is started again")

    def _judge(self, sent: list[Sent], before: int) -> None:
        """Each job's outcome against what the fake i'mport applied since ``before``."""
        ask = inside(self._project, "outcomes", str(OUTCOMES_WITHIN_S))
        done = self._project.run(*ask, stdin="\n".join(job.job_id for job in sent))
        found = [json.loads(line) for line in done.stdout.splitlines()]
        outcomes = {one["job_id"]: Outcome.model_validate(one) if "status" in one else None for one in found}
        applied = self._fake.applied_since(before)
        customers = {uid: SimpleNamespace(**one) for uid, one in self._fake.customers.items()}
        seen: Any = SimpleNamespace(applied=applied, customers=customers)
        verdict = judge(sent, outcomes, seen)
        for name, count in list(verdict._asdict().items())[:7]:
            self._promises.must(count == 0, f"{name}: {count}")
        payments = sum(job.merchant_uid is not None for job in sent)
        self._promises.figures |= {"jobs": len(sent), "payments": payments, "applied": len(applied)}
        self._promises.figures |= {"look_ups": sum(self._fake.count("GET", path) for path in LOOK_UPS)}
        self._promises.figures |= verdict._asdict()

    def _see_deliveries(self, job_ids: set[str]) -> None:
        """Every outcome arrives by webhook, too."""
        end = time.monotonic() + DELIVERED_WITHIN_S
        while (absent := job_ids - self._delivered()) and time.monotonic() < end:
            time.sleep(1)
        self._promises.figures["webhooks_missing"] = len(absent)
        self._promises.must(not absent, f"{len(absent)} outcomes came by no webhook")

    def _delivered(self) -> set[str]:
        lines = self._project.docker("logs", self._receiver).stdout.splitlines()
        return {json.loads(line)["data"]["job_id"] for line in lines}

    def _ask_ledger(self, job_ids: set[str]) -> None:
        """Each outcome was written once, and the ledger replayed its file; what it refused its users is only told."""
        said = ask_stores(self._project)
        not_once = sum(said["written"].get(job_id, 0) != 1 for job_id in job_ids)
        log = self._project.docker("logs", *self._project.containers("ledger"))
        noperm = (log.stdout + log.stderr).count("NOPERM")
        self._promises.figures |= {"noperm": noperm, "denied": said["denied"], "written_not_once": not_once}
        self._promises.must(noperm == 0, f"{noperm} NOPERM in the ledger's log")
        self._promises.must(not_once == 0, f"{not_once} outcomes were not written once")


def wanted(jobs: int) -> Iterator[dict[str, Any]]:
    """Requests of all kinds: issues, a few for the same customer, payments; some cards will be declined."""
    rng = random.Random(SEED)
    for number in range(jobs):
        is_declined = rng.random() < DECLINED
        card = CARDS["verification_failed" if is_declined else "visa"].fields()
        if not is_declined:
            card["card_number"] = numbered(number)
        request: dict[str, Any] = {"card": card, "idempotency_key": f"proof-{number}"}
        if number % ONE_IN_IS_PAID == 0:
            yield request | {"merchant_uid": f"proof-{number}", "amount": 1000 + number, "name": "proof"}
        else:
            yield request | {"customer_uid": f"pair_{number // 40}" if number % 20 == 1 else f"uid_{number}"}


def inside(project: Project, mode: str, *arguments: str) -> list[str]:
    """The command that runs ``inside.py`` in the producer's image, with the keys of the user ``admin``, too."""
    mounts = (f"{project.folder}/tests/proof/inside.py:/app/inside.py:ro", f"{project.folder}/keys/admin:/admin:ro")
    how = ("run", "--rm", "--no-TTY", "--entrypoint", "python", *(f"--volume={mount}" for mount in mounts))
    return ["docker", "compose", "--progress", "quiet", *how, "producer", "-um", "inside", mode, *arguments]


def ask_stores(project: Project) -> dict[str, Any]:
    """What the stores are, who the workers are to them, what they refused, how often each outcome was written."""
    workers = (one for one in project.everything() if labelled(one) == "worker")
    addresses = (network["IPAddress"] for one in workers for network in one["NetworkSettings"]["Networks"].values())
    said: dict[str, Any] = json.loads(project.run(*inside(project, "stores", *filter(None, addresses))).stdout)
    return said
