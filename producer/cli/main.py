"""The group of all commands; each is loaded when it is asked for, so that light ones stay light."""

from importlib import import_module

import click

from ..runtime.command import VERSION, warn_of_misspelled

OWN_PROCESS = object()  # click's object of a command that has its process for itself, and may lock it down
MODULES = {
    "api-key": "web",
    "issue": "jobs",
    "migrate": "migrate",
    "onetime": "jobs",
    "outcome": "jobs",
    "serve": "web",
    "ticket": "web",
    "webhooks": "webhooks",
}  # of this room, by command


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 — click's
        return [*MODULES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 — as above
        if cmd_name not in MODULES:
            return None
        module = import_module(f"{__package__}.{MODULES[cmd_name]}")
        found: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return found


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="iamport-billing")
def main() -> None:
    """Enqueue i'mport billing-key requests and read their outcomes. Card data comes in on stdin only."""
    warn_of_misspelled("producer", ".env.producer")
