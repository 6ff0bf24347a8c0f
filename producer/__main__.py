"""The door of ``python -m producer`` and of the console command ``iamport-billing``."""

from .runtime.interrupts import ending_quietly


def entry(prog_name: str | None = None) -> None:
    """Run a command."""
    with ending_quietly():  # these take a second
        from .cli.main import main  # noqa: PLC0415
        from .cli.shared import lock_down_process  # noqa: PLC0415
    main(prog_name=prog_name, obj=lock_down_process)


if __name__ == "__main__":
    entry(f"python -m {__package__}")
