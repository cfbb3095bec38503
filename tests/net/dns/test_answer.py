"""Answers, from bytes to bytes: what the RFCs ask, and what nobody should be able to do to it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from needs import need_feature

need_feature("dns")

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.geo import Atlas, Location, Place, Region, RegionState, Steering
from lbkit.net.dns import Record, Steered, Weighted, Zone, ZoneError, answer
from lbkit.net.dns.cookies import Cookies

PARIS, BOSTON = Location(Place(48.86, 2.35), "EU"), Location(Place(42.36, -71.06), "US")
REGIONS = [Region("frankfurt", Place(50.11, 8.68), "EU"), Region("virginia", Place(38.95, -77.45), "US")]
ADDRESSES = {"frankfurt": ["192.0.2.10", "2001:db8:f::10"], "virginia": ["192.0.2.20"]}
ATLAS = Atlas({"198.51.100.0/24": PARIS, "203.0.113.0/24": BOSTON, "203.0.113.128/26": PARIS})
ZONE = Zone(
    "shop.test",
    [
        Record("@", "A", ["192.0.2.1"]),
        Record("www", "CNAME", ["geo"]),
        Record("out", "CNAME", ["elsewhere.test."]),
        Record("round", "CNAME", ["about"]),
        Record("about", "CNAME", ["round"]),
        Record("_http._tcp", "SRV", ["0 5 80 @"]),
        Record("@", "HTTPS", ["1 . alpn=h2"]),
        Record("many", "TXT", [f'"{i:0200d}"' for i in range(20)]),
    ],
    [
        Steered("geo", Steering(REGIONS), ADDRESSES, ATLAS, elsewhere=BOSTON, ttl=30),
        Steered("fenced", Steering(REGIONS, fence={"EU": ["EU"]}), ADDRESSES, ATLAS),
        Weighted("weighted", {"192.0.2.1": 3, "192.0.2.2": 1}),
    ],
)


def query(name: str, kind: str = "A", **options: Any) -> dns.message.Message:
    return dns.message.make_query(f"{name}.shop.test." if name != "@" else "shop.test.", kind, **options)


def ask(
    message: dns.message.Message, client: str = "198.51.100.7", zone: Zone = ZONE, **options: Any
) -> dns.message.Message:
    told = answer(zone, message.to_wire(), client, 0.0, **options)
    assert told is not None
    found = dns.message.from_wire(told)
    assert found.id == message.id
    assert message.is_response(found) or found.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP)
    return found


def addresses(message: dns.message.Message) -> list[str]:
    return [str(item) for records in message.answer for item in records if hasattr(item, "address")]


def test_an_address_by_the_place_of_the_client() -> None:
    assert addresses(ask(query("geo"))) == ["192.0.2.10"]
    assert addresses(ask(query("geo"), "203.0.113.1")) == ["192.0.2.20"]
    assert addresses(ask(query("geo"), "192.0.2.77")) == ["192.0.2.20"]  # unknown: as in Boston
    assert addresses(ask(query("geo", "AAAA"))) == ["2001:db8:f::10"]
    found = ask(query("www"))
    assert [records.rdtype.name for records in found.answer] == ["CNAME", "A"]
    assert (found.answer[1].ttl, bool(found.flags & dns.flags.AA)) == (30, True)
    assert not found.flags & dns.flags.RA


def test_failover_takes_the_next_region() -> None:
    down = {"frankfurt": RegionState(healthy=0)}
    assert addresses(ask(query("geo"), states=down)) == ["192.0.2.20"]
    nothing = ask(query("geo", "AAAA"), states=down)  # Virginia has no address of that kind
    assert (nothing.rcode(), nothing.answer) == (dns.rcode.NOERROR, [])
    assert nothing.authority[0].rdtype is dns.rdatatype.SOA


def test_a_fenced_name_is_not_answered_rather_than_answered_from_elsewhere() -> None:
    down = {"frankfurt": RegionState(healthy=0)}
    found = ask(query("fenced", use_edns=0), states=down)
    assert (found.rcode(), addresses(found)) == (dns.rcode.SERVFAIL, [])
    (why,) = [option for option in found.options if isinstance(option, dns.edns.EDEOption)]
    assert "is down: frankfurt" in (why.text or "")
    assert addresses(ask(query("fenced"), "203.0.113.1", states=down)) == ["192.0.2.20"]


# -- the client's subnet (RFC 7871) ---------------------------------------------------------------


def ask_for(subnet: str, name: str = "geo") -> tuple[list[str], dns.edns.ECSOption]:
    """Ask as a resolver in Boston would for one of its clients."""
    option = dns.edns.ECSOption.from_text(subnet)
    found = ask(query(name, options=[option]), "203.0.113.1")
    (told,) = [option for option in found.options if isinstance(option, dns.edns.ECSOption)]
    return addresses(found), told


def test_the_subnet_counts_and_not_the_resolver() -> None:
    found, told = ask_for("198.51.100.0/24")
    assert found == ["192.0.2.10"]
    assert (told.address, told.srclen, told.scopelen) == ("198.51.100.0", 24, 24)


def test_the_scope_is_where_all_would_get_this_answer() -> None:
    """Half of Boston's /24 is elsewhere: the answer for 203.0.113.0 is good for its half only."""
    assert ask_for("203.0.113.0/24")[1].scopelen == 25
    assert ask_for("203.0.113.128/26") == (["192.0.2.10"], ask_for("203.0.113.128/26")[1])
    assert ask_for("203.0.113.128/26")[1].scopelen == 26
    assert ask_for("203.0.113.192/26")[1].scopelen == 26
    assert ask_for("192.0.2.0/24")[1].scopelen == 6  # 198 and 203 begin with other bits


