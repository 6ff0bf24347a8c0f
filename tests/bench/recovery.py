"""How soon others take up what a worker process held that was killed, stopped or ended."""

from producer.contract.job import MIGRATION
from tests.chaos.ends import Ends
from tests.chaos.stage import Stage
from tests.fake_iamport import Fault

BACKLOG, ENDS, OVER_S = 1500, 9, 60.0


def recovery_s() -> list[float]:
    """Seconds from the end of a process, behind a backlog, for each job that it held."""
    with Stage(1, IMP_RATE_PER_S="20") as stage:
        stage.fake.add_fault(Fault("latency", "POST /subscribe/", latency_s=(0.5, 1.5)))
        stage.issue(BACKLOG, "moved", queue=MIGRATION)
        stage.start_workers(2)
        ends = Ends(stage, ENDS, OVER_S).start()
        ends.join()
        return sorted(ends.waits["claimed"] + ends.waits["popped"])
