"""The door of ``python -m producer``."""

from .cli.main import main
from .cli.shared import lock_down_process

if __name__ == "__main__":
    main(prog_name=f"python -m {__package__}", obj=lock_down_process)