def test_a_client_that_hides_gets_the_answer_of_its_resolver_for_everybody() -> None:
    found, told = ask_for("0.0.0.0/0")
    assert (found, told.scopelen) == (["192.0.2.20"], 0)


def test_an_answer_that_is_the_same_for_all_says_so() -> None:
    assert ask_for("198.51.100.0/24", "@")[1].scopelen == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 32))
def test_within_the_scope_everybody_gets_the_same(number: int, offset: int) -> None:
    from ipaddress import ip_address, ip_network

    subnet = str(ip_address(number))
    scope = ATLAS.scope(subnet)
    network = ip_network((number >> (32 - scope) << (32 - scope), scope))
    other = str(network[(offset * 0x9E3779B1) % network.num_addresses])
    assert ATLAS.locate(subnet) == ATLAS.locate(other)


# -- weights ---------------------------------------------------------------------------------------


def test_weights_share_subnets_out() -> None:
    def picks(**options: Any) -> Counter[str]:
        return Counter(
            addresses(ask(query("weighted"), f"10.{i // 250}.{i % 250}.1", **options))[0] for i in range(2000)
        )

    assert picks()["192.0.2.1"] == pytest.approx(1500, abs=80)
    assert picks() == picks()
    assert set(picks(states={"192.0.2.1": RegionState(0)})) == {"192.0.2.2"}
    both_down = {"192.0.2.1": RegionState(0), "192.0.2.2": RegionState(0)}
    assert picks(states=both_down) == picks()


# -- what it serves, and what not -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "code", "records"),
    [
        ("@", "A", "NOERROR", 1),
        ("@", "MX", "NOERROR", 0),
        ("none", "A", "NXDOMAIN", 0),
        ("_tcp", "A", "NOERROR", 0),  # only has names below it
        ("GEO", "A", "NOERROR", 1),
        ("@", "HTTPS", "NOERROR", 1),
        ("@", "NS", "NOERROR", 1),
        ("geo", "ANY", "NOERROR", 1),
        ("none", "ANY", "NXDOMAIN", 0),
        ("out", "A", "NOERROR", 1),
        ("round", "A", "NOERROR", 2),
        ("@", "AXFR", "REFUSED", 0),
        ("@", "TKEY", "REFUSED", 0),
    ],
)
def test_codes(name: str, kind: str, code: str, records: int) -> None:
    found = ask(query(name, kind))
    assert (dns.rcode.to_text(found.rcode()), sum(map(len, found.answer))) == (code, records)
    if not found.answer and code != "REFUSED":
        assert (found.authority[0].rdtype, found.authority[0].ttl) == (dns.rdatatype.SOA, 60)


