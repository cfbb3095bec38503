"""A content delivery network: edge caches near the clients, tiers of caches behind them, and an origin.

Caches are the proxy's (`lbkit.core.cache`), and one of the kit's balancers chooses among the servers of a
site. Time is simplified: each request is served at once, so concurrent misses are never coalesced.
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
from lbkit.core.options import instances, number, table, texts, whole
from lbkit.core.text import shown, unknown
from lbkit.draws import stream, zipf, zipf_weights

ORIGIN = "origin"
BODY = range(10_000)  # stands for a body: a cache needs only its length


@dataclass(frozen=True, slots=True)
class Site:
    """A site with `servers` caches, each with room for `objects` of equal size.

    `parent`: the site that it asks on a miss; empty: the origin. `on_demand`: whether it keeps what it has
    fetched; otherwise it holds only what was `put` there. Netflix fills its appliances that way, at night,
    with what is expected to be popular. (Netflix Technology Blog, "Netflix and Fill", 2016.) ValueError."""

    name: str
    objects: int
    servers: int = 1
    parent: str = ""
    place: Place | None = None
    on_demand: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name in ("", ORIGIN):
            raise ValueError(f"name is {shown(self.name)}: use a text that is neither empty nor {ORIGIN!r}")
        if not isinstance(self.parent, str):
            raise ValueError(f"parent is {shown(self.parent)}: use the name of a site, or ''")
        if not isinstance(self.place, Place | None):
            raise ValueError(f"place is {shown(self.place)}: use a Place")
        if not isinstance(self.on_demand, bool):
            raise ValueError(f"on_demand is {shown(self.on_demand)}: use true or false")
        whole(1, 10_000_000, objects=self.objects)
        whole(1, 10_000, servers=self.servers)


class Delivery(NamedTuple):
    """How a request was served: by which site or the origin, and after how many seconds of network delay.

    `asked`: all sites that were asked, the client's own first, and the origin if it was."""

    source: str
    asked: tuple[str, ...]
    seconds: float


@dataclass(slots=True)
class SiteCount:
    """The requests to a site and how many it served from its caches."""

    requests: int = 0
    hits: int = 0

    @property
    def hit_rate(self) -> float:
        return self.hits / self.requests if self.requests else 0.0


def uri(key: int) -> str:
    """Return the URI of object number `key`; all have the same length, so objects have the same size.

    Raises ValueError for what is no whole number."""
    try:
        return f"http://cdn.example/{key:010d}"
    except (TypeError, ValueError):
        raise ValueError(f"key is {shown(key)}: use a whole number, that of an object") from None


def _head(control: str, age: int) -> Fields:
    return Fields((("cache-control", control), ("age", f"{age:010d}")))


