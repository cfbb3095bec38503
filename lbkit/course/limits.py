"""What a learner's code may use, and the sentences that say it used more."""

from __future__ import annotations

import sys

MEMORY = 512 << 20  # bytes, beyond what the process has at its start
OUTPUT = 1_000_000  # bytes printed
THREADS = 100
PROCESSES = 20

TOO_MUCH_MEMORY = f"the code used more than {MEMORY >> 20} MiB of memory"
TOO_MUCH_OUTPUT = f"the code printed more than {OUTPUT // 1_000_000} MB"
TOO_MANY_THREADS = f"the code started more than {THREADS} threads"
TOO_MANY_PROCESSES = f"the code started more than {PROCESSES} processes"
ENDED = "the code ended its process"


def too_long(seconds: float) -> str:
    return f"the code did not return within {seconds:g} seconds and was stopped: is there an endless loop?"


def lower_limits(memory: int) -> None:
    """Limit the memory of this process, where the system can: Linux. Elsewhere its parent looks only."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm") as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