def test_other_zones_are_refused() -> None:
    for name in ("example.test.", "test.", ".", "notshop.test."):
        assert ask(dns.message.make_query(name, "A")).rcode() is dns.rcode.REFUSED
    assert ask(dns.message.make_query("shop.test.", "TXT", "CH")).rcode() is dns.rcode.REFUSED


def test_a_service_comes_with_the_addresses_of_its_host() -> None:
    found = ask(query("_http._tcp", "SRV"))
    assert [records.rdtype.name for records in found.additional] == ["A"]


def test_what_does_not_fit_is_asked_again_over_tcp() -> None:
    short = ask(query("many", "TXT"))
    assert short.flags & dns.flags.TC
    assert len(short.to_wire()) <= 512
    longer = ask(query("many", "TXT", use_edns=0, payload=4096))
    assert longer.flags & dns.flags.TC  # 1232 at most: what is never split into fragments
    whole = ask(query("many", "TXT"), over_tcp=True)
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 20


def test_versions_operations_and_questions_it_does_not_know() -> None:
    future = query("@", use_edns=1)
    assert ask(future).rcode() is dns.rcode.BADVERS
    update = query("@")
    update.set_opcode(dns.opcode.UPDATE)
    assert ask(update).rcode() is dns.rcode.NOTIMP
    two = query("@")
    two.question.append(query("geo").question[0])
    assert ask(two).rcode() is dns.rcode.FORMERR
    scoped = query("geo", options=[dns.edns.ECSOption("198.51.100.0", 24, 24)])
    assert ask(scoped).rcode() is dns.rcode.FORMERR


# -- cookies (RFC 7873) -----------------------------------------------------------------------------

CLIENT_COOKIE = b"12345678"


def cookie_of(message: dns.message.Message) -> bytes:
    (cookie,) = [option for option in message.options if isinstance(option, dns.edns.CookieOption)]
    assert cookie.client == CLIENT_COOKIE
    return cookie.server


def test_cookies_are_given_and_known_again() -> None:
    cookies = Cookies()
    ours = cookie_of(ask(query("@", options=[dns.edns.CookieOption(CLIENT_COOKIE, b"")]), cookies=cookies))
    assert cookies.knows(CLIENT_COOKIE, ours, "198.51.100.7", 3600)
    assert not cookies.knows(CLIENT_COOKIE, ours, "198.51.100.7", 3601)
    assert not cookies.knows(CLIENT_COOKIE, ours, "198.51.100.7", -301)
    assert not cookies.knows(CLIENT_COOKIE, ours, "198.51.100.8", 0)
    assert not cookies.knows(b"87654321", ours, "198.51.100.7", 0)
    assert not Cookies().knows(CLIENT_COOKIE, ours, "198.51.100.7", 0)
    assert not any(isinstance(o, dns.edns.CookieOption) for o in ask(query("@", use_edns=0)).options)


def test_strict_cookies_are_asked_for_over_udp() -> None:
    cookies = Cookies(strict=True)
    new = query("@", options=[dns.edns.CookieOption(CLIENT_COOKIE, b"")])
    first = ask(new, cookies=cookies)
    assert (first.rcode(), first.answer) == (dns.rcode.BADCOOKIE, [])
    again = query("@", options=[dns.edns.CookieOption(CLIENT_COOKIE, cookie_of(first))])
    assert addresses(ask(again, cookies=cookies)) == ["192.0.2.1"]
    assert addresses(ask(new, cookies=cookies, over_tcp=True)) == ["192.0.2.1"]
    assert addresses(ask(query("@"), cookies=cookies)) == ["192.0.2.1"]  # without EDNS there are none


