"""The errors of the contract. None holds a value that it was given: field names, rules and codes only.

::

    ContractError
    ├── InvalidInput        .problems: ((field, rule), …)
    │   ├── InvalidCard     a card that no gateway would take
    │   └── InvalidRequest  customer_uid, merchant_uid, pg, amount, …
    └── Refused             .code: an envelope or a job that must not be opened or run
"""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

type_names = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
}


class ContractError(Exception):
    """Root of the contract's errors; its text is safe to log and to show."""


class InvalidInput(ContractError):
    """Input that breaks a rule of the contract.

    Args:
        problems: ``(field, rule)`` pairs, in words; never a value.
    """

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{field}: {rule}" for field, rule in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class InvalidCard(InvalidInput):
    """A card that cannot be right. Names the field and the rule, never the value."""


class InvalidRequest(InvalidInput):
    """A request that is malformed outside its card."""


class Refused(ContractError):
    """An envelope or a job that must not be opened or run.

    Args:
        code: why, in snake_case; one of those in ``tests/vectors``.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


def problems_of(error: ValidationError) -> tuple[tuple[str, str], ...]:
    """Field names and rules of a pydantic error, without the input that it carries.

    The text of an unknown field's *name* comes from the caller and could be a value gone astray, so only a plain
    identifier is repeated.
    """
    found = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in item["loc"]) or "request"
        if item["type"] == "extra_forbidden" and not re.fullmatch(r"[a-z][a-z_]{0,23}", name):
            name = "unknown field"
        rule = type_names.get(item["type"]) or item["msg"].removeprefix("Value error, ")
        found.append((name, rule[0].lower() + rule[1:]))
    return tuple(found)
