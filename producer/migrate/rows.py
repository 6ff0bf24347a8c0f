"""Rows: a record of the export becomes a request, or the reason why it cannot be one. Nothing is sent here.

What a row says of itself outside its card may be shown and kept: line, ``customer_uid``, and words that name fields.
"""

import contextlib
import queue
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..contract.card import Card
from ..contract.errors import InvalidInput
from ..contract.identifiers import Operation
from ..contract.job import Request
from ..contract.open_fields import check_open_fields
from ..enqueue import IssueRequest
from ..runtime.redaction import in_one_line
from .source import REQUEST_FIELDS, CutOff, Record, SourceError
from .work_file import AWAITED, ReportRow

ROWS_AT_ONCE = 100
READ_AHEAD = 4 * ROWS_AT_ONCE
CARD_LIKE = re.compile(r"\d(?:[^A-Za-z0-9]{0,4}\d){12,}")
_PARTS = {"YYYY": r"(?P<year>20\d\d)", "YY": r"(?P<year>\d\d)", "MM": r"(?P<month>0[1-9]|1[0-2])"}
EXPIRY_FORMATS = {
    form: re.compile(re.sub("|".join(_PARTS), lambda part: _PARTS[part[0]], form))
    for form in ("YYYY-MM", "YYYYMM", "YYMM", "MMYY", "MM/YY", "MM/YYYY")
}


def key_prefix(name: str, run: int) -> str:
    """The beginning of a run's idempotency keys; the ``customer_uid`` follows."""
    return f"migration:{name}:{run}:"


def reason(problem: str) -> str:
    """A row's problem without the numbers that differ from row to row."""
    if "fields, the header" in problem:
        return "has another number of fields than the header"
    return re.sub(r"stands on line \d+, too", "stands on an earlier line, too", problem)


def shown(customer_uid: str) -> str:
    """A ``customer_uid`` of a row that does not hold: whatever stands in its column could be anything."""
    return CARD_LIKE.sub("***", in_one_line(customer_uid))[:80]  # masked first: half a card number is one, too


class Row(NamedTuple):
    """A row that was looked at.

    Args:
        line: of the source.
        customer_uid: as far as it may be shown.
        request: to be sent, or None.
        problem: why it cannot be sent, or None.
    """

    line: int
    customer_uid: str
    request: IssueRequest | None
    problem: str | None

    @property
    def card(self) -> Card | None:
        """The card of a row that can be sent."""
        return None if self.request is None else self.request.card


@dataclass(frozen=True)
class Checker:
    """Turns records into rows.

    Args:
        now: Unix seconds; a card must not have expired then.
        expiry_format: how the export writes it, one of :data:`EXPIRY_FORMATS`.
        defaults: request fields for rows that do not say.
        key_prefix: of the idempotency key; the ``customer_uid`` follows.
        deadline_s: for each job.
        as_of: when the export was made; Unix seconds.
    """

    now: Callable[[], float]
    expiry_format: str = "YYYY-MM"
    defaults: Mapping[str, str] = field(default_factory=dict)
    key_prefix: str = ""
    deadline_s: float | None = None
    as_of: int | None = None

    def check(self, record: Record) -> Row:
        """Look at a record."""
        if record.problem:
            return Row(record.line, "", None, record.problem)
        asked: dict[str, Any] = _only(REQUEST_FIELDS, {**self.defaults, **record.fields})
        uid = asked.get("customer_uid", "")
        problems: list[tuple[str, str]] = []
        card = None
        with _noting(problems):
            Request(operation=Operation.ISSUE, **asked)
        with _noting(problems):
            card = Card.model_validate(self._members(record.fields), context={"now": self.now()})
        with _noting(problems):
            check_open_fields(asked, card, now=self.now())
        if problems:
            return Row(record.line, shown(uid), None, "; ".join(f"{name}: {rule}" for name, rule in problems))
        key = self.key_prefix + uid
        ours: dict[str, Any] = {"idempotency_key": key, "deadline_s": self.deadline_s, "as_of": self.as_of}
        return Row(record.line, uid, IssueRequest(card=card, **asked, **ours), None)

    def _members(self, fields: Mapping[str, str]) -> dict[str, str]:
        """The card's members, its expiry as ours."""
        members = _only(Card.model_fields, fields)
        if self.expiry_format != "YYYY-MM" and "expiry" in members:
            found = EXPIRY_FORMATS[self.expiry_format].fullmatch(members["expiry"].strip())
            if found is None:
                raise InvalidInput([("expiry", f"must be {self.expiry_format}")])
            members["expiry"] = f"20{found['year'][-2:]}-{found['month']}"
        return members


def _only(names: Iterable[str], fields: Mapping[str, str]) -> dict[str, str]:
    return {name: fields[name] for name in names if name in fields}


@contextlib.contextmanager
def _noting(problems: list[tuple[str, str]]) -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        problems += error.problems


def rows_to_send(records: Iterable[Record], checker: Checker, known: Iterator[ReportRow]) -> Iterator[Row]:
    """Rows that have no end yet; one that has its end is passed over without a look at its card.

    Args:
        records: of the source.
        checker: the rules.
        known: the rows that the run has read before, by line.

    Raises:
        SourceError: it is another source than the one that the run began with, or less of it.
    """
    before = next(known, None)
    for record in records:
        if before is None or record.line < before.line:
            yield checker.check(record)
        else:
            _refuse_another_source(record, before)
            if before.status == AWAITED:
                yield checker.check(record)
            before = next(known, None)
        del record  # or its card would wait here for the next one
    if before is not None:
        raise CutOff("the source ends before the last line that this run has read; it was cut off")


def _refuse_another_source(record: Record, before: ReportRow) -> None:
    uid = record.fields.get("customer_uid", "")
    if before.line < record.line or before.customer_uid not in {uid, shown(uid)}:
        raise SourceError(f"line {before.line}: is not what this run read there; this is another source")


class Reader(threading.Thread):
    """Reads and checks rows, a few hundred ahead.

    Args:
        rows: of the source.
    """

    def __init__(self, rows: Iterator[Row]) -> None:
        super().__init__(name="source", daemon=True)
        self._rows = rows
        self._ready: queue.Queue[Row] = queue.Queue(READ_AHEAD)
        self._is_read = False
        self._error: Exception | None = None

    def run(self) -> None:
        """Read to the end; the rows before an error come before it."""
        try:
            for row in self._rows:
                self._ready.put(row)
                del row  # as above
        except Exception as error:  # noqa: BLE001 — told to the one that asks next
            self._error = error
        self._is_read = True

    def take(self) -> list[Row] | None:
        """The next rows; none if they are not there yet, None at the end.

        Raises:
            SourceError: the source broke, or cannot be used.
        """
        is_read = self._is_read  # asked first: by then all rows are there
        taken: list[Row] = []
        with contextlib.suppress(queue.Empty):
            while len(taken) < ROWS_AT_ONCE:
                taken.append(self._ready.get_nowait())
        if taken or not is_read:
            return taken
        if self._error is not None:
            raise self._error
        return None
