"""The usual way: a Celery task of a few lines on i'mport's own client, in an environment of its own.

The card lies in the queue as it is; each task asks for a token of its own; nothing is retried.
"""

import json
import subprocess
import time
import venv
from pathlib import Path

from tests.bench.measurement import WARM_UP, Run, wait_for
from tests.bench.stage import THREADS, Stage
from tests.fake_iamport import made_up
from tests.servers import ROOT

HOME = ROOT / ".venv" / "usual"
PACKAGES = ("celery[redis]==5.7.0", "redis==8.1.0", "iamport-rest-client==0.9.0")
DEFAULT, AS_MANY_THREADS = (), ("-P", "threads", "-c", str(THREADS))
SHOP = """
import json, os, sys
from celery import Celery
from iamport import Iamport

app = Celery("shop", broker=os.environ["BROKER_URL"], backend=os.environ["LEDGER_URL"])


@app.task(name="shop.register")
def register(customer_uid, card):
    client = Iamport(imp_key="bench", imp_secret="bench", imp_url=os.environ["IMP_API_URL"] + "/")
    return client.customer_create(customer_uid=customer_uid, pg="nice", **card)


if __name__ == "__main__":
    for number, card in enumerate(json.load(sys.stdin)):
        register.delay(f"bench-{number}", card)
"""


def python() -> Path:
    """The environment's interpreter; the environment is made at the first use."""
    program = HOME / "bin" / "python"
    if not (HOME / "ready").exists():
        venv.create(HOME, with_pip=True, clear=True)
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([program, "-m", "pip", "install", *quiet, *PACKAGES], check=True, timeout=300)
        (HOME / "ready").touch()
    return program


def run_usual(stage: Stage, jobs: int, options: tuple[str, ...], latency_ms: int) -> Run:
    """Register cards the usual way; one process for each core, unless ``options`` say otherwise."""
    program, folder = str(python()), stage.stack.folder / "usual"
    folder.mkdir(exist_ok=True)
    (folder / "shop.py").write_text(SHOP)
    environ = {**stage.stack.stores("admin"), "IMP_API_URL": stage.upstreams[latency_ms]}

    def publish(count: int) -> float:
        began = time.monotonic()
        cards = json.dumps([made_up(number) for number in range(count)]).encode()
        subprocess.run([program, "shop.py"], cwd=folder, env=environ, input=cards, check=True, timeout=120)
        return time.monotonic() - began

    warm_up = WARM_UP if options else 8
    command = ["-m", "celery", "-A", "shop", "worker", "--without-gossip", "--without-mingle", *options]
    with stage.workers(
        command, user="admin", latency_ms=latency_ms, program=program, PYTHONPATH=str(folder)
    ) as workers:
        workers.processes = 0  # its pool's are counted, too
        publish(warm_up)
        wait_for(workers, stage.ledger.dbsize, warm_up)
        workers.pause()
        took_s, cpu_s, began = publish(jobs), workers.cpu_s(), time.monotonic()
        workers.resume()
        wait_for(workers, stage.ledger.dbsize, warm_up + jobs)
        cpu_s, elapsed_s = workers.cpu_s() - cpu_s, time.monotonic() - began
    return Run(1000 * cpu_s / jobs, jobs / elapsed_s, jobs / took_s)
