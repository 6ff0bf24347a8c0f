"""The state machine: what may happen, in any order. Hypothesis looks for an order that breaks a promise."""

from collections import Counter
from collections.abc import Callable, Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.model.upstream import Fate
from tests.model.world import World, card

UIDS = ("gildong", "younghee")
ORDERS = ("order-1", "order-2")
WORDS = (
    *("answered", "answered", "declined", "declined", "declined", "lost_answer", "lost_answer", "dropped", "dropped"),
    *("late", "unsent", "server_error", "throttled"),
)
ODD = ("filter", "filtered", "filtered", "bank_trouble", "undecided", "there_is_one", "behind")
CRASHES = ("crash_before", "crash_after")
DEATHS = ("claimed", "marked", "waiting", "finishing", "finished")
STEPS = (-7200.0, -600.0, -8.0, 8.0, 600.0, 7200.0)
HIDDEN = (0.0, 60.0, 500.0)
SECONDS = (0.2, 2.0, 6.0, 35.0, 62.0, 130.0, 400.0)
DELAYS = (0.0, 3.0, 50.0, 110.0, 300.0)
DEADLINES = (60.0, 200.0, 900.0, 900.0, 3600.0, 3600.0)
LIVES = st.sampled_from(DEADLINES)
AGES = (1.0, 40.0, 300.0, 5000.0)
DOUBTS = ("lost_answer", "filtered", "dropped", "late", "crash_before", "crash_after")
FATES = st.builds(Fate, st.sampled_from((*WORDS, *ODD, *CRASHES)), st.sampled_from(DELAYS))
AFTER_DOUBT = st.tuples(st.builds(Fate, st.sampled_from(DOUBTS), st.sampled_from(DELAYS)), FATES)


