"""The answer to a DNS query: from bytes to bytes, without a socket or a clock.

RFC 1034 and 1035; EDNS (6891), client subnet (7871), cookies (7873), extended errors (8914), answers to ANY
(8482), negative answers (2308).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.SOA
import dns.rdtypes.IN.SRV
import dns.rrset

from lbkit.core.geo import NoRegion, RegionState
from lbkit.net.dns.cookies import Cookies
from lbkit.net.dns.zone import Zone, network_of

HEADER = 12  # bytes
PLAIN_UDP = 512  # bytes of an answer over UDP without EDNS (RFC 1035, 4.2.1)
# Bytes of an answer over UDP at most: what no network splits into fragments (RFC 9715; DNS flag day 2020).
SAFE_UDP = 1232
LONGEST = 65535  # bytes, over TCP
MOST_ALIASES = 8  # CNAMEs that are followed
SUBNETS = {1: (24, 32), 2: (56, 128)}  # family -> bits taken of a client that names no subnet, and all bits


@dataclass(slots=True)
class Asked:
    """A query that can be answered, and what is known of its sender."""

    query: dns.message.Message
    client: str  # the address that asks: a resolver's, mostly
    over_tcp: bool
    subnet: dns.edns.ECSOption | None = None
    cookie: dns.edns.CookieOption | None = None

    @property
    def largest(self) -> int:
        """The number of bytes that the answer may have."""
        if self.over_tcp:
            return LONGEST
        return max(PLAIN_UDP, min(self.query.payload, SAFE_UDP)) if self.query.edns >= 0 else PLAIN_UDP

    def network(self) -> tuple[str, int]:
        """The first address of the client's network, and its bits: the subnet named, or the sender's own."""
        if self.subnet is not None and self.subnet.srclen:
            return self.subnet.address, self.subnet.srclen
        bits = SUBNETS[2 if ":" in self.client else 1][0]
        return network_of(self.client, bits), bits


def answer(
    zone: Zone,
    wire: bytes,
    client: str,
    now: float,
    states: Mapping[str, RegionState] | None = None,
    cookies: Cookies | None = None,
    over_tcp: bool = False,
) -> bytes | None:
    """Return the answer to a query of the host `client`; None for what gets none.

    `now`: seconds since 1970, for cookies. `states`: of regions, and of the addresses of `Weighted` names."""
    if len(wire) < HEADER or wire[2] & 0x80:  # too short to have a number, or itself an answer
        return None
    if wire[2] >> 3 & 0xF:  # an update or a notice, whose parts have another meaning
        return only_a_code(wire, dns.rcode.NOTIMP)
    try:
        query = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError):
        return only_a_code(wire, dns.rcode.FORMERR)
    asked = Asked(query, client, over_tcp)
    response = dns.message.make_response(query, our_payload=SAFE_UDP)
    response.flags &= ~dns.flags.AD
    code = _faults(asked)
    if code is None and asked.cookie is not None:
        code = _greet(asked, asked.cookie, response, cookies or Cookies(), now)
    if code is None:
        code = _resolve(zone, asked, response, states or {})
    response.set_rcode(code)
    return response.to_wire(max_size=asked.largest, prefer_truncation=True)


def only_a_code(wire: bytes, code: dns.rcode.Rcode) -> bytes:
    """Return an answer of a header alone, for a query that cannot be read, or answered."""
    kept = wire[2] & 0x79  # what was to be done, and whether recursion was wanted
    return wire[:2] + bytes((0x80 | kept, code)) + bytes(8)


def _faults(asked: Asked) -> dns.rcode.Rcode | None:
    """Read the options; return the code for a query that is not answered, None for one that is."""
    query = asked.query
    if len(query.question) != 1 or query.answer or query.authority:
        return dns.rcode.FORMERR
    if query.edns > 0:
        return dns.rcode.BADVERS
    for option in query.options:
        if isinstance(option, dns.edns.ECSOption):
            if option.scopelen or asked.subnet is not None:  # RFC 7871, 7.1.2
                return dns.rcode.FORMERR
            asked.subnet = option
        elif isinstance(option, dns.edns.CookieOption):
            asked.cookie = asked.cookie or option  # the first counts (RFC 7873, 5.2)
    return None


def _greet(
    asked: Asked,
    cookie: dns.edns.CookieOption,
    response: dns.message.Message,
    cookies: Cookies,
    now: float,
) -> dns.rcode.Rcode | None:
    """Answer a client's cookie with ours; return BADCOOKIE if it has to ask again with that one."""
    ours = cookies.make(cookie.client, asked.client, now)
    _add_option(response, dns.edns.CookieOption(cookie.client, ours))
    proven = asked.over_tcp or cookies.knows(cookie.client, cookie.server, asked.client, now)
    return None if proven or not cookies.strict else dns.rcode.BADCOOKIE


