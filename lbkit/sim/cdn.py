"""A content delivery network: caches near the clients, caches behind these, and an origin.

The caches are those of the proxy (`lbkit.core.cache`), and inside a site a balancer of the kit chooses among
its servers. Only time is simple here: a request is served at once, so its misses are never coalesced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from lbkit.core import Backend, Pool, make_balancer
from lbkit.core.cache import Cache, CacheRules, Fields, Request, Response, Stored
from lbkit.core.geo import Place, round_trip
from lbkit.core.options import number, whole
from lbkit.core.text import unknown
from lbkit.workload import stream, zipf

ORIGIN = "origin"
BODY = range(10_000)  # a body without bytes: it has a length


@dataclass(frozen=True, slots=True)
class Site:
    """A site with `servers` caches, each with room for `objects` of equal size.

    `parent`: the site that it asks for what it does not have; empty: the origin. `on_demand`: whether it
    keeps what it has fetched; else it has only what was `put` there. Netflix's appliances are filled at
    night with what is expected to be popular. (Netflix Technology Blog, "Netflix and Fill", 2016.)"""

    name: str
    objects: int
    servers: int = 1
    parent: str = ""
    place: Place | None = None
    on_demand: bool = True

    def __post_init__(self) -> None:
        if not self.name or self.name == ORIGIN:
            raise ValueError(f"name is {self.name!r}: use a text that is neither empty nor {ORIGIN!r}")
        whole(1, 10_000_000, objects=self.objects)
        whole(1, 10_000, servers=self.servers)


class Delivery(NamedTuple):
    """How a request was served: by which site, or the origin, and in how many seconds on the way.

    `asked`: all that were asked, the client's own site first."""

    source: str
    asked: tuple[str, ...]
    seconds: float


@dataclass(slots=True)
class SiteCount:
    """What a site got and what it had."""

    requests: int = 0
    hits: int = 0

    @property
    def hit_rate(self) -> float:
        return self.hits / self.requests if self.requests else 0.0


def uri(key: int) -> str:
    """Return the URI of object number `key`; all are equally long."""
    return f"http://cdn.example/{key:010d}"


def _head(control: str, age: int) -> Fields:
    return Fields((("cache-control", control), ("age", f"{age:010d}")))


class Cdn:
    """Sites, each with its caches, in a tree below the origin."""

    def __init__(
        self,
        sites: Sequence[Site],
        origin: Place | None = None,
        control: str = "max-age=86400",
        inside: str = "consistent_hash",
        options: Mapping[str, Any] | None = None,
        seed: int = 1,
    ) -> None:
        """`control`: the Cache-Control of all objects. `inside`: the algorithm that chooses the server of a
        site, by the object, with its `options`; "random" shows what is lost without consistent hashing.

        Raises ValueError for unknown parents, for circles, and for objects that no cache may keep."""
        if not sites:
            raise ValueError("sites is empty: use at least one Site")
        self.sites = {site.name: site for site in sites}
        if len(self.sites) < len(sites):
            raise ValueError("sites has a name twice: give each site a name of its own")
        self.origin, self.control = origin, control
        self.rules = CacheRules(max_bytes=2**30, max_entry=2**30)
        self._new = _head(control, 0)
        self.way = {name: self._way(name) for name in self.sites}
        self._caches: dict[str, list[Cache[range]]] = {}
        self._pools: dict[str, Pool] = {}
        for site in sites:
            rules = CacheRules(max_bytes=site.objects * entry_size(control), max_entry=2**30)
            self._caches[site.name] = [Cache(rules) for _ in range(site.servers)]
            balancer = make_balancer(inside, stream(seed, site.name), **(options or {}))
            members = [Backend(f"{site.name}/{i}") for i in range(site.servers)]
            self._pools[site.name] = Pool(members, balancer)
        self._places = {f"{site.name}/{i}": i for site in sites for i in range(site.servers)}
        self.counts = {name: SiteCount() for name in self.sites}
        self.fetched = 0  # requests of the origin
        self.served: Counter[str] = Counter()  # requests by their source

    def _way(self, name: str) -> tuple[str, ...]:
        """Return a site and all above it."""
        way: list[str] = []
        while name:
            if name not in self.sites:
                raise ValueError(f"parent of {way[-1]}: {unknown(name, self.sites, 'site')}")
            if name in way:
                raise ValueError(f"parent of {way[-1]} is {name}: these ask each other in a circle")
            way.append(name)
            name = self.sites[name].parent
        return tuple(way)

    # -- requests -----------------------------------------------------------------------------------

    def get(self, site: str, key: int, now: float, client: Place | None = None) -> Delivery:
        """Return how a client's request for an object is served, and keep the object on its way.

        `client`: its place, else it is at the site. Raises ValueError for an unknown site."""
        if site not in self.sites:
            raise ValueError(unknown(site, self.sites, "site"))
        request = Request("GET", uri(key))
        missed: list[Cache[range]] = []
        asked: list[str] = []
        source, age = ORIGIN, 0.0
        for name in self.way[site]:
            cache = self._cache(name, request.uri, now)
            count = self.counts[name]
            count.requests += 1
            asked.append(name)
            found = cache.lookup(request, now)
            if found.served and found.stored is not None:
                count.hits += 1
                source, age = name, found.stored.age(now)
                break
            if self.sites[name].on_demand:
                missed.append(cache)
        else:
            asked.append(ORIGIN)
            self.fetched += 1
        self.served[source] += 1
        if missed:
            # With its age: else an object would be fresh anew at each tier (RFC 9111, 4.2.3).
            self._keep(request, int(age), now, missed)
        return Delivery(source, tuple(asked), self._seconds(asked, client))

    def _keep(self, request: Request, age: int, now: float, caches: Iterable[Cache[range]]) -> None:
        """Store an object that is `age` seconds old in caches; that it may be is known (`entry_size`)."""
        head = _head(self.control, age) if age else self._new
        stored = Stored(request, Response(200, head), BODY, now, now, self.rules)
        for cache in caches:
            cache.entries.put(stored)

    def _cache(self, site: str, key: str, now: float) -> Cache[range]:
        """Return the cache that has, or gets, an object."""
        caches = self._caches[site]
        if len(caches) == 1:
            return caches[0]
        pool = self._pools[site]
        backend = pool.pick(key, now)
        pool.release(backend, now, True, now)
        return caches[self._places[backend.name]]

    def _seconds(self, asked: Sequence[str], client: Place | None) -> float:
        """Return the seconds there and back between all that were asked."""
        places = [client, *(self.place_of(name) for name in asked)]
        known = [place for place in places if place is not None]
        return sum(round_trip(a, b) for a, b in pairwise(known))

    def place_of(self, name: str) -> Place | None:
        return self.origin if name == ORIGIN else self.sites[name].place

    # -- contents -----------------------------------------------------------------------------------

    def put(self, site: str, keys: Iterable[int], now: float) -> int:
        """Place objects in a site before anybody asks; return how many it still has, for the last may push
        out the first."""
        keys = list(keys)
        for key in keys:
            request = Request("GET", uri(key))
            self._keep(request, 0, now, [self._cache(site, request.uri, now)])
        return sum(self.holds(site, key) for key in keys)

    def holds(self, site: str, key: int) -> bool:
        """Return whether any server of a site has an object, fresh or not."""
        return any(uri(key) in cache.entries for cache in self._caches[site])

    def purge(self, key: int) -> int:
        """Remove an object from all caches; return the number of copies."""
        return sum(cache.purge(uri(key)) for caches in self._caches.values() for cache in caches)

    @property
    def origin_load(self) -> float:
        """Requests of the origin for each request of a client; 1 is what it is without the network."""
        total = sum(self.served.values())
        return self.fetched / total if total else 0.0


