"""``python -m tests.alerts``: every alert fired and resolved by its cause; every panel has data. The last line is JSON.

A real Prometheus (Debian's package) beside the whole stack; ``for``, windows and ages divided by 60. Ends with 1 if an
alert did not fire or resolve, a command of the runbook did not say what it should, or a panel had nothing to show.
"""

import json
import shutil
import sys
import time

from tests.alerts.causes import CAUSES, Cause
from tests.alerts.stage import Stage
from tests.architecture.test_monitoring import PANELS
from tests.servers import wait_until
from tests.stack import Stack

PATIENCE_S = 300.0
SMALL = {"options": {"maxmemory": "96mb"}}  # a ledger that is soon full


def main() -> int:
    """Let each cause do its work, one after another."""
    if shutil.which("prometheus") is None:
        print("prometheus is not installed (Debian: apt-get install prometheus)", file=sys.stderr)
        return 2
    began, seen, wrong = time.time(), set[str](), list[str]()
    with Stack(queue=SMALL) as stack, stack.billing_queue() as queue, Stage(stack, queue) as stage:
        for cause in CAUSES:
            try:
                wrong += run(stage, cause)
                seen |= {*cause.alerts}
            except TimeoutError as error:
                wrong.append(str(error))
            sys.stdout.flush()
        wrong += panels_without_data(stage, began)
        alerts = {*stage.prometheus.alerts}
    figures = {"alerts": len(alerts), "fired_and_resolved": len(alerts & seen), "panels": len(PANELS)}
    commands = sum(len(cause.looks) for cause in CAUSES)
    print(json.dumps({**figures, "commands": commands, "wrong": wrong, "took_s": round(time.time() - began)}))
    return int(bool(wrong or alerts - seen))


def run(stage: Stage, cause: Cause) -> list[str]:
    """Let a cause fire its alerts, try the commands, and wait until all is quiet again; gives commands that failed.

    Raises:
        TimeoutError: an alert does not fire, or does not end.
    """
    wanted, name, fired = {*cause.alerts}, cause.trouble.__name__, dict[str, float]()

    def is_quiet() -> bool:
        return not wanted & stage.prometheus.firing()

    def has_fired() -> bool:
        for alert in wanted & stage.prometheus.firing():
            fired.setdefault(alert, time.monotonic() - began)
        return fired.keys() == wanted

    wait_until(is_quiet, PATIENCE_S, f"quiet before {name}")
    began = time.monotonic()
    with cause.trouble(stage) as words:
        wait_until(has_fired, PATIENCE_S, f"{name}: {', '.join(wanted)}")
        failed = [line for look in cause.looks if (line := look.tried(stage, words))]
    ended = time.monotonic()
    wait_until(is_quiet, PATIENCE_S, f"quiet after {name}")
    for alert, after_s in fired.items():
        print(f"{alert:24} fires {after_s:5.1f} s after {name}, ends {time.monotonic() - ended:5.1f} s after it")
    return failed


def panels_without_data(stage: Stage, since: float) -> list[str]:
    """Panels with a query that had nothing to show in all that time."""
    return [
        f"{panel['title']}: {one['expr']}"
        for panel in PANELS
        for one in panel["targets"]
        if not stage.prometheus.series(one["expr"], since)
    ]


if __name__ == "__main__":
    sys.exit(main())
