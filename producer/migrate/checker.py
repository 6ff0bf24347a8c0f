"""Checker: a record of the export becomes a request, or the reason why it cannot be one. Nothing is sent here.

What a row says of itself outside its card may be shown and kept: line, ``customer_uid``, and words that name fields.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from ..contract.card import Card
from ..contract.card_rules import HOUR_S, KOREA, RULES, brand_of, luhn_holds
from ..contract.errors import InvalidInput
from ..contract.identifiers import CustomerUid, Operation
from ..contract.job import Request
from ..contract.open_fields import check_open_fields, may_hold_a_number
from ..enqueue import IssueRequest
from ..runtime.redaction import in_one_line
from .columns import EXPIRY_PARTS, REQUEST_FIELDS
from .fields import EXPONENT, SHORTENED, Reading, formats_of
from .source import Record

CARD_LIKE = re.compile(r"\d(?:[^A-Za-z0-9]{0,4}\d){12,}")
SOON_MONTHS = 3
ROUNDED = "card_number: ends in 0 and its check digit does not hold (a spreadsheet may have rounded it to 15 digits)"
EXPIRES_SOON = f"expiry: within {SOON_MONTHS} months"
OFTEN_MISSED = ("birth", "pwd_2digit")  # many contracts require them
MARKED = "begins with an apostrophe (a spreadsheet's mark of a text)"
MISSING = {
    (birth, pwd): ("birth: is missing",) * birth + ("pwd_2digit: is missing",) * pwd
    for birth in (False, True)
    for pwd in (False, True)
}
_UID: TypeAdapter[str] = TypeAdapter(CustomerUid)
Problems = list[tuple[str, str]]


def shown(customer_uid: str) -> str:
    """A ``customer_uid`` of a row that does not hold: whatever stands in its column could be anything."""
    return CARD_LIKE.sub("***", in_one_line(customer_uid))[:80]  # masked first: half a card number is one, too


def soon(now: float) -> str:
    """The last month, ``YYYY-MM``, of cards that expire within three months."""
    return _soon(now // HOUR_S)


@lru_cache(maxsize=8)
def _soon(hour: float) -> str:
    today = datetime.fromtimestamp(hour * HOUR_S, KOREA)
    year, month = divmod(today.year * 12 + today.month - 1 + SOON_MONTHS, 12)
    return f"{year}-{month + 1:02}"


class Look(NamedTuple):
    """A look at a row: what is compared with other rows' and shown, and does not tell the card.

    Args:
        uid, content, number: digests of customer_uid, the whole row and the card number, by a key of this process.
        is_card: it has something in its card_number.
        is_default: as the source marks it.
        brand, masked, shape: of a card that holds; the number as reports show it, the others as far as a person needs.
        may_be_rounded: 16 digits with a 0 at the end; None for other lengths.
        expires_soon: within three months.
        warnings: what is odd about a row that would be sent.
        formats: that would read the expiry of a row whose expiry cannot be read.
    """

    uid: int
    content: int = 0
    is_card: bool = False
    is_default: bool | None = None
    number: int = 0
    brand: str = ""
    masked: str | None = None
    shape: str = ""
    may_be_rounded: bool | None = None
    expires_soon: bool = False
    warnings: tuple[str, ...] = ()
    formats: frozenset[str] | None = None


class Row(NamedTuple):
    """A row that was looked at.

    Args:
        line: of the source.
        customer_uid: as far as it may be shown.
        request: to be sent; None of one that cannot be, and in a dry run.
        problem: why it cannot be sent, or None.
        look: see there.
    """

    line: int
    customer_uid: str
    request: IssueRequest | None
    problem: str | None
    look: Look

    @property
    def card(self) -> Card | None:
        """The card of a row that can be sent."""
        return None if self.request is None else self.request.card


@dataclass(frozen=True)
class Checker:
    """Turns records into rows.

    Args:
        now: Unix seconds; a card must not have expired then.
        reading: how the export writes a card.
        defaults: request fields for rows that do not say.
        required: card fields that a row must have.
        key_prefix: of the idempotency key; the ``customer_uid`` follows.
        deadline_s: for each job.
        as_of: when the export was made; Unix seconds.
        is_dry: no request is made, which is faster.
    """

    now: Callable[[], float]
    reading: Reading = field(default_factory=Reading)
    defaults: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    key_prefix: str = ""
    deadline_s: float | None = None
    as_of: int | None = None
    is_dry: bool = False
    _key: str = field(default_factory=lambda: os.urandom(16).hex(), repr=False)

    def check(self, record: Record) -> Row:
        """Look at a record."""
        now, fields = self.now(), record.fields
        asked = {**self.defaults, **_only(REQUEST_FIELDS, fields)}
        uid = asked.get("customer_uid", "")
        if record.problem:
            return Row(record.line, shown(uid), None, record.problem, Look(self._digest(uid)))
        problems = _misfits(asked)
        members, card = self._card(asked, fields, now, problems)
        if problems:
            words = "; ".join(f"{name}: {rule}" for name, rule in problems)
            return Row(record.line, shown(uid), None, words, self._look_at_bad(record, problems))
        look = self._look(asked, members, now, is_default=record.is_default)
        request = None
        if not self.is_dry:
            ours = {"idempotency_key": self.key_prefix + uid, "deadline_s": self.deadline_s, "as_of": self.as_of}
            request = IssueRequest(card=card, **asked, **ours)
        return Row(record.line, uid, request, None, look)

    def _card(
        self, asked: dict[str, str], fields: Mapping[str, str], now: float, problems: Problems
    ) -> tuple[dict[str, str], Card | None]:
        """The card's members, and the card where one is needed; or what is wrong with it, and with what it is to."""
        members, found = self.reading.members(fields, now)
        found += _missing(self.required - members.keys() - dict(found).keys()) if self.required else []
        problems += found
        if not found and self.is_dry and not may_hold_a_number(asked) and (held := _held(members, now)):
            return held, None
        card = None
        with _noting(problems, but={"expiry" if name in EXPIRY_PARTS else name for name, _ in found}):
            card = Card.model_validate(members, context={"now": now})
        with _noting(problems):
            check_open_fields(asked, card, now=now)
        return members if card is None else card.reveal(), card

    def _look(
        self, asked: Mapping[str, str], members: Mapping[str, str], now: float, *, is_default: bool | None
    ) -> Look:
        number, expiry = members["card_number"], members["expiry"]
        is_round = number.endswith("0") if len(number) == 16 else None
        expires_soon = expiry <= soon(now)
        birth, pwd = members.get("birth", ""), members.get("pwd_2digit", "")
        warnings = MISSING[not birth, not pwd]
        if is_round and not luhn_holds(number):
            warnings = (ROUNDED, *warnings)
        if expires_soon:
            warnings = (*warnings, EXPIRES_SOON)
        return Look(
            uid=self._digest(asked["customer_uid"]),
            content=self._digest(*asked, *asked.values(), *members, *members.values()),
            is_card=True,
            is_default=is_default,
            number=self._digest(number),
            brand=brand_of(number),
            masked=f"{number[:6]}{'*' * (len(number) - 10)}{number[-4:]}",
            shape=f"expiry {expiry[:4]}-**, birth {'*' * len(birth)}, pwd_2digit {'*' * len(pwd)}",
            may_be_rounded=is_round,
            expires_soon=expires_soon,
            warnings=warnings,
        )

    def _look_at_bad(self, record: Record, problems: Problems) -> Look:
        fields = record.fields
        formats = frozenset(formats_of(fields["expiry"])) if "expiry" in fields and "expiry" in dict(problems) else None
        return Look(
            uid=self._digest(fields.get("customer_uid", "")),
            content=self._digest(*fields, *fields.values()),
            is_card="customer_uid" in fields and "card_number" in fields,
            is_default=record.is_default,
            formats=formats,
        )

    def _digest(self, *texts: str) -> int:
        """A number that the same texts have and, as good as surely, no others: SipHash with keys of this process."""
        return hash("\0".join((self._key, *texts)))


