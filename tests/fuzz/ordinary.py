"""Ordinary text, as this project writes it: redaction must leave it alone."""

import json
import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from hashlib import sha256
from random import Random
from uuid import UUID

from producer.contract.identifiers import job_id_of

BEGIN, END = 1_750_000_000, 1_900_000_000  # 2025 to 2030
KOREA = timezone(timedelta(hours=9))
EVENTS = ("job finished", "job waits", "message dropped: not one of ours", "sweeper waits", "nothing to do")


def _uuid(rng: Random) -> UUID:
    return UUID(bytes=rng.randbytes(16), version=4)


def _at(rng: Random) -> float:
    return rng.uniform(BEGIN, END)


def _iso(rng: Random) -> str:
    at = datetime.fromtimestamp(_at(rng), rng.choice((UTC, KOREA)))
    milliseconds = f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03}"
    return rng.choice((at.isoformat(), f"{at:%Y-%m-%dT%H:%M:%S.%fZ}", f"{at:%Y-%m-%d %H:%M:%S.%f}", milliseconds))


def _customer_uid(rng: Random) -> str:
    name = rng.choice(("gildong", "minsu", "u", "customer", "issued"))
    number = rng.randrange(10_000)
    return rng.choice((
        f"{name}_{number:04d}_{rng.randrange(10_000):04d}", f"{name}-{number}", f"u-{rng.randrange(10**10)}",
        f"{name}_{datetime.fromtimestamp(_at(rng), UTC):%Y%m%d}_{number:04d}", str(_uuid(rng)),
    ))  # fmt: skip


def _address(rng: Random) -> str:
    host = rng.choice(("127.0.0.1", "localhost", "vault", ".".join(str(rng.randrange(256)) for _ in range(4))))
    return f"{host}:{rng.randrange(1024, 65536)}"


def _log_line(rng: Random) -> str:
    at = datetime.fromtimestamp(_at(rng), UTC)
    members = {"job_id": job_id_of(str(rng.random())), "status": "issued", "attempts": rng.randrange(9)}
    members |= {
        "delay_s": round(rng.uniform(0, 900), 1),
        "process": f"{rng.randrange(4 << 20)}-{rng.randbytes(4).hex()}",
    }
    members |= {"event": rng.choice(EVENTS), "level": "info", "logger": "worker.tasks", "timestamp": at.isoformat()}
    return json.dumps(members)


def _plain_line(rng: Random) -> str:
    record = logging.LogRecord("celery", logging.INFO, "", 0, "Connected to redis://%s/0", (_address(rng),), None)
    record.created = at = _at(rng)
    record.msecs = at % 1 * 1000
    return logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s").format(record)


@cache
def _raised() -> str:
    try:
        json.loads("{" * 9)
    except ValueError:
        return traceback.format_exc()
    raise AssertionError


def _traceback(rng: Random) -> str:
    return f"{_raised()}During {_uuid(rng)}, line {rng.randrange(999)}, <object at 0x7f{rng.randrange(1 << 40):010x}>"


KINDS: dict[str, Callable[[Random], str]] = {
    "UUIDs": lambda rng: str(_uuid(rng)),
    "UUIDs in hex": lambda rng: _uuid(rng).hex,
    "job ids": lambda rng: job_id_of(str(rng.random())),
    "SHA-256": lambda rng: sha256(rng.randbytes(9)).hexdigest(),
    "16 random bytes in hex": lambda rng: rng.randbytes(16).hex(),
    "Unix times": lambda rng: repr(_at(rng)),
    "ISO times": _iso,
    "amounts": lambda rng: rng.choice(("{:,} KRW", "amount={}", "₩{:,}")).format(rng.randrange(10**9)),
    "addresses": lambda rng: f"{_address(rng)} -> {_address(rng)}",
    "ids of streams": lambda rng: f"{_at(rng) * 1000:.0f}-{rng.randrange(100)}",
    "customer_uids": _customer_uid,
    "lines of logs": _log_line,
    "lines of others": _plain_line,
    "tracebacks": _traceback,
}


def ordinary(rng: Random) -> tuple[str, str]:
    """A kind, and a text of it."""
    kind = rng.choice(list(KINDS))
    return kind, KINDS[kind](rng)