class Machine(RuleBasedStateMachine):
    """One customer or two, a handful of cards, and everything that can go wrong.

    Args:
        make_world: gives an empty world.
        figures: counts outcomes, and what i'mport applied too late for the promises.
    """

    def __init__(self, make_world: Callable[[], World], figures: Counter[str]) -> None:
        super().__init__()
        self._make_world, self._figures = make_world, figures

    @initialize(hidden_s=st.sampled_from(HIDDEN))
    def begin(self, hidden_s: float) -> None:
        self.world = self._make_world()
        self.world.hide_payments(hidden_s)
        self.number = 0

    @rule(uid=st.sampled_from(UIDS), crash=st.sampled_from(("", "", "", "", "accepted", "laid down")), life=LIVES)
    def issue(self, uid: str, crash: str, life: float) -> None:
        """A card is enqueued; the producer may crash on the way."""
        self.number += 1
        self.world.issue(uid, card(self.number), f"key-{self.number}", crash=crash, deadline_s=life)

    @rule(uid=st.sampled_from(UIDS), age=st.sampled_from(AGES), life=LIVES)
    def migrate(self, uid: str, age: float, life: float) -> None:
        """A row of an export is enqueued that was made so long ago."""
        self.number += 1
        as_of = int(self.world.ledger_now() - age)
        self.world.migrate(uid, card(self.number), f"key-{self.number}", as_of, deadline_s=life)

    @rule(order=st.sampled_from(ORDERS), uid=st.sampled_from((None, *UIDS)), life=LIVES)
    def pay(self, order: str, uid: str | None, life: float) -> None:
        """A payment is enqueued; its order may have been paid, or be on its way with another card."""
        self.number += 1
        self.world.pay(order, uid, card(self.number), f"key-{self.number}", deadline_s=life)

    @precondition(lambda self: self.world.asked)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The producer asks again with the same key."""
        one = data.draw(st.sampled_from(list(self.world.asked.values())))
        self.world.repeat(one)

    @precondition(lambda self: self.world.asked)
    @rule(data=st.data(), what=st.sampled_from(("retry", "retry", "expire")))
    def ask_as_operator(self, data: st.DataObject, what: str) -> None:
        """An operator brings a job forward, or ends it; the sweeper does it when it comes round."""
        self.world.ask_as_operator(what, data.draw(st.sampled_from(list(self.world.asked.values()))))

    @rule(seconds=st.sampled_from(SECONDS))
    def pause_posts(self, seconds: float) -> None:
        """An operator stops all POSTs for a while."""
        self.world.pause_posts(seconds)

    @precondition(lambda self: self.world.has_messages())
    @rule(fate=FATES)
    def deliver(self, fate: Fate) -> None:
        """A worker takes the next message."""
        self.world.deliver((fate,))

    @precondition(lambda self: self.world.has_messages())
    @rule()
    def decline(self) -> None:
        """A worker takes the next message, and its card is declined."""
        self.world.deliver((Fate("declined"),))

    @precondition(lambda self: self.world.has_messages())
    @rule(at=st.sampled_from(DEATHS), fate=FATES)
    def die(self, at: str, fate: Fate) -> None:
        """A worker takes the next message and dies between two steps."""
        self.world.deliver((fate,), at)

    @precondition(lambda self: self.world.asked)
    @rule(data=st.data(), fate=FATES)
    def redeliver(self, data: st.DataObject, fate: Fate) -> None:
        """A message comes once more, whatever became of its job."""
        self.world.run(data.draw(st.sampled_from(list(self.world.asked))), fate)

    @precondition(lambda self: self.world.has_messages())
    @rule(fate=FATES, inner=FATES, seconds=st.sampled_from((0.0, 10.0, 50.0)), is_silent=st.booleans())
    def deliver_meanwhile(self, fate: Fate, inner: Fate, seconds: float, is_silent: bool) -> None:
        """While one worker waits for its answer, and may be given up, another takes the next message."""

        def meanwhile() -> None:
            if is_silent:
                self.world.fall_silent()
                self.world.miss_the_silent()
            self.world.pass_time(seconds)
            self.world.sweep()
            for _ in range(3):
                self.world.deliver_inside(inner)

        self.world.deliver((fate._replace(meanwhile=meanwhile),))

    @rule()
    def silence_is_noticed(self) -> None:
        """Processes that died are given up."""
        self.world.miss_the_silent()

    @rule(seconds=st.sampled_from(SECONDS))
    def wait(self, seconds: float) -> None:
        """Time passes, and the sweeper looks around."""
        self.world.pass_time(seconds)
        self.world.sweep()

    @precondition(lambda self: self.world.has_open_jobs())
    @rule(seconds=st.sampled_from((60.0, 500.0, 1500.0)), fates=st.lists(FATES, min_size=1, max_size=3) | AFTER_DOUBT)
    def work(self, seconds: float, fates: Sequence[Fate]) -> None:
        """Workers take what comes for a while; the POSTs of each job come to these fates in turn."""
        self.world.work(seconds, fates)

    @rule()
    def token_expires(self) -> None:
        """I'mport refuses the token from now on."""
        self.world.fake.expire_tokens()

    @rule(is_down=st.booleans())
    def iamport_goes(self, is_down: bool) -> None:
        """I'mport cannot be reached, or can again."""
        self.world.upstream.is_down = is_down

    @precondition(lambda self: not self.world.has_ledger_forgotten)
    @rule()
    def vault_is_lost(self) -> None:
        """The vault starts anew."""
        self.world.lose_vault()

    @precondition(lambda self: self.world.longest_hidden_s < max(HIDDEN) and not self.world.has_ledger_forgotten)
    @rule()
    def guard_is_off(self) -> None:
        """I'mport charges a paid order once more: then the ledger may not forget, nor i'mport hide for long."""
        self.world.fake.desk.guards_orders = False

    @rule()
    def ledger_is_kept(self) -> None:
        """The ledger as it is now is what will be left of it."""
        self.world.keep_ledger()

    @precondition(lambda self: not self.world.has_vault_forgotten and self.world.fake.desk.guards_orders)
    @rule()
    def ledger_forgets(self) -> None:
        """The ledger is as it was when it was kept."""
        self.world.cut_ledger_back()

    @rule(store=st.sampled_from(("ledger", "vault")), seconds=st.sampled_from(STEPS))
    def clock_steps(self, store: str, seconds: float) -> None:
        """The clock of a store steps."""
        self.world.step_clock(store, seconds)

    @precondition(lambda self: self.world.fake.desk.guards_orders)
    @rule(seconds=st.sampled_from(HIDDEN))
    def payments_show_late(self, seconds: float) -> None:
        """I'mport shows a payment so long after it was made."""
        self.world.hide_payments(seconds)

    @rule()
    def queue_is_lost(self) -> None:
        """Every message is gone."""
        self.world.lose_queue()

    def teardown(self) -> None:
        """Good days until all is settled; then the judge."""
        if hasattr(self, "world"):
            self.world.settle()
            self.world.judge()
            self._figures.update(self.world.statuses())
            self._figures["applied_too_late"] += len(self.world.upstream.too_late)
