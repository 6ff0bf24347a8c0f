"""What the settings of both halves share: kinds of URLs, ``…_FILE`` variables, and errors without values."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator, ValidationError

STORE_SCHEMES = ("redis", "rediss")
BROKER_SCHEMES = (*STORE_SCHEMES, "amqp", "amqps")
TLS_OPTIONS = {
    "ssl_ca_certs": ".+",
    "ssl_certfile": ".+",
    "ssl_keyfile": ".+",
    "ssl_cert_reqs": "none|optional|required",
    "ssl_check_hostname": "true|false",
}


class SettingProblem(Exception):
    """A setting that cannot be used; names the variable and the rule."""


def _url(schemes: tuple[str, ...]) -> AfterValidator:
    rule = "must be a URL that begins with " + ", ".join(f"{scheme}://" for scheme in schemes)

    def check(value: str) -> str:
        try:
            parts = urlsplit(value)
            usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(rule)
        if parts.scheme in STORE_SCHEMES:
            _check_redis_url(parts)
        return value

    return AfterValidator(check)


def _check_redis_url(parts: SplitResult) -> None:
    """What clients would stumble over later, or quote in a traceback, or silently take for something else."""
    if not re.fullmatch(r"(/[0-9]{0,3})?", parts.path):
        raise ValueError("must end in /NUMBER, the number of the database")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in TLS_OPTIONS:
            raise ValueError(f"knows no options but {', '.join(TLS_OPTIONS)}")
        if not re.fullmatch(TLS_OPTIONS[name], value):
            raise ValueError(f"the option {name} must be {TLS_OPTIONS[name]}")


StoreUrl = Annotated[str, _url(STORE_SCHEMES)]
BrokerUrl = Annotated[str, _url(BROKER_SCHEMES)]


def layered(dotenv: Mapping[str, str | None], environ: Mapping[str, str]) -> dict[str, str | None]:
    """The environment over a ``.env`` file; ``NAME`` in the one also hides ``NAME_FILE`` in the other."""
    hidden = {f"{name}_FILE" for name in environ} | {name.removesuffix("_FILE") for name in environ}
    return {**{name: value for name, value in dotenv.items() if name not in hidden}, **environ}


def from_files(environ: Mapping[str, str | None], names: Iterable[str]) -> dict[str, str]:
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
    return "; ".join(f"{name.upper()}: {rule}" for name, rule in rules_broken(error))


def rules_broken(error: ValidationError) -> list[tuple[str, str]]:
    """Fields and the rules that they break, without values."""
    found = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in item["loc"]) or "settings"
        rule = "is not set" if item["type"] == "missing" else item["msg"].removeprefix("Value error, ")
        found.append((name, rule[0].lower() + rule[1:]))
    return found
