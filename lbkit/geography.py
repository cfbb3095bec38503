"""Where clients, servers and the balancer of an experiment are on Earth, as data, and what the ways take."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Network, collapse_addresses, ip_network
from math import inf
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import number, text
from lbkit.core.geo import Atlas, Location, Place, Region, Steering, location_of, round_trip
from lbkit.core.geo.earth import DETOUR
from lbkit.core.options import named_fields
from lbkit.core.options import number as check_number
from lbkit.core.text import shown, unknown
from lbkit.policy import Policy

CLIENTS = IPv4Network("10.0.0.0/8")  # all clients of an experiment have addresses in it


def _tables(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"{attribute.name} is {shown(value)}: use a table of tables with at = [lat, lon]")
    for name, table in value.items():
        location_of(f"{attribute.name}.{name}", table)
        if (capacity := table.get("capacity")) is not None:
            check_number(0, **{f"{attribute.name}.{name}.capacity": capacity})


def _networks(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    _tables(instance, attribute, value)
    Atlas({network: location_of("", table) for network, table in value.items()})
    missing = [CLIENTS]
    for network in value:
        known = ip_network(network)
        if isinstance(known, IPv4Network):
            missing = [left for one in missing for left in _without(one, known)]
    if missing:
        first = next(collapse_addresses(missing))
        raise ValueError(f"{attribute.name}: no network has {first}; clients are in all of {CLIENTS}")


def _without(network: IPv4Network, known: IPv4Network) -> list[IPv4Network]:
    """Return what of a network is not in another one."""
    if network.subnet_of(known):
        return []
    return list(network.address_exclude(known)) if known.subnet_of(network) else [network]


@named_fields
@frozen
class Geography:
    """The places of an experiment, from which follows how long requests travel.

    `regions`: by the servers' zone, {"at": [latitude, longitude], "jurisdiction": "EU", "capacity": 100}.
    `clients`: by network, the same without a capacity; the longest network with an address counts, and
    clients are spread evenly over 10.0.0.0/8. These are the options of the algorithm `geographic`, too.

    `balancer`: the zone where it stands: requests travel there first, and on to their server. Empty: it has
    edges everywhere, as DNS, anycast and the global balancers of clouds do; a request travels from its client
    to the region of its server. Connections are open already: a new one would take a round trip more.
    """

    regions: Mapping[str, Any] = field(validator=_tables)
    clients: Mapping[str, Any] = field(validator=_networks)
    balancer: str = field(default="", validator=text())
    access: float = field(default=0.0, validator=number(0, 10))  # seconds of a client's line, there and back
    detour: float = field(default=DETOUR, validator=number(1, 100))  # length of cables / great circle

    def __attrs_post_init__(self) -> None:
        if self.balancer and self.balancer not in self.regions:
            raise ValueError(f"balancer: {unknown(self.balancer, self.regions, 'region')}")

    # -- where ------------------------------------------------------------------------------------

    @cached_property
    def atlas(self) -> Atlas:
        """Where clients are, by their addresses."""
        return Atlas({network: location_of(network, table) for network, table in self.clients.items()})

    def location(self, client: str) -> Location:
        """Return where the client with an address is. Raises ValueError if it is in none of the networks."""
        at = self.atlas.locate(client)
        if at is None:
            raise ValueError(f"clients: no network has {client}")
        return at

    def home(self, client: str) -> str:
        """Return the network of a client's address. Raises ValueError if it is in none."""
        found = self.atlas.find(client)
        if found is None:
            raise ValueError(f"clients: no network has {client}")
        return str(found[0])

    def place(self, zone: str) -> Place:
        return location_of(f"regions.{zone}", self.regions[zone]).place

    # -- how long, one way --------------------------------------------------------------------------

    def to_balancer(self, client: str) -> float:
        """Return the seconds from a client's address to the balancer; 0 if it has edges everywhere."""
        return self._way(self.location(client).place, self.balancer, self.access) if self.balancer else 0.0

    def to_server(self, client: str, zone: str) -> float:
        """Return the seconds to a zone: from the balancer, or, if that is everywhere, from a client."""
        if self.balancer:
            return self.between(zone)
        return self._way(self.location(client).place, zone, self.access)

    def between(self, zone: str) -> float:
        """Return the seconds from the balancer to a zone; 0 if it has edges everywhere."""
        return self._way(self.place(self.balancer), zone) if self.balancer else 0.0

    def _way(self, start: Place, zone: str, access: float = 0.0) -> float:
        return round_trip(start, self.place(zone), access, self.detour) / 2

    # -- who serves whom ----------------------------------------------------------------------------

    def policy(self, rule: str = "nearest", **options: Any) -> Policy:
        """Return a policy of the algorithm `geographic`, with these places; its other options as named."""
        return Policy(
            "geographic", {"regions": self.regions, "clients": self.clients, "rule": rule, **options}
        )

    def steering(self, rule: str = "nearest", **options: Any) -> Steering:
        """Return the same decision without servers, for maps and DNS; other options as for `Steering`."""
        regions = [
            Region(
                zone,
                self.place(zone),
                table.get("jurisdiction", ""),
                capacity=inf if table.get("capacity") is None else table["capacity"],
            )
            for zone, table in self.regions.items()
        ]
        return Steering(regions, rule, **options)
