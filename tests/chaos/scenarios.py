"""The scenarios, each a function of its size that gives the figures it is judged by."""

import json
import math
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from producer import Outcome
from producer.contract import redis_keys
from producer.contract.job import MIGRATION, QUEUES
from producer.contract.outcome import Status
from tests.chaos.ends import Ends
from tests.chaos.judge import collect, judge
from tests.chaos.power import SyncTracer, cut
from tests.chaos.recovery import recovery_p99_s
from tests.chaos.stage import Killer, Stage
from tests.fake_iamport import FakeIamport, Fault
from tests.servers import wait_until

Figures = dict[str, Any]
ISSUES, PAYMENTS, LOOK_UPS = (
    "POST /subscribe/customers/",
    "POST /subscribe/payments/onetime",
    "GET /subscribe/customers/",
)
PAGES = (302, 403, 502)
HIDDEN_FOR_S = 1.0  # that long a charge is in none of i'mport's lists
QUICK = {"IMP_CONNECT_TIMEOUT_S": "1", "IMP_READ_TIMEOUT_S": "2"}


def storm(
    jobs: int, kills: int, seed: int, *, over_s: float, look_up_for_s: int = 120, redis_restarts: int = 0, **quick: str
) -> Figures:
    """Jobs of all kinds, declines, lost answers, and whole worker groups killed at random moments.

    Half of the payments are orders paid with two cards at once; i'mport's own guard is off.
    """
    settings = {"LOOK_UP_FOR_S": str(look_up_for_s), **quick}
    deadline_s = 120 if quick else 1800
    with Stage(seed, declines=0.1, deadline_s=deadline_s, **settings) as stage:
        trouble(stage.fake, seed)
        stage.fake.desk.guards_orders, stage.fake.desk.hidden_for_s = False, HIDDEN_FOR_S
        payments = jobs // 10
        stage.issue(jobs - payments - jobs // 10)
        stage.pay(payments // 2)
        for i in range(payments // 2):
            stage.pay_in_turn(f"tabs-{i // 2}", f"tab {i % 2}")
        stage.issue_in_turn(f"pair_{i // 2}" for i in range(jobs // 10))
        stage.start_workers(2)
        killer = Killer(stage, kills, over_s=over_s).start()
        restarts = restart_queue(stage, redis_restarts)
        killer.join()
        stage.wait_for_the_end(max(look_up_for_s * 2 + 300, deadline_s + 90))  # what stays in doubt is open until then
        outcomes = collect(stage.queue, stage.sent)
        verdict = judge(stage.sent, outcomes, stage.fake)
        recovery = recovery_p99_s(killer, stage.sent, outcomes)
        tracebacks = stage.tracebacks()
    counts = {"jobs": jobs, "kills": len(killer.in_hand), "redis_restarts": restarts, **verdict._asdict()}
    return {**counts, "recovery_p99_s": recovery, "tracebacks": tracebacks}


def trouble(fake: FakeIamport, seed: int) -> None:
    """What i'mport does on a bad day."""
    fake.add_fault(Fault("latency", "POST /subscribe/", latency_s=(0.0, 0.15), seed=seed))
    for number, path in enumerate((ISSUES, PAYMENTS)):
        fake.add_fault(Fault("lost_answer", path, probability=0.01, seed=seed + number))
        fake.add_fault(Fault("reset", path, probability=0.005, seed=seed + 10 + number))
        fake.add_fault(Fault("server_error", path, probability=0.005, seed=seed + 20 + number))
        for status in PAGES:
            fake.add_fault(Fault("server_error", path, probability=0.002, seed=seed + status + number, status=status))
            done = Fault("lost_answer", path, cut="page", probability=0.002, seed=seed - status - number, status=status)
            fake.add_fault(done)


def restart_queue(stage: Stage, times: int) -> int:
    """Kill the queue's and ledger's server under load, and start it again."""
    for _ in range(times):
        time.sleep(stage.random.uniform(1, 3))
        stage.stack.queue.kill()
        time.sleep(stage.random.uniform(0.2, 1))
        stage.stack.queue.start()
    return times


def ends(jobs: int, times: int, seed: int, *, slow_s: float = 300.0) -> Figures:
    """Worker processes killed, stopped for a while and ended in the midst of a long backlog.

    Two thirds of the jobs are a migration. A third of the ends comes while they wait at 20 a second, the others while
    they are worked off.
    """
    deadline_s = slow_s + jobs / 50 + 300
    with Stage(seed, declines=0.1, deadline_s=deadline_s, IMP_RATE_PER_S="20") as stage:
        trouble(stage.fake, seed)
        stage.fake.desk.guards_orders, stage.fake.desk.hidden_for_s = False, HIDDEN_FOR_S
        stage.issue(jobs * 2 // 3, "moved", queue=MIGRATION)
        stage.issue(jobs // 10)
        stage.pay(jobs // 10)
        waits: list[dict[str, Any]] = []
        for rate_per_s, share, over_s in ((20, 3, slow_s), (150, 1.5, jobs / 100)):
            stage.settings["IMP_RATE_PER_S"] = str(rate_per_s)
            stage.start_workers(2)
            ender = Ends(stage, math.ceil(times / share), over_s).start()
            stage.load(jobs // 15, f"during{rate_per_s}")
            ender.join()
            waits.append({"rate_per_s": rate_per_s, "open": stage.open_jobs(), **ender.figures()})
            if rate_per_s == 20:
                for worker in stage.workers:
                    worker.stop()
                stage.workers.clear()
        stage.wait_for_the_end(deadline_s + 120)
        verdict = judge(stage.sent, collect(stage.queue, stage.sent), stage.fake)
        tracebacks = stage.tracebacks()
    return {"jobs": len(stage.sent), **verdict._asdict(), "while": waits, "tracebacks": tracebacks}


def vault(jobs: int, seed: int) -> Figures:
    """The vault killed and started empty with open jobs."""
    with Stage(seed, deadline_s=120, LOOK_UP_FOR_S="20", IMP_RATE_PER_S="200") as stage:
        stage.fake.add_fault(Fault("latency", ISSUES, latency_s=(0.05, 0.2), seed=seed))
        stage.start_workers(2)
        stage.issue(jobs)
        wait_until(lambda: stage.open_jobs() < jobs * 0.8, 60, "some outcomes")
        stage.stack.vault.kill()
        time.sleep(1)
        stage.stack.vault.start()
        back = time.time()
        before = len(stage.sent)
        stage.issue(50, "afterwards")
        stage.wait_for_the_end(220)
        outcomes = collect(stage.queue, stage.sent)
        new = [outcomes[job.job_id] for job in stage.sent[before:]]
        verdict = judge(stage.sent, outcomes, stage.fake)
    ends = [one.finished_at - back for one in new if one is not None and one.succeeded]
    return {
        "jobs": jobs,
        **verdict._asdict(),
        "new_jobs_issued": len(ends),
        "new_jobs_after_s": max(ends, default=None),
    }


def flush(jobs: int, seed: int) -> Figures:
    """The queue emptied with open jobs."""
    with Stage(seed, IMP_RATE_PER_S="200") as stage:
        stage.start_workers(2)
        stage.issue(jobs)
        wait_until(lambda: stage.open_jobs() < jobs * 0.9, 60, "some outcomes")
        stage.stack.queue.client(0).flushdb()
        began = time.time()
        stage.wait_for_the_end(240)
        verdict = judge(stage.sent, collect(stage.queue, stage.sent), stage.fake)
    return {"jobs": jobs, **verdict._asdict(), "took_s": round(time.time() - began, 1)}


def restarts(jobs: int, times: int, seed: int) -> Figures:
    """The queue's and ledger's server killed and restarted under load."""
    with Stage(seed, IMP_RATE_PER_S="200") as stage:
        stage.start_workers(2)
        stage.issue(jobs // 2)
        resumed, forgotten = [], 0
        for number in range(times):
            time.sleep(stage.random.uniform(0.5, 1.5))
            ended = ended_jobs(stage)
            stage.stack.queue.kill()
            time.sleep(stage.random.uniform(0.2, 2))
            stage.stack.queue.start()
            began, first = time.time(), len(stage.sent)
            forgotten += len(ended - ended_jobs(stage))
            stage.issue_in_turn(f"round{number}_{i}" for i in range(jobs // 2 // times))
            new = [job.job_id for job in stage.sent[first:]]
            wait_until(lambda new=new: any(stage.queue.outcome(one) for one in new), 90, "new work")  # type: ignore[misc]
            resumed.append(time.time() - began)
        stage.wait_for_the_end(240)
        outcomes = collect(stage.queue, stage.sent)
        verdict = judge(stage.sent, outcomes, stage.fake)
        stream: Any = stage.ledger.xrange(redis_keys.OUTCOMES)
        entries = Counter(json.loads(entry[b"outcome"])["job_id"] for _, entry in stream)
    return {
        "jobs": jobs,
        "redis_restarts": times,
        **verdict._asdict(),
        "accepted_gone": verdict.lost,
        "outcomes_forgotten": forgotten,
        "outcomes_written_twice": sum(count > 1 for count in entries.values()),
        "outcomes_missing_in_the_stream": sum(job.job_id not in entries for job in stage.sent),
        "resumed_after_s": round(max(resumed), 1),
    }


def ended_jobs(stage: Stage) -> set[str]:
    """Jobs whose outcome the stream has."""
    stream: Any = stage.ledger.xrange(redis_keys.OUTCOMES)
    return {json.loads(entry[b"outcome"])["job_id"] for _, entry in stream}


def power(jobs: int, times: int, seed: int, *, at_once: bool = False) -> Figures:
    """The power cut under load; with each second cut the workers' power, too.

    Args:
        at_once: cut again before the server has written its file anew, which servers before Valkey 9 need.
    """
    settings = {"LOOK_UP_FOR_S": "5", "IMP_RATE_PER_S": "200", **QUICK}
    with Stage(seed, deadline_s=90, **settings) as stage:  # type: ignore[arg-type]
        tracer = SyncTracer(stage.stack.folder / "traces")
        stage.stack.queue.kill()
        stage.stack.queue.prefix = tracer.prefix()
        stage.stack.queue.start()
        stage.fake.add_fault(Fault("latency", "POST /subscribe/", latency_s=(0.0, 0.2), seed=seed))
        stage.start_workers(2)
        lost_bytes = forgotten = 0
        for number in range(times):
            load = threading.Thread(target=stage.load, args=(jobs, f"cut{number}"))
            applied = len(stage.fake.applied)
            load.start()
            wait_until(lambda applied=applied: len(stage.fake.applied) > applied, 120, "work")  # type: ignore[misc]
            if not at_once:
                wait_until(lambda: written_anew(stage), 120, "a file written anew")
            time.sleep(stage.random.uniform(0, 0.5))
            ended = ended_jobs(stage)
            dark = stage.workers if number % 2 else []
            lost_bytes += cut(stage.stack, dark, tracer, stage.random)
            forgotten += len(ended - ended_jobs(stage))
            for worker in dark:
                worker.start(wait=False)
            load.join()
        stage.wait_for_the_end(300)
        outcomes = collect(stage.queue, stage.sent)
        verdict = judge(stage.sent, outcomes, stage.fake)
        charged = {entry.merchant_uid for entry in stage.fake.applied if entry.kind == "payment"}
        ends = {job.merchant_uid: outcomes.get(job.job_id) for job in stage.sent if job.merchant_uid}
        bad = [uid for uid in charged if uid in ends and not _is_paid_or_doubtful(ends[uid])]
    return {
        "cuts": times,
        "at_once": at_once,
        "jobs": len(stage.sent),
        "bytes_lost": lost_bytes,
        **verdict._asdict(),
        "accepted_gone": verdict.lost,
        "outcomes_forgotten": forgotten,
        "charged": len(charged),
        "charged_without_paid_or_doubt": len(bad),
    }


def written_anew(stage: Stage) -> bool:
    """Whether the ledger's append-only file was written anew since its server was started."""
    info: Any = stage.ledger.info()
    busy = info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]
    return not busy and stage.ledger.get(redis_keys.REWRITTEN) == info["run_id"].encode()


def _is_paid_or_doubtful(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.status in {Status.PAID, Status.IN_DOUBT}


def outage(jobs: int, minutes: float, seed: int) -> Figures:
    """I'mport down, with jobs waiting."""
    rate = 100
    with Stage(seed, IMP_RATE_PER_S=str(rate)) as stage:
        port = int(stage.fake.url.rsplit(":", 1)[1])
        stage.start_workers(2)
        stage.issue(20, "before")
        stage.wait_for_the_end(60)
        stage.fake.stop()
        stage.issue(jobs)
        time.sleep(5)
        pids = [pid for worker in stage.workers for pid in worker.pids()]
        memory = resident(pids)
        time.sleep(minutes * 60 - 5)
        grown = resident(pids) - memory
        attempts = _attempts(stage)
        late = FakeIamport(port=port, imp_key=stage.fake.imp_key, imp_secret=stage.fake.imp_secret)
        stage.stack.fake = late
        with late:
            back = time.time()
            wait_until(lambda: len(late.applied) >= rate, 60, "work")
            full_rate_after = _full_rate_after(late, back, rate)
            stage.wait_for_the_end(jobs / rate * 2 + 120)
            verdict = judge(stage.sent[20:], collect(stage.queue, stage.sent[20:]), late)
    return {
        "jobs": jobs,
        "minutes": minutes,
        **verdict._asdict(),
        "memory_growth_mb": round(grown / 1e6, 1),
        "probes_per_s": round(attempts / (minutes * 60), 2),
        "full_rate_after_s": full_rate_after,
    }


def _attempts(stage: Stage) -> int:
    """How often a request was about to leave while i'mport was down: each is noted in the ledger first."""
    with stage.ledger.pipeline(transaction=False) as pipe:
        for job in stage.sent[20:]:
            pipe.hget(redis_keys.JOB + job.job_id, "attempts")
        return sum(int(one or 0) for one in pipe.execute())


def _full_rate_after(fake: FakeIamport, back: float, rate: float) -> float | None:
    """Seconds until a whole second saw at least 90 % of the rate."""
    wait_until(lambda: any(count >= rate * 0.9 for count in _per_second(fake, back).values()), 60, "the full rate")
    return min(second for second, count in _per_second(fake, back).items() if count >= rate * 0.9) + 1.0


def _per_second(fake: FakeIamport, begin: float) -> Counter[int]:
    return Counter(int(entry.at - begin) for entry in fake.applied)


def resident(pids: list[int]) -> int:
    """Resident bytes of processes."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123 — a proc file
            total += int(file.read().split()[1]) * 4096
    return total


def pairs(count: int, seed: int) -> Figures:
    """Two cards for one customer back to back, with latency, declines and lost answers."""
    with Stage(seed, declines=0.1, deadline_s=600, LOOK_UP_FOR_S="120") as stage:
        trouble(stage.fake, seed)
        stage.fake.add_fault(Fault("latency", ISSUES, latency_s=(0.0, 0.3), seed=seed + 99))
        stage.start_workers(2)
        stage.issue_in_turn(f"pair_{i // 2}" for i in range(count * 2))
        stage.wait_for_the_end(count / 20 + 700)
        verdict = judge(stage.sent, collect(stage.queue, stage.sent), stage.fake)
    return {"pairs": count, **verdict._asdict()}


def orders(count: int, seed: int) -> Figures:
    """Orders paid with two cards at once, each through a job of its own; i'mport's own guard is off."""
    with Stage(seed, declines=0.1, deadline_s=120, IMP_RATE_PER_S="200", LOOK_UP_FOR_S="5", **QUICK) as stage:
        trouble(stage.fake, seed)
        stage.fake.desk.guards_orders = False
        stage.start_workers(2)
        with ThreadPoolExecutor(2) as two:
            for number in range(count):
                list(two.map(partial(stage.pay_in_turn, f"order-{number}"), ("tab 1", "tab 2")))
        stage.wait_for_the_end(300)
        verdict = judge(stage.sent, collect(stage.queue, stage.sent), stage.fake)
    return {"orders": count, **verdict._asdict()}


def rate(seconds: float, seed: int, *, per_s: float = 50) -> Figures:
    """The rate of the account kept by 4 processes against a server that enforces it."""
    with Stage(seed, IMP_RATE_PER_S=str(per_s)) as stage:
        stage.fake.add_fault(Fault("rate_limit", ISSUES, rate_per_s=per_s, burst=5, retry_after_s=1))
        stage.fake.add_fault(Fault("latency", ISSUES, latency_s=(0.05, 0.15), seed=seed))
        stage.issue(int(per_s * (seconds + 15)))
        stage.start_workers(1, processes=4, concurrency=16)
        wait_until(lambda: len(stage.fake.applied) > per_s * 5, 60, "a steady rate")
        begin, first = time.monotonic(), len(stage.fake.applied)
        time.sleep(seconds)
        done = (len(stage.fake.applied) - first) / (time.monotonic() - begin)
        answers = Counter(one.status for one in stage.fake.requests if one.method == "POST" and "customers" in one.path)
    refused = answers[429] / max(sum(answers.values()), 1)
    return {
        "rate": per_s,
        "reached": round(done / per_s, 4),
        "refused": round(refused, 5),
        "calls": sum(answers.values()),
    }


def garbage(count: int, seed: int) -> Figures:
    """Malformed messages, unknown ids and forged requests among good jobs."""
    from tests.chaos.rubbish import forge, rubbish  # noqa: PLC0415 — beside its only user

    with Stage(seed) as stage:
        stage.issue(200, "finished")
        stage.start_workers(1)
        stage.wait_for_the_end(60)
        calls = len(stage.fake.requests)
        stage.workers[0].stop()
        forged = forge(stage, 200)
        stage.issue(200, "good")
        for number, item in enumerate(rubbish(stage, count)):
            stage.stack.queue.client(0).lpush(QUEUES[number % 3], item)
        stage.workers.clear()
        stage.start_workers(1)
        stage.wait_for_the_end(180)
        wait_until(lambda: not any(stage.stack.queue.client(0).llen(queue) for queue in QUEUES), 120, "empty queues")
        log = stage.workers[0].log.read_text()
        good = [job for job in stage.sent if job.customer_uid.startswith("good")]
        outcomes = collect(stage.queue, stage.sent)
        posts = [one for one in stage.fake.requests[calls:] if one.method == "POST" and "customers" in one.path]
        restarts = log.count(" ready.") - stage.workers[0].processes
    return {
        "messages": count,
        "forged": len(forged),
        "forged_ends": dict(Counter(str(outcomes[job_id].status) for job_id in forged if outcomes[job_id])),  # type: ignore[union-attr]
        "good_issued": sum(outcomes[job.job_id] is not None and outcomes[job.job_id].succeeded for job in good),  # type: ignore[union-attr]
        "calls_beyond_the_good": len(posts) - len(good),
        "logged_drops": log.count("message dropped"),
        "worker_crashes": restarts,
        "tracebacks": log.count("Traceback"),
        "content_logged": log.count("4242424242424242") + log.count("garbage"),
    }
