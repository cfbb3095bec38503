"""Same key, same backend."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from hashlib import blake2b
from math import ceil, log
from struct import unpack

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
        self._stands: dict[Backend, tuple[float, tuple[int, ...]]] = {}  # weight, points; kept

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._stands = {b: self._stand(b) for b in backends}
        owner: dict[int, Backend] = {}
        # By name, so that every proxy settles it alike should two ever stand at one point.
        for backend in sorted(backends, key=lambda b: b.name):
            owner.update(dict.fromkeys(self._stands[backend][1], backend))
        self._hashes = sorted(owner)
        self._owners = [owner[point] for point in self._hashes]

    def _stand(self, backend: Backend) -> tuple[float, tuple[int, ...]]:
        known = self._stands.get(backend)
        if known and known[0] == backend.weight:
            return known
        number = max(1, round(self.points * backend.weight))
        # Eight points of each hash, as ketama takes four of each of its own: hashing is what a ring costs.
        digests = (blake2b(f"{backend.name}/{i}".encode()).digest() for i in range(ceil(number / 8)))
        return backend.weight, unpack(f">{number}Q", b"".join(digests)[: 8 * number])

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


class Rendezvous(Balancer):
    """Every backend draws lots for the key, the highest wins: highest random weight.

    No ring, no table: a key's winner changes only when the winner leaves, or a newcomer beats it.
    O(n) a pick, so for pools of some hundreds. Weights by -weight / ln(lot), which gives exact
    shares. (Thaler and Ravishankar, IEEE/ACM ToN 6(1), 1998; Schindelhauer and Schomaker, SPAA
    2005; all hashes of Caddy.)
    """

    keyed_by = "path"

    def __init__(self) -> None:
        self._salted: list[tuple[int, float, Backend]] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._salted = [(hash64(b.name), b.weight, b) for b in backends]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._winner(hash64(key), ())

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        return self._winner(hash64(key), exclude)

    def _winner(self, key: int, exclude: Collection[Backend]) -> Backend:
        best, winner = -1.0, None
        for salt, weight, backend in self._salted:
            score = -weight / log((mixed(key ^ salt) + 0.5) / 2**64)
            if score > best and backend not in exclude:
                best, winner = score, backend
        assert winner
        return winner


class JumpHash(Balancer):
    """A few lines of arithmetic instead of a ring: even to a hair, no memory, O(log n).

    Numbers backends 0 to n-1, so that only the last can leave without moving other keys: for storage
    that grows, not for servers that die. Weights are ignored. (Lamping and Veach, arXiv 1406.2294.)
    """

    keyed_by = "path"

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[jump(hash64(key), len(backends))]


class Maglev(Balancer):
    """A table of `slots` places that backends fill in turns, each in an order of its own: one look a pick.

    Shares are even within 1 % while there are a hundred slots for each. A little more than the necessary
    moves when somebody leaves: the table is filled anew. `slots` must be a prime. (Eisenbud et al., NSDI
    2016; 65537 as in Envoy and Katran.)
    """

    keyed_by = "path"

    def __init__(self, slots: int = 65537) -> None:
        if slots < 2 or any(slots % d == 0 for d in range(2, int(slots**0.5) + 1)):
            raise ValueError(f"slots is {slots}: use a prime number, such as 65537")
        self.slots = slots
        self._table: list[Backend] = []
        self._made_of: tuple[tuple[Backend, float], ...] = ()

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # By name, so that every proxy fills the same table, in whatever order it knows the backends.
        made_of = tuple((b, b.weight) for b in sorted(backends, key=lambda b: b.name))
        if made_of != self._made_of:
            self._made_of = made_of
            self._table = self._filled() if made_of else []

    def _filled(self) -> list[Backend]:
        slots = self.slots
        heaviest = max(weight for _, weight in self._made_of)
        # Where each looks next, and by how much it goes on: together an order of all slots.
        places = [
            [hash64(b.name) % slots, hash64(b.name + "/skip") % (slots - 1) + 1] for b, _ in self._made_of
        ]
        saved = [0.0] * len(places)
        table: list[Backend | None] = [None] * slots
        left = slots
        while left:
            for i, (backend, weight) in enumerate(self._made_of):
                # The heaviest has a turn in every round, the others save up for theirs.
                saved[i] += weight / heaviest
                if saved[i] < 1 - 1e-9 or not left:
                    continue
                saved[i] -= 1
                at, skip = places[i]
                while table[at] is not None:
                    at = (at + skip) % slots
                table[at] = backend
                places[i][0] = (at + skip) % slots
                left -= 1
        return [backend for backend in table if backend]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._table[hash64(key) % self.slots]

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        start = hash64(key)
        further = (self._table[(start + k) % self.slots] for k in range(self.slots))
        # One of very little weight may have no slot at all, and be the only one left.
        others = (b for b in backends if b not in exclude)
        return next((b for b in further if b not in exclude), None) or next(others)


class BoundedHash(ConsistentHash):
    """The ring, but nobody gets more than `factor` times the average: what is too much goes on clockwise.

    A popular key no longer sinks its server, at the price of a few keys that sometimes meet another. The
    factor is above 1; 1.25 is usual. (Mirrokni, Thorup and Zadimoghaddam, SODA 2018; HAProxy
    `hash-balance-factor`, Envoy `hash_balance_factor`.)
    """

    def __init__(self, factor: float = 1.25, points: int = 160) -> None:
        super().__init__(points)
        if not factor > 1:
            raise ValueError(f"factor is {factor}: at 1 or below there is no room for the next request")
        self.factor = factor
        self._members: frozenset[Backend] = frozenset()
        self._weight = 0.0  # of all of them
        self._in_flight = 0  # on all of them, so that a pick does not count

    def rebuild(self, backends: Sequence[Backend]) -> None:
        super().rebuild(backends)
        self._members = frozenset(backends)
        self._weight = sum(b.weight for b in backends)
        self._in_flight = sum(b.in_flight for b in backends)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self.pick_except(backends, (), key, now)

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        self._in_flight += 1
        share = self.factor * self._in_flight / self._weight
        first = bisect_right(self._hashes, hash64(key))
        passed = set(exclude)
        nearest = None
        for k in range(len(self._owners)):
            backend = self._owners[(first + k) % len(self._owners)]
            if backend in passed:
                continue
            if backend.in_flight < ceil(share * backend.weight):
                return backend
            passed.add(backend)
            nearest = nearest or backend
        assert nearest, "the pool sees to it that not all are excluded"
        return nearest  # all that are left are full: where the key belongs

    def done(self, backend: Backend, latency: float, ok: bool | None, now: float) -> None:
        if backend in self._members:
            self._in_flight -= 1


class MultiProbe(Balancer):
    """A ring with one point a backend; the key is tried at `probes` places, and the nearest point wins.

    As even as hundreds of points each, in a ring that is as short as the pool. Weights are ignored. 21
    probes bring the busiest to 1.05 times the average. (Appleton and O'Reilly, arXiv 1505.00062.)
    """

    keyed_by = "path"

    def __init__(self, probes: int = 21) -> None:
        if probes < 1:
            raise ValueError(f"probes is {probes}: look at 1 place at least")
        self.probes = probes
        self._hashes: list[int] = []
        self._owners: list[Backend] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        ring = sorted(((hash64(b.name), b) for b in backends), key=lambda entry: entry[0])
        self._hashes = [point for point, _ in ring]
        self._owners = [backend for _, backend in ring]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._nearest(hash64(key), self._hashes, self._owners)

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        everybody = zip(self._hashes, self._owners, strict=True)
        ring = [(point, b) for point, b in everybody if b not in exclude]
        return self._nearest(hash64(key), [point for point, _ in ring], [b for _, b in ring])

    def _nearest(self, key: int, hashes: list[int], owners: list[Backend]) -> Backend:
        best, nearest = 2**64, owners[0]
        for probe in range(self.probes):
            place = mixed(key + probe * GOLDEN)
            i = bisect_right(hashes, place) % len(hashes)
            distance = (hashes[i] - place) % 2**64
            if distance < best:
                best, nearest = distance, owners[i]
        return nearest


GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: steps that spread evenly


def mixed(x: int) -> int:
    """64 other bits for 64 bits, each depending on all. (SplitMix64: Steele et al., OOPSLA 2014.)"""
    x = (x + GOLDEN) % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def jump(key: int, n: int) -> int:
    """Jump consistent hash: which of 0 .. n-1 a 64-bit key belongs to."""
    at, following = -1, 0
    while following < n:
        at = following
        key = (key * 2862933555777941757 + 1) % 2**64
        following = int((at + 1) * (2**31 / ((key >> 33) + 1)))
    return at
