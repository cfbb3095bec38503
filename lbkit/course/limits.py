"""What a learner's code may use, and the sentences that say it used more."""

from __future__ import annotations

import sys

MEMORY = 512 << 20  # bytes, beyond what the process has at its start
OUTPUT = 1_000_000  # bytes printed
FILE = 64 << 20  # bytes of a file that it writes
THREADS = 100
PROCESSES = 20

TOO_MUCH_MEMORY = f"the code used more than {MEMORY >> 20} MiB of memory"
TOO_MUCH_OUTPUT = f"the code printed more than {OUTPUT // 1_000_000} MB"
TOO_MANY_THREADS = f"the code started more than {THREADS} threads"
TOO_MANY_PROCESSES = f"the code started more than {PROCESSES} processes"
TOO_LONG = "the code did not return in time and was stopped: is there an endless loop, or too much work?"
ENDED = "the code ended its process"
DELETED = "the code deleted files that the checks need: let it delete its own ones only"
ONLY_WAITS = "the code only waited and was stopped: does it sleep, or wait for a lock that it holds itself?"
NOT_RUN = "not run, as the code had to be stopped too often before: mend that first"
TOO_EARLY = "not run, as it needs another property first: {}"


def lower_limits(memory: int) -> None:
    """Limit the files and the memory of this process, where the system can.

    That is Linux for memory; elsewhere its parent looks only."""
    if sys.platform == "win32":
        return
    import resource

    def lower(what: int, most: int) -> None:
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))

    lower(resource.RLIMIT_FSIZE, FILE)
    if sys.platform != "linux":
        return
    with open("/proc/self/statm") as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    lower(resource.RLIMIT_AS, now + memory)
    lower(resource.RLIMIT_CORE, 0)
