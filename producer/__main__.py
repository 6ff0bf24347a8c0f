"""The door of ``python -m producer``."""

from producer.cli.main import main
from producer.cli.shared import lock_down_process

if __name__ == "__main__":
    main(prog_name="python -m producer", obj=lock_down_process)
