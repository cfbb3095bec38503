"""How the networks of the Internet choose paths: to one site, or to the nearest of several (anycast).

A network prefers routes that earn money, whatever their length: those of its customers, then those of its
peers, then those of its providers, for which it pays. And it passes on only what earns: routes of customers
to everybody, all others to its customers alone. So paths are *valley-free*: up to providers, over at most one
peering, down to customers. Among equals the path of the fewest networks wins. (Gao and Rexford, IEEE/ACM ToN
9(6), 2001; the three stages as in Gill, Schapira and Goldberg, SIGCOMM 2011.)

Latency is no part of this. Anycast often leads to a near site, but nothing makes it do so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush

from lbkit.core.options import whole
from lbkit.core.text import unknown


class Learned(IntEnum):
    """From whom a network has a route; the lowest is preferred."""

    ITSELF = 0  # it announces the address
    CUSTOMER = 1
    PEER = 2
    PROVIDER = 3


@dataclass(frozen=True, slots=True)
class NetworkRoute:
    """The route of a network: the networks on the way from it to the site, both included."""

    path: tuple[str, ...]
    learned: Learned
    length: int  # as compared: what a site prepends counts

    @property
    def site(self) -> str:
        return self.path[-1]


class Internet:
    """Networks, each with its providers, which it pays, and its peers, which carry traffic for free."""

    def __init__(self, providers: Mapping[str, Iterable[str]], peers: Iterable[tuple[str, str]] = ()) -> None:
        """`providers`: by network. Raises ValueError if one is, over others, its own provider or peer."""
        self.providers = {network: tuple(sorted(set(above))) for network, above in providers.items()}
        for above in list(self.providers.values()):
            for network in above:
                self.providers.setdefault(network, ())
        self.customers: dict[str, list[str]] = {network: [] for network in self.providers}
        self.peers: dict[str, list[str]] = {network: [] for network in self.providers}
        for a, b in peers:
            for network, other in ((a, b), (b, a)):
                if network not in self.providers:
                    raise ValueError(f"peers: {unknown(network, self.providers, 'network')}")
                if other == network or other in self.providers[network]:
                    raise ValueError(f"peers: {a} and {b} cannot be peers, one pays the other or is it")
                if other not in self.peers[network]:
                    self.peers[network].append(other)
        for network, above in self.providers.items():
            for provider in above:
                self.customers[provider].append(network)
        try:
            TopologicalSorter(self.providers).prepare()
        except CycleError as error:
            circle = " pays ".join(reversed(error.args[1]))
            raise ValueError(f"providers go round in a circle: {circle}") from None

    def routes(self, sites: Iterable[str] | Mapping[str, int]) -> dict[str, NetworkRoute]:
        """Return the route of each network that has one to an address that `sites` announce.

        `sites` may say how often each site prepends its own name, to look further away. Between equal routes
        the neighbour's name decides, as its number does in routers. Raises ValueError for unknown sites."""
        prepended = dict(sites) if isinstance(sites, Mapping) else dict.fromkeys(sites, 0)
        for site, times in prepended.items():
            if site not in self.providers:
                raise ValueError(f"sites: {unknown(site, self.providers, 'network')}")
            whole(0, 100, prepended=times)
        found = {site: NetworkRoute((site,), Learned.ITSELF, 1 + n) for site, n in prepended.items()}
        self._spread(found, self.providers, Learned.CUSTOMER)  # up: from customer to provider
        self._cross(found)
        self._spread(found, self.customers, Learned.PROVIDER)  # down: from provider to customer
        return found

    def _spread(
        self, found: dict[str, NetworkRoute], onward: Mapping[str, Iterable[str]], learned: Learned
    ) -> None:
        """Pass routes on, shortest first, to the networks that have none yet."""
        heap: list[tuple[int, str, str]] = []  # length, neighbour, network

        def offer(network: str) -> None:
            for other in onward[network]:
                if other not in found:
                    heappush(heap, (found[network].length + 1, network, other))

        for network in list(found):
            offer(network)
        while heap:
            length, neighbour, network = heappop(heap)
            if network not in found:
                found[network] = NetworkRoute((network, *found[neighbour].path), learned, length)
                offer(network)

    def _cross(self, found: dict[str, NetworkRoute]) -> None:
        """Pass the routes of customers over one peering each."""
        best: dict[str, tuple[int, str]] = {}
        for network, route in found.items():
            for peer in self.peers[network]:
                if peer not in found:
                    offer = (route.length + 1, network)
                    best[peer] = min(best.get(peer, offer), offer)
        for peer, (length, network) in best.items():
            found[peer] = NetworkRoute((peer, *found[network].path), Learned.PEER, length)


def catchments(routes: Mapping[str, NetworkRoute]) -> dict[str, list[str]]:
    """Return the networks that each site serves, by site."""
    served: dict[str, list[str]] = {}
    for network, route in routes.items():
        served.setdefault(route.site, []).append(network)
    return {site: sorted(networks) for site, networks in sorted(served.items())}


def moved(before: Mapping[str, NetworkRoute], after: Mapping[str, NetworkRoute]) -> list[str]:
    """Return the networks that reach another site than before, or none: their open connections break."""
    return sorted(
        network
        for network, route in before.items()
        if network not in after or after[network].site != route.site
    )
