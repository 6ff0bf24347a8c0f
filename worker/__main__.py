"""The door of ``python -m worker``."""

from producer.runtime.interrupts import ending_quietly


def entry() -> None:
    """Run a command."""
    with ending_quietly():  # it takes a second
        from worker.cli import run_command  # noqa: PLC0415
    run_command()


if __name__ == "__main__":
    entry()
