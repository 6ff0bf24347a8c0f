"""What the settings of both halves share: kinds of URLs, ``…_FILE`` variables, and errors without values."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ValidationError

STORE_SCHEMES = ("redis", "rediss", "unix")
BROKER_SCHEMES = (*STORE_SCHEMES, "sentinel", "amqp", "amqps", "pyamqp")


class SettingProblem(Exception):
    """A setting that cannot be used; names the variable and the rule."""


def _with_scheme(schemes: tuple[str, ...]) -> AfterValidator:
    rule = "must be a URL that begins with " + ", ".join(f"{scheme}://" for scheme in schemes)

    def check(value: str) -> str:
        try:
            parts = urlsplit(value)
            _ = parts.port
            usable = parts.scheme in schemes and bool(parts.netloc or parts.path)
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(rule)
        return value

    return AfterValidator(check)


StoreUrl = Annotated[str, _with_scheme(STORE_SCHEMES)]
BrokerUrl = Annotated[str, _with_scheme(BROKER_SCHEMES)]


def from_files(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The values of variables that are given as files: ``NAME_FILE`` names the file that holds ``NAME``.

    Args:
        environ: the environment.
        names: variables that may be given so.

    Returns:
        Field names in lower case with the files' content, trailing newlines removed.

    Raises:
        SettingProblem: a file cannot be read, or both forms are given.
    """
    values = {}
    for name in names:
        path = environ.get(f"{name}_FILE")
        if not path:
            continue
        if environ.get(name):
            raise SettingProblem(f"{name}: is set together with {name}_FILE; keep one")
        try:
            values[name.lower()] = Path(path).read_text().rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise SettingProblem(f"{name}_FILE: the file cannot be read ({reason})") from None
    return values


def explain(error: ValidationError) -> str:
    """One line for a settings error: variables and rules, without the values that pydantic carries."""
    found = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in item["loc"]).upper() or "settings"
        rule = "is not set" if item["type"] == "missing" else item["msg"].removeprefix("Value error, ")
        found.append(f"{name}: {rule[0].lower() + rule[1:]}")
    return "; ".join(found)
