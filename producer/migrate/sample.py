"""Sample: some rows of a source for a trial, spread evenly over all of it, however long it is."""

from collections.abc import Iterable, Iterator

from .checker import Row

SAMPLE_LIMIT = 1000  # twice as many cards are held until the source is read


def spread(rows: Iterable[Row], count: int) -> Iterator[Row]:
    """So many rows that can be sent, in their order; all of them if there are no more.

    Args:
        rows: of the source.
        count: 1 to :data:`SAMPLE_LIMIT`.
    """
    kept: list[Row] = []
    seen, step = 0, 1
    for row in rows:
        if row.request is not None:
            if seen % step == 0:
                kept.append(row)
            seen += 1
        if len(kept) > 2 * count:  # every second one goes, and from now on comes
            del kept[1::2]
            step *= 2
        del row  # or its card would wait here for the next one
    chosen = min(count, len(kept))
    yield from (kept[(2 * at + 1) * len(kept) // (2 * chosen)] for at in range(chosen))
