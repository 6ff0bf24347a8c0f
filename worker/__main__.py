"""The door of ``python -m worker``.

Every command is started anew at once, with the scrubbing allocator: what is loaded before that is loaded twice.
"""

from producer.runtime.interrupts import ending_quietly


def entry() -> None:
    """Run a command."""
    with ending_quietly():  # these take a second
        from producer.runtime.lockdown import start_anew_scrubbed

        start_anew_scrubbed()
        from worker.cli import run_command
    run_command()


if __name__ == "__main__":
    entry()
