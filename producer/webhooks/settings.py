"""Settings of the webhooks, beside the producer's own."""

import base64
import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from ..runtime.settings import split_url
from ..settings import ProducerEnvironment

SECRET_LENGTH = range(24, 65)  # bytes, as Standard Webhooks has it


def _check_url(value: str) -> str:
    rule = "must be a URL of your server in ASCII (a name in other letters as xn--), without user and password"
    host = split_url(value, {"https", "http"}, rule, without=("username", "fragment")).hostname
    try:
        value.encode("ascii")
        str(host).encode("idna")  # as the resolver does: labels may be empty, or too long
    except UnicodeError:
        raise ValueError(rule) from None
    return value


def _check_secrets(value: SecretStr) -> SecretStr:
    secrets = value.get_secret_value().split()
    for secret in secrets or [""]:  # without one nothing would be signed
        try:
            length = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
        except ValueError:
            length = 0
        if length not in SECRET_LENGTH:
            raise ValueError("must be whsec_ and the base64 of 24 to 64 bytes, several with spaces between")
    return value


def _check_name(value: str) -> str:
    if re.fullmatch(r"[a-z0-9_-]{1,40}", value):
        return value
    raise ValueError("must be 1 to 40 of a to z, digits, - and _")


class Destination(ProducerEnvironment):
    """The destination that a command is about. Each field is the variable of the same name in capitals.

    Args:
        webhook_name: keeps its deliveries apart from those of others.
    """

    webhook_name: Annotated[str, AfterValidator(_check_name)] = "main"


class WebhookSettings(Destination):
    """Address and secrets of delivery.

    Args:
        webhook_url: where outcomes go; https, unless private addresses are allowed.
        webhook_secrets: keys of the signatures, newest first; all of them sign, so that they can be changed.
        webhook_allow_private: deliver to private and loopback addresses, too.
        webhook_timeout_s: for a whole delivery.
        webhook_line_s: how long one outcome may hold the later ones of its customer.
    """

    SECRETS = ("WEBHOOK_SECRETS",)

    webhook_allow_private: bool = False  # before the URL, whose rule depends on it
    webhook_url: Annotated[str, AfterValidator(_check_url)]
    webhook_secrets: Annotated[SecretStr, AfterValidator(_check_secrets)]
    webhook_timeout_s: Annotated[float, Field(gt=0, le=60)] = 10
    webhook_line_s: Annotated[float, Field(ge=1, le=86_400)] = 900

    @field_validator("webhook_url")
    @classmethod
    def _check_scheme(cls, value: str, info: ValidationInfo) -> str:
        if value.startswith("https") or info.data.get("webhook_allow_private"):
            return value
        raise ValueError("must be https; plain http is for private addresses (WEBHOOK_ALLOW_PRIVATE=1)")
