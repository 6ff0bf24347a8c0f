"""The fake i'mport as a process: ``python -m tests.fake_iamport``."""

import argparse
import signal
import threading
from pathlib import Path

from tests.fake_iamport.fake import IMP_KEY, IMP_SECRET, LOCAL_NAMES, FakeIamport
from tests.fake_iamport.faults import Fault

EVERYWHERE = "/"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_iamport", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument(
        "--host", choices=("127.0.0.1", "0.0.0.0"), default="127.0.0.1", help="0.0.0.0 only inside a container"
    )
    parser.add_argument("--tls", action="store_true", help="serve https")
    parser.add_argument("--ca-file", type=Path, help="write the certificate that clients must trust here")
    parser.add_argument("--name", action="append", default=[], help="one more host name for the certificate")
    parser.add_argument("--imp-key", default=IMP_KEY, help="the account's key")
    parser.add_argument("--imp-secret", default=IMP_SECRET, help="the account's secret")
    parser.add_argument("--latency-s", type=float, help="wait this long for POST /subscribe/…")
    parser.add_argument("--rate-per-s", type=float, help="answer 429 beyond this rate, all paths")
    parser.add_argument("--burst", type=int, default=1, help="how many at once --rate-per-s lets")
    parser.add_argument(
        "--unknown-uid-style", choices=("404", "200"), default="404", help="HTTP status for an unknown customer_uid"
    )
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    given = _arguments()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    fake = FakeIamport(
        tls=given.tls,
        imp_key=given.imp_key,
        imp_secret=given.imp_secret,
        port=given.port,
        host=given.host,
        names=(*LOCAL_NAMES, *given.name),
        ca_file=given.ca_file,
        unknown_uid_style=given.unknown_uid_style,
    )
    if given.latency_s:
        fake.add_fault(Fault("latency", "POST /subscribe/", latency_s=given.latency_s))
    if given.rate_per_s:
        fake.add_fault(Fault("rate_limit", EVERYWHERE, rate_per_s=given.rate_per_s, burst=given.burst))
    with fake:
        print(fake.url, flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
