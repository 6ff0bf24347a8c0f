"""Says that nothing is delivered, and why, while nothing is."""

import time
from collections.abc import Callable

from ..errors import BrokerUnavailable
from .delivery_queue import Waiting

SAID_AFTER_S, SAID_EACH_S = 60.0, 600.0


class Stillness:
    """When the last delivery was taken, and what was answered since.

    Args:
        tell: called with the words, after a minute without a delivery and then every ten; after the first minute also
            if nothing waits.
        waiting: how much waits.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        waiting: Callable[[], Waiting],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell, self._waiting, self._clock = tell, waiting, clock
        self._since, self._said_at = clock(), float("-inf")
        self._last_answer, self._has_worked = "", False

    def delivered(self) -> None:
        """A delivery was taken."""
        self._since, self._said_at, self._has_worked = self._clock(), float("-inf"), True

    def refused(self, answer: str) -> None:
        """A delivery was not taken; the answer in a word."""
        self._last_answer, self._has_worked = answer, True

    def look(self, *, takes_in: bool) -> None:
        """Say it, if it is time.

        Args:
            takes_in: this process is the one that takes outcomes in.
        """
        now = self._clock()
        if now - self._since < SAID_AFTER_S or now - self._said_at < SAID_EACH_S:
            return
        try:
            found = self._waiting()
        except BrokerUnavailable as error:
            self._say(now, str(error))
            return
        if found.next_in_s is None:
            self._since = now
            self._say_idle(takes_in=takes_in)
        else:
            self._say(now, self._why(found, found.next_in_s))

    def _say_idle(self, *, takes_in: bool) -> None:
        if not self._has_worked:
            self._has_worked = True
            whose = "no outcome came; LEDGER_URL must be the workers'" if takes_in else "another process takes them in"
            self._tell(f"nothing to deliver: {whose}")

    def _say(self, now: float, why: str) -> None:
        self._said_at = now
        self._tell(f"nothing was delivered for {now - self._since:.0f} s: {why}")

    def _why(self, found: Waiting, next_in_s: float) -> str:
        answer = f"the last answer was {self._last_answer}" if self._last_answer else "there is no answer yet"
        when = f"in {next_in_s:.0f} s" if next_in_s > 0 else "now"
        return f"{found.lines} customers and {found.late} late deliveries wait; {answer}, the next try is {when}"
