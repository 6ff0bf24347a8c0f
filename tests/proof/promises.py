"""Promises: what came of a proof in figures, and what did not hold."""

from collections.abc import Callable
from typing import Any


class Promises:
    """What a proof found so far.

    Args:
        tell: hears of progress, a line each.

    Attributes:
        figures: the last line of the output; ``broken`` names what does not hold.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.broken: list[str] = []
        self.figures: dict[str, Any] = {}

    def must(self, holds: object, words: str) -> None:
        """Note a promise that does not hold; ``words`` say what is the case instead."""
        if not holds:
            self.tell(f"  BROKEN: {words}")
            self.broken.append(words)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a figure."""
        self.figures[name] = self.figures.get(name, 0) + by
