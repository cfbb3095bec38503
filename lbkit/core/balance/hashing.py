"""Same key, same backend."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b, shake_128
from math import ceil, log
from struct import unpack
from zlib import crc32

from lbkit.core.backend import Backend
from lbkit.core.balance.base import Balancer, Why

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: steps that spread evenly


def hash64(key: str) -> int:
    """64 bits of `key`, the same in every process (Python's own hash() is salted).

    CRC-32, as nginx takes, spread over 64 bits by a multiplication (Knuth, TAOCP 3, 6.4): a tenth of a
    microsecond, where a cryptographic hash takes half of one. At most 2^32 different values."""
    return crc32(key.encode()) * GOLDEN & 0xFFFFFFFFFFFFFFFF


def place64(name: str) -> int:
    """64 bits for a backend. Hashed with care, as few names decide for many keys."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


class ModuloHash(Balancer):
    """Hash of the key modulo the number of backends.

    Even, needs no memory, and one look a pick; but when a backend joins N, N/(N+1) of the keys move.
    Weights are ignored. (nginx `hash`, HAProxy `hash-type map-based` with equal weights.)
    """

    keyed = True
    keyed_by = "path"

    def part(self, key: str) -> str:
        """What of the key is hashed."""
        return key

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[hash64(self.part(key)) % len(backends)]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        part, n = self.part(key), len(backends)
        return Why(f"hash of {part!r} modulo {n}", place=hash64(part) % n, places=n)


class IPHash(ModuloHash):
    """The client's address decides: its hash modulo the number of backends.

    A client keeps its backend without a cookie, until the pool changes: then nearly
    all clients move (N/(N+1) of them when a backend joins N). Weights are ignored. `octets=3` looks at
    the first three numbers of an IPv4 address only, as nginx does: a whole /24 goes to one backend.
    """

    name = "ip_hash"
    keyed_by = "client"

    def __init__(self, octets: int = 4) -> None:
        if octets not in (1, 2, 3, 4):
            raise ValueError(f"octets is {octets}: an IPv4 address has 4, and nginx looks at 3")
        self.octets = octets

    def part(self, key: str) -> str:
        if self.octets < 4 and key.count(".") == 3:
            return ".".join(key.split(".")[: self.octets])
        return key


class ConsistentHash(Balancer):
    """A ring: each backend stands at many points, a key goes to the next point clockwise.

    When a backend leaves, only its own keys move, 1/N of them. `points` per unit
    of weight even out the shares: their spread is about 1/sqrt(points). 160 as in nginx
    and ketama. (Karger et al., STOC 1997; Lamping and Veach, arXiv 1406.2294.)
    """

    keyed = True
    keyed_by = "path"

    def __init__(self, points: int = 160) -> None:
        if points < 1:
            raise ValueError(f"points is {points}: a backend needs at least 1 point on the ring")
        self.points = points
        self._ring: list[float] = []  # points, in order; see ring_points()
        self._owners: list[Backend] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        # By name, so that every proxy settles it alike should two ever stand at one point.
        self._owners = sorted(backends, key=lambda b: b.name)
        ring: list[float] = []
        for owner, backend in enumerate(self._owners):
            ring += ring_points(backend.name, owner, max(1, round(self.points * backend.weight)))
        ring.sort()
        self._ring = ring

    def _owner(self, point: float) -> Backend:
        return self._owners[int(point * 2**52) & 0xFFFFF]

    def _first(self, key: str) -> int:
        """Index of the first point clockwise of the key's place."""
        return bisect_right(self._ring, 1 + (hash64(key) >> 32) * 2**-32) % len(self._ring)

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._owner(self._ring[self._first(key)])

    def onwards(self, key: str) -> Iterator[Backend]:
        """From the key's place once around: where it would go if those before were not there."""
        first, ring = self._first(key), self._ring
        return (self._owner(ring[i % len(ring)]) for i in range(first, first + len(ring)))

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        return next(b for b in self.onwards(key) if b not in exclude)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        first, ring = self._first(key), len(self._ring)
        near = [self._ring[(first + k) % ring] for k in range(-1, min(3, ring))]
        return Why(
            f"the first point clockwise of the hash of {key!r}",
            place=(hash64(key) >> 32) / 2**32,
            near=tuple((point - 1, self._owner(point).name) for point in near),
        )

    def where(self) -> list[tuple[float, str]]:
        """All points of the ring, from 0 to 1, with whose they are: for a picture."""
        return [(point - 1, self._owner(point).name) for point in self._ring]


def ring_points(name: str, owner: int, number: int) -> tuple[float, ...]:
    """Places on a ring, from 1 to 2: of a float's 52 bits, 32 say where, and 20 which backend (`owner`).

    So a ring is one list of floats, which Python sorts and searches faster than anything else. One long
    digest serves all points, and bits are put in place in all of them at once: the work is by the backend.
    """
    each = int.from_bytes((1).to_bytes(8, "big") * number, "big")  # a 1 in every 64 bits
    bits = int.from_bytes(shake_128(name.encode()).digest(8 * number), "big")
    bits = bits & each * 0x000F_FFFF_FFF0_0000 | each * (0x3FF0_0000_0000_0000 + owner)  # 3FF: from 1 to 2
    return unpack(f">{number}d", bits.to_bytes(8 * number, "big"))


class Rendezvous(Balancer):
    """Every backend draws lots for the key, the highest wins: highest random weight.

    No ring, no table: a key's winner changes only when the winner leaves, or a newcomer beats it.
    O(n) a pick, so for pools of some hundreds. Weights by -weight / ln(lot), which gives exact
    shares. (Thaler and Ravishankar, IEEE/ACM ToN 6(1), 1998; Schindelhauer and Schomaker, SPAA
    2005; all hashes of Caddy.)
    """

    keyed = True
    keyed_by = "path"

    def __init__(self) -> None:
        self._salted: list[tuple[int, float, Backend]] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        self._salted = [(place64(b.name), b.weight, b) for b in backends]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return self._winner(hash64(key), ())

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        return self._winner(hash64(key), exclude)

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        lots = {b.name: -w / log((mixed(hash64(key) ^ salt) + 0.5) / 2**64) for salt, w, b in self._salted}
        return Why(f"lots drawn for {key!r}", lots, "highest")

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

    keyed = True
    keyed_by = "path"

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return backends[jump(hash64(key), len(backends))]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        n = len(backends)
        return Why(f"where {key!r} stops jumping", place=jump(hash64(key), n), places=n)


class Maglev(Balancer):
    """A table of `slots` places that backends fill in turns, each in an order of its own: one look a pick.

    Shares are even within 1 % while there are a hundred slots for each. A little more than the necessary
    moves when somebody leaves: the table is filled anew. `slots` must be a prime. (Eisenbud et al., NSDI
    2016; 65537 as in Envoy and Katran.)
    """

    keyed = True
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
            [place64(b.name) % slots, place64(b.name + "/skip") % (slots - 1) + 1] for b, _ in self._made_of
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

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        slot = hash64(key) % self.slots
        return Why(f"the owner of the slot of {key!r}", place=slot, places=self.slots)

    def table(self) -> list[str]:
        """Whose each slot is, by name: for a picture."""
        return [b.name for b in self._table]

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

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        share = self.factor * (self._in_flight + 1) / self._weight
        room = {b.name: ceil(share * b.weight) - b.in_flight for b in backends}
        ring = super().explain(backends, key, now)
        return Why(f"{ring.rule} that has room; room of each", room, "", ring.place, 0, ring.near)

    def pick_except(
        self, backends: Sequence[Backend], exclude: Collection[Backend], key: str, now: float
    ) -> Backend:
        self._in_flight += 1
        share = self.factor * self._in_flight / self._weight
        passed = set(exclude)
        nearest = None
        for backend in self.onwards(key):
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

    keyed = True
    keyed_by = "path"

    def __init__(self, probes: int = 21) -> None:
        if probes < 1:
            raise ValueError(f"probes is {probes}: look at 1 place at least")
        self.probes = probes
        self._hashes: list[int] = []
        self._owners: list[Backend] = []

    def rebuild(self, backends: Sequence[Backend]) -> None:
        ring = sorted(((place64(b.name), b) for b in backends), key=lambda entry: entry[0])
        self._hashes = [point for point, _ in ring]
        self._owners = [backend for _, backend in ring]

    def pick(self, backends: Sequence[Backend], key: str, now: float) -> Backend:
        return min(self._looks(hash64(key), *self._ring(backends)), key=lambda look: look[0])[1]

    def explain(self, backends: Sequence[Backend], key: str, now: float) -> Why:
        gaps: dict[str, float] = {}
        for distance, owner in self._looks(hash64(key), *self._ring(backends)):
            gaps[owner.name] = min(distance / 2**64, gaps.get(owner.name, 1.0))
        return Why(f"distance to the next point from {self.probes} places of {key!r}", gaps, "lowest")

    def _ring(self, backends: Sequence[Backend]) -> tuple[list[int], list[Backend]]:
        if len(backends) == len(self._owners):
            return self._hashes, self._owners
        left = [i for i, owner in enumerate(self._owners) if owner in backends]  # a retry, among fewer
        return [self._hashes[i] for i in left], [self._owners[i] for i in left]

    def _looks(self, key: int, hashes: list[int], owners: list[Backend]) -> Iterator[tuple[int, Backend]]:
        """From each place: how far it is to the next point, and whose that is."""
        for probe in range(self.probes):
            place = mixed(key + probe * GOLDEN)
            i = bisect_right(hashes, place) % len(hashes)
            yield (hashes[i] - place) % 2**64, owners[i]


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