def entry_size(control: str) -> int:
    """Return the bytes that an object takes in a cache. Raises ValueError if none may keep it."""
    request, response = Request("GET", uri(0)), Response(200, _head(control, 0))
    rules = CacheRules(max_entry=2**30, max_bytes=2**30)
    if why := Cache[range](rules).why_not(request, response, 0.0, 0.0):
        raise ValueError(f"control is {control!r}: {why}; use max-age=86400")
    return Stored(request, response, BODY, 0.0, 0.0, rules).size


@dataclass(frozen=True, slots=True)
class Demand:
    """Requests for objects by Zipf's law: the k-th has weight 1/k^skew, everywhere or, with `local`, in
    another order at each site."""

    objects: int = 1000
    skew: float = 0.8  # of web traffic: 0.64 to 0.83 (Breslau et al., INFOCOM 1999)
    rate: float = 100.0  # requests a second at each site
    local: bool = False
    seed: int = 1
    _orders: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        whole(1, 10_000_000, objects=self.objects)
        number(0, skew=self.skew)
        number(0, above=True, rate=self.rate)

    def weights(self) -> list[float]:
        """Return the weights of all objects, the most popular first."""
        return [(k + 1) ** -self.skew for k in range(self.objects)]

    def top(self, site: str, count: int) -> list[int]:
        """Return the `count` most popular objects at a site, the most popular last: it is the one
        that stays when they are `put` there and do not fit."""
        return [self.key(site, rank) for rank in reversed(range(min(count, self.objects)))]

    def key(self, site: str, rank: int) -> int:
        """Return the object of a rank at a site; 0 is the most popular."""
        if not self.local:
            return rank
        if site not in self._orders:
            order = list(range(self.objects))
            stream(self.seed, f"order/{site}").shuffle(order)
            self._orders[site] = order
        return self._orders[site][rank]

    def requests(self, sites: Sequence[str], count: int) -> Iterator[tuple[float, str, int]]:
        """Yield `count` requests (seconds, site, object), Poisson at all `sites` together."""
        rng = stream(self.seed, "cdn")
        draw = zipf(self.objects, self.skew, stream(self.seed, "objects"))
        now = 0.0
        for rank in draw(count):
            now += rng.expovariate(self.rate * len(sites))
            site = sites[int(rng.random() * len(sites))]
            yield now, site, self.key(site, rank)


def play(
    cdn: Cdn,
    requests: Iterable[tuple[float, str, int]],
    warmup: int = 0,
    clients: Mapping[str, Place] | None = None,
) -> list[Delivery]:
    """Serve requests (seconds, site, object) in order of time; return all deliveries but the first `warmup`.

    Counts begin after these. `clients`: where those of a site are; else they are at the site."""
    places = clients or {}
    found: list[Delivery] = []
    for i, (now, site, key) in enumerate(requests):
        if i == warmup:
            cdn.counts = {name: SiteCount() for name in cdn.sites}
            cdn.fetched = 0
            cdn.served.clear()
        delivery = cdn.get(site, key, now, places.get(site))
        if i >= warmup:
            found.append(delivery)
    return found