def _add_option(response: dns.message.Message, option: dns.edns.Option) -> None:
    response.use_edns(0, 0, SAFE_UDP, options=[*response.options, option])


def _resolve(
    zone: Zone, asked: Asked, response: dns.message.Message, states: Mapping[str, RegionState]
) -> dns.rcode.Rcode:
    """Fill the answer; return its code."""
    (question,) = asked.query.question
    name, kind = question.name, question.rdtype
    served = question.rdclass in (dns.rdataclass.IN, dns.rdataclass.ANY) and name.is_subdomain(zone.origin)
    transfer = kind in (dns.rdatatype.AXFR, dns.rdatatype.IXFR)
    if not served or transfer or (dns.rdatatype.is_metatype(kind) and kind is not dns.rdatatype.ANY):
        return dns.rcode.REFUSED
    response.flags |= dns.flags.AA
    scope = 0
    for _ in range(MOST_ALIASES):
        try:
            found, bits = _look_up(zone, asked, name, kind, states)
        except NoRegion as reason:
            _say(asked, response, str(reason))
            return dns.rcode.SERVFAIL
        scope = max(scope, bits)
        if found is None or found in response.answer:  # two aliases of each other
            break
        response.answer.append(found)
        if found.rdtype is not dns.rdatatype.CNAME or kind is dns.rdatatype.CNAME:
            break
        name = cast(dns.rdtypes.ANY.CNAME.CNAME, found[0]).target
        if not name.is_subdomain(zone.origin):
            break  # in another zone, whose servers the resolver asks
    _name_subnet(asked, response, scope)
    if not response.answer or found is None:
        response.authority.append(_negative(zone))
    elif found.rdtype is dns.rdatatype.SRV:
        _add_addresses(zone, response, found)
    return (
        dns.rcode.NOERROR if name in zone.names or not name.is_subdomain(zone.origin) else dns.rcode.NXDOMAIN
    )


def _look_up(
    zone: Zone,
    asked: Asked,
    name: dns.name.Name,
    kind: dns.rdatatype.RdataType,
    states: Mapping[str, RegionState],
) -> tuple[dns.rrset.RRset | None, int]:
    """Return the records of a name, and the bits of the client's address that decided; None without any."""
    sets = zone.sets.get(name, {})
    if kind is dns.rdatatype.ANY:
        if name not in zone.names:
            return None, 0
        # All records of a name would be a large answer, which an attacker can have sent to a victim.
        return dns.rrset.from_text(name, 3600, dns.rdataclass.IN, dns.rdatatype.HINFO, '"RFC8482" ""'), 0
    if found := sets.get(kind) or sets.get(dns.rdatatype.CNAME):
        return found, 0
    if name in zone.choosers and kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        network, bits = asked.network()
        chosen, choice = zone.chosen(name, kind, network, bits, states)
        return chosen, choice.scope
    return None, 0


def _negative(zone: Zone) -> dns.rrset.RRset:
    """Return the SOA that says how long there is no such name (RFC 2308, 3)."""
    soa = zone.sets[zone.origin][dns.rdatatype.SOA]
    minimum = cast(dns.rdtypes.ANY.SOA.SOA, soa[0]).minimum
    return dns.rrset.from_rdata_list(zone.origin, min(soa.ttl, minimum), list(soa))


def _name_subnet(asked: Asked, response: dns.message.Message, scope: int) -> None:
    """Say for which part of the addresses the answer is good."""
    if asked.subnet is not None:
        told = dns.edns.ECSOption(
            asked.subnet.address, asked.subnet.srclen, scope if asked.subnet.srclen else 0
        )
        _add_option(response, told)


def _add_addresses(zone: Zone, response: dns.message.Message, services: dns.rrset.RRset) -> None:
    """Add the addresses of an SRV record's hosts, which saves the resolver a question."""
    for target in dict.fromkeys(cast(dns.rdtypes.IN.SRV.SRV, service).target for service in services):
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            if target in zone.sets and kind in zone.sets[target]:
                response.additional.append(zone.sets[target][kind])


def _say(asked: Asked, response: dns.message.Message, reason: str) -> None:
    if asked.query.edns >= 0:
        _add_option(response, dns.edns.EDEOption(dns.edns.EDECode.OTHER, reason))
