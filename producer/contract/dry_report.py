"""Report of a migration's dry run: a line for each row of the export, as CSV, with no card in it.

The producer writes it and reads it again for the run; workers ask i'mport by it.
"""

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

COLUMNS = ("line", "customer_uid", "problem", "warning", "card_number", "verdict")
SEND, REFUSED, REPEAT, OTHER_CARD = "send", "refused", "repeat", "other_card"


class NoReport(ValueError):
    """A file is no report of a dry run."""


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Its rows by column; customer_uid without the apostrophe that keeps spreadsheets from reading a formula.

    Raises:
        NoReport: it is none.
        OSError: it cannot be read.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, restval="")
        with contextlib.suppress(UnicodeError, csv.Error):
            if tuple(reader.fieldnames or ()) == COLUMNS:
                for row in reader:
                    yield row | {"customer_uid": row["customer_uid"].removeprefix("'")}
                return
    raise NoReport(f"{path}: is no report of a dry run")
