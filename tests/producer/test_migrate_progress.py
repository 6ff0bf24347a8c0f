"""What a terminal shows of a run."""

import io

import pytest
from rich.console import Console

from producer.migrate.progress import NAMED, Progress


@pytest.mark.parametrize("expected", [None, 100], ids=["rows unknown", "rows known"])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_count_has_a_row_of_its_own_in_the_live_display(expected: int | None, width: int) -> None:
    counts = {name: number for number, name in enumerate(NAMED, 41)}
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)

    table = Progress("m", 1, expected, counts=counts).table()
    lines = ["".join(part.text for part in line).strip() for line in console.render_lines(table)]

    assert [f"{count}  {name.replace('_', ' ')}" for name, count in counts.items() if count] == [
        line for line in lines if line.startswith("4")
    ]
