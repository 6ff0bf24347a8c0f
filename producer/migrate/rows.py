"""Rows: a record of the export becomes a request, or the reason why it cannot be one. Nothing is sent here.

What a row says of itself outside its card may be shown and kept: line, ``customer_uid``, and words that name fields.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from producer.contract.card import Card
from producer.contract.errors import InvalidInput
from producer.contract.identifiers import Operation
from producer.contract.job import Request
from producer.enqueue import IssueRequest
from producer.migrate.source import REQUEST_FIELDS, Record

CARD_LIKE = re.compile(r"\d(?:[^A-Za-z0-9]{0,4}\d){12,}")
EXPIRY_FORMATS = {
    "YYYY-MM": re.compile(r"(?P<year>20\d\d)-(?P<month>0[1-9]|1[0-2])"),
    "YYYYMM": re.compile(r"(?P<year>20\d\d)(?P<month>0[1-9]|1[0-2])"),
    "YYMM": re.compile(r"(?P<year>\d\d)(?P<month>0[1-9]|1[0-2])"),
    "MMYY": re.compile(r"(?P<month>0[1-9]|1[0-2])(?P<year>\d\d)"),
    "MM/YY": re.compile(r"(?P<month>0[1-9]|1[0-2])/(?P<year>\d\d)"),
    "MM/YYYY": re.compile(r"(?P<month>0[1-9]|1[0-2])/(?P<year>20\d\d)"),
}


def key_prefix(name: str, run: int) -> str:
    """What the idempotency keys of a run begin with; the ``customer_uid`` follows."""
    return f"migration:{name}:{run}:"


def reason(problem: str) -> str:
    """A row's problem without what differs from row to row."""
    if "fields, the header" in problem:
        return "has another number of fields than the header"
    return re.sub(r"stands on line \d+, too", "stands on an earlier line, too", problem)


class Row(NamedTuple):
    """A row that was looked at.

    Args:
        line: of the source.
        customer_uid: as far as it may be shown.
        request: what is to be sent, or None.
        problem: why it cannot be sent, or None.
    """

    line: int
    customer_uid: str
    request: IssueRequest | None
    problem: str | None


@dataclass(frozen=True)
class Checker:
    """Turns records into rows.

    Args:
        now: Unix seconds; a card must not have expired then.
        expiry_format: how the export writes it, one of :data:`EXPIRY_FORMATS`.
        defaults: request fields for rows that do not say.
        key_prefix: of the idempotency key; the ``customer_uid`` follows.
        deadline_s: for each job.
    """

    now: Callable[[], float]
    expiry_format: str = "YYYY-MM"
    defaults: Mapping[str, str] = field(default_factory=dict)
    key_prefix: str | None = None
    deadline_s: float | None = None

    def check(self, record: Record) -> Row:
        """Look at a record."""
        if record.problem:
            return Row(record.line, "", None, record.problem)
        asked = {**self.defaults, **{name: record.fields[name] for name in REQUEST_FIELDS if name in record.fields}}
        members = {name: value for name, value in record.fields.items() if name not in REQUEST_FIELDS}
        problems: list[tuple[str, str]] = []
        card = None
        try:
            Request(operation=Operation.ISSUE, **asked)
        except InvalidInput as error:
            problems += error.problems
        try:
            card = Card.model_validate(self._with_expiry(members), context={"now": self.now()})
        except InvalidInput as error:
            problems += error.problems
        uid = asked.get("customer_uid", "")
        if card is not None:  # a column that was taken for another: what is outside the seal is written down
            number = card.card_number.get_secret_value()
            problems += [
                (name, "holds the card number") for name, text in asked.items() if number in re.sub(r"\D", "", text)
            ]
        if problems or card is None:
            return Row(record.line, shown(uid), None, "; ".join(f"{name}: {rule}" for name, rule in problems))
        key = None if self.key_prefix is None else self.key_prefix + uid
        request = IssueRequest(card=card, idempotency_key=key, deadline_s=self.deadline_s, **asked)
        return Row(record.line, uid, request, None)

    def _with_expiry(self, members: dict[str, str]) -> dict[str, str]:
        if self.expiry_format == "YYYY-MM" or "expiry" not in members:
            return members
        found = EXPIRY_FORMATS[self.expiry_format].fullmatch(members["expiry"].strip())
        if found is None:
            raise InvalidInput([("expiry", f"must be {self.expiry_format}")])
        return members | {"expiry": f"20{found['year'][-2:]}-{found['month']}"}


def shown(customer_uid: str) -> str:
    """A ``customer_uid`` of a row that does not hold: whatever stands in its column could be anything."""
    printable = "".join(character if character.isprintable() else " " for character in customer_uid)
    return CARD_LIKE.sub("***", printable)[:80]  # masked first: half a card number is one, too
