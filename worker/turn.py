"""Turn: waiting in the slot for a job's place in the shared rate, for a while."""

from collections.abc import Callable

from producer.contract.outcome import Status
from worker.parts import RatePermit
from worker.retry import VAULT_SILENT, End, Snooze, backoff_s

TURN_S, ASK_AGAIN_S = 15.0, 1.0
MISSED_S = 0.04  # a place that was missed by more is given up …
MISSES = 2  # … so often
STORE_BACKOFF_ATTEMPT = 3

Asking = Callable[[], Callable[[], RatePermit]]


class Turns:
    """Waits for places in the shared rate.

    Args:
        clock: monotonic seconds.
        pause: waits so many seconds; False, at once, when the process is to stop.
    """

    def __init__(self, clock: Callable[[], float], pause: Callable[[float], bool]) -> None:
        self._clock, self._pause = clock, pause

    def take(
        self, ask: Asking, first: RatePermit | None = None, *, needs_request: bool = True
    ) -> RatePermit | End | Snooze:
        """The permit whose place has come, or why there is none yet.

        A machine that stalls wakes all who wait at once; a place that was missed is asked for anew, a few times.

        Args:
            ask: asks the throttle.
            first: its first answer, if it has been asked.
            needs_request: whether the job ends when its sealed request is gone.
        """
        permit = first or ask()()
        until, missed = self._clock() + TURN_S, 0
        while True:
            if permit.word == "none" and needs_request:
                return End(Status.LOST, "vault_lost")
            if permit.word == "silent":
                return Snooze(backoff_s(STORE_BACKOFF_ATTEMPT), VAULT_SILENT)
            if permit.word == "wait" and self._clock() >= until:
                return Snooze(max(permit.delay_s, TURN_S), "turn")
            place = self._clock() + permit.delay_s
            pause_s = permit.delay_s if permit.word == "go" else min(permit.delay_s, ASK_AGAIN_S)
            if pause_s and not self._pause(pause_s):
                return Snooze(0.0, "shutdown")
            if permit.word == "go":
                missed += 1
                if self._clock() <= place + MISSED_S or missed > MISSES:
                    return permit
            permit = ask()()
