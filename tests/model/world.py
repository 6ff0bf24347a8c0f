"""The world of the model: a producer, workers that die, stores that forget, and the judge."""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from producer import BillingQueue, Card, Job, Outcome
from producer.contract import redis_keys
from producer.contract.job import INTERACTIVE, QUEUES, RECOVERY
from producer.contract.outcome import AFTER_SENDING, Status
from producer.enqueue import IssueRequest
from producer.publisher import Publisher
from producer.runtime.redis_store import Stores
from tests.fake_iamport import FakeIamport, made_up
from tests.fake_iamport.journal import Applied
from tests.model.clock import Clock
from tests.model.upstream import CrashError, Fate, Upstream
from tests.servers import RedisServer
from worker.iamport.verdict import TOLERANCE_S
from worker.issuance import Issuance
from worker.keys.opening import Opener
from worker.ledger import Ledger
from worker.liveness import GIVEN_UP_S
from worker.model import Lease, Snooze
from worker.open_jobs import AWAY_S, Due, OpenJobs
from worker.rate_limit import SharedRate
from worker.retry import OPERATOR
from worker.settings import WorkerSettings
from worker.sweeper import Sweeper
from worker.token_cache import TokenCache

LOOK_UP_FOR_S = 120
LAST_ASKED_S = 62.0  # a call of 60 s, and the wait for the first look-up
SIGN_S = AWAY_S - 0.1  # signs of life come so often
BEGIN = float(int(time.time()))  # streams are trimmed by the server's own clock


class NewJob(NamedTuple):
    """A job that was accepted, and what it was asked with."""

    job: Job
    key: str
    card: Card

    @property
    def card_number(self) -> str:
        return self.card.card_number.get_secret_value()


class MortalLedger(Ledger):
    """The ledger of a worker that may die at each of its steps."""

    dies_at = ""

    def mark_sent(self, lease: Lease, now: float) -> int | None:
        self._die("claimed")
        attempt = super().mark_sent(lease, now)
        self._die("marked")
        return attempt

    def wait(self, lease: Lease, wait: Snooze) -> bool:
        self._die("waiting")
        return super().wait(lease, wait)

    def finish(self, lease: Lease, outcome: Outcome, known_until: int | None = None) -> Outcome | None:
        self._die("finishing")
        return super().finish(lease, outcome, known_until)

    def forget(self, job_id: str) -> None:
        self._die("finished")
        super().forget(job_id)

    def _die(self, at: str) -> None:
        if self.dies_at == at:
            self.dies_at = ""
            raise CrashError


