"""Orders: ``migrate pause | throttle | resume | cancel`` from another process, and how soon each takes effect."""

import time
from collections.abc import Callable

from producer.contract import redis_keys
from producer.migrate.ledger import Checkpoint
from tests.migration.export import Export
from tests.migration.judge import judge, read
from tests.migration.stage import Figures, Producer, Stage, say
from tests.servers import wait_until
from tests.stopwatch import Stopwatch

NAME = "orders"
WITHIN_S, PATIENCE_S = 2.0, 240.0
THROTTLE = 5
NOT_ALL = 1


def orders(rows: int, *, rate: float = 100, watch_s: float = 10) -> Figures:
    """Give each order to a migration that runs.

    When rows are enqueued is what the ledger says of the newest acceptance; instants are counted from the end of the
    command, and without the part of the time in which others had the processors.
    """
    export = Export(rows)
    with Stage({"IMP_RATE_PER_S": str(rate)}) as stage:
        stage.start_workers()
        with stage.produce(export, NAME, "--window=200") as producer:
            wait_until(lambda: producer.has_ended() or stage.posts() > rate * 2, PATIENCE_S, "some rows")
            orderly = Orders(stage, producer, watch_s)
            figures: Figures = {"rows": rows, **orderly.pause(), **orderly.resume(), **orderly.throttle()}
            figures |= orderly.cancel()
            status = stage.command("status", NAME, "--json")
            late = stage.command("pause", NAME)
        verdict = judge(export, stage.report(NAME), stage.fake)
        sent = sum(row["status"] != "not_sent" for row in read(stage.report(NAME)))
        figures |= {"posts_beyond_the_sent_rows": stage.posts() - sent, **verdict._asdict()}
    figures["exit_code_after_the_end"] = late.returncode
    return figures | {"broken": verdict.broken + broken(figures) + ([] if "cancelled" in status.stdout else ["state"])}


def broken(figures: Figures) -> list[str]:
    """The promises that do not hold."""
    late = [name for name, value in figures.items() if name.endswith("_after_s") and value > WITHIN_S]
    wanted = {"exit_code": NOT_ALL, "exit_code_after_the_end": 2, "posts_beyond_the_sent_rows": 0}
    late += [name for name, value in wanted.items() if figures[name] != value]
    for name in ("throttled_rows_per_s", "throttled_posts_per_s"):
        if not THROTTLE * 0.7 * figures["share_of_the_machine"] <= figures[name] <= THROTTLE * 1.3:
            late.append(name)
    return late


class Orders:
    """Orders to one migration."""

    def __init__(self, stage: Stage, producer: Producer, watch_s: float) -> None:
        self._stage, self._producer, self._watch_s = stage, producer, watch_s
        self._ledger = stage.stack.queue.client(1)

    def pause(self) -> Figures:
        """How long rows are enqueued after the command, and that i'mport hears of none when what is open is done."""
        asked_at = self._ask("pause")
        with Stopwatch() as watch:
            enqueued_at = self._last_of_all()
        self._until(lambda: not self._open(), "the end of what was open")
        posts = self._stage.posts()
        time.sleep(self._watch_s / 4)
        silent = self._stage.posts() == posts and self._newest() == enqueued_at
        after_s = round(max(enqueued_at - asked_at, 0.0) * watch.share, 3) if silent else 999.0
        return {"paused_after_s": after_s}

    def resume(self) -> Figures:
        asked_at = self._ask("resume")
        with Stopwatch() as watch:
            self._until(lambda: self._newest() > asked_at, "rows after the pause")
            after_s = self._newest() - asked_at
        return {"resumed_after_s": round(after_s * watch.share, 3)}

    def throttle(self) -> Figures:
        """The rates at which rows are enqueued, and cards sent but for those that were open."""
        self._ask("throttle", str(THROTTLE))
        self._until(lambda: self._open() <= THROTTLE, "the end of what was open")
        with Stopwatch() as watch:
            before, seen, began = self._known(), self._stage.posts() + self._open(), time.monotonic()
            time.sleep(self._watch_s)
            after, sent, took_s = self._known(), self._stage.posts() - seen, time.monotonic() - began
        self._ask("throttle", "0")
        return {
            "throttled_rows_per_s": round((_rows(after) - _rows(before)) / (after.updated_at - before.updated_at), 1),
            "throttled_posts_per_s": round(sent / took_s, 1),
            "share_of_the_machine": round(watch.share, 2),
        }

    def cancel(self) -> Figures:
        self._until(lambda: self._open() > 50, "rows after the throttle")
        asked_at = self._ask("cancel")
        with Stopwatch() as watch:
            code = self._producer.wait(PATIENCE_S)
        after_s = round(max(self._newest() - asked_at, 0.0) * watch.share, 3)
        return {"cancelled_after_s": after_s, "ended_after_s_of_cancel": time.time() - asked_at, "exit_code": code}

    def _ask(self, *words: str) -> float:
        done = self._stage.command(words[0], NAME, *words[1:])
        if done.returncode:
            raise RuntimeError(f"{words[0]}: {done.stderr}")
        say(f"{' '.join(words)}; {self._stage.posts()} cards sent")
        return time.time()

    def _newest(self) -> float:
        """When a row was accepted last."""
        return max(map(float, self._ledger.hvals(redis_keys.KIDS)))

    def _last_of_all(self) -> float:
        """When a row was accepted last, once none has been for longer than an order takes."""
        while True:
            newest = self._newest()
            time.sleep(WITHIN_S + 1)
            if newest == self._newest():
                return newest

    def _open(self) -> int:
        return int(self._ledger.zcard(redis_keys.OPEN))

    def _known(self) -> Checkpoint:
        known = self._stage.checkpoint(NAME)
        if known is None:
            raise RuntimeError(f"the ledger does not know {NAME}")
        return known

    def _until(self, condition: Callable[[], object], what: str) -> None:
        wait_until(lambda: self._producer.has_ended() or condition(), PATIENCE_S, what)


def _rows(known: Checkpoint) -> int:
    return int(sum(known.progress["counts"].values()))