# -- hostile bytes ----------------------------------------------------------------------------------


@given(st.binary(max_size=600))
def test_any_bytes_get_an_answer_that_can_be_read_or_none(wire: bytes) -> None:
    told = answer(ZONE, wire, "198.51.100.7", 0.0)
    if told is not None:
        assert len(told) <= 1232
        assert dns.message.from_wire(told).flags & dns.flags.QR


@given(st.data())
def test_queries_with_bytes_changed_get_an_answer_that_can_be_read_or_none(data: st.DataObject) -> None:
    options = [dns.edns.ECSOption("198.51.100.0", 24), dns.edns.CookieOption(CLIENT_COOKIE, b"")]
    wire = bytearray(
        query(data.draw(st.sampled_from(["www", "geo", "many", "none"])), options=options).to_wire()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    told = answer(ZONE, bytes(wire), "198.51.100.7", 0.0)
    if told is not None:
        assert dns.message.from_wire(told).flags & dns.flags.QR


def test_an_answer_gets_no_answer() -> None:
    """Else two servers could be made to talk to each other for ever."""
    told = answer(ZONE, query("@").to_wire(), "198.51.100.7", 0.0)
    assert told is not None
    assert answer(ZONE, told, "198.51.100.7", 0.0) is None


# -- zones that cannot be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Zone("shop..test"), "no name"),
        (lambda: Zone("a.test", [Record("x.b.test.", "A", ["192.0.2.1"])]), "not in the zone a.test"),
        (lambda: Zone("a.test", [Record("x", "A", ["192.0.2.300"])]), "x A is "),
        (lambda: Zone("a.test", [Record("x", "NOSUCH", ["1"])]), "x NOSUCH is "),
        (lambda: Zone("a.test", [Record("x", "A", [])]), "at least one value"),
        (lambda: Zone("a.test", [Record("x", "A", ["192.0.2.1"], ttl=-1)]), "ttl of x A is -1"),
        (
            lambda: Zone("a.test", [Record("x", "CNAME", ["y"]), Record("x", "A", ["192.0.2.1"])]),
            "nothing else",
        ),
        (lambda: Zone("a.test", [Record("x", "A", ["192.0.2.1"])] * 2), "there twice"),
        (lambda: Zone("a.test", [Record("x", "CNAME", ["y", "z"])]), "one value"),
        (lambda: Zone("a.test", [Record("@", "CNAME", ["y"])]), "@ CNAME: a name with"),
        (lambda: Zone("a.test", [], [Weighted("x", {"nowhere": 1})]), "'nowhere' is no address"),
        (lambda: Zone("a.test", [], [Weighted("x", {"192.0.2.1": 1})] * 2), "addresses twice"),
        (lambda: Weighted("x", {"192.0.2.1": -1}), "weight of 192.0.2.1 is -1"),
        (lambda: Weighted("x", {"192.0.2.1": 0}), "a weight above 0"),
        (lambda: Steered("x", Steering(REGIONS), {"frankfurt": ["192.0.2.1"]}), "no address of virginia"),
    ],
)
def test_zones_that_cannot_be_are_named(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()
    assert issubclass(ZoneError, ValueError)


@pytest.mark.parametrize(
    "option",
    [
        "0001 11 00 c63364",  # 17 bits, and one more is set
        "0001 18 00 c6336400",  # 24 bits in four bytes
        "0001 18 00 c633",  # 24 bits in two
        "0001 21 00 c633640101",  # 33 bits of an IPv4 address
        "0003 18 00 c63364",  # a family that there is not
    ],
)
def test_a_subnet_that_does_not_add_up_is_a_format_error(option: str) -> None:
    """RFC 7871, 6: too few or too many bytes, and bits beyond the prefix."""
    wire = query("geo", options=[dns.edns.GenericOption(8, bytes.fromhex(option))])
    assert ask(wire).rcode() is dns.rcode.FORMERR
