"""A job as the ledger knows it, and the steps of its life, in words for people."""

from typing import NamedTuple, Self

from producer.contract.outcome import Outcome

RECORD = (
    *("operation", "customer_uid", "merchant_uid", "queue", "sequence", "accepted_at", "expires_at", "attempts"),
    *("lease", "leased_from", "leased_until", "sent_at", "doubtful", "look_ups", "waits_from", "next_at", "reason"),
)
WHY = {
    "order": "another job of the same customer or order goes first",
    "turn": "the shared rate has no place for it yet",
    "look_up": "i'mport is asked what became of its last call",
    "newer_unknown": "i'mport does not say whether it has a newer card than the export's",
    "send_again": "looked up for long enough, it is sent once more",
    "throttled": "i'mport asks for a pause (429)",
    "unsent": "i'mport cannot be reached",
    "edge_page": "something before i'mport answered with a page",
    "gateway_trouble": "trouble at the gateway or the bank",
    "token_refused": "i'mport refuses every token",
    "token_awaited": "another worker is logging in",
    "login_refused": "i'mport refuses IMP_KEY and IMP_SECRET",
    "login_failed": "i'mport does not answer the login",
    "login_throttled": "i'mport asks for a pause before the next login (429)",
    "vault_silent": "the vault does not answer",
    "vault_lost": "the vault has no request for it",
    "unknown_kid": "no worker has the key that it is sealed or signed with",
    "no_clock": "i'mport's clock is not known yet",
    "paused": "an operator paused all POSTs",
    "shutdown": "its worker was stopped",
}

STEPS = {
    "claimed": "claimed",
    "sent": "marked as sent, attempt {0}: its call leaves",
    "asks": "asks i'mport what became of it",
    "waits": "waits for {1} s at most",
    "ends": "ends {0}",
    "published": "published anew: its message was lost",
    "dead": "freed: its process shows no life",
    "retry": "an operator has it taken up now",
    "expire": "an operator ends it",
}
STEPS_KEPT = 30  # see note() in the scripts


class Seen(NamedTuple):
    """A job as the ledger knows it.

    Args:
        record: fields of the record, as texts; those that it has not are left out.
        outcome: None while it is open.
    """

    job_id: str
    record: dict[str, str]
    outcome: Outcome | None

    def at(self, name: str) -> float:
        """An instant of the record; 0 if it has none."""
        return float(self.record.get(name) or 0)

    @property
    def accepted_at(self) -> float:
        """When it was accepted."""
        return self.outcome.accepted_at if self.outcome else self.at("accepted_at")

    @property
    def newest_at(self) -> float:
        """When it ended, or was accepted."""
        return self.outcome.finished_at if self.outcome else self.accepted_at

    @property
    def about(self) -> tuple[str, str, str]:
        """Operation, customer_uid and merchant_uid; empty text where there is none."""
        known = self.outcome.to_dict() if self.outcome else self.record
        return known.get("operation") or "", known.get("customer_uid") or "", known.get("merchant_uid") or ""

    def in_hand(self, now: float) -> bool:
        """True while a worker has it."""
        return "lease" in self.record and self.at("leased_from") <= now < self.at("leased_until")

    def waits(self, now: float) -> bool:
        """True while it waits for an instant that lies ahead."""
        is_open = self.outcome is None and not self.in_hand(now)
        return is_open and self.at("waits_from") <= now < self.at("next_at")

    def state(self, now: float) -> str:
        """A word: an outcome's status, ``in_hand``, ``waits``, ``due`` or ``queued``."""
        if self.outcome is not None:
            return str(self.outcome.status)
        if self.in_hand(now):
            return "in_hand"
        if self.waits(now):
            return "waits"
        return "due" if self.record.get("next_at") or self.record.get("lease") else "queued"

    def until(self, now: float) -> float:
        """Until when it stays as it is, unless something else happens; its deadline if nothing is planned."""
        planned = {"waits": "next_at", "in_hand": "leased_until"}
        return self.at(planned.get(self.state(now), "expires_at"))

    def why(self, now: float) -> str:
        """Plain words for people; of a finished one the gateway's code or ours, and i'mport's message."""
        if (ended := self.outcome) is not None:
            return ": ".join(str(one) for one in (ended.pg_code or ended.code, ended.message) if one)
        reason = self.record.get("reason", "")
        return {
            "waits": WHY.get(reason, reason),
            "in_hand": f"{self._doing}, in process {self.record.get('lease', '').partition(':')[0]}",
            "due": "is on its way back to a worker",
            "queued": f"in the queue {self.record.get('queue')}, no worker has taken it yet",
        }[self.state(now)]

    @property
    def _doing(self) -> str:
        return "its call is under way" if "sent_at" in self.record else "waits for its turn and a token"


class Step(NamedTuple):
    """A step of a job's life.

    Args:
        at: Unix seconds of the ledger's clock.
        process: the worker process that took it, empty if none did.
        what: a word of :data:`STEPS`.
        detail: a reason and seconds, the number of an attempt, or a status.
    """

    at: float
    process: str
    what: str
    detail: str

    @classmethod
    def read(cls, text: str) -> Self:
        """A step as the scripts note it."""
        at, process, what, *detail = text.split(" ")
        return cls(float(at), process.strip("-"), what, " ".join(detail))

    @property
    def words(self) -> str:
        """Plain words for people."""
        reason, _, seconds = self.detail.partition(" ")
        why = f": {WHY.get(reason, reason)}" if self.what == "waits" else ""
        return STEPS.get(self.what, "{0}").format(self.detail, seconds) + why
