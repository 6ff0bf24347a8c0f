from collections.abc import Iterator

import pytest

from producer.migrate.checker import Row
from producer.migrate.sample import spread
from producer.migrate.source import Record
from tests.producer.migrate_stage import checker, record_of


def rows(count: int) -> Iterator[Row]:
    return (checker().check(record_of(line, f"u{line}")) for line in range(count))


@pytest.mark.parametrize(("rows_there", "count"), [(1, 1), (7, 10), (10, 10), (20, 10), (21, 10), (999, 10), (1000, 1)])
def test_a_sample_has_as_many_rows_as_asked_in_their_order(rows_there: int, count: int) -> None:
    lines = [row.line for row in spread(rows(rows_there), count)]

    assert len(lines) == min(rows_there, count)
    assert lines == sorted(set(lines))


@pytest.mark.parametrize("rows_there", [50, 64, 100, 257, 1000, 4096])
def test_a_sample_is_spread_over_the_whole_source(rows_there: int) -> None:
    lines = [row.line for row in spread(rows(rows_there), 10)]

    gaps = [after - before for before, after in zip([0, *lines], [*lines, rows_there], strict=True)]
    assert max(gaps) <= rows_there / 10 * 2


def test_a_row_that_cannot_be_sent_is_in_no_sample() -> None:
    bad = checker().check(Record(1, {}, "is no CSV"))

    assert [row.line for row in spread([bad, *rows(2), bad], 10)] == [0, 1]


def test_no_more_than_twice_as_many_cards_are_held_as_asked() -> None:
    held = 0

    class Counted(Row):
        def __del__(self) -> None:
            nonlocal held
            held -= 1

    def counted() -> Iterator[Row]:
        nonlocal held
        for row in rows(1000):
            held += 1
            assert held <= 2 * 10 + 2
            yield Counted(*row)

    assert len(list(spread(counted(), 10))) == 10


def test_a_sample_of_nothing_is_nothing() -> None:
    assert list(spread([], 10)) == []
