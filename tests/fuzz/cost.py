"""What one input costs: CPU of this thread, and memory.

Memory is the most that Python had allocated while the input was read, the input itself left out (tracemalloc). It does
not see what OpenSSL and pydantic's core allocate on their own; nothing above 8 KiB gets as far as they are.
"""

import time
import tracemalloc
from collections.abc import Callable

MEASURED_AGAIN = 15
MEGABYTE = 1e6


def cpu_ms(read: Callable[[], object]) -> float:
    """Milliseconds of CPU that it took, once."""
    begun = time.thread_time_ns()
    read()
    return (time.thread_time_ns() - begun) / 1e6


def least_cpu_ms(read: Callable[[], object]) -> float:
    """The least of several: the input's own cost, without the garbage collector's and the caches'."""
    return min(cpu_ms(read) for _ in range(MEASURED_AGAIN))


def peak_mb(read: Callable[[], object]) -> float:
    """Megabytes that were allocated at most at one time."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1] / MEGABYTE
    finally:
        tracemalloc.stop()
