"""The floor of requests: bare keep-alive POSTs of a card from a thread pool, in a process of their own.

    python -m tests.bench.post http://127.0.0.1:8090 --posts 2000

Prints one JSON object: ``cpu_ms`` (user and system) and ``elapsed_s``, after a warm-up.
"""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import click
import requests

from tests.fake_iamport.cards import numbered

_mine = threading.local()


@click.command()
@click.argument("url")
@click.option("--posts", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--trust-env/--no-trust-env", default=True, show_default=True, help="requests' own default is to trust.")
def main(url: str, posts: int, threads: int, *, trust_env: bool) -> None:
    """Measure what a POST costs when requests does nothing else."""

    def post(index: int) -> None:
        session: requests.Session | None = getattr(_mine, "session", None)
        if session is None:
            session = _mine.session = requests.Session()
            session.trust_env = trust_env
        card = {
            "card_number": numbered(index),
            "expiry": "2031-07",
            "birth": "900101",
            "pwd_2digit": "12",
            "pg": "nice",
        }
        headers = {"Authorization": "Bearer 0123456789012345678901234567890123456789"}
        session.post(f"{url}/subscribe/customers/bench-{index}", json=card, headers=headers, timeout=30)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(post, range(threads * 8)))
        cpu_s, began = time.process_time(), time.monotonic()
        list(pool.map(post, range(posts)))
        cpu_s, elapsed_s = time.process_time() - cpu_s, time.monotonic() - began
    click.echo(json.dumps({"cpu_ms": 1000 * cpu_s / posts, "elapsed_s": elapsed_s}))


if __name__ == "__main__":
    main()
