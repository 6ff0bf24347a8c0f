"""The door of ``python -m producer`` and of the console command ``iamport-billing``."""

from .cli.main import OWN_PROCESS, main
from .runtime.lockdown import start_anew_scrubbed


def entry(prog_name: str | None = None) -> None:
    """Run a command, with the scrubbing allocator: started anew at once, since what is loaded first is loaded twice."""
    start_anew_scrubbed()
    main(prog_name=prog_name, obj=OWN_PROCESS)


if __name__ == "__main__":
    entry(f"python -m {__package__}")
