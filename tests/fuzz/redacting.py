"""What redaction makes of card numbers in running text, and of ordinary text."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from producer.runtime.redaction import redact
from tests.fuzz.numbers import NAMES, planted
from tests.fuzz.ordinary import ordinary

CHANGED_LIMIT = 0.001


@dataclass
class Redacted:
    """Counts; they add up.

    Args:
        count: numbers, and ordinary texts, that were redacted.
        missed: numbers of which a half was left, by spelling.
        changed: ordinary texts that lost something, by kind.
        ordinary: all of them by kind.
        seen: what was missed first, by the number that makes it again.
    """

    count: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    ordinary: Counter[str] = field(default_factory=Counter)
    seen: list[int] = field(default_factory=list)

    def add(self, other: "Redacted") -> None:
        self.count += other.count
        self.missed += other.missed
        self.changed += other.changed
        self.ordinary += other.ordinary
        self.seen += other.seen

    @property
    def failed(self) -> bool:
        """Whether a number was missed, or too much was eaten."""
        return bool(self.missed) or self.changed.total() >= CHANGED_LIMIT * self.count

    def members(self) -> dict[str, Any]:
        """As the last line has it."""
        return {
            "numbers": self.count,
            "spellings": len(NAMES),
            "missed": self.missed.total(),
            "missed_spellings": dict(self.missed),
            "missed_first": self.seen[:3],
            "ordinary_texts": self.count,
            "changed": self.changed.total(),
            "changed_percent": {
                kind: round(100 * self.changed[kind] / count, 3) for kind, count in sorted(self.ordinary.items())
            },
        }


def redacted(seed: int, numbers: Iterable[int], redact: Callable[[str], str] = redact) -> Redacted:
    """Redact the numbers of these numbers, and as many ordinary texts."""
    tally = Redacted()
    for number in numbers:
        one = planted(seed, number)
        left, half = redact(one.text), len(one.number) // 2
        if one.number[:half] in left or one.number[half:] in left:
            tally.missed[one.spelling] += 1
            tally.seen.append(number)
        kind, text = ordinary(Random(f"{seed}:ordinary:{number}"))
        tally.changed[kind] += redact(text) != text
        tally.ordinary[kind] += 1
        tally.count += 1
    return tally
