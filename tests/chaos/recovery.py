"""How long the jobs of a killed worker wait for their next step."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping

from producer import Outcome
from tests.chaos.judge import Sent
from tests.chaos.stage import Killer


def recovery_p99_s(killer: Killer, sent: list[Sent], outcomes: Mapping[str, Outcome | None]) -> float | None:
    """Seconds from a kill to the next step (outcome, look-up or new send) of the jobs in hand: the 99th percentile.

    A job counts for a kill if it was in hand then and had no outcome yet; of two groups only one is killed, so the
    other group's jobs are in the sample, too, with their ordinary steps: it is what an operator would see.
    """
    by_id = {job.job_id: job for job in sent}
    steps: dict[str, list[float]] = defaultdict(list)
    for request in killer.stage.fake.requests:
        steps[request.path.rsplit("/", 1)[-1].split("?")[0]].append(request.at)
    waits = []
    for at, held in killer.in_hand:
        for job_id in held:
            outcome = outcomes.get(job_id)
            finished = [outcome.finished_at] if outcome is not None else []
            name = by_id[job_id].merchant_uid or by_id[job_id].customer_uid
            calls = steps[name]
            after = [*calls[bisect_right(calls, at) :][:1], *(one for one in finished if one >= at)]
            if after:
                waits.append(min(after) - at)
    return sorted(waits)[int(len(waits) * 0.99)] if waits else None
