"""A zone: records that are always the same, and names whose addresses are chosen anew for each client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from lbkit.checks import several
from lbkit.core.geo import Atlas, Location, RegionState, Steering, Whereabouts
from lbkit.core.geo.region import NOWHERE
from lbkit.core.geo.steering import draw_lots
from lbkit.core.options import instance, instances, number, table, texts, whole
from lbkit.core.text import shown

LONGEST_TTL = 2**31 - 1  # RFC 2181, 8
NEGATIVE_TTL = 60  # seconds for which a resolver remembers that there is no such name (RFC 2308)


class ZoneError(ValueError):
    """A zone that cannot be; the message names the record and the mend."""


@dataclass(frozen=True)
class Record:
    """Records of one name and type, in the text form of zone files: `Record("www", "A", ["192.0.2.1"])`."""

    name: str  # relative to the zone; "@" is the zone itself
    kind: str  # A, AAAA, CNAME, MX, SRV, TXT, HTTPS ...
    values: Sequence[str]
    ttl: int = 300  # seconds


@dataclass(frozen=True)
class Choice:
    """The addresses of an answer. `scope`: the bits of the client's address that decided; `why`: in words."""

    addresses: Sequence[str]
    scope: int
    why: str


class Chooser(Protocol):
    """Chooses the addresses of a name for a client. `subnet` is the client's network as far as it is known;
    `exact` the number of its bits that are."""

    @property
    def name(self) -> str: ...

    @property
    def ttl(self) -> int: ...

    def addresses(self) -> Iterable[str]: ...

    def choose(self, subnet: str, exact: int, states: Mapping[str, RegionState]) -> Choice: ...


@dataclass(frozen=True)
class Weighted:
    """One of some addresses, in proportion to weight: `Weighted("www", {"192.0.2.1": 3, "192.0.2.2": 1})`.

    A subnet keeps its address, on every server and at every question. An address with the state 0 healthy
    is left out; if that leaves none, all stay: a wrong check must not empty the zone."""

    name: str
    weights: Mapping[str, float]
    ttl: int = 60

    def __post_init__(self) -> None:
        for address, weight in table(f"weights of {self.name}", self.weights).items():
            named: dict[str, Any] = {f"weight of {address}": weight}
            number(0, **named)
        if not any(self.weights.values()):
            raise ZoneError(f"{self.name}: give at least one address a weight above 0")

    def addresses(self) -> Iterable[str]:
        return self.weights

    def choose(self, subnet: str, exact: int, states: Mapping[str, RegionState]) -> Choice:
        up = {a: w for a, w in self.weights.items() if a not in states or states[a].healthy > 0}
        lots = draw_lots(subnet, up) or draw_lots(subnet, self.weights)
        return Choice([min(lots, key=lots.__getitem__)], exact, f"drawn for {subnet} by weight")


@dataclass(frozen=True)
class Steered:
    """The addresses of the region that a `Steering` chooses for the client's place."""

    name: str
    steering: Steering
    regions: Mapping[str, Sequence[str]]  # addresses by region
    atlas: Whereabouts = field(default_factory=lambda: Atlas({}))
    elsewhere: Location = NOWHERE  # of clients that the atlas does not know
    ttl: int = 60

    def __post_init__(self) -> None:
        instance(Steering, f"steering of {self.name}", self.steering)
        for region, addresses in table(f"regions of {self.name}", self.regions).items():
            texts(f"regions of {self.name}, {region}", addresses)
        instance(Location, f"elsewhere of {self.name}", self.elsewhere)
        for one in self.steering.regions:
            if not self.regions.get(one.name):
                raise ZoneError(f"{self.name}: regions has no address of {one.name}")

    def addresses(self) -> Iterable[str]:
        return (address for addresses in self.regions.values() for address in addresses)

    def choose(self, subnet: str, exact: int, states: Mapping[str, RegionState]) -> Choice:
        """Raises NoRegion if no region may serve the client now."""
        at = self.atlas.locate(subnet) or self.elsewhere
        region = self.steering.choose(subnet, at, states)
        if self.steering.rule in ("weighted", "latency"):  # the subnet itself decides, not only its place
            scope = exact
        elif self.steering.rule == "failover" and not self.steering.fence:
            scope = 0  # the same for everybody
        else:
            scope = self.atlas.scope(subnet)
        return Choice(
            self.regions[region.name], scope, f"{subnet} goes to {region.name} ({self.steering.rule})"
        )


