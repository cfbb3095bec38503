"""Databases of locations: what is written is read by MaxMind's own reader."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needs import need_module

from lbkit.core.geo import NOWHERE, Atlas, Location, Place
from lbkit.locations import LocationDatabase, write_database
from lbkit.locations.database import location

need_module("maxminddb")

# Documentation ranges: RFC 5737 and RFC 3849.
RECORDS = {
    "192.0.2.0/24": {
        "country": {"iso_code": "FR", "is_in_european_union": True},
        "location": {"latitude": 48.86, "longitude": 2.35},
    },
    "192.0.2.128/25": {"country": {"iso_code": "JP"}, "location": {"latitude": 35.68, "longitude": 139.69}},
    "198.51.100.0/24": {"country": {"iso_code": "BR"}},
    "203.0.113.7/32": {"registered_country": {"iso_code": "US"}, "names": ["a" * 40, "b" * 400], "n": 1},
    "2001:db8::/32": {"country": {"iso_code": "DE"}, "location": {"latitude": 50.1, "longitude": 8.7}},
}
PARIS, TOKYO = Location(Place(48.86, 2.35), "EU"), Location(Place(35.68, 139.69), "JP")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("locations") / "documentation.mmdb"
    write_database(path, RECORDS, "documentation")
    with LocationDatabase(path) as opened:
        yield opened


def test_locations(database: LocationDatabase) -> None:
    assert database.kind == "documentation"
    assert database.locate("192.0.2.1") == PARIS
    assert database.locate("192.0.2.200") == TOKYO
    assert database.locate("198.51.100.9") == Location(NOWHERE.place, "BR")
    assert database.locate("203.0.113.7") == Location(NOWHERE.place, "US")
    assert database.locate("2001:db8:1::1") == Location(Place(50.1, 8.7), "DE")
    for nowhere in ("203.0.113.8", "2001:db9::1", "c17", ""):
        assert database.locate(nowhere) is None
        assert database.find(nowhere) is None


def test_networks_are_those_of_the_tree(database: LocationDatabase) -> None:
    assert database.find("192.0.2.1") == (ip_network("192.0.2.0/25"), PARIS)
    assert database.scope("192.0.2.1") == 25  # the other half is elsewhere
    assert database.scope("192.0.2.1", 28) == 28
    assert database.scope("2001:db8::1") == 32
    found = dict(database)
    assert len(found) == 5
    assert {at for _, at in database} == {at for at in map(location, RECORDS.values()) if at}


def test_an_atlas_of_it_says_the_same(database: LocationDatabase) -> None:
    atlas = Atlas({str(network): at for network, at in database})
    for address in ("192.0.2.1", "192.0.2.200", "198.51.100.9", "203.0.113.7", "203.0.113.8"):
        assert atlas.locate(address) == database.locate(address)
        assert atlas.scope(address) == database.scope(address)


prefixes = st.integers(0, 32).flatmap(
    lambda bits: st.integers(0, 2**bits - 1).map(lambda top: f"{ip_address(top << (32 - bits))}/{bits}")
)


@given(
    st.dictionaries(prefixes, st.sampled_from("ABCDE"), min_size=1, max_size=12), st.integers(0, 2**32 - 1)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_whatever_is_written_is_found(tmp_path: Path, tables: dict[str, str], number: int) -> None:
    write_database(tmp_path / "any.mmdb", {n: {"country": {"iso_code": code}} for n, code in tables.items()})
    atlas = Atlas({n: Location(NOWHERE.place, code) for n, code in tables.items()})
    with LocationDatabase(tmp_path / "any.mmdb") as opened:
        for address in (str(ip_address(number)), *(str(ip_network(n)[0]) for n in tables)):
            assert opened.locate(address) == atlas.locate(address)


def test_faults(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use addresses or networks"):
        write_database(tmp_path / "a.mmdb", {"192.0.2.1/24": {}})
    with pytest.raises(TypeError, match="use texts, numbers"):
        write_database(tmp_path / "a.mmdb", {"192.0.2.0/24": {"x": None}})
    (tmp_path / "b.mmdb").write_bytes(b"no database")
    with pytest.raises(ValueError, match=r"b\.mmdb: no database of locations"):
        LocationDatabase(tmp_path / "b.mmdb")
    with pytest.raises(ValueError, match="path is 3: use the path of a file"):
        LocationDatabase(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no file"):
        LocationDatabase(tmp_path)
    with pytest.raises(FileNotFoundError):
        LocationDatabase(tmp_path / "none.mmdb")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"country": "FR"}, "country is 'FR': use a table"),
        ({"location": {"latitude": 95.0, "longitude": 1.0}}, "latitude is 95.0"),
        ({"country": {"iso_code": 3}}, "iso_code is 3.0: use a text"),
    ],
)
def test_a_wrong_record_names_the_file_the_address_and_the_field(
    tmp_path: Path, record: dict[str, object], message: str
) -> None:
    write_database(tmp_path / "x.mmdb", {**RECORDS, "203.0.113.0/24": record})
    with LocationDatabase(tmp_path / "x.mmdb") as opened:
        with pytest.raises(ValueError, match=rf"x\.mmdb: the record of 203.0.113.1 is damaged: {message}"):
            opened.locate("203.0.113.1")
        assert opened.locate("192.0.2.1") == PARIS


def test_a_damaged_file_is_refused_and_never_read_past_its_end(tmp_path: Path) -> None:
    """maxminddb's own iterator writes past its memory in some of these."""
    path = tmp_path / "x.mmdb"
    write_database(path, RECORDS)
    whole, rng = path.read_bytes(), Random(1)
    seen = Counter[str]()
    for turn in range(300):
        damaged = bytearray(whole[: rng.randrange(1, len(whole))] if turn % 3 == 0 else whole)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            with LocationDatabase(path) as opened:
                for address in ("192.0.2.1", "2001:db8::1", "203.0.113.7"):
                    opened.find(address)
                list(opened)
            seen["read"] += 1
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017 - one of many
            seen["refused"] += 1
    assert seen["refused"] > 50
    assert seen["read"] > 5


