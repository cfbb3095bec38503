"""A location database as the atlas of a DNS server: a lookup is one walk down the file's tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Self

from lbkit.core.geo import NOWHERE, Location, Place
from lbkit.core.networks import Network
from lbkit.needs import why_not


class LocationDatabase:
    """The locations in a file: GeoLite2 or DB-IP (City or Country), or one made by `write_database`.

    The file stays open and is not read into memory. Use it as a context manager, or `close` it."""

    def __init__(self, path: str | Path) -> None:
        """Raises ValueError for a file in another format, ImportError without maxminddb, OSError."""
        if reason := why_not("geo"):
            raise ImportError(reason)
        import maxminddb

        try:
            self._reader = maxminddb.open_database(str(path))
        except maxminddb.InvalidDatabaseError as error:
            raise ValueError(f"{path}: no database of locations in MaxMind's format: {error}") from None
        record: Any = next((record for _, record in self._reader), {})
        if record and not _is_usual(record):
            raise ValueError(
                f"{path}: its records have {', '.join(map(str, record))[:80]}: use a database with the "
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
        return str(self._reader.metadata().database_type)

    def _look_up(self, address: str) -> tuple[Any, int]:
        """Return the record of an address, and the length of the prefix that it applies to."""
        try:
            return self._reader.get_with_prefix_len(address)
        except ValueError:  # no address, or IPv6 in a database of IPv4
            return None, 0

    def find(self, address: str) -> tuple[Network, Location] | None:
        """Return the network in the file that contains an address, and its location; None if none does."""
        record, length = self._look_up(address)
        at = location(record)
        if at is None:
            return None
        return ip_network((int(ip_address(address)), length), strict=False), at

    def locate(self, address: str) -> Location | None:
        """Return the location of an address; None if it is not known."""
        return location(self._look_up(address)[0])

    def scope(self, address: str, least: int = 0) -> int:
        """Return the length of the prefix, at least `least`, whose addresses all have the same record."""
        return max(least, self._look_up(address)[1])

    def __iter__(self) -> Iterator[tuple[Network, Location]]:
        """All networks that have a location, in order."""
        for network, record in self._reader:
            if (at := location(record)) is not None:
                yield network, at


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
    country = record.get("country") or record.get("registered_country") or {}
    place = record.get("location") or {}
    law = "EU" if country.get("is_in_european_union") else country.get("iso_code", "")
    if "latitude" in place and "longitude" in place:
        return Location(Place(place["latitude"], place["longitude"]), law)
    return Location(NOWHERE.place, law) if law else None