class Zone:
    """The records of a domain, by name and type."""

    def __init__(
        self,
        origin: str,
        records: Iterable[Record] = (),
        choosers: Iterable[Chooser] = (),
        server: str = "ns",
    ) -> None:
        """`server`: the name of this server, for the records SOA and NS, which the zone has by itself.

        Raises ZoneError, which names the record, for a text that is no record, and for contradictions."""
        if not isinstance(origin, str):
            raise ZoneError(f"origin is {shown(origin)}: use the name of a domain")
        records, choosers = several(records), several(choosers)
        instances(Record, "records", records)
        self.origin = self._name(origin if origin.endswith(".") else f"{origin}.", dns.name.root)
        self.sets: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rrset.RRset]] = {}
        self.choosers: dict[dns.name.Name, Chooser] = {}
        soa = f"{server} hostmaster 1 3600 600 604800 {NEGATIVE_TTL}"
        for record in (Record("@", "SOA", [soa], 3600), Record("@", "NS", [server], 3600), *records):
            self._add(record)
        for chooser in choosers:
            self._add_chooser(chooser)
        self.names = {self.origin}  # with those that only have names below them
        for name in (*self.sets, *self.choosers):
            while name != self.origin:
                self.names.add(name)
                name = name.parent()

    def _name(self, text: str, origin: dns.name.Name | None = None) -> dns.name.Name:
        if not isinstance(text, str):
            raise ZoneError(f"{shown(text)} is no name of a record: use a text")
        try:
            name = dns.name.from_text(text, origin or self.origin)
        except dns.exception.DNSException as error:
            raise ZoneError(f"{shown(text)} is no name of a record: {error}") from None
        if origin is None and not name.is_subdomain(self.origin):
            raise ZoneError(f"{text}: it is not in the zone {self.origin}")
        return name

    def _add(self, record: Record) -> None:
        name, label = self._name(record.name), f"{record.name} {record.kind}"
        whole(0, LONGEST_TTL, **{f"ttl of {label}": record.ttl})
        texts(f"values of {label}", record.values)
        if not isinstance(record.kind, str):
            raise ZoneError(f"kind of {record.name} is {shown(record.kind)}: use a text such as A")
        try:
            kind = dns.rdatatype.from_text(record.kind)
            values = [
                dns.rdata.from_text(dns.rdataclass.IN, kind, value, self.origin, relativize=False)
                for value in record.values
            ]
        except (dns.exception.DNSException, ValueError) as error:
            why = str(error).removesuffix(".") or type(error).__name__
            raise ZoneError(
                f"{label} is {shown(list(record.values))}: {why}; use the text form of zone files"
            ) from None
        if not values or dns.rdatatype.is_metatype(kind):
            raise ZoneError(f"{label}: use at least one value, of a type that zones have")
        sets = self.sets.setdefault(name, {})
        if sets and (dns.rdatatype.CNAME in (kind, *sets)):
            raise ZoneError(f"{label}: a name with a CNAME has nothing else (RFC 1034, 3.6.2)")
        if kind in sets:
            raise ZoneError(f"{label} is there twice: put all values into one record")
        if kind is dns.rdatatype.CNAME and len(values) > 1:
            raise ZoneError(f"{label}: a CNAME has one value")
        sets[kind] = dns.rrset.from_rdata_list(name, record.ttl, values)

    def _add_chooser(self, chooser: Chooser) -> None:
        if not isinstance(chooser, Weighted | Steered) and not hasattr(chooser, "choose"):
            raise ZoneError(f"choosers has {shown(chooser)}: use Weighted, Steered, or a Chooser of your own")
        name = self._name(chooser.name)
        whole(0, LONGEST_TTL, **{f"ttl of {chooser.name}": chooser.ttl})
        there = self.sets.get(name, {})
        if name in self.choosers or any(
            kind in there for kind in (dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.CNAME)
        ):
            raise ZoneError(f"{chooser.name} has addresses twice: keep one of them")
        addresses = list(chooser.addresses())
        if not addresses:
            raise ZoneError(f"{chooser.name} has no address: use at least one")
        for address in addresses:
            if not is_address(address):
                raise ZoneError(f"{chooser.name}: {shown(address)} is no address: use one such as 192.0.2.1")
        self.choosers[name] = chooser

    def chosen(
        self,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        subnet: str,
        exact: int,
        states: Mapping[str, RegionState],
    ) -> tuple[dns.rrset.RRset | None, Choice]:
        """Return the addresses of a steered name for a client, None if there are none of this type.

        Raises NoRegion."""
        chooser = self.choosers[name]
        choice = chooser.choose(subnet, exact, states)
        version = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}.get(kind)
        fitting = [address for address in choice.addresses if ip_address(address).version == version]
        if not fitting:
            return None, choice
        return dns.rrset.from_text_list(name, chooser.ttl, dns.rdataclass.IN, kind, fitting), choice


def is_address(text: object) -> bool:
    """Return whether this is the text of an IP address; a number is none."""
    try:
        return isinstance(text, str) and bool(ip_address(text))
    except ValueError:
        return False


def network_of(address: str, bits: int) -> str:
    """Return the first address of the network of `bits` bits with an address."""
    return str(ip_network((address, bits), strict=False).network_address)
