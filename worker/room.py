"""Room: how full the stores are, and when jobs are refused so that workers can finish those that are accepted.

The worker's scripts may write beyond ``maxmemory`` (``allow-oom``), so an outcome is written whatever happens; what is
refused is what would make it worse. The margin is for what jobs that are open will still write.
"""

from collections.abc import Mapping
from typing import NamedTuple

from producer.runtime.redis_store import Link

FULL_FROM, FREE_BELOW = 0.80, 0.75  # of maxmemory: refuse jobs, and accept them again
OPEN_JOB_BYTES = 4096  # what an open job will still write to the ledger: outcome, stream, Celery's result


class Memory(NamedTuple):
    """A store's memory.

    Args:
        used, most: bytes; ``most`` is 0 without ``maxmemory``.
    """

    used: int
    most: int


def read_info(link: Link, section: str = "default") -> dict[str, str]:
    """INFO of a store, by its own names.

    Raises:
        StoreUnavailable: no answer, or no right to ask.
    """
    lines = link.call("INFO", section).decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def memory_of(link: Link) -> Memory:
    """A store's memory.

    Raises:
        StoreUnavailable: no answer, or no right to ask.
    """
    info = read_info(link, "memory")
    return Memory(int(info.get("used_memory", 0)), int(info.get("maxmemory", 0)))


def full_store(stores: Mapping[str, Memory], open_jobs: int, before: str) -> str:
    """The store for whose sake jobs are refused now, or empty text.

    Args:
        stores: ``ledger`` and ``vault``.
        open_jobs: accepted jobs without an outcome.
        before: the answer of the last time; it stays for a little longer than it took to come.
    """
    for name, memory in stores.items():
        limit = memory.most * (FREE_BELOW if before == name else FULL_FROM)
        wanted = memory.used + (open_jobs * OPEN_JOB_BYTES if name == "ledger" else 0)
        if memory.most and (memory.used >= limit or wanted >= memory.most):
            return name
    return ""
