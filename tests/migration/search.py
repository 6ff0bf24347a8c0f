"""The search for an export's card numbers in files, with any separators; encoded forms are `make canary`'s work."""

import re
from collections.abc import Iterable
from pathlib import Path

from tests.canary.needles import NOT_DIGITS, SEPARATOR
from tests.canary.places import files
from tests.fake_iamport import numbered
from tests.migration.export import DECLINED

# All numbers of an export begin with 40000; only the first digit is passed over, so that matches may overlap.
NUMBER = re.compile(rb"4(?=" + (SEPARATOR + rb"0") * 4 + rb"((?:" + SEPARATOR + rb"[0-9]){11}))")


class Numbers:
    """The card numbers of an export, and one more to plant.

    Args:
        rows: of the export.
    """

    def __init__(self, rows: int) -> None:
        self.planted = numbered(rows)
        self._known = {numbered(index).encode() for index in range(rows + 1)} | {DECLINED.encode()}

    def plant(self, path: Path) -> None:
        """Leave a number in a file as a careless program might: grouped, in the middle of a line."""
        groups = "-".join(self.planted[at : at + 4] for at in range(0, 16, 4))
        path.write_text(f"12,card={groups};{self.planted[:6]}******{self.planted[-4:]}\n")

    def found_in(self, folders: Iterable[Path]) -> set[str]:
        """Those that stand in a file below these folders, or in its name."""
        found: set[str] = set()
        for piece in files(folders):
            found.update(number.decode() for number in self._numbers_of(piece))
        return found

    def _numbers_of(self, piece: bytes) -> set[bytes]:
        return {b"40000" + NOT_DIGITS.sub(b"", match[1]) for match in NUMBER.finditer(piece)} & self._known
