"""Reconciliation: what became of the jobs that ended in doubt.

I'mport is asked again 10 minutes, 1 hour and 24 hours after the end, by a thread in every worker, or at once by
``python -m worker reconcile``. What it says goes to the stream ``billing:reconciled``, and from there out by webhook;
the outcome stays as it was written.

Keys: ``billing:in_doubt``, ``billing:reconciled``.
"""

import threading
from functools import partial

import structlog

from producer.contract.reconciled import Found, Reconciled
from producer.runtime.errors import ProcessError, StoreUnavailable
from worker import metrics
from worker.errors import TokenUnavailable
from worker.iamport.verdict import Expected, LookUpResult
from worker.ledger import ASKED_AFTER_S, Ledger
from worker.look_up import Asker, LookUps
from worker.model import Doubtful, NotNow, RatePermit, SharedToken, Snooze
from worker.parts import SharedRateLike, TokensLike

GUARD_S = 300.0  # asked again after this if the process dies, or i'mport does not say
PERIOD_S = 10.0

FOUND = {
    LookUpResult.OURS: Found.DONE,
    LookUpResult.CANCELLED: Found.CANCELLED,
    LookUpResult.REFUSED: Found.FAILED,
    LookUpResult.FAILED_OTHERWISE: Found.FAILED,
    LookUpResult.ABSENT: Found.NOTHING,
    LookUpResult.FOREIGN: Found.ANOTHER,
    LookUpResult.ANOTHERS: Found.ANOTHER,
}

log = structlog.get_logger()


class Reconciler:
    """Asks about jobs that ended in doubt.

    Args:
        ledger, rate, tokens: the worker's parts.
        look_ups: asks i'mport.
        stopping: set when the process is to end.
    """

    def __init__(
        self,
        ledger: Ledger,
        rate: SharedRateLike,
        tokens: TokensLike,
        look_ups: LookUps,
        stopping: threading.Event,
    ) -> None:
        self._ledger, self._rate, self._tokens = ledger, rate, tokens
        self._look_ups, self._stopping = look_ups, stopping

    def start(self) -> None:
        """Begin, in a thread of its own, which ends with the process."""
        threading.Thread(target=self._run, name="reconciler", daemon=True).start()

    def once(self) -> Reconciled | None:
        """Ask about one job that is due; None if there is none, or i'mport does not say now."""
        doubtful = self._ledger.take_in_doubt(GUARD_S)
        if doubtful is None:
            return None
        now, *later = ASKED_AFTER_S[doubtful.asked :] or (0.0,)
        return self.ask(doubtful, str(later[0] - now) if later else "")

    def ask(self, doubtful: Doubtful, again: str = "keep") -> Reconciled | None:
        """Ask about a job now; None if i'mport does not say.

        Args:
            again: as of :meth:`worker.ledger.Ledger.note_reconciled`.
        """
        asker = Asker(iter(partial(self._turn, doubtful.job_id), None), self._token, lambda: None)
        try:
            result, judged = self._look_ups.of(doubtful, Expected(doubtful.first_sent_at), asker)
        except (TokenUnavailable, NotNow):
            return None
        if result is LookUpResult.UNCLEAR:
            return None
        found = judged.annotation
        said = Reconciled(
            job_id=doubtful.job_id,
            operation=doubtful.operation,
            customer_uid=doubtful.customer_uid,
            merchant_uid=doubtful.merchant_uid,
            found=FOUND[result],
            message=judged.message,
            asked_at=round(self._ledger.now(), 3),
            **(found.model_dump(include={"imp_uid", "card_number", "amount", "updated", "paid_at"}) if found else {}),
        )
        self._ledger.note_reconciled(said, again)
        metrics.RECONCILED.labels(str(said.found)).inc()
        return said

    def _turn(self, job_id: str) -> RatePermit:
        """A place in the shared rate, for each question its own."""
        permit = self._rate.ask(job_id, is_migration=True, is_look_up=True)()
        if permit.state != "granted" or self._stopping.wait(permit.delay_s):
            raise NotNow(Snooze(permit.delay_s, "turn"))
        return permit

    def _token(self, _permit: RatePermit) -> SharedToken:
        return self._tokens.get()

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            try:
                while (said := self.once()) is not None:
                    log.info("asked again about a job in doubt", job_id=said.job_id, found=str(said.found))
            except StoreUnavailable:
                continue
            except Exception as error:  # noqa: BLE001 — it outlives whatever a client raises
                words = str(error) if isinstance(error, ProcessError) else type(error).__name__
                log.warning("reconciliation waits", problem=words)