class Cdn:
    """Sites with caches, in a tree whose root is the origin."""

    def __init__(
        self,
        sites: Sequence[Site],
        origin: Place | None = None,
        control: str = "max-age=86400",
        inside: str = "consistent_hash",
        options: Mapping[str, Any] | None = None,
        seed: int = 1,
    ) -> None:
        """`control`: the Cache-Control of all objects. `inside`: the algorithm that chooses a site's server
        for an object, with its `options`; "random" shows what is lost without consistent hashing.

        Raises ValueError for unknown or circular parents, and for a `control` that forbids caching."""
        if not sites:
            raise ValueError("sites is empty: use at least one Site")
        instances(Site, "sites", sites)
        if not isinstance(control, str):
            raise ValueError(f"control is {shown(control)}: use a text such as max-age=86400")
        self.sites = {site.name: site for site in sites}
        if len(self.sites) < len(sites):
            raise ValueError("sites has a name twice: give each site a name of its own")
        self.origin, self.control = origin, control
        self.rules = CacheRules(max_bytes=2**30, max_entry=2**30)
        self._new = _head(control, 0)
        self.path = {name: self._path(name) for name in self.sites}
        self._caches: dict[str, list[Cache[range]]] = {}
        self._pools: dict[str, Pool] = {}
        for site in sites:
            rules = CacheRules(max_bytes=site.objects * entry_size(control), max_entry=2**30)
            self._caches[site.name] = [Cache(rules) for _ in range(site.servers)]
            balancer = make_balancer(inside, stream(seed, site.name), **table("options", options or {}))
            members = [Backend(f"{site.name}/{i}") for i in range(site.servers)]
            self._pools[site.name] = Pool(members, balancer)
        self._places = {f"{site.name}/{i}": i for site in sites for i in range(site.servers)}
        self.counts = {name: SiteCount() for name in self.sites}
        self.fetched = 0  # requests that the origin served
        self.served: Counter[str] = Counter()  # requests by source

    def _path(self, name: str) -> tuple[str, ...]:
        """Return a site and all its ancestors, the site first."""
        path: list[str] = []
        while name:
            if name not in self.sites:
                raise ValueError(f"parent of {path[-1]}: {unknown(name, self.sites, 'site')}")
            if name in path:
                raise ValueError(f"parent of {path[-1]} is {name}: these ask each other in a circle")
            path.append(name)
            name = self.sites[name].parent
        return tuple(path)

    # -- requests -----------------------------------------------------------------------------------

    def get(self, site: str, key: int, now: float, client: Place | None = None) -> Delivery:
        """Serve a client's request for an object at second `now`; sites on its path keep the object.

        `client`: its place; by default it is at the site. Raises ValueError for an unknown site."""
        self._site(site)
        request = Request("GET", uri(key))
        missed: list[Cache[range]] = []
        asked: list[str] = []
        source, age = ORIGIN, 0.0
        for name in self.path[site]:
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
            # With its age: otherwise each tier would count an object as fresh again (RFC 9111, 4.2.3).
            self._keep(request, int(age), now, missed)
        return Delivery(source, tuple(asked), self._seconds(asked, client))

    def _site(self, name: str) -> Site:
        if not isinstance(name, str) or name not in self.sites:
            raise ValueError(unknown(name, self.sites, "site"))
        return self.sites[name]

    def _keep(self, request: Request, age: int, now: float, caches: Iterable[Cache[range]]) -> None:
        """Store an object that is `age` seconds old. `entry_size` has checked that caches may keep it."""
        head = _head(self.control, age) if age else self._new
        stored = Stored(request, Response(200, head), BODY, now, now, self.rules)
        for cache in caches:
            cache.entries.put(stored)

    def _cache(self, site: str, key: str, now: float) -> Cache[range]:
        """Return the cache of a site that is responsible for an object."""
        caches = self._caches[site]
        if len(caches) == 1:
            return caches[0]
        pool = self._pools[site]
        backend = pool.pick(key, now)
        pool.release(backend, now, True, now)
        return caches[self._places[backend.name]]

    def _seconds(self, asked: Sequence[str], client: Place | None) -> float:
        """Return the sum of the round trips in seconds from the client through all that were asked."""
        places = [client, *(self.place_of(name) for name in asked)]
        known = [place for place in places if place is not None]
        return sum(round_trip(a, b) for a, b in pairwise(known))

    def place_of(self, name: str) -> Place | None:
        """Return where a site or the origin is, if that is known. Raises ValueError for an unknown site."""
        return self.origin if name == ORIGIN else self._site(name).place

    # -- contents -----------------------------------------------------------------------------------

    def put(self, site: str, keys: Iterable[int], now: float) -> int:
        """Place objects in a site ahead of requests; return how many of them it has in the end, as the last
        may evict the first. Raises ValueError for an unknown site."""
        self._site(site)
        keys = list(keys)
        for key in keys:
            request = Request("GET", uri(key))
            self._keep(request, 0, now, [self._cache(site, request.uri, now)])
        return sum(self.holds(site, key) for key in keys)

    def holds(self, site: str, key: int) -> bool:
        """Return whether any server of a site has an object, fresh or stale. Raises ValueError."""
        self._site(site)
        return any(uri(key) in cache.entries for cache in self._caches[site])

    def purge(self, key: int) -> int:
        """Remove an object from all caches; return the number of copies removed."""
        return sum(cache.purge(uri(key)) for caches in self._caches.values() for cache in caches)

    @property
    def origin_load(self) -> float:
        """Requests at the origin for each request of a client; without a CDN it would be 1."""
        total = sum(self.served.values())
        return self.fetched / total if total else 0.0


def entry_size(control: str) -> int:
    """Return the bytes that an object takes in a cache. Raises ValueError if no cache may keep it."""
    request, response = Request("GET", uri(0)), Response(200, _head(control, 0))
    rules = CacheRules(max_entry=2**30, max_bytes=2**30)
    if why := Cache[range](rules).why_not(request, response, 0.0, 0.0):
        raise ValueError(f"control is {control!r}: {why}; use max-age=86400")
    return Stored(request, response, BODY, 0.0, 0.0, rules).size


@dataclass(frozen=True, slots=True)
class Demand:
    """Requests for objects by Zipf's law: the k-th most popular has weight 1/k^skew. With `local`, each site
    has its own order of popularity. ValueError."""

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
        if not isinstance(self.local, bool):
            raise ValueError(f"local is {shown(self.local)}: use true or false")

    def weights(self) -> list[float]:
        """Return the weights of all objects, the most popular first."""
        return zipf_weights(self.objects, self.skew)

    def top(self, site: str, count: int) -> list[int]:
        """Return the `count` most popular objects at a site, the most popular last, so that it stays if
        they do not all fit when they are `put` there."""
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
        """Yield `count` requests (second, site, object) of a Poisson process over all `sites`. ValueError."""
        whole(0, count=count)
        if not texts("sites", sites):
            raise ValueError("sites is empty: use at least one name")
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
    """Serve requests (second, site, object) in order of time; return all deliveries after the first `warmup`,
    where counts start, too. `clients`: the place of each site's clients; by default they are at the site."""
    if not isinstance(cdn, Cdn):
        raise ValueError(f"cdn is {shown(cdn)}: use a Cdn")
    places = table("clients", clients or {})
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
