"""Same key, same backend."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from hashlib import blake2b

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer


def hash64(text: str) -> int:
    """64 well-mixed bits of `text`, the same in every process (Python's own hash() is salted)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class IPHash(Balancer):
    """The client's address decides: hash modulo the number of backends.

    A client keeps its backend without a cookie, until the pool changes: then nearly
    all clients move (N/(N+1) of them when a backend joins N). Weights are ignored.
    """

    name = "ip_hash"

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[hash64(key) % len(backends)]


class ConsistentHash(Balancer):
    """A ring: each backend stands at many points, a key goes to the next point clockwise.

    When a backend leaves, only its own keys move, 1/N of them. `points` per unit
    of weight even out the shares: their spread is about 1/sqrt(points). 160 as in nginx
    and ketama. (Karger et al., STOC 1997; Lamping and Veach, arXiv 1406.2294.)
    """

    keyed_by = "path"

    def __init__(self, points: int = 160) -> None:
        if points < 1:
            raise ValueError(f"points is {points}: a backend needs at least 1 point on the ring")
        self.points = points
        self._hashes: list[int] = []
        self._owners: list[Backend] = []
        self._stands: dict[Backend, tuple[float, list[int]]] = {}  # weight, points; kept between rebuilds

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._stands = {b: self._stand(b) for b in backends}
        ring = sorted(
            ((point, b.name, b) for b, (_, points) in self._stands.items() for point in points),
            key=lambda entry: entry[:2],
        )
        self._hashes = [point for point, _, _ in ring]
        self._owners = [backend for _, _, backend in ring]

    def _stand(self, backend: Backend) -> tuple[float, list[int]]:
        known = self._stands.get(backend)
        if known and known[0] == backend.weight:
            return known
        number = max(1, round(self.points * backend.weight))
        return backend.weight, [hash64(f"{backend.name}/{i}") for i in range(number)]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        i = bisect_right(self._hashes, hash64(key))
        return self._owners[i] if i < len(self._owners) else self._owners[0]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        # On round the ring: where the key would go if the excluded ones were not there.
        start = bisect_right(self._hashes, hash64(key))
        ring = len(self._owners)
        return next(b for k in range(ring) if (b := self._owners[(start + k) % ring]) not in exclude)
