"""Worker processes that end or stand still, and how long what they held waits until somebody takes it up."""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import redis

from producer.contract import redis_keys
from producer.contract.job import QUEUES
from tests.chaos.stage import Stage

SETTLED_S = 1.0  # so long after a process was stopped, what others had popped is claimed
STOPS_S = (10.0, 90.0)
GIVEN_UP_ON_S = 120.0
SETS = [redis_keys.FRESH + queue for queue in QUEUES] + [redis_keys.FRONT, redis_keys.COMEBACKS]


class Ends:
    """Ends worker processes one after another, each in one of three ways.

    Args:
        stage: where.
        times: how often.
        over_s: roughly within how many seconds.
    """

    def __init__(self, stage: Stage, times: int, over_s: float) -> None:
        self._stage, self._times, self._over_s = stage, times, over_s
        self.waits: dict[str, list[float]] = {"claimed": [], "popped": []}
        self.ways: list[str] = []
        self._stopped: set[int] = set()
        self._ledger: Any = stage.stack.queue.client(1)
        self._queue: Any = stage.stack.queue.client(0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        rng = random.Random(self._stage.random.random())
        ways = {"SIGKILL": self._kill, "SIGTERM": self._terminate, "SIGSTOP": self._stop}
        with ThreadPoolExecutor(16) as watchers:
            for number in range(self._times):
                time.sleep(rng.uniform(0.5, 1.5) * self._over_s / self._times)
                way = list(ways)[number % len(ways)]
                pid = rng.choice(self._living())
                self.ways.append(way)
                self._end(pid, ways[way], rng.uniform(*STOPS_S), watchers)

    def _living(self) -> list[int]:
        pids = [pid for worker in self._stage.workers for pid in worker.consumers()]
        return [pid for pid in pids if pid not in self._stopped]

    def _end(self, pid: int, end: Callable[[int, float], None], stop_s: float, watchers: ThreadPoolExecutor) -> None:
        os.kill(pid, signal.SIGSTOP)
        at = time.time()
        self._stopped.add(pid)
        claimed = self._claimed_by(pid)
        time.sleep(SETTLED_S)
        popped = self._popped(at)
        watchers.submit(end, pid, stop_s)
        watchers.submit(self._watch, at, claimed, popped)

    def _kill(self, pid: int, _stop_s: float) -> None:
        os.kill(pid, signal.SIGKILL)

    def _terminate(self, pid: int, _stop_s: float) -> None:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)

    def _stop(self, pid: int, stop_s: float) -> None:
        time.sleep(stop_s)
        os.kill(pid, signal.SIGCONT)
        self._stopped.discard(pid)

    def _claimed_by(self, pid: int) -> dict[str, bytes]:
        """Jobs that this process holds, and their leases."""
        now = time.time()
        ids = [one.decode() for one in self._ledger.zrangebyscore(redis_keys.OPEN, now, now + 600)]
        leases = self._each(ids, lambda pipe, job_id: pipe.hget(redis_keys.JOB + job_id, "lease"))
        return {one: lease for one, lease in zip(ids, leases, strict=True) if lease and lease.startswith(b"%d-" % pid)}

    def _popped(self, before: float) -> list[str]:
        """Jobs whose message is in no queue, and that nobody has claimed."""
        lying = {json.loads(one)["headers"]["id"] for queue in QUEUES for one in self._queue.lrange(queue, 0, -1)}
        missing: set[str] = set()
        for key in SETS[:-1]:
            missing |= {one.decode() for one in self._ledger.zrangebyscore(key, 0, before)} - lying
        return list(missing)

    def _watch(self, at: float, claimed: dict[str, bytes], popped: list[str]) -> None:
        """Wait until each is taken up: claimed by another delivery, or finished."""
        open_claimed, open_popped = dict(claimed), set(popped)
        while (open_claimed or open_popped) and time.time() < at + GIVEN_UP_ON_S:
            time.sleep(0.1)
            try:
                open_claimed = self._still_held(open_claimed)
                open_popped = self._still_unclaimed(open_popped)
            except redis.RedisError:
                continue
            since = time.time() - at
            self.waits["claimed"] += [since] * (len(claimed) - len(open_claimed))
            self.waits["popped"] += [since] * (len(popped) - len(open_popped))
            claimed, popped = open_claimed, list(open_popped)
        self.waits["claimed"] += [GIVEN_UP_ON_S] * len(open_claimed)
        self.waits["popped"] += [GIVEN_UP_ON_S] * len(open_popped)

    def _still_held(self, claimed: dict[str, bytes]) -> dict[str, bytes]:
        fields = self._each(list(claimed), lambda pipe, one: pipe.hget(redis_keys.JOB + one, "lease"))
        return {one: lease for (one, lease), now in zip(claimed.items(), fields, strict=True) if now == lease}

    def _still_unclaimed(self, popped: set[str]) -> set[str]:
        left = set()
        for key in SETS:
            scores = self._each(list(popped), lambda pipe, one, key=key: pipe.zscore(key, one))  # type: ignore[misc]
            left |= {one for one, score in zip(popped, scores, strict=True) if score is not None}
        return left

    def _each(self, ids: list[str], ask: Callable[[Any, str], object]) -> list[Any]:
        if not ids:
            return []
        with self._ledger.pipeline(transaction=False) as pipe:
            for one in ids:
                ask(pipe, one)
            return list(pipe.execute())

    def figures(self) -> dict[str, Any]:
        """Seconds until what a process held was taken up, counted from the instant at which it stood still."""
        every = sorted(self.waits["claimed"] + self.waits["popped"])
        found: dict[str, Any] = {"ends": len(self.ways), "held": {kind: len(one) for kind, one in self.waits.items()}}
        if every:
            found |= {"recovery_p50_s": round(every[len(every) // 2], 1), "recovery_max_s": round(every[-1], 1)}
            found["recovery_p99_s"] = round(every[int(len(every) * 0.99)], 1)
        return found
