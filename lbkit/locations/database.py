"""A location database as the atlas of a DNS server: a lookup is one walk down the file's tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Self

from lbkit.core.geo import NOWHERE, Location, Place
from lbkit.core.networks import Network
from lbkit.core.text import shown
from lbkit.needs import why_not

# Where databases of IPv6 say the same again that they say of IPv4: mapped addresses, Teredo, 6to4.
_ALIASES = tuple(map(IPv6Network, ("::ffff:0:0/96", "2001::/32", "2002::/16")))
_IPV4 = IPv6Network("::/96")


class LocationDatabase:
    """The locations in a file: GeoLite2 or DB-IP (City or Country), or one made by `write_database`.

    The file stays open and is not read into memory. Use it as a context manager, or `close` it. All methods
    raise ValueError, which names the file, if it is damaged."""

    def __init__(self, path: str | Path) -> None:
        """Raises ValueError for a file in another format, ImportError without maxminddb, OSError."""
        if reason := why_not("geo"):
            raise ImportError(reason)
        import maxminddb

        if not isinstance(path, str | Path):
            raise ValueError(f"path is {shown(path)}: use the path of a file")
        self.path = Path(path)
        self.path.stat()  # raises OSError with its name
        if not self.path.is_file():  # opening a pipe would wait for somebody to write
            raise ValueError(f"{path}: no file: use a database of locations in MaxMind's format")
        self._broken = (maxminddb.InvalidDatabaseError, UnicodeDecodeError, TypeError, OverflowError)
        try:
            self._reader = maxminddb.open_database(str(path))
            self._about = self._reader.metadata()
        except self._broken as error:
            raise ValueError(f"{path}: no database of locations in MaxMind's format: {error}") from None
        try:
            self._check_form()
        except ValueError:
            self._reader.close()
            raise

    def _check_form(self) -> None:
        record: Any = next((record for _, record in self._records() if record), {})
        if record and not _is_usual(record):
            raise ValueError(
                f"{self.path}: its records have {', '.join(map(str, record))[:80]}: use a database with the "
                "fields of GeoLite2 or DB-IP, Country or City"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()

    @property
    def kind(self) -> str:
        """The type that the file states, such as "GeoLite2-City"."""
        return str(self._about.database_type)

    def _record(self, address: str) -> tuple[Any, int]:
        """Return the record of an address, and the length of the prefix that it applies to."""
        try:
            known = ip_address(address)
        except ValueError:
            return None, 0
        if known.version == 6 and self._about.ip_version == 4:
            return None, 0
        try:
            return self._reader.get_with_prefix_len(known)
        except (*self._broken, ValueError) as error:
            raise self._damaged(address, error) from None

    def _location(self, address: str, record: Any) -> Location | None:
        try:
            return location(record)
        except ValueError as error:
            raise self._damaged(address, error) from None

    def _damaged(self, address: str, why: Exception) -> ValueError:
        return ValueError(f"{self.path}: the record of {address} is damaged: {why}")

    def find(self, address: str) -> tuple[Network, Location] | None:
        """Return the network in the file that contains an address, and its location; None if none does."""
        record, length = self._record(address)
        at = self._location(address, record)
        return None if at is None else (ip_network(f"{ip_address(address)}/{length}", strict=False), at)

    def locate(self, address: str) -> Location | None:
        """Return the location of an address; None if it is not known."""
        return self._location(address, self._record(address)[0])

    def scope(self, address: str, least: int = 0) -> int:
        """Return the length of the prefix, at least `least`, whose addresses all have the same record."""
        return max(least, self._record(address)[1])

    def __iter__(self) -> Iterator[tuple[Network, Location]]:
        """All networks that have a location, in order."""
        for network, record in self._records():
            if (at := self._location(str(network[0]), record)) is not None:
                yield network, at

    def _records(self) -> Iterator[tuple[Network, Any]]:
        """Yield all networks and their records, by look-ups.

        The reader's own iterator writes past its memory if a damaged tree has circles. Such a tree seems to
        have more networks than its nodes can hold."""
        address = IPv6Address if self._about.ip_version == 6 else IPv4Address
        left, at = (1 + len(_ALIASES)) * (self._about.node_count + 1), 0
        while at < 1 << address(0).max_prefixlen:
            known = address(at)
            if alias := next((one for one in _ALIASES if known in one), None):
                at = int(alias[-1]) + 1
                continue
            if not (left := left - 1):
                raise ValueError(f"{self.path}: its tree is damaged: it has circles")
            record, length = self._record(str(known))
            network = ip_network(f"{known}/{length}", strict=False)
            yield _as_ipv4(network), record
            at = int(network[-1]) + 1


def _as_ipv4(network: Network) -> Network:
    """Return a network below ::/96, where databases of IPv6 have IPv4, as one of IPv4."""
    if isinstance(network, IPv6Network) and network.subnet_of(_IPV4):
        return IPv4Network((int(network.network_address), network.prefixlen - 96))
    return network


_TABLES = ("country", "registered_country", "represented_country", "continent", "location", "traits")


def _is_usual(record: Any) -> bool:
    """Return whether a record has tables where GeoLite2 and DB-IP have them, and at least one of these.

    https://dev.maxmind.com/geoip/docs/databases/city-and-country/city-binary
    https://db-ip.com/db/format/ip-to-country-lite/mmdb.html"""
    if not isinstance(record, Mapping):
        return False
    there = [record[key] for key in _TABLES if key in record]
    return bool(there) and all(isinstance(one, Mapping) for one in there)


def location(record: Any) -> Location | None:
    """Return the location in a record; None if it has neither a country nor a place.

    The jurisdiction is "EU" in the European Union, else the country's ISO code. A record without a place, as
    in Country databases, gets the place of NOWHERE."""
    if not isinstance(record, Mapping):
        return None
    country = _table(record, "country") or _table(record, "registered_country")
    place = _table(record, "location")
    law = "EU" if country.get("is_in_european_union") is True else country.get("iso_code", "")
    if not isinstance(law, str):
        raise ValueError(f"iso_code is {shown(law)}: use a text")
    if "latitude" in place and "longitude" in place:
        return Location(Place(place["latitude"], place["longitude"]), law)
    return Location(NOWHERE.place, law) if law else None


def _table(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name) or {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {shown(value)}: use a table")
    return value
