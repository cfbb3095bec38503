"""A DNS server whose answers follow the checks of its regions' servers."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from needs import need_feature

need_feature("dns")

import dns.message
import dns.query

from lbkit.core import Backend
from lbkit.core.geo import Atlas, Location, Place, Region, Steering
from lbkit.core.health import CheckRules, Probe
from lbkit.net.dns import DnsServer, Record, Steered, Weighted, Zone
from lbkit.net.dns_health import RegionHealth

HERE = Location(Place(48.86, 2.35), "EU")
REGIONS = [Region("frankfurt", Place(50.11, 8.68)), Region("virginia", Place(38.95, -77.45))]
ADDRESSES = {"frankfurt": ["192.0.2.10"], "virginia": ["192.0.2.20"]}
ZONE = Zone(
    "shop.test", [], [Steered("www", Steering(REGIONS), ADDRESSES, Atlas({"127.0.0.0/8": HERE}), ttl=0)]
)


def ask(port: int) -> str:
    found = dns.query.udp(dns.message.make_query("www.shop.test.", "A"), "127.0.0.1", port=port, timeout=5)
    return str(found.answer[0][0])


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


def test_answers_follow_the_checks() -> None:
    broken: set[str] = set()
    rules = CheckRules(
        interval=0.05, timeout=0.05, rise=2, fall=2, probe=Probe("call", call=lambda b: b.name not in broken)
    )
    members = [Backend(f"{zone}-{i}", zone=zone) for zone in ADDRESSES for i in range(3)]
    changes = []
    server = DnsServer(ZONE)
    health = RegionHealth(server, members, rules, changes.append)
    with server:
        assert ask(server.port) == "192.0.2.10"
        broken.add("frankfurt-0")  # a third: the region stays
        until(lambda: health.healthy("frankfurt") < 0.9)
        assert ask(server.port) == "192.0.2.10"
        broken.add("frankfurt-1")
        until(lambda: ask(server.port) == "192.0.2.20")
        broken.clear()
        until(lambda: ask(server.port) == "192.0.2.10")
    assert [change.takes_out for change in changes].count(True) == 2


def test_a_server_without_a_region_tells_nothing() -> None:
    with pytest.raises(ValueError, match="zone of a is empty"):
        RegionHealth(DnsServer(ZONE), [Backend("a")])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: RegionHealth(None, []), "server is None: use DnsServer"),
        (lambda: RegionHealth(DnsServer(ZONE), [5]), "backends has 5: use a Backend each"),
        (lambda: DnsServer("shop.test"), "zone is 'shop.test': use Zone"),
        (lambda: DnsServer(ZONE, strict_cookies="no"), "strict_cookies is 'no': use true or false"),
        (lambda: Zone(None), "origin is None: use the name of a domain"),
        (lambda: Zone("a.b", [5]), "records has 5: use a Record each"),
        (lambda: Zone("a.b", [Record(5, "A", ["192.0.2.1"])]), "5 is no name of a record: use a text"),
        (lambda: Zone("a.b", [Record("a", 5, ["192.0.2.1"])]), "kind of a is 5: use a text"),
        (lambda: Zone("a.b", [Record("a", "A", "192.0.2.1")]), "values of a A is '192.0.2.1': use a list"),
        (lambda: Zone("a.b", [Record("a", "A", ["x"])]), r"a A is \['x'\]: .*; use the text form of zone"),
        (lambda: Zone("a.b", [], [5]), "choosers has 5: use Weighted, Steered"),
        (lambda: Weighted("w", 5), "weights of w is 5: use a table by name"),
        (lambda: Steered("w", 5, {}), "steering of w is 5: use Steering"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_types_are_named(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
