"""Clocks that step: the stores' servers run under libfaketime, which lets them see another time from one moment on.

Needs libfaketime (Debian: ``faketime``).
"""

import threading
import time
from pathlib import Path
from typing import Any

from tests.chaos.judge import collect, judge
from tests.chaos.stage import Stage
from tests.fake_iamport import Fault
from tests.servers import RedisServer, wait_until

LIBRARIES = "/usr/lib/*/faketime/libfaketime.so.1"
STEPS_S = (8, -8, 600, -600, 7200, -7200)
OLDER_S = 300.0
ISSUES = "POST /subscribe/customers/"


class SteppingClock:
    """The clock of one server; nobody else's.

    Args:
        server: not started yet, or killed.
    """

    def __init__(self, server: RedisServer) -> None:
        self._file, self._ahead_s = server.folder / "clock", 0
        self.step(0)
        library = next(Path("/").glob(LIBRARIES.lstrip("/")), None)
        if library is None:
            raise SystemExit("No libfaketime: install Debian's package faketime.")
        server.prefix = [
            *("env", f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={self._file}"),
            *("FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"),
        ]

    def step(self, seconds: int) -> None:
        """From now on it is so much further ahead, or behind."""
        self._ahead_s += seconds
        self._file.write_text(f"{self._ahead_s:+d}")


def clocks(jobs: int, seed: int) -> dict[str, Any]:
    """Each store's clock stepping under load, also between a POST and its look-up.

    Args:
        jobs: enqueued around each step; an older card of each customer was stored 300 s before.
    """
    waits = {}
    with Stage(seed, deadline_s=300, IMP_RATE_PER_S="100", LOOK_UP_FOR_S="8") as stage:
        servers = {"ledger": stage.stack.queue, "vault": stage.stack.vault}
        for server in servers.values():
            server.kill()
        clock_of = {name: SteppingClock(server) for name, server in servers.items()}
        for server in servers.values():
            server.start()
        stage.start_workers(2)
        steps = [(store, step) for store in servers for step in STEPS_S]
        uids = [f"step{number}_{i}" for number in range(len(steps)) for i in range(jobs)]
        stage.issue_in_turn(iter(uids))
        stage.wait_for_the_end(60)
        stage.fake.clock_offset_s += OLDER_S
        stage.fake.add_fault(Fault("latency", ISSUES, latency_s=(0.2, 2.0), seed=seed))
        stage.fake.add_fault(Fault("lost_answer", ISSUES, probability=0.2, seed=seed + 1))
        for number, (store, step) in enumerate(steps):
            stage.issue_in_turn(uid for uid in uids if uid.startswith(f"step{number}_"))
            time.sleep(stage.random.uniform(0.2, 1.0))
            waits[f"{store} {step:+d}"] = _step(stage, clock_of[store], step)
        stage.wait_for_the_end(400)
        outcomes = collect(stage.queue, stage.sent)
        verdict = judge(stage.sent, outcomes, stage.fake)
    return {"jobs": len(stage.sent), "first_call_after_s": waits, **verdict._asdict()}


def _step(stage: Stage, clock: SteppingClock, seconds: int) -> float:
    """Step, and give how long the next POST of a new job took to come."""
    clock.step(seconds)
    began, uid = time.monotonic(), f"after_{time.monotonic_ns()}"
    enqueueing = threading.Thread(target=stage.issue_in_turn, args=(iter([uid]),))
    enqueueing.start()
    wait_until(lambda: stage.fake.count("POST", f"/subscribe/customers/{uid}"), 120, "a call after the step")
    enqueueing.join()
    return round(time.monotonic() - began, 2)