def _missing(names: frozenset[str]) -> Problems:
    return [(name, "is required") for name in sorted(names)]


def _held(members: Mapping[str, str], now: float) -> dict[str, str] | None:
    """The members of a card that holds; None where only :class:`Card` can tell, or say why it does not."""
    if "card_number" not in members or "expiry" not in members:
        return None
    try:
        return {name: RULES[name](text, now) for name, text in members.items()}
    except (KeyError, ValueError):
        return None


def _misfits(asked: dict[str, str]) -> Problems:
    """Each field outside the card that is wrong, with its rule."""
    problems: Problems = []
    if not _surely_holds(**asked):
        with _noting(problems):
            Request(operation=Operation.ISSUE, **asked)
    for name in ("customer_uid", "customer_id"):
        text = asked.get(name, "")
        if EXPONENT.fullmatch(text):
            problems.append((name, SHORTENED))
        elif name == "customer_id" and text.startswith("'"):
            problems.append((name, MARKED))
    return problems


def _surely_holds(customer_uid: str = "", **others: str) -> bool:
    """True if the fields make a request, found out faster than by making one."""
    try:
        _UID.validate_python(customer_uid)
    except ValidationError:
        return False
    return _are_fields(tuple(others.items()))


@lru_cache(maxsize=64)
def _are_fields(others: tuple[tuple[str, str], ...]) -> bool:
    problems: Problems = []
    with _noting(problems):
        Request(operation=Operation.ISSUE, customer_uid="u", **dict(others))
    return not problems


def _only(names: Iterable[str], fields: Mapping[str, str]) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}


@contextlib.contextmanager
def _noting(problems: Problems, but: Iterable[str] = ()) -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        problems += [problem for problem in error.problems if problem[0] not in but]
