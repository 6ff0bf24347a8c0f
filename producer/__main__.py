"""The door of ``python -m producer`` and of the console command ``iamport-billing``."""

import sys

from .cli.main import OWN_PROCESS, main
from .runtime.lockdown import start_anew_scrubbed

SEE_CARDS = {"issue", "onetime", "migrate", "serve"}


def entry(prog_name: str | None = None) -> None:
    """Run a command; one that sees cards starts anew before all that it needs is loaded, and not after."""
    if SEE_CARDS.intersection(sys.argv[1:2]):
        start_anew_scrubbed()
    main(prog_name=prog_name, obj=OWN_PROCESS)


if __name__ == "__main__":
    entry(f"python -m {__package__}")
