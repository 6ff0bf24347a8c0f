"""Command lines of both halves: their version, and a warning of settings that are misspelled."""

import os
import sys
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from dotenv import dotenv_values

VERSION = "0.1.0"  # that of pyproject.toml
ALIKE = 0.88
NAMES = frozenset(
    (
        *("ALIVE_FOLDER", "ALLOW_PLAIN_FORM", "API_KEYS_FILE", "APPLIED_KEPT_DAYS", "BROKER_URL", "FRAME_ANCESTORS"),
        *("IMP_API_URL", "IMP_AUTH_STYLE", "IMP_CA_FILE", "IMP_CONNECT_TIMEOUT_S", "IMP_KEY", "IMP_PROXY_URL"),
        *("IMP_RATE_PER_S", "IMP_READ_TIMEOUT_S", "IMP_SECRET", "JOB_DEADLINE_S", "LANGUAGE", "LEDGER_URL"),
        *("LIMITS_URL", "LIMIT_PER_ADDRESS", "LIMIT_PER_CUSTOMER", "LOOK_UP_FOR_S", "MERCHANT_COLOUR"),
        *("MERCHANT_LOGO_FILE", "MERCHANT_NAME", "METRICS_HOST", "METRICS_PORT", "METRICS_TOKEN"),
        *("OPENING_KEYS_COMMAND", "OPENING_KEYS_FILE", "PRIVACY_URL", "PRODUCER_KEYS_FILE", "REQUIRE_LOCKED_MEMORY"),
        *("RETURN_ORIGINS", "SEALING_KEYS_FILE", "SESSION_COOKIE", "SIGNING_KEY_FILE", "TERMS_URL", "VAULT_URL"),
        *("WEBHOOK_ALLOW_PRIVATE", "WEBHOOK_LINE_S", "WEBHOOK_NAME", "WEBHOOK_SECRETS", "WEBHOOK_TIMEOUT_S"),
        "WEBHOOK_URL",
    )
)  # all settings, as a test compares them: to load them all takes longer than most commands


def warn_of_misspelled(program: str, dotenv: str) -> None:
    """Say on stderr which variables, of the environment or a ``.env`` file, look like a setting and are none."""
    for name, meant in misspelled({*os.environ, *dotenv_values(dotenv)}):
        sys.stderr.write(f"{program}: warning: {name} is no setting; is {meant} meant?\n")


def misspelled(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each name that looks much like a setting's and is none, with the setting's."""
    ours = {variable for name in NAMES for variable in (name, f"{name}_FILE")}
    for name in sorted(set(names) - ours):
        yield from ((name, meant) for meant in get_close_matches(name, ours, 1, ALIKE))
