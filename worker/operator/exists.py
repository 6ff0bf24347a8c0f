"""Which customer_uids of a migration i'mport has already, and with which card: by the dry run's report, in many a call.

Asked with the shared token and at the shared rate, of which a fifth stays with customers; nothing is written.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import click

from producer.contract.card import same_digits
from producer.contract.dry_report import SEND, NoReport, rows_of
from producer.contract.errors import InvalidRequest
from producer.contract.identifiers import Operation
from producer.contract.job import Request
from producer.contract.open_fields import check_open_fields
from producer.runtime.redaction import mask_card_number
from worker.errors import LoginRefused, NotPossible, TokenUnavailable
from worker.iamport.answer import Annotation, Answer
from worker.look_up import Asker, LookUps
from worker.model import NotNow
from worker.operator.look_up import desk, not_possible
from worker.settings import WorkerSettings

AT_ONCE = 40  # customer_uids of 80 characters make a line of 4 KB, of which any server takes 8
ANSWER_WITHIN_S, ASK_AGAIN_S = 60.0, 5.0
PROGRESS_S, SHOWN = 5.0, 20
ABSENT, SAME_CARD, OTHER_CARD, STORED = "absent", "same_card", "other_card", "stored"
STATES = {
    ABSENT: "not stored",
    SAME_CARD: "stored with the same card, as far as digits are shown",
    OTHER_CARD: "stored with another card",
    STORED: "stored, and no digits are shown to tell the card by",
}


class Asked(NamedTuple):
    """A row of the report, and what i'mport has.

    Args:
        line, customer_uid, card_number: of the row; masked.
        state: a word of :data:`STATES`.
        imp: i'mport's record, masked; None if there is none.
    """

    line: str
    customer_uid: str
    card_number: str | None
    state: str = ABSENT
    imp: dict[str, Any] | None = None


def tell(settings: WorkerSettings, report: Path, *, as_json: bool) -> Counter[str]:
    """Ask about the rows of a report, and print what i'mport says: a line of JSON for each, or counts and other cards.

    Returns:
        Rows by state.

    Raises:
        NotPossible: the report cannot be used, or i'mport does not answer.
    """
    rows = rows_to_ask(report)
    states, others = Counter[str](), list[Asked]()
    for row in _counted(ask(settings, rows), len(rows)):
        states[row.state] += 1
        if as_json:
            click.echo(json.dumps(row._asdict(), ensure_ascii=False))
        elif row.state == OTHER_CARD and len(others) < SHOWN:
            others.append(row)
    if not as_json:
        _show(states, others)
    return states


def _counted(rows: Iterator[Asked], of: int) -> Iterator[Asked]:
    """The same, with a word on stderr every few seconds."""
    told_at = time.monotonic()
    for count, row in enumerate(rows, 1):
        yield row
        if time.monotonic() >= told_at + PROGRESS_S:
            told_at = time.monotonic()
            click.echo(f"worker: {count:,} of {of:,} rows", err=True)


def _show(states: Counter[str], others: list[Asked]) -> None:
    for state, words in STATES.items():
        click.echo(f"{states[state]:>9,}  {words}")
    for row in others:
        imp = row.imp or {}
        click.echo(f"line {row.line}: {row.customer_uid}, here {row.card_number}, stored {imp['card_number']}")
    if (more := states[OTHER_CARD] - len(others)) > 0:
        click.echo(f"and {more:,} more; --json has all")


def rows_to_ask(report: Path) -> list[Asked]:
    """The rows that would be sent; no others, since what stands there as customer_uid could be anything.

    Raises:
        NotPossible: it is no report of a dry run, or holds what no dry run would send.
    """
    try:
        return [_row(row) for row in rows_of(report) if row["verdict"] == SEND]
    except NoReport as error:
        raise NotPossible(str(error)) from None
    except InvalidRequest as error:
        raise NotPossible(f"{report}: {error}") from None
    except OSError as error:
        raise NotPossible(f"{report}: {error.strerror}") from None


def _row(row: Mapping[str, str]) -> Asked:
    uid = row["customer_uid"]
    Request(operation=Operation.ISSUE, customer_uid=uid)
    check_open_fields({"customer_uid": uid}, None)
    return Asked(row["line"], uid, mask_card_number(row["card_number"]))


def ask(settings: WorkerSettings, rows: list[Asked]) -> Iterator[Asked]:
    """Ask i'mport about each row.

    Raises:
        NotPossible: it cannot be asked, or has not answered for a minute; says why.
    """
    look_ups, asker = desk(settings, is_migration=True)
    left = iter(rows)
    while some := list(islice(left, AT_ONCE)):
        records = _records(look_ups, asker, [row.customer_uid for row in some])
        known = {record.customer_uid: record for record in records}
        yield from (_told(row, known.get(row.customer_uid)) for row in some)


def _records(look_ups: LookUps, asker: Asker, customer_uids: list[str]) -> tuple[Annotation, ...]:
    """The records of those that are stored. A long run outlives an i'mport that is silent for a moment."""
    until = time.monotonic() + ANSWER_WITHIN_S
    while True:
        try:
            answer = look_ups.customers(customer_uids, asker)
            if _tells(answer, customer_uids):
                return answer.records
            problem = NotPossible("i'mport gives no answer that tells")
        except (TokenUnavailable, NotNow) as error:
            problem = not_possible(error)
            if isinstance(error, LoginRefused):
                raise problem from None
        if time.monotonic() >= until:
            raise problem
        time.sleep(ASK_AGAIN_S)


def _tells(answer: Answer, customer_uids: list[str]) -> bool:
    names = {record.customer_uid for record in answer.records}
    return answer.is_absent or (answer.code == 0 and bool(names) and names <= {*customer_uids})


def _told(row: Asked, record: Annotation | None) -> Asked:
    if record is None:
        return row
    state = {True: SAME_CARD, False: OTHER_CARD, None: STORED}[same_digits(row.card_number, record.card_number)]
    return row._replace(state=state, imp=record.model_dump(exclude_none=True))
