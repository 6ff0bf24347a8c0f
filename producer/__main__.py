"""The door of ``python -m producer`` and of the console command ``iamport-billing``.

Every command is started anew at once, with the scrubbing allocator: what is loaded before that is loaded twice.
"""

from .runtime.interrupts import ending_quietly


def entry(prog_name: str | None = None) -> None:
    """Run a command."""
    with ending_quietly():  # these take a second
        from .runtime.lockdown import start_anew_scrubbed

        start_anew_scrubbed()
        from .cli.main import OWN_PROCESS, main
    main(prog_name=prog_name, obj=OWN_PROCESS)


if __name__ == "__main__":
    entry(f"python -m {__package__}")
