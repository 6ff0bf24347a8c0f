"""toss."""

from collections.abc import Mapping

from worker.iamport.codes import Verdict

CODES: Mapping[Verdict, tuple[str, ...]] = {}
