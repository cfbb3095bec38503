"""Jump consistent hash: arithmetic instead of a ring or a table."""

from __future__ import annotations

from collections.abc import Sequence

from mypy_extensions import mypyc_attr

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why
from lbkit.core.hashing import hash64


@mypyc_attr(allow_interpreted_subclasses=True)
class JumpHash(Balancer):
    """A few lines of arithmetic instead of a ring: equal shares, no memory, O(log n).

    Backends are numbered 0 to n-1, and only the last can leave without moving other keys: made for storage
    that grows, not for servers that fail. Weights are ignored. (Lamping and Veach, arXiv 1406.2294.)
    """

    keyed = True
    keyed_by = "path"

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[jump(hash64(key), len(backends))]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        n = len(backends)
        return Why(f"the last jump of {key!r}", place=jump(hash64(key), n), places=n)


def jump(key: int, n: int) -> int:
    """Return the number from 0 to n-1 that a 64-bit key belongs to."""
    at, following = -1, 0
    while following < n:
        at = following
        key = (key * 2862933555777941757 + 1) % 2**64
        following = int((at + 1) * (2**31 / ((key >> 33) + 1)))
    return at
