"""Where an experiment's clients, servers and balancer are on Earth, as data, and the delays between them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, collapse_addresses, ip_network, summarize_address_range
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
        if not isinstance(name, str) or not name:
            raise ValueError(f"{attribute.name} has {shown(name)}: use a text as a name")
        location_of(f"{attribute.name}.{name}", table)
        if (capacity := table.get("capacity")) is not None:
            check_number(0, **{f"{attribute.name}.{name}.capacity": capacity})


def _networks(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    _tables(instance, attribute, value)
    Atlas({network: location_of("", table) for network, table in value.items()})
    known = [network for network in map(ip_network, value) if isinstance(network, IPv4Network)]
    first, last = int(CLIENTS[0]), int(CLIENTS[-1])
    for network in collapse_addresses(known):  # in order and disjoint
        if int(network[0]) > first:
            last = min(last, int(network[0]) - 1)
            break
        first = max(first, int(network[-1]) + 1)
    if first <= last:
        missing = next(summarize_address_range(IPv4Address(first), IPv4Address(last)))
        raise ValueError(f"{attribute.name}: no network has {missing}: cover all of {CLIENTS}")


@named_fields
@frozen
class Geography:
    """The places of an experiment, which determine the network delays of its requests.

    `regions`: for each zone of servers {"at": [latitude, longitude], "jurisdiction": "EU", "capacity": 100}.
    `clients`: for each network the same without a capacity; the longest matching prefix counts. Clients are
    spread evenly over 10.0.0.0/8. The algorithm `geographic` takes the same two tables as options.

    `balancer`: the zone where the balancer is: requests travel there first, then on to their server. Empty:
    it has edges everywhere, like DNS, anycast and the clouds' global balancers, and requests travel straight
    from the client to the server's region. Connections are open already; opening one would add a round trip.
    Raises ValueError.
    """

    regions: Mapping[str, Any] = field(validator=_tables)
    clients: Mapping[str, Any] = field(validator=_networks)
    balancer: str = field(default="", validator=text())
    access: float = field(default=0.0, validator=number(0, 10))  # round trip of a client's access line, s
    detour: float = field(default=DETOUR, validator=number(1, 100))  # cable length / great-circle distance

    def __attrs_post_init__(self) -> None:
        if self.balancer and self.balancer not in self.regions:
            raise ValueError(f"balancer: {unknown(self.balancer, self.regions, 'region')}")

    # -- where ------------------------------------------------------------------------------------

    @cached_property
    def atlas(self) -> Atlas:
        """The locations of clients by address."""
        return Atlas({network: location_of(network, table) for network, table in self.clients.items()})

    def location(self, client: str) -> Location:
        """Return a client's location by its address. Raises ValueError if no network contains it."""
        at = self.atlas.locate(client)
        if at is None:
            raise ValueError(f"clients: no network has {client}")
        return at

    def home(self, client: str) -> str:
        """Return the network that contains a client's address. Raises ValueError if none does."""
        found = self.atlas.find(client)
        if found is None:
            raise ValueError(f"clients: no network has {client}")
        return str(found[0])

    def place(self, zone: str) -> Place:
        """Return where a region is. Raises ValueError for an unknown one."""
        if not isinstance(zone, str) or zone not in self.regions:
            raise ValueError(unknown(zone, self.regions, "region"))
        return location_of(f"regions.{zone}", self.regions[zone]).place

    # -- one-way delays -----------------------------------------------------------------------------

    def to_balancer(self, client: str) -> float:
        """Return the seconds from a client to the balancer; 0 if that has edges everywhere."""
        return self._delay(self.location(client).place, self.balancer, self.access) if self.balancer else 0.0

    def to_server(self, client: str, zone: str) -> float:
        """Return the seconds to a zone from the balancer, or, if that has edges everywhere, from a client."""
        if self.balancer:
            return self.between(zone)
        return self._delay(self.location(client).place, zone, self.access)

    def between(self, zone: str) -> float:
        """Return the seconds from the balancer to a zone; 0 if it has edges everywhere."""
        return self._delay(self.place(self.balancer), zone) if self.balancer else 0.0

    def _delay(self, start: Place, zone: str, access: float = 0.0) -> float:
        return round_trip(start, self.place(zone), access, self.detour) / 2

    # -- decisions ----------------------------------------------------------------------------------

    def policy(self, rule: str = "nearest", **options: Any) -> Policy:
        """Return a policy with the algorithm `geographic`, these places, a rule and further options."""
        return Policy(
            "geographic", {"regions": self.regions, "clients": self.clients, "rule": rule, **options}
        )

    def steering(self, rule: str = "nearest", **options: Any) -> Steering:
        """Return the same decision without servers, for maps and DNS. `options`: as for `Steering`."""
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
