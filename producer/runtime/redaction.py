"""Keeping card data out of what is written or kept: masks, scrubbed messages, redacted logs, emptied exceptions.

Must never log or raise with a value that it was given.
"""

import logging
import re
import traceback

from .card_numbers import DIGIT, without_card_numbers

DIGIT_RUN = re.compile(rf"{DIGIT}(?:(?:[^\w\[\]()]|_){{0,4}}{DIGIT}){{4,}}")
MESSAGE_LENGTH = 300
SEPARATORS = frozenset(" -._/\t\u00a0")

# Names of fields as they stand in JSON, reprs, forms, pairs, markup and URLs, escaped or not.
_PERSONAL = r"(?:customer|buyer)_(?:name|tel|email|addr|postcode)"
_NAME = (
    rf"(card_?number|card_?num|expiry|birth(?:_?date)?|pwd_?2_?digit|cvc|{_PERSONAL}|imp_key|imp_secret|access_token|password"
    r"|authorization|x-imptokenheader)"
)
_ESCAPE = r"\\(?:[nrt\"'\\]|u[0-9a-f]{4}|x[0-9a-f]{2})|%[0-9a-f]{2}"
_BEFORE = rf"(?:(?!%3[ad])(?:{_ESCAPE})|[\s'\")\]}}\\]){{0,6}}+"
_AFTER = r"(?:\\[nrt]|%[0-9a-f]{2}|[\s(\[{]){0,6}+"
_BETWEEN = rf"({_BEFORE}(?:=>|[:=,>]|%3a|%3d){_AFTER})"
_NAMED = re.compile(
    rf"""{_NAME}{_BETWEEN}(?:[bu]?(\\*["'])(?:(?!\3)(?:\\.|[^\\])){{0,2000}}+\3|[^\n,;&<>)}}\]"']+)""",
    re.IGNORECASE | re.DOTALL,
)
_BEARER = re.compile(r"(?i)\b((?:bearer|basic)\s+)[^\s\"',\\]+")
_JOSE = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){2,4}")
_TOKEN = re.compile(r"\b[0-9a-f]{40}\b")  # an access token's form; also that of a script's digest, which is no loss
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^\s@]{1,200}@")
_PRIVATE = re.compile(r"""(["']d\\*["']\s*:\s*\\*["'])[A-Za-z0-9_-]{20,}""")  # of a private JWK


def in_one_line(text: str) -> str:
    """The same with blanks for what ends a line, steers a terminal or turns text around, and for lone surrogates."""
    return "".join(character if character.isprintable() else " " for character in text)


def scrub(text: str | None) -> str | None:
    """A gateway's message without its digit runs, ready to be kept.

    Card numbers in every form, and runs of five digits or more, with up to four other characters than letters and
    brackets between two of them, become ``*``: birth dates, business numbers, telephone numbers. Gateway codes
    (``F113``, ``[2116]``) stay.

    Args:
        text: what i'mport sent, or None.

    Returns:
        At most 300 characters, in one line.
    """
    if text is None:
        return None
    return DIGIT_RUN.sub("*", without_card_numbers(in_one_line(text), "*"))[:MESSAGE_LENGTH]


def mask_card_number(text: str | None) -> str | None:
    """At most the first six and the last four digits, whatever a gateway sent and masked with.

    Some gateways show eight and four, and a careless one would show the whole; twelve digits or fewer that are shown
    beside stars are cut to the same form.
    """
    kept = "".join(one if one.isdigit() else "*" for one in text or "" if one not in SEPARATORS)
    if not kept.strip("*"):
        return None
    first = 6 if len(kept) >= 13 else 0  # a shorter one is no card number: keep only what can be no more than its end
    return kept[:first] + "*" * max(len(kept) - first - 4, 0) + kept[-4:]


def redact(text: str) -> str:
    """A line of a log without what must not be in one, whoever wrote it.

    Replaced by ``***``: card numbers in every form (:mod:`.card_numbers`; job ids stay), values of card, holder and
    credential fields by name, tokens (40 hex digits), JWE and JWS, passwords in URLs.
    """
    text = _PASSWORD.sub(r"\1***@", _BEARER.sub(r"\1***", text))
    text = _NAMED.sub(lambda match: f"{match[1]}{match[2]}{match[3] or ''}***{match[3] or ''}", text)
    text = _TOKEN.sub("***", _PRIVATE.sub(r"\1***", _JOSE.sub("***", text)))
    return without_card_numbers(text, "***")


class Redacting(logging.Formatter):
    """The last thing that happens to a line: whatever a formatter made of it, tracebacks included, is redacted.

    Args:
        inner: the formatter that makes the line.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The redacted line."""
        return redact(self._inner.format(record))


def wipe(error: BaseException) -> None:
    """Empty an exception that was dealt with, and those behind it.

    Those of urllib3, redis and socket hold their own frames in a cycle. These hold a request's body and, by way of
    those that called them, the card, until the garbage collector comes by; and in an idle worker it does not.
    """
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        held = (one.__cause__, one.__context__, *one.args, *vars(one).values())
        left += [other for other in held if isinstance(other, BaseException)]
        traceback.clear_frames(one.__traceback__)
        one.__traceback__ = one.__cause__ = one.__context__ = None
        one.args = ()
        vars(one).clear()
