"""File descriptors: how many connections fit, and the soft limit raised to what is allowed.

A client's connection takes two, one of them to a backend. Windows has no such limit, and no `resource`.
"""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import resource

SPARE = 64  # listening sockets, the log, standard files, the event loop, a look-up, connections just refused
UNLIMITED = 1 << 30


def needed(connections: int) -> int:
    """Return the number of descriptors that this many clients need."""
    return 2 * connections + SPARE


def raise_limit(wanted: int) -> int:
    """Raise the soft limit to `wanted` if it is lower, up to the hard limit; return the limit now."""
    if sys.platform == "win32":
        return UNLIMITED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return UNLIMITED
    if soft >= wanted:
        return soft
    # macOS refuses more than kern.maxfilesperproc though its hard limit is infinite: then 10240 is usual.
    for target in (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), 10240):
        if target <= soft:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        except (ValueError, OSError):
            continue
        return target
    return soft


def capacity(connections: int) -> tuple[int, str]:
    """Return how many of the clients there are descriptors for, and a message if that is not all of them."""
    limit = raise_limit(needed(connections))
    fitting = max(1, (limit - SPARE) // 2)
    if fitting >= connections:
        return connections, ""
    return fitting, (
        f"limits.connections is {connections}, but {limit} file descriptors are enough for {fitting}:"
        f" more are answered 503; raise the hard limit (ulimit -Hn) to {needed(connections)}, or lower it"
    )
