"""The demo: a handful of sample cards through real Redis, a real worker process and the fake i'mport.

    python -m tests.demo

Needs no Redis, no Docker and no credentials; everything it starts ends with it, and its keys and files go with a
temporary folder. Exit code 0 if every card came out as it should.
"""

import signal
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from producer import BillingQueue, Card, InvalidCard, Outcome
from producer.contract.outcome import Status
from tests.fake_iamport import CARDS
from tests.servers import stores_are
from tests.stack import Stack

Row = tuple[str, str, str, Outcome | InvalidCard]


def issue(queue: BillingQueue, customer_uid: str, name: str) -> Outcome:
    """Issue a key for a sample card, and wait for the outcome."""
    job = queue.issue(customer_uid=customer_uid, card=Card(**CARDS[name].fields()), pg="nice")
    return queue.wait(job.job_id, 30)


def stories(queue: BillingQueue) -> Iterator[Row]:
    """What the demo shows: what it is, the customer_uid, what is expected, what came."""
    yield "a Visa", "gildong_0001", Status.ISSUED, issue(queue, "gildong_0001", "visa")
    yield "a domestic card", "younghee_0002", Status.ISSUED, issue(queue, "younghee_0002", "domestic")
    yield "a corporate card", "company_0003", Status.ISSUED, issue(queue, "company_0003", "corporate")
    yield "a wrong password", "cheolsu_0004", Status.DECLINED, issue(queue, "cheolsu_0004", "wrong_password")
    yield "a number that is none", "minsu_0005", Status.DECLINED, issue(queue, "minsu_0005", "bad_number")
    yield "two gateway errors first", "jiwoo_0006", Status.ISSUED, issue(queue, "jiwoo_0006", "processing_error_twice")
    yield "an answer that was lost", "hana_0007", Status.ISSUED, issue(queue, "hana_0007", "lost_answer")
    yield "another card of gildong", "gildong_0001", Status.ISSUED, issue(queue, "gildong_0001", "mastercard")
    try:
        Card(card_number="4242 4242 4242 4241", expiry="2031-07", birth="900101", pwd_2digit="12")
    except InvalidCard as error:
        yield "a mistyped number", "sora_0008", "refused", error


def line_of(row: Row) -> tuple[str, ...]:
    """A row of the table."""
    what, customer_uid, _, came = row
    if isinstance(came, InvalidCard):
        return what, customer_uid, "[yellow]refused[/], nothing sent", "", str(came)
    replaced = " (replaced)" if came.inserted != came.updated else ""
    colour = {"issued": "green", "declined": "red"}.get(came.status, "yellow")
    word = came.pg_code or (came.code if isinstance(came.code, str) else None) or came.card_name or ""
    return what, customer_uid, f"[{colour}]{came.status}[/]{replaced}", came.card_number or "", str(word)


def main() -> int:
    """Run the demo; the exit code."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=130)
    began = time.monotonic()
    console.print("Starting two Redis servers, the fake i'mport and a worker …")
    console.print(stores_are())
    with Stack() as stack:
        stack.worker()
        table = Table("card", "customer_uid", "outcome", "masked number", "card company or reason", title="Outcomes")
        expected = True
        with stack.billing_queue() as queue:
            for row in stories(queue):
                table.add_row(*line_of(row))
                came = "refused" if isinstance(row[3], InvalidCard) else row[3].status
                expected = expected and came == row[2]
        tokens = stack.fake.count("POST", "/users/getToken")
        posts = stack.fake.count("POST", "/subscribe/customers/")
    console.print(table)
    console.print(f"i'mport was asked for {tokens} token and saw {posts} cards, in {time.monotonic() - began:.1f} s.")
    console.print("Everything that was started has ended; keys and files are gone.")
    return 0 if expected else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
