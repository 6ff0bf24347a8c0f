"""Stories that the random model seldom comes to: each pair of fates of a job's first POST and of its second."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from tests.model.upstream import CRASHES, SILENT, Fate
from tests.model.world import NewJob, World, card

ELSE = ("server_error", "filter", "filtered", "undecided", "there_is_one", "behind", "bank_trouble", "declined")
FIRST = (*sorted(CRASHES | SILENT), *ELSE)
SECOND = ("answered", "lost_answer", "dropped", *(word for word in ELSE if word not in {"server_error", "filtered"}))
LOSSES = ("", "vault", "ledger", "ledger later")
SUBJECTS = ((False, 0.0), (True, 0.0), (True, 500.0))  # is_payment, hidden_s
LIFE_S, SHORT_S = 3600.0, 90.0
OLDER_S, WORK_S, LATE_S, STEP_S = 300.0, 1500.0, 100.0, 600.0


class Story(NamedTuple):
    """A job whose first POST comes to one fate and whose second to another; a newer one of the same subject waits.

    Args:
        loss: the store that forgets after the first POST, or ``later``, after the second.
        hidden_s: i'mport shows payments so much later.
        beside: ``before`` or ``after`` the first POST the merchant's other program ``sends`` the same with another
            card, or the ledger's clock ``steps``; or the job's life is ``short``; or an ``older`` job waits, too.
    """

    is_payment: bool
    first: str
    second: str
    loss: str
    hidden_s: float
    beside: str = ""

    def play(self, world: World) -> None:
        """Play it to the end, and judge."""
        fates = (Fate(self.first, LATE_S), Fate(self.second))
        world.hide_payments(self.hidden_s)
        self._enqueue(world, 1)
        world.work(OLDER_S, (Fate("declined"),) if self.is_payment else ())
        world.pass_time(OLDER_S)
        asked = self._enqueue(world, 2, SHORT_S if self.beside == "short" else LIFE_S)
        world.keep_ledger()
        if self.beside == "older":
            asked = self._enqueue(world, 4)
            world.deliver()  # the older one waits for the newer one
        self._beside(world, "before", asked)
        world.deliver(fates)
        self._beside(world, "after", asked)
        if self.loss == "vault":
            world.lose_vault()
        if self.loss == "ledger":
            world.cut_ledger_back()
        self._enqueue(world, 3)
        world.work(WORK_S, (Fate() if self.beside in {"short", "older"} else fates[0], fates[1]))
        if self.loss == "ledger later":
            world.cut_ledger_back()
        world.settle()
        world.judge()

    def _beside(self, world: World, when: str, asked: NewJob) -> None:
        if self.beside == f"sends {when}":
            world.pass_time(LATE_S)
            world.come_elsewhere(asked, card(99))
        if self.beside == f"steps {when}":
            world.step_clock("ledger", STEP_S)

    def _enqueue(self, world: World, number: int, life_s: float = LIFE_S) -> NewJob:
        if self.is_payment:
            return world.pay("order", None, card(number), f"key-{number}", deadline_s=life_s)
        return world.issue("gildong", card(number), f"key-{number}", deadline_s=life_s)


def stories() -> Iterator[Story]:
    """All of them."""
    for first, loss, (is_payment, hidden_s) in product(FIRST, LOSSES, SUBJECTS):
        for second in SECOND:
            yield Story(is_payment, first, second, loss, hidden_s)
        if not loss:
            yield Story(is_payment, first, "answered", loss, hidden_s, "short")
            yield Story(is_payment, first, "answered", loss, hidden_s, "older")
        for when in ("before", "after"):
            yield Story(is_payment, first, "answered", loss, hidden_s, f"sends {when}")
            if not loss:
                yield Story(is_payment, first, "answered", loss, hidden_s, f"steps {when}")
                yield Story(is_payment, first, "declined", loss, hidden_s, f"steps {when}")