def test_a_tree_with_circles_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.mmdb"
    write_database(path, {})  # a single node
    data = bytearray(path.read_bytes())
    data[:6] = b"\0\0\1\0\0\0"  # its left side has no record, and its right side is the node itself
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"x\.mmdb: its tree is damaged"), LocationDatabase(path) as opened:
        list(opened)


def test_large_values_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "x.mmdb"
    record = {"names": ["é" * 100_000], "country": {"iso_code": "FR"}}
    write_database(path, {"192.0.2.0/24": record, "::/0": {}})
    with LocationDatabase(path) as opened:
        assert list(opened) == [(ip_network("192.0.2.0/24"), Location(NOWHERE.place, "FR"))]
    with pytest.raises(ValueError, match="use less than"):
        write_database(path, {"192.0.2.0/24": {"a": "x" * (1 << 25)}})
    with pytest.raises(TypeError, match="records is None: use a table by network"):
        write_database(path, None)  # type: ignore[arg-type]


def test_without_the_package_the_command_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbkit.needs.has_package", lambda name: False)
    with pytest.raises(ImportError, match=r"geo needs the Python package maxminddb \(.*\[geo\]"):
        LocationDatabase(tmp_path / "x.mmdb")


@pytest.mark.parametrize(
    "record",
    [
        {"country": "United States", "country_code": "US"},  # as IPinfo writes it
        {"country_code": "US", "latitude": 38.9, "longitude": -77.4},
        {"autonomous_system_number": 64496, "autonomous_system_organization": "Example"},
    ],
)
def test_a_database_of_another_form_is_one_clear_line(tmp_path: Path, record: dict[str, Any]) -> None:
    path = tmp_path / "other.mmdb"
    write_database(path, {"192.0.2.0/24": record})
    with pytest.raises(ValueError, match=f"its records have {next(iter(record))}.*GeoLite2 or DB-IP"):
        LocationDatabase(path)


def test_a_record_in_db_ips_form(tmp_path: Path) -> None:
    """https://db-ip.com/db/format/ip-to-country-lite/mmdb.html"""
    record = {
        "continent": {"code": "EU", "geoname_id": 6255148, "names": {"en": "Europe"}},
        "country": {
            "geoname_id": 1,
            "is_in_european_union": True,
            "iso_code": "FR",
            "names": {"en": "France"},
        },
    }
    write_database(tmp_path / "dbip.mmdb", {"192.0.2.0/24": record}, "DBIP-Country-Lite")
    with LocationDatabase(tmp_path / "dbip.mmdb") as database:
        assert database.locate("192.0.2.1") == Location(NOWHERE.place, "EU")
