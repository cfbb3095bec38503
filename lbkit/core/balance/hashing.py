"""Same key, same backend."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b
from ipaddress import IPv6Address
from math import log
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


def address_bytes(key: str) -> bytes:
    """The bytes of an IPv4 or IPv6 address; those of the text if it is none."""
    parts = key.split(".")
    if len(parts) == 4 and all(p.isascii() and p.isdigit() and int(p) < 256 for p in parts):
        return bytes(map(int, parts))
    if ":" in key:
        try:
            return IPv6Address(key).packed
        except ValueError:
            pass
    return key.encode()


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
