"""The door of ``python -m producer`` and of the console command ``iamport-billing``."""

from .cli.main import main
from .cli.shared import lock_down_process


def entry(prog_name: str | None = None) -> None:
    """Run a command."""
    main(prog_name=prog_name, obj=lock_down_process)


if __name__ == "__main__":
    entry(f"python -m {__package__}")
