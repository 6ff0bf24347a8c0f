"""Every answer through a real worker process, all at once."""

from pathlib import Path

from producer import BillingQueue, Card, Job, Outcome
from tests.cases.script import Case, ScriptedIamport, read_cases
from tests.stack import Stack

FILE = Path(__file__).with_name("answers.jsonl")
DEADLINE_S = 60
CARD = Card(card_number="4111111111111111", expiry="2031-07", birth="900101", pwd_2digit="12")


def enqueue(queue: BillingQueue, name: str, case: Case) -> Job:
    if case.op == "issue":
        return queue.issue(customer_uid=name, card=CARD, deadline_s=DEADLINE_S)
    return queue.onetime(merchant_uid=name, amount=1000, name="order", card=CARD, deadline_s=DEADLINE_S)


def wrong(case: Case, outcome: Outcome, posts: int) -> str | None:
    if outcome.status in case.status and case.posts_least <= posts <= case.posts_most:
        return None
    return f"{case.name}: {outcome.status} ({outcome.code}) after {posts} POSTs"


def outcomes(path: Path) -> list[str]:
    """What did not end as it should."""
    cases = {f"case-{number}": case for number, case in enumerate(read_cases(path))}
    script = ScriptedIamport(cases)
    with Stack(script) as stack, stack.billing_queue() as queue:  # type: ignore[arg-type]
        stack.worker(concurrency=16, LOOK_UP_FOR_S="4")
        jobs = {name: enqueue(queue, name, case) for name, case in cases.items()}
        found = {name: queue.wait(job.job_id, timeout_s=DEADLINE_S + 60) for name, job in jobs.items()}
        return [text for name, case in cases.items() if (text := wrong(case, found[name], script.posts[name]))]


def test_each_answer_of_the_world_ends_its_job_as_it_should() -> None:
    assert outcomes(FILE) == []
