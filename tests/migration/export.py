"""A merchant's export, the same at every reading: ``python -m tests.migration.export`` writes it to stdout."""

import signal
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from tests.fake_iamport import CARDS, numbered

HEADER = "customer_uid,card_number,expiry,birth,pwd_2digit"
DECLINED = CARDS["verification_failed"].card_number
PIECE = 1000


class Export(NamedTuple):
    """What an export holds.

    Args:
        rows: how many.
        declined_each: each so-many-th card is declined; 0 is none.
        repeats: the last so many rows are further cards of the first customers.
        cut_after: it ends in the middle of the row after so many.
        quiet_after: nothing follows after so many, and the pipe stays open.
    """

    rows: int
    declined_each: int = 0
    repeats: int = 0
    cut_after: int | None = None
    quiet_after: int | None = None

    @property
    def command(self) -> list[str]:
        """The process that writes it."""
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self._asdict().items() if value is not None]
        return [sys.executable, "-m", "tests.migration.export", *options]

    def uid(self, index: int) -> str:
        """The customer of a row."""
        first = self.rows - self.repeats
        return f"customer_{index - first if index >= first else index:08d}"

    def is_declined(self, index: int) -> bool:
        return bool(self.declined_each) and index % self.declined_each == self.declined_each - 1

    def lines(self) -> Iterator[str]:
        """Header and rows with their line ends, as far as they come."""
        yield f"{HEADER}\r\n"
        for index in range(self.rows):
            if index == self.quiet_after:
                return
            number = DECLINED if self.is_declined(index) else numbered(index)
            row = f"{self.uid(index)},{number},2031-07,900101,12\r\n"
            if index == self.cut_after:
                yield row[: len(row) // 2]
                return
            yield row


def line_of(index: int) -> int:
    """The line of a row."""
    return index + 2


@click.command()
@click.option("--rows", type=int, required=True)
@click.option("--declined-each", type=int, default=0)
@click.option("--repeats", type=int, default=0)
@click.option("--cut-after", type=int)
@click.option("--quiet-after", type=int)
def main(**given: Any) -> None:
    """Write an export to stdout."""
    export = Export(**given)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    piece: list[str] = []
    for line in export.lines():
        piece.append(line)
        if len(piece) == PIECE:
            sys.stdout.write("".join(piece))
            piece.clear()
    sys.stdout.write("".join(piece))
    sys.stdout.flush()
    if export.quiet_after is not None:
        signal.pause()


if __name__ == "__main__":
    main()
