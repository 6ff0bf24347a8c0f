"""What came of many inputs: counts, the dearest, and every finding."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from traceback import walk_tb
from typing import Any, NamedTuple

from tests.fuzz.cost import cpu_ms, least_cpu_ms, peak_mb
from tests.fuzz.doors import Doors, Input
from tests.fuzz.mutants import LARGE, mutant

CPU_LIMIT_MS, MEMORY_LIMIT_MB = 5.0, 1.0
AGAIN_MS = 2.0  # what took longer the first time is measured again, 15 times: the least counts
DEAR_MS = 1.0  # what takes longer may also take memory
MEMORY_EVERY = 199  # a prime, so that no kind escapes the sample


class Finding(NamedTuple):
    """An input that broke a bound.

    Args:
        what: ``accepted``, ``foreign_exception``, ``slow`` or ``large``.
        number: of the input, which makes it again under its seed.
        how: door, kind, refusal or exception, and figures.
    """

    what: str
    number: int
    how: str


@dataclass
class Tally:
    """Counts and findings; tallies add up.

    Args:
        count: inputs that were handed in.
        measured_again: those whose first measurement was above 2 ms.
        memory_measured: those whose memory was measured: one in 199, all of 64 KiB and more, all above 1 ms.
        slowest_ms, largest_mb: the dearest, outliers measured again.
        kinds, refusals: inputs by how they were made, and by the code of their refusal.
    """

    count: int = 0
    measured_again: int = 0
    memory_measured: int = 0
    slowest_ms: float = 0.0
    largest_mb: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.count += other.count
        self.measured_again += other.measured_again
        self.memory_measured += other.memory_measured
        self.slowest_ms = max(self.slowest_ms, other.slowest_ms)
        self.largest_mb = max(self.largest_mb, other.largest_mb)
        self.kinds += other.kinds
        self.refusals += other.refusals
        self.findings += other.findings

    def judge(self, doors: Doors, number: int, one: Input) -> None:
        """Hand one input in and count what came of it."""
        outcome: list[str] = []

        def read() -> None:
            try:
                outcome.append(doors.refusal(one) or "accepted")
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 — a panic in pydantic's core is no Exception
                *_, frame = walk_tb(error.__traceback__)
                outcome.append(f"raised {type(error).__name__} in {frame[0].f_code.co_filename}:{frame[1]}")

        took_ms = cpu_ms(read)
        word = outcome[0]
        if took_ms > AGAIN_MS:
            self.measured_again += 1
            took_ms = least_cpu_ms(read)
        self.count += 1
        self.kinds[f"{one.door}: {one.kind}"] += 1
        self.refusals[word] += 1
        self.slowest_ms = max(self.slowest_ms, took_ms)
        found = {
            "accepted": word == "accepted",
            "foreign_exception": word.startswith("raised "),
            "slow": took_ms > CPU_LIMIT_MS,
        }
        if len(one.data) >= LARGE or took_ms > DEAR_MS or number % MEMORY_EVERY == 0:
            self.memory_measured += 1
            took_mb = peak_mb(read)
            self.largest_mb = max(self.largest_mb, took_mb)
            found["large"] = took_mb > MEMORY_LIMIT_MB
            word += f", {took_mb:.3f} MB"
        how = f"{one.door}, {one.kind}: {word}, {took_ms:.3f} ms"
        self.findings += [Finding(what, number, how) for what, is_so in found.items() if is_so]

    def members(self) -> dict[str, Any]:
        """As the last line has it."""
        broken = Counter(finding.what for finding in self.findings)
        return {
            "count": self.count,
            "accepted": broken["accepted"],
            "foreign_exceptions": broken["foreign_exception"],
            "slow": broken["slow"],
            "large": broken["large"],
            "slowest_ms": round(self.slowest_ms, 3),
            "largest_mb": round(self.largest_mb, 3),
            "measured_again": self.measured_again,
            "memory_measured": self.memory_measured,
            "kinds": dict(sorted(self.kinds.items())),
            "refusals": dict(self.refusals.most_common()),
        }


def run(doors: Doors, seed: int, numbers: Iterable[int]) -> Tally:
    """Hand in the inputs of these numbers."""
    tally = Tally()
    for number in numbers:
        tally.judge(doors, number, mutant(seed, number))
    return tally
