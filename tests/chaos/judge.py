"""The judge: what the fake i'mport saw applied, held against what the outcomes say."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from producer import BillingQueue, Outcome, UnknownJob
from producer.contract.outcome import Status
from tests.fake_iamport import FakeIamport

LATE_S = 120.0
MAY_BE_APPLIED = {Status.ISSUED, Status.PAID, Status.SUPERSEDED, Status.IN_DOUBT}


class Sent(NamedTuple):
    """A job that was accepted, and the card that no other job has."""

    job_id: str
    sequence: int
    customer_uid: str
    merchant_uid: str | None
    card_number: str


class Verdict(NamedTuple):
    """What came of a run; the first seven should be 0."""

    lost: int
    applied_twice: int
    stale_overwrites: int
    double_charges: int
    without_outcome: int
    wrong_outcomes: int
    unjustified_ends: int
    in_doubt: int
    statuses: dict[str, int]


def judge(sent: Iterable[Sent], outcomes: Mapping[str, Outcome | None], fake: FakeIamport) -> Verdict:
    """Judge a run.

    Args:
        sent: the jobs.
        outcomes: what each came to; None while open, missing if the ledger does not know it.
        fake: i'mport as it saw things.
    """
    jobs = list(sent)
    applied = defaultdict(list)
    for entry in fake.applied:
        applied[entry.card_number, entry.kind].append(entry)
    statuses: Counter[str] = Counter()
    wrong = unjustified = 0
    for job in jobs:
        outcome = outcomes.get(job.job_id)
        statuses["unknown" if job.job_id not in outcomes else "open" if outcome is None else outcome.status] += 1
        was_applied = bool(applied[job.card_number, "payment" if job.merchant_uid else "issue"])
        if outcome is not None:
            wrong += outcome.succeeded and not was_applied
            unjustified += was_applied and outcome.status not in MAY_BE_APPLIED
    return Verdict(
        lost=statuses["unknown"],
        applied_twice=sum(len(entries) > 1 for entries in applied.values()),
        stale_overwrites=len(stale_customers(jobs, fake)),
        double_charges=sum(count > 1 for count in _charges(fake).values()),
        without_outcome=statuses["open"],
        wrong_outcomes=wrong,
        unjustified_ends=unjustified,
        in_doubt=statuses[Status.IN_DOUBT],
        statuses=dict(statuses),
    )


def stale_customers(jobs: Iterable[Sent], fake: FakeIamport) -> list[str]:
    """Customers whose card in force is not that of the highest sequence that i'mport accepted."""
    sequences = {job.card_number: job.sequence for job in jobs}
    newest: dict[str, int] = {}
    for entry in fake.applied:
        if entry.customer_uid and entry.card_number in sequences:
            newest[entry.customer_uid] = max(newest.get(entry.customer_uid, 0), sequences[entry.card_number])
    in_force = {uid: sequences.get(customer.card_number, 0) for uid, customer in fake.customers.items()}
    return [uid for uid, sequence in newest.items() if in_force.get(uid) != sequence]


def _charges(fake: FakeIamport) -> Counter[str]:
    return Counter(entry.merchant_uid for entry in fake.applied if entry.kind == "payment" and entry.merchant_uid)


def collect(queue: BillingQueue, jobs: Iterable[Sent]) -> dict[str, Outcome | None]:
    """The outcomes as they are now."""
    found: dict[str, Outcome | None] = {}
    for job in jobs:
        try:
            found[job.job_id] = queue.outcome(job.job_id)
        except UnknownJob:
            continue
    return found
