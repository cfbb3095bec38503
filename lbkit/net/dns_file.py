"""The file of `lbkit dns`: a zone, regions and their servers, clients, checks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import flag, text
from lbkit.core import Backend
from lbkit.core.geo import NOWHERE, Atlas, Region, Steering, Whereabouts, location_of
from lbkit.core.health import CheckRules
from lbkit.core.options import named_fields, texts
from lbkit.core.text import unknown
from lbkit.locations import LocationDatabase
from lbkit.net.address import split_address
from lbkit.net.dns import DnsServer, Record, Steered, Weighted, Zone, ZoneError
from lbkit.net.dns.zone import Chooser
from lbkit.net.dns_health import RegionHealth
from lbkit.schema import load_file, strict_converter, structure


@named_fields
@frozen
class WeightedName:
    """A name that is answered with one of several addresses, in proportion to their weights."""

    name: str
    weights: Mapping[str, float]
    ttl: int = 60


@named_fields
@frozen
class SteeredName:
    """A name that is answered with the addresses of a region, chosen by the client's place."""

    name: str
    regions: Mapping[str, Any]  # {"at": [lat, lon], "jurisdiction", "weight", "capacity", "addresses"}
    rule: str = "nearest"
    fence: Mapping[str, list[str]] = field(factory=dict)
    order: list[str] = field(factory=list)
    ttl: int = 60


@named_fields
@frozen
class CheckedServer:
    """A server that is checked for a region, or for an address of a weighted name."""

    address: str
    region: str


@named_fields
@frozen
class DnsFile:
    """The settings of a DNS server. Raises ZoneError or ValueError, which names the field."""

    origin: str = field(validator=text(empty=False))
    listen: str = field(default="127.0.0.1:5353", validator=text(empty=False))
    strict_cookies: bool = field(default=False, validator=flag)
    locations: str = field(default="", validator=text())  # a database of locations: GeoLite2, DB-IP
    clients: Mapping[str, Any] = field(factory=dict)  # by network, {"at": [lat, lon], "jurisdiction": "EU"}
    records: list[Record] = field(factory=list)
    weighted: list[WeightedName] = field(factory=list)
    steered: list[SteeredName] = field(factory=list)
    servers: list[CheckedServer] = field(factory=list)
    checks: CheckRules = field(factory=CheckRules)

    def __attrs_post_init__(self) -> None:
        if self.locations and self.clients:
            raise ValueError("clients: locations has a database of all: use one of the two")

    @classmethod
    def load(cls, path: str | Path) -> DnsFile:
        """Read a .toml or .json file. Raises ZoneError with every wrong field, OSError."""
        return load_file(path, lambda data: structure(_converter, data, cls, ZoneError), ZoneError)

    def server(self, resources: ExitStack) -> DnsServer:
        """Return the server, not started yet; `resources` closes the files that it keeps open."""
        if self.locations:
            database: Whereabouts = resources.enter_context(LocationDatabase(self.locations))
        else:
            database = Atlas({n: location_of(f"clients.{n}", at) for n, at in self.clients.items()})
        choosers: list[Chooser] = [Weighted(**attrs.asdict(one)) for one in self.weighted]
        choosers += (_steered(one, database) for one in self.steered)
        server = DnsServer(Zone(self.origin, self.records, choosers), self.listen, self.strict_cookies)
        known = {region for one in self.steered for region in one.regions}
        known |= {address for one in self.weighted for address in one.weights}
        members = []
        for i, one in enumerate(self.servers):
            if one.region not in known:
                raise ZoneError(f"servers[{i}]: {unknown(one.region, sorted(known), 'region')}")
            host, port = split_address(one.address, f"servers[{i}].address")
            members.append(Backend(one.address, host=host, port=port, zone=one.region))
        if members:
            RegionHealth(server, members, self.checks)
        return server


def _steered(name: SteeredName, atlas: Whereabouts) -> Steered:
    """Return a name as it is written in the zone."""
    regions, addresses = [], {}
    for region, given in name.regions.items():
        what = f"steered.{name.name}.regions.{region}"
        table = dict(given) if isinstance(given, Mapping) else {}
        addresses[region] = list(texts(f"{what}.addresses", table.pop("addresses", [])))
        more = {key: table.pop(key) for key in ("weight", "capacity") if key in table}
        at = location_of(what, table or given)
        try:
            regions.append(Region(region, at.place, at.jurisdiction, **more))
        except ValueError as error:
            raise ZoneError(f"{what}: {error}") from None
    steering = Steering(regions, name.rule, fence=name.fence, order=name.order)
    return Steered(name.name, steering, addresses, atlas, NOWHERE, name.ttl)


_converter = strict_converter()