class World:
    """Everything, under one clock.

    Args:
        server: holds queue, ledger and vault in databases 0, 1 and 2; emptied first.
        queue: the producer, on that server.
        opener: the workers' keyrings.
        settings: the workers'.
    """

    def __init__(
        self, server: RedisServer, queue: BillingQueue, opener: Opener, settings: WorkerSettings, publisher: Publisher
    ) -> None:
        server.client().flushall()
        self.clock = Clock(server, BEGIN)
        self.broker, self.ledger_store, self.vault_store = (server.client(db) for db in range(3))
        self.queue, self._publisher = queue, publisher
        self.fake = FakeIamport(clock=lambda: self.clock.now)
        self.upstream = Upstream(self.fake, self.pass_time)
        self.asked: dict[str, NewJob] = {}
        self.forgotten: dict[str, NewJob] = {}
        self.elsewhere: set[Applied] = set()
        self._kept: dict[bytes, bytes] = {}
        self.longest_hidden_s = 0.0
        self.has_ledger_forgotten = self.has_vault_forgotten = self.has_clock_stepped = False
        self._deliveries = 0
        self._living: list[str] = []  # processes with a delivery in hand, the newest last
        self._silent: set[str] = set()
        links, vault = Stores(settings.ledger_url), Stores(settings.vault_url)
        self.ledger = MortalLedger(
            links,
            vault,
            call_deadline_s=self.upstream.call_deadline_s,
            doubt_s=LOOK_UP_FOR_S,
            clock=lambda: self.clock.now,
        )
        self._tokens = TokenCache(
            settings.imp_key,
            settings.imp_secret,
            login=lambda: self.upstream.login(settings.imp_key, settings.imp_secret),
            vault=vault,
            clock=lambda: self.clock.now,
            sleep=self.pass_time,
        )
        self.issuance = Issuance(
            self.ledger,
            SharedRate(vault, 20),
            opener,
            self._tokens,
            self.upstream,
            clock=lambda: self.clock.now,
            boot_clock=lambda: self.clock.now,
            pause=self._pause,
            sleep=self.pass_time,
        )
        self.open_jobs = OpenJobs(links, vault)
        self.sweeper = Sweeper(
            self.open_jobs, self._publish, self._depths, "sweeper", has_front=False, clock=lambda: self.clock.now
        )

    # The producer.

    def issue(self, uid: str, card: Card, key: str, *, crash: str = "", deadline_s: float = 900) -> NewJob:
        """Enqueue an issuance; ``crash`` after ``accepted`` or ``laid down`` leaves the later steps out."""
        return self._enqueued(
            lambda: self.queue.issue(customer_uid=uid, card=card, idempotency_key=key, deadline_s=deadline_s),
            key,
            card,
            crash,
        )

    def migrate(self, uid: str, card: Card, key: str, as_of: int, *, deadline_s: float = 900) -> NewJob:
        """Enqueue a row of an export."""
        row = IssueRequest(customer_uid=uid, card=card, idempotency_key=key, deadline_s=deadline_s, as_of=as_of)
        return self._enqueued(lambda: next(self.queue.issue_many([row])), key, card, "")

    def ledger_now(self) -> float:
        """The ledger's clock."""
        return self.clock.now + self.clock.ahead_s["ledger"]

    def pay(self, merchant_uid: str, uid: str | None, card: Card, key: str, *, deadline_s: float = 900) -> NewJob:
        """Enqueue a payment."""
        return self._enqueued(
            lambda: self.queue.onetime(
                merchant_uid=merchant_uid,
                amount=1000,
                name="model",
                card=card,
                customer_uid=uid,
                idempotency_key=key,
                deadline_s=deadline_s,
            ),
            key,
            card,
            "",
        )

    def repeat(self, asked: NewJob) -> None:
        """Ask once more with the same key: the same job, and whatever step was left out is made good."""
        deadline_s = asked.job.expires_at - asked.job.accepted_at
        if asked.job.as_of is not None:
            self.migrate(asked.job.customer_uid or "", asked.card, asked.key, asked.job.as_of, deadline_s=deadline_s)
        elif asked.job.merchant_uid is None:
            self.issue(asked.job.customer_uid or "", asked.card, asked.key, deadline_s=deadline_s)
        else:
            self.pay(asked.job.merchant_uid, asked.job.customer_uid, asked.card, asked.key, deadline_s=deadline_s)

    def _enqueued(self, enqueue: Callable[[], Job], key: str, card: Card, crash: str) -> NewJob:
        job = enqueue()
        if crash:  # what would not have happened is taken back
            self.broker.lpop(INTERACTIVE)
        if crash == "accepted":
            self.vault_store.delete(redis_keys.SEALED + job.job_id)
        asked = NewJob(job, key, card)
        self.forgotten.pop(job.job_id, None)
        known = self.asked.setdefault(job.job_id, asked)
        assert (known.job.sequence, known.job.expires_at) == (job.sequence, job.expires_at)
        return known

    def ask_as_operator(self, what: str, asked: NewJob) -> None:
        """An operator's mark: ``retry`` or ``expire``."""
        self.ledger_store.hset(redis_keys.ASKED, asked.job.job_id, what)

    def pause_posts(self, seconds: float) -> None:
        """An operator's pause."""
        now = self.ledger_now()
        self.ledger_store.hset(redis_keys.PAUSE, mapping={"from": now, "until": now + seconds})

    def come_elsewhere(self, asked: NewJob, card: Card) -> None:
        """Another program of the merchant's sends the same order, or the same customer_uid, with another card."""
        before, token = len(self.fake.applied), self._tokens.get().text
        (self.upstream.issue if asked.job.merchant_uid is None else self.upstream.onetime)(asked.job, card, token)
        self.elsewhere.update(self.fake.applied_since(before))

    # The workers.

    def deliver(self, fates: Sequence[Fate] = (), dies_at: str = "") -> None:
        """Take the next message, as a worker does: ``recovery`` first.

        Args:
            fates: of the first POST of each job, of its second, …; the last for all later ones.
            dies_at: the step before which the worker dies.
        """
        for queue in QUEUES:
            message: Any = self.broker.rpop(queue)
            if message is not None:
                job_id = json.loads(message)["headers"]["id"]
                self.run(job_id, fates[min(self._posts_of(job_id), len(fates) - 1)] if fates else None, dies_at)
                return

    def _posts_of(self, job_id: str) -> int:
        asked = self.asked.get(job_id) or self.forgotten.get(job_id)
        return sum(post.card_number == asked.card_number for post in self.upstream.posts) if asked else 0

    def run(self, job_id: str, fate: Fate | None = None, dies_at: str = "") -> None:
        """One delivery of a job, from claim to end; the worker may die on the way."""
        self._deliveries += 1
        process = f"process-{self._deliveries}"
        self._show_life(process)
        self._living.append(process)
        self.upstream.fate, self.ledger.dies_at = fate or Fate(), dies_at
        try:
            self.issuance.run(job_id, f"{process}:1")
            self.open_jobs.leave(process)
        except CrashError:
            self._silent.add(process)
        finally:
            self._living = [one for one in self._living if one != process]
            self.upstream.fate, self.ledger.dies_at = Fate(), ""

    def deliver_inside(self, fate: Fate) -> None:
        """Another worker's delivery, while this one waits for an answer."""
        outer, self.ledger.dies_at = self.ledger.dies_at, ""
        self.deliver((fate,))
        self.ledger.dies_at = outer

    def fall_silent(self) -> None:
        """The process that took a message last shows no life any more, although it may go on."""
        self._silent.add(self._living.pop())

    def miss_the_silent(self) -> None:
        """So much time goes by that processes without a sign of life are given up; all others show theirs."""
        for _ in range(math.ceil(GIVEN_UP_S / SIGN_S) + 1 if self._silent else 0):
            self.pass_time(SIGN_S)
            for process in ("sweeper", *self._living):
                self._show_life(process)
        self._silent.clear()

    def _show_life(self, process: str) -> None:
        self.open_jobs.show_life(process, 1)
        self.ledger_store.delete(redis_keys.SWEEPER)  # the lock would end by the server's clock

    def sweep(self) -> None:
        """One sweep."""
        self.sweeper.show_life()
        self.sweeper.sweep()

    # Time and loss.

    def pass_time(self, seconds: float) -> None:
        """Let seconds pass; what i'mport put off happens meanwhile, and sealed requests expire."""
        end = self.clock.now + seconds
        while (first := self.upstream.next_late()) <= end:
            self.clock.set(max(first, self.clock.now))
            self.upstream.apply_late()
        self.clock.set(end)
        at_vault = end + self.clock.ahead_s["vault"] - self.clock.ahead_s["ledger"]
        gone = [
            redis_keys.SEALED + one.job.job_id
            for one in self.asked.values()
            if one.job.expires_at + redis_keys.SEALED_GRACE_S < at_vault
        ]
        if gone:
            self.vault_store.delete(*gone)

    def lose_vault(self) -> None:
        """The vault starts anew."""
        self.has_vault_forgotten = True
        self.vault_store.flushdb()
        self.clock.set(self.clock.now)

    def keep_ledger(self) -> None:
        """Take the ledger as it is."""
        self._kept = {key: self.ledger_store.dump(key) for key in self.ledger_store.scan_iter()}

    def cut_ledger_back(self) -> None:
        """The ledger is as it was when it was kept; what was accepted since is not known any more."""
        self.has_ledger_forgotten = True
        self.ledger_store.flushdb()
        for key, value in self._kept.items():
            self.ledger_store.restore(key, 0, value)
        self.clock.set(self.clock.now)
        kept = self.ledger_store.exists
        gone = [one for one in self.asked if not kept(redis_keys.REQUEST + one, redis_keys.JOB + one)]
        for job_id in gone:
            self.forgotten[job_id] = self.asked.pop(job_id)

    def step_clock(self, store: str, seconds: float) -> None:
        """The clock of a store steps."""
        self.has_clock_stepped = True
        self.clock.step(store, seconds)

    def hide_payments(self, seconds: float) -> None:
        """I'mport shows payments so long after they were made."""
        self.fake.desk.hidden_for_s = seconds
        self.longest_hidden_s = max(self.longest_hidden_s, seconds)

    def lose_queue(self) -> None:
        """Every message is gone."""
        self.broker.flushdb()

    def settle(self) -> None:
        """Good days, until no job is open."""
        self.upstream.is_down = False
        self.work(40_000.0)
        self.pass_time(1000)  # whatever i'mport put off is done by now

    def work(self, seconds: float, fates: Sequence[Fate] = ()) -> None:
        """Sweep and deliver for so long, or until no job is open; ``fates`` as of :meth:`deliver`."""
        end = self.clock.now + seconds
        while self.clock.now < end and self.has_open_jobs():
            self.miss_the_silent()
            self.sweep()
            while self.has_messages():
                self.deliver(fates)
            self.pass_time(self._until_due_s())

    def has_open_jobs(self) -> bool:
        """Whether some job has no outcome yet."""
        return bool(self.ledger_store.zcard(redis_keys.OPEN))

    def has_messages(self) -> bool:
        """Whether the queues have any."""
        return any(self._depths())

    def _until_due_s(self) -> float:
        """Seconds until the next job is due by the ledger's clock; at most so long as the sweeper takes to miss one."""
        first: Any = self.ledger_store.zrange(redis_keys.OPEN, 0, 0, withscores=True)
        due_s = first[0][1] - self.clock.now - self.clock.ahead_s["ledger"] if first else 0.0
        return min(max(due_s, 1.0), 30.0)

    # The judge.

    def judge(self) -> None:
        """Every promise, held against what i'mport saw."""
        entries: Any = self.ledger_store.xrange(redis_keys.OUTCOMES)
        written = Counter(json.loads(entry[b"outcome"])["job_id"] for _, entry in entries)
        applied = {entry.card_number for entry in self.fake.applied}
        in_time = {entry.card_number for entry in self.fake.applied if entry not in self.upstream.too_late}
        for job_id, asked in self.asked.items():
            outcome = self.queue.outcome(job_id)
            assert outcome is not None, f"{job_id} is still open"
            assert written[job_id] == 1, f"{job_id}: {written[job_id]} outcomes"
            result: Any = self.ledger_store.get(redis_keys.RESULT + job_id)
            assert json.loads(result)["result"]["status"] == outcome.status
            mine = [post for post in self.upstream.posts if post.card_number == asked.card_number]
            unanswered = [number for number, post in enumerate(mine) if post.is_unanswered]
            assert not unanswered or len(mine) <= unanswered[0] + 2, f"{job_id} was sent {len(mine)} times"
            if any(post.may_be_applied for post in mine):
                assert outcome.status in AFTER_SENDING, f"{job_id} may have been sent and ended {outcome.status}"
            if outcome.succeeded:
                is_applied = asked.card_number in applied or self._looks_paid(asked)
                assert is_applied, f"{job_id} ended {outcome.status} and was not applied"
            elif outcome.status not in {Status.IN_DOUBT, Status.SUPERSEDED}:
                assert asked.card_number not in in_time, f"{job_id} ended {outcome.status} and was applied"
            self._judge_shown(asked, outcome)
        if not self.has_ledger_forgotten:
            self._judge_order()
        charges = Counter(entry.merchant_uid for entry in self._charges_that_count())
        assert not [order for order, count in charges.items() if count > 1], "charged twice"

    def _charges_that_count(self) -> list[Applied]:
        """Charges but those that came too late, and those that only a ledger that forgot knew of."""
        guarded, known = self.fake.desk.guards_orders, not self.has_ledger_forgotten
        charges = (entry for entry in self.fake.applied if entry.kind == "payment")
        return [
            entry
            for entry in charges
            if (guarded or entry not in self.upstream.too_late)
            and (known or entry not in self.upstream.unrecorded)
            and entry not in self.elsewhere
        ]

    def _looks_paid(self, asked: NewJob) -> bool:
        """True if the card of a payment was gone, and its order was paid by another since: paid it is."""
        is_card_gone = self.has_vault_forgotten or self.has_ledger_forgotten
        since = min(
            (post.at for post in self.upstream.posts if post.card_number == asked.card_number), default=math.inf
        )
        return is_card_gone and any(
            entry.merchant_uid == asked.job.merchant_uid and entry.at >= since - TOLERANCE_S
            for entry in self.fake.applied
            if entry.kind == "payment"
        )

    def _judge_shown(self, asked: NewJob, outcome: Outcome) -> None:
        """A payment whose record i'mport showed before the deadline ends paid, if it answered in its last minute."""
        if self.has_clock_stepped or asked.job.merchant_uid is None or outcome.code == OPERATOR:
            return
        charges = [entry for entry in self.fake.applied if entry.kind == "payment"]
        mine = [
            entry
            for entry in charges
            if entry.card_number == asked.card_number and entry not in self.upstream.unrecorded
        ]
        records = self.fake.desk.payments
        shown = [entry.at + self.longest_hidden_s for entry in mine if records[asked.job.merchant_uid].status == "paid"]
        last_asked = asked.job.expires_at - LAST_ASKED_S
        if any(last_asked <= at <= outcome.finished_at for at in self.upstream.unreached_at):
            return
        if shown and min(shown) < asked.job.expires_at - 2:
            assert outcome.status is Status.PAID, f"{asked.job.job_id} was shown paid and ended {outcome.status}"

    def statuses(self) -> Counter[str]:
        """How the jobs ended."""
        outcomes = (self.queue.outcome(job_id) for job_id in self.asked)
        return Counter(str(outcome.status) for outcome in outcomes if outcome)

    def _judge_order(self) -> None:
        """The card in force is that of the highest sequence that i'mport accepted, or of a row and none came since."""
        jobs = {asked.card_number: asked.job for asked in self.asked.values()}
        newest: dict[str, int] = {}
        last: dict[str, int] = {}
        for entry in self.fake.applied:
            if entry.kind == "issue" and entry.customer_uid:
                if entry in self.upstream.too_late | self.elsewhere:
                    continue
                job = jobs[entry.card_number]
                if job.as_of is None:
                    newest[entry.customer_uid] = max(newest.get(entry.customer_uid, 0), job.sequence)
                    last[entry.customer_uid] = job.sequence
                elif not self.has_clock_stepped:
                    self._judge_row(job, entry)
        assert last == newest, f"in force {last}, newest accepted {newest}"

    def _judge_row(self, row: Job, entry: Applied) -> None:
        """No row of an export went over a card that was applied since that was made, or over a newer export's."""
        since = {asked.card_number: asked.job.as_of for asked in self.asked.values()}
        for before in self.fake.applied[: self.fake.applied.index(entry)]:
            is_same = before.kind == "issue" and before.customer_uid == entry.customer_uid
            if is_same and before not in self.upstream.too_late | self.elsewhere:
                made_at = since[before.card_number] or before.at
                assert made_at <= (row.as_of or 0) + 1, f"a row of {row.as_of} went over a card of {made_at}"

    def _publish(self, due: list[Due]) -> None:
        self._publisher.publish([(one.job_id, RECOVERY) for one in due], "")

    def _depths(self) -> list[int]:
        return [int(self.broker.llen(queue)) for queue in QUEUES]

    def _pause(self, seconds: float) -> bool:
        self.pass_time(seconds)
        return True


def card(number: int) -> Card:
    """The ``number``-th card."""
    return Card(**made_up(number))
